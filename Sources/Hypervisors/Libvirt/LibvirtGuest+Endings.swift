import Effects

extension LibvirtGuest {
    /// How long a job may take to end: libvirt waits for QEMU, and QEMU for writes that are under way.
    private static let patience: UInt64 = 60_000_000_000
    /// Milliseconds between two looks.
    private static let pause = 50

    /// Ends the backup job and waits until it is gone.
    func endBackup() throws(GuestError) {
        func isThere() throws(GuestError) -> Bool {
            try ask("asking for its backup job") { domain throws(LibvirtFailure) in try domain.backup() != nil }
        }
        guard try isThere() else { return }
        do throws(GuestError) {
            try ask("ending its backup job") { domain throws(LibvirtFailure) in try domain.abortJob() }
        } catch {
            // It may have ended by itself meanwhile.
            guard try isThere() else { return }
            throw error
        }
        let began = host.clock.monotonic()
        while try isThere() {
            guard host.clock.monotonic() - began < LibvirtGuest.patience else {
                throw GuestError(
                    .refused,
                    "the backup job of guest \(name) does not end; look at it with virsh domjobinfo \(name)")
            }
            ThreadPause.take(milliseconds: LibvirtGuest.pause)
        }
    }

    /// Removes a checkpoint of ours with its lists of changes, if it is there.
    ///
    /// libvirt removes none of which one list is gone: it is then described anew without those, and if even that fails
    /// only libvirt's knowledge of it goes.
    /// - Returns: what went wrong, for the operator.
    func removeCheckpoint(_ name: String) -> [String] {
        do throws(GuestError) {
            return try ask("removing the checkpoint \(name)") { domain throws(LibvirtFailure) in
                try remove(name, of: domain)
            }
        } catch {
            return ["\(error.sentence); the next run tries again"]
        }
    }

    private func remove(_ name: String, of domain: LibvirtDomain) throws(LibvirtFailure) -> [String] {
        guard let checkpoint = try domain.checkpoint(name) else { return [] }
        do throws(LibvirtFailure) { try checkpoint.remove() } catch {
            return try removeDamaged(checkpoint, of: domain, because: error)
        }
        return []
    }

    private func removeDamaged(
        _ checkpoint: LibvirtCheckpoint, of domain: LibvirtDomain, because failure: LibvirtFailure
    ) throws(LibvirtFailure) -> [String] {
        // Of a guest that does not run nothing is known of its lists.
        let state = try domain.state()
        guard state == .running || state == .paused,
            let facts = CheckpointFacts(xml: try checkpoint.xml(withSizes: true))
        else { throw failure }
        let lost = Set(facts.disks.filter { $0.value.bitmap != nil && $0.value.changed == nil }.keys)
        let whole = facts.disks.filter { $0.value.changed != nil }
        if !whole.isEmpty,
            let document = BackupDocuments.withoutLost(try checkpoint.xml(withSizes: false), lost: lost)
        {
            if (try? domain.redefineCheckpoint(document)) != nil,
                let renewed = try domain.checkpoint(checkpoint.name), (try? renewed.remove()) != nil
            {
                return []
            }
        }
        guard !lost.isEmpty else { throw failure }
        try checkpoint.remove(onlyDescription: true)
        return whole.isEmpty
            ? []
            : [
                "guest \(name): lists of changes named \(checkpoint.name) stay in "
                    + "\(whole.keys.sorted().joined(separator: ", ")): "
                    + "\(failure.message)"
            ]
    }
}
