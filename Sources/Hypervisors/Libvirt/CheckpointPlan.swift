package import BackupModel

/// A checkpoint of libvirt, as far as a capture asks.
package struct CheckpointFacts: Hashable, Sendable {
    /// What it says of one disk.
    package struct Disk: Hashable, Sendable {
        /// Name of the dirty bitmap; `nil` when the checkpoint has none of this disk.
        package var bitmap: String?
        /// Bytes that changed since, as QEMU counts them; `nil` when it could not be counted, which means that the
        /// bitmap is missing or was not closed properly.
        package var changed: UInt64?

        /// What it says, from its fields.
        package init(bitmap: String?, changed: UInt64?) {
            self.bitmap = bitmap
            self.changed = changed
        }
    }

    /// Its name.
    package var name: String
    /// What it says of each disk, by target.
    package var disks: [String: Disk]

    /// Facts from their fields.
    package init(name: String, disks: [String: Disk]) {
        self.name = name
        self.disks = disks
    }

    /// Reads a checkpoint's XML, with sizes; `nil` when it is none.
    package init?(xml: String) {
        guard let root = try? XMLElement(parsing: xml), root.name == "domaincheckpoint",
            let name = root.child("name")?.text
        else { return nil }
        self.name = name
        disks = [:]
        for disk in root.child("disks")?.children("disk") ?? [] {
            guard let target = disk["name"] else { continue }
            let bitmap = disk["checkpoint"] == "bitmap" ? disk["bitmap"] ?? name : nil
            disks[target] = Disk(bitmap: bitmap, changed: disk["size"].flatMap { UInt64($0) })
        }
    }
}

/// Which disks are read by their lists of changes, and which whole: decided from what libvirt says before the capture.
package struct CheckpointPlan: Hashable, Sendable {
    /// How one disk is read.
    package enum Way: Hashable, Sendable {
        /// What changed since the point's checkpoint.
        case since(PointID)
        /// Everything, with the reason.
        case whole(String)
    }

    /// How each disk is read, by name.
    package var ways: [String: Way] = [:]
    /// Disks that get a list of changes that begins at the new point.
    package var listed: Set<String> = []
    /// Checkpoints of this repository that mean nothing any more once the point is committed.
    package var stale: [String] = []
    /// Those of them that mean nothing any more also when the run is stopped, and its progress kept.
    package var outdone: [String] = []

    /// Decides.
    ///
    /// - Parameters:
    ///   - disks: those that are taken.
    ///   - checkpoints: all of the guest; facts with sizes for those of this repository.
    ///   - request: whose names count.
    ///   - listless: names of disks whose images have no room for a list of changes.
    package init(
        disks: [GuestDisk], checkpoints: [CheckpointFacts], request: CaptureRequest, listless: Set<String> = []
    ) {
        let own = Dictionary(
            checkpoints.filter { $0.name.hasPrefix(request.listPrefix) }.map { ($0.name, $0) }
        ) { first, _ in first }
        for disk in disks {
            guard !listless.contains(disk.name) else {
                ways[disk.name] = .whole(
                    "its image is qcow2 of version 2, which keeps no list of changes; while the guest is off, "
                        + "qemu-img amend -o compat=1.1 makes it one of version 3")
                continue
            }
            let keepsList = disk.format == "qcow2"
            if keepsList { listed.insert(disk.name) }
            ways[disk.name] = CheckpointPlan.way(disk, keepsList: keepsList, own: own, request: request)
        }
        // A disk that is not taken this time keeps its list, so that it need not be read whole the next time.
        let taken = Set(disks.map(\.name))
        let kept = Set(request.bases.filter { !taken.contains($0.key) }.map { request.listName($0.value) })
        stale = own.keys.filter { !kept.contains($0) && $0 != request.listName(request.point) }.sorted()
        let last = Set((Array(request.bases.values) + Array(request.last.values)).map(request.listName))
        outdone = stale.filter { !last.contains($0) }
    }

    private static func way(
        _ disk: GuestDisk, keepsList: Bool, own: [String: CheckpointFacts], request: CaptureRequest
    ) -> Way {
        guard keepsList else {
            return .whole(
                "libvirt keeps lists of changes in qcow2 images only, and this one is "
                    + (disk.format ?? "of no known kind")
            )
        }
        var way = Way.whole("there is no earlier point of it to build on")
        for candidate in [request.unfinished[disk.name], request.bases[disk.name]].compactMap(\.self) {
            way = CheckpointPlan.way(disk, since: candidate, own: own, request: request)
            if case .since = way { break }
        }
        return way
    }

    private static func way(
        _ disk: GuestDisk, since base: PointID, own: [String: CheckpointFacts], request: CaptureRequest
    ) -> Way {
        let name = request.listName(base)
        guard let checkpoint = own[name] else {
            return .whole(
                "libvirt has no checkpoint of the last point: somebody removed it or defined the guest anew, or none "
                    + "could be made then")
        }
        guard let facts = checkpoint.disks[disk.name], let bitmap = facts.bitmap else {
            return .whole(
                "the checkpoint of the last point has no list of this disk: it is new, or was of another kind")
        }
        guard bitmap == name else {
            return .whole("somebody redefined the checkpoint of the last point")
        }
        guard facts.changed != nil else {
            return .whole(
                "the list of changes since the last point is gone or was not closed properly: QEMU was killed, or the "
                    + "image exchanged")
        }
        return .since(base)
    }

    /// The same, with every disk read whole.
    package func whole(because reason: String) -> CheckpointPlan {
        var plan = self
        plan.ways = ways.mapValues { way in if case .since = way { .whole(reason) } else { way } }
        return plan
    }

    /// The same, without lists that begin.
    package func unlisted() -> CheckpointPlan {
        var plan = self
        plan.listed = []
        return plan
    }

    /// Whether any disk is read by its list of changes.
    package var isIncremental: Bool { ways.values.contains { if case .since = $0 { true } else { false } } }
}
