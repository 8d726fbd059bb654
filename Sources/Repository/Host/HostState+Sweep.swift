import BackupModel
import RepositoryFormat

extension HostState {
    /// Sessions that a sweep remembers at most.
    static let sweepMemoryLimit = 4_096

    /// What the last sweep of this host has seen of running sessions; nothing when it never swept, or when that file is
    /// damaged: then they are seen for the first time.
    ///
    /// - Throws: ``RepositoryError``, `storage`.
    package func sweepMemory() throws -> Sweep.Memory {
        var memory = Sweep.Memory()
        let bytes: [UInt8]?
        do { bytes = try HostState.translating { try file("sweep").read() } } catch let error as RepositoryError
            where error.code == .damaged
        { return memory }
        guard let bytes, let value = try? RecordValue(decoding: bytes[...], of: "the sweep's notes"),
            let fields = try? RecordFields(value, of: "the sweep's notes"), let list = try? fields.list("seen")
        else { return memory }
        for value in list.prefix(HostState.sweepMemoryLimit) {
            guard var tuple = try? RecordTuple(value, count: 3, of: "the sweep's notes"),
                let session: SessionID = try? tuple.identifier(), let next = try? tuple.number(),
                let at = try? tuple.unsigned(limit: .max)
            else { continue }
            memory.seen[session] = Sweep.Memory.Seen(next: next, at: at)
        }
        return memory
    }

    /// Keeps it for the next sweep. Of two sweeps at once the last one's word stands: a session that only the other has
    /// seen is seen for the first time again, and waited for longer.
    package func keep(sweepMemory memory: Sweep.Memory) throws {
        let newest = memory.seen.sorted { $0.key < $1.key }.prefix(HostState.sweepMemoryLimit)
        let value: RecordValue = .map([
            "seen": .array(
                newest.map { session, seen in
                    .array([.bytes(session.bytes), .unsigned(UInt64(seen.next)), .unsigned(seen.at)])
                })
        ])
        try changing { try HostState.translating { try file("sweep").write(value.encoded) } }
    }

    /// What the last sweep of this host kept of the maps it walked; `nil` when there is nothing that can be read: that
    /// costs time only (``KeptMarks``).
    func sweepMarks() -> [UInt8]? { try? file("marks").read() }

    /// Keeps it for the next sweep. Where there is no room, the next one walks all.
    func keep(sweepMarks content: [UInt8]) { try? file("marks").write(content) }
}
