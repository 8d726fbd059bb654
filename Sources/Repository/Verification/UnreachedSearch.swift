import BackupModel
import RepositoryFormat

/// Looks through a listing for slots and sessions that nothing leads to: what led there is missing.
///
/// A listing proves nothing by what it lacks. What it shows is believed only when an enrolled key has signed it.
struct UnreachedSearch {
    let repository: OpenRepository
    let view: RepositoryView

    /// What is missing, by the name of the missing object, with the points that it led to.
    func findings() async throws -> [RepositoryFinding] {
        let access = repository.access
        let slotNames = try await access.names(under: "log/")
        let search = SessionSearch(
            log: view.log, access: access, chain: repository.chain, ends: SessionChainReader.StatedEnds(view.log))
        let sessionNames = try await search.listed()
        // Others may have gone on since the view was read; whatever was listed was led to before it was put.
        var log = view.log
        try await log.readOn(access, chain: repository.chain)
        var findings = try await beyond(log, names: slotNames)
        let read = Set(view.sessions.map(\.name))
        for name in sessionNames where !read.contains(name) {
            guard let claimed = try await search.claimed(name) else { continue }
            let slot = log.slots.first { $0.slot == claimed.slot.slot }
            if case .open(let session, _)? = slot?.content?.claim, session == name.session { continue }
            let session = try await SessionChainReader.readOn(claimed, end: nil, access, chain: repository.chain)
            let object = slot == nil ? ObjectPaths.slot(claimed.slot.slot) : name.entry(0)
            findings.append(
                RepositoryFinding(
                    object: object,
                    sentence: slot == nil
                        ? "\(object) is missing: session \(name.session) says that it was opened there"
                        : "\(object) says that its session was opened by \(claimed.slot.slot), which does not say so",
                    points: try points(of: session)))
        }
        return findings
    }

    private func beyond(_ log: ControlLog, names: [String]) async throws -> [RepositoryFinding] {
        let read = Set(log.slots.map { ObjectPaths.slot($0.slot) })
        for name in names where !read.contains(name) {
            guard let slot = SlotNumber(objectName: name), slot > log.next,
                try await log.isReadable(slot, repository.access, chain: repository.chain)
            else { continue }
            let missing = ObjectPaths.slot(log.next)
            return [
                RepositoryFinding(object: missing, sentence: "\(missing) is missing, and \(name) stands behind it")
            ]
        }
        return []
    }

    private func points(of session: ReadSession) throws -> [PointID] {
        guard view.showsPoints else { return [] }
        let keys = try repository.keys()
        return try session.entries.filter { $0.action == .commit }
            .flatMap {
                try RepositoryView.points(
                    of: $0, by: repository.chain.signer(session.signer), keys: keys
                ).points
            }.map(\.record.identifier)
    }
}

extension SlotNumber {
    /// The slot whose object has this name; `nil` for any other name.
    fileprivate init?(objectName: String) {
        let parts = objectName.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 4, parts[0] == "log", let incarnation = UInt32(parts[1]), let epoch = UInt32(parts[2]),
            let number = UInt32(parts[3]), max(incarnation, epoch, number) <= FormatLimits.number
        else { return nil }
        self.init(incarnation: incarnation, epoch: epoch, number: number)
        guard ObjectPaths.slot(self) == objectName else { return nil }
    }
}

extension OpenRepository {
    /// What a listing shows and nothing leads to: something that led there is missing, and points with it.
    ///
    /// - Throws: ``RepositoryError``, `storage`.
    package func unreached(_ view: RepositoryView) async throws -> [RepositoryFinding] {
        try await UnreachedSearch(repository: self, view: view).findings()
    }
}
