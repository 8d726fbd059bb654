package import BackupModel
import Effects
import RepositoryFormat
import Synchronization

/// Which chunks of a guest's disks have which pages, by keyed values of eight bytes: so that the pages of its memory
/// can be looked for among them.
///
/// One file for each guest in this host's state folder. It is a hint: whoever finds pages by it puts them together and
/// compares them with the chunk's id, so a log that is old, torn, damaged or forged costs dedup and never data. Losing
/// it costs dedup until the disks are read again. May be used from several tasks at once.
///
/// Records of 36 bytes and eight for each page: the chunk's id, u16 pages, u16 zero, the values of the pages, all with
/// the lowest byte first. At most ``byteLimit`` bytes, of chunks of 64 KiB as many as are in 26 GiB of data; a full log
/// takes no more, and is begun anew by the next run.
package final class PageLog: Sendable {
    /// Bytes of a log.
    package static let byteLimit: UInt64 = 64 << 20
    /// Pages of a chunk, at most.
    package static let pageLimit = 1024
    private static let headByteCount = 36
    private static let readByteCount = 1 << 20
    /// Bytes that wait before they are written.
    private static let waitingByteCount = 1 << 18

    /// What a log says of a chunk.
    package struct Record: Hashable, Sendable {
        /// Its id.
        package let chunk: Hash256
        /// The values of its pages in order.
        package let values: [UInt64]

        /// A record from its fields.
        package init(chunk: Hash256, values: [UInt64]) {
            self.chunk = chunk
            self.values = values
        }
    }

    private struct State {
        /// The first eight bytes of the ids that it names.
        var known: Set<UInt64> = []
        var byteCount: UInt64 = 0
        var waiting: [UInt8] = []
        var isUsable = true
    }

    private let file: HintFile
    private let state = Mutex(State())

    /// Opens the log of a guest and reads which chunks it names. `nil` when the file cannot be used.
    init?(folder: String, guest: GuestID) {
        guard let file = try? HintFile(folder: folder, name: guest.hexadecimal) else { return nil }
        self.file = file
        var state = State()
        while true {
            guard let (records, end) = try? PageLog.records(in: file, from: state.byteCount) else { return nil }
            for record in records { state.known.insert(PageLog.prefix(of: record.chunk)) }
            if end == state.byteCount { break }
            state.byteCount = end
        }
        // Behind the last whole record lies what was torn; a full log begins anew.
        if state.byteCount > PageLog.byteLimit - (1 << 20) { state = State() }
        guard (try? file.truncate(to: state.byteCount)) != nil else { return nil }
        let opened = state
        self.state.withLock { $0 = opened }
    }

    private static func prefix(of identifier: Hash256) -> UInt64 {
        identifier.bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Whether a chunk need not be appended: it is there, or nothing more has room.
    package func needs(_ identifier: Hash256) -> Bool {
        let prefix = PageLog.prefix(of: identifier)
        return state.withLock {
            $0.isUsable && $0.byteCount < PageLog.byteLimit - (1 << 16) && !$0.known.contains(prefix)
        }
    }

    /// Appends a chunk. What cannot be written is left out. - Precondition: 1 … ``pageLimit`` values.
    package func append(_ record: Record) {
        precondition((1...PageLog.pageLimit).contains(record.values.count), "a chunk has pages, and not too many")
        var bytes: [UInt8] = []
        bytes.reserveCapacity(PageLog.headByteCount + 8 * record.values.count)
        bytes.append(record.chunk)
        bytes.append(littleEndian: UInt16(record.values.count))
        bytes.append(littleEndian: UInt16(0))
        for value in record.values { bytes.append(littleEndian: value) }
        state.withLock { state in
            guard state.isUsable, state.known.insert(PageLog.prefix(of: record.chunk)).inserted else { return }
            state.byteCount += UInt64(bytes.count)
            state.waiting += bytes
            if state.waiting.count >= PageLog.waitingByteCount { PageLog.write(&state, to: file) }
        }
    }

    /// Writes what waits.
    package func flush() { state.withLock { PageLog.write(&$0, to: file) } }

    private static func write(_ state: inout State, to file: HintFile) {
        guard !state.waiting.isEmpty, state.isUsable else { return }
        // A torn record is cut off when the log is opened again; until then nothing may follow it.
        if (try? file.append(state.waiting)) == nil { state.isUsable = false }
        state.waiting = []
    }

    /// The whole records from a place in the log on, as many as a read of 1 MiB brings.
    ///
    /// - Returns: the records, and the place behind the last one: the same place at the end, or where the log is torn
    ///   or cannot be read.
    package func records(from place: UInt64) -> (records: [Record], end: UInt64) {
        (try? PageLog.records(in: file, from: place)) ?? ([], place)
    }

    private static func records(in file: HintFile, from place: UInt64) throws -> ([Record], UInt64) {
        let bytes = try file.read(at: place, count: readByteCount)
        var records: [Record] = []
        var start = 0
        func number(_ offset: Int, _ count: Int) -> UInt64 {
            var value: UInt64 = 0
            for index in (0..<count).reversed() { value = value << 8 | UInt64(bytes[offset + index]) }
            return value
        }
        while bytes.count - start >= headByteCount {
            let count = Int(number(start + 32, 2))
            let end = start + headByteCount + 8 * count
            guard (1...pageLimit).contains(count), number(start + 34, 2) == 0, end <= bytes.count,
                let chunk = Hash256(bytes: Array(bytes[start..<start + 32]))
            else { break }
            let first = start + headByteCount
            records.append(Record(chunk: chunk, values: (0..<count).map { number(first + 8 * $0, 8) }))
            start = end
        }
        return (records, place + UInt64(start))
    }
}
