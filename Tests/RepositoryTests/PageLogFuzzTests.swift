import BackupModel
import Effects
import Repository
import RepositoryFormat
import TestKit
import Testing

/// Whatever lies where a log of pages is, it is read as far as it is one, and goes on being one.
@Suite("seeded mutations of logs of pages")
struct PageLogFuzzTests {
    private struct Refused: Error {}

    private static func hash(_ number: UInt8) -> Hash256 {
        var bytes = [UInt8](repeating: number, count: 32)
        bytes[31] = 1
        guard let hash = Hash256(bytes: bytes) else { preconditionFailure("32 bytes make a hash") }
        return hash
    }

    private static func records(_ log: PageLog) -> [PageLog.Record] {
        var found: [PageLog.Record] = []
        var place: UInt64 = 0
        while true {
            let (records, end) = log.records(from: place)
            guard end > place else { return found }
            found += records
            place = end
        }
    }

    @Test("a full log takes no more, and the next run begins it anew")
    func full() throws {
        let disk = try TemporaryDisk()
        let repository = try #require(RepositoryID(bytes: [UInt8](repeating: 1, count: 16)))
        let guest = try #require(GuestID(bytes: [UInt8](repeating: 2, count: 16)))
        let state = try HostState(
            files: HostFiles(root: disk.folder), root: disk.folder, repository: repository, randomness: .seeded(1))
        let name = "repositories/\(repository)/pages/\(guest.hexadecimal)"
        func identifier(_ number: Int) throws -> Hash256 {
            let front = (0..<8).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
            return try #require(Hash256(bytes: front + [UInt8](repeating: 7, count: 24)))
        }
        let values = [UInt64](repeating: 1, count: PageLog.pageLimit)
        do {
            let log = try #require(state.pageLog(of: guest))
            var count = 0
            while log.needs(try identifier(count)), count < 10_000 {
                log.append(PageLog.Record(chunk: try identifier(count), values: values))
                count += 1
            }
            #expect(count < 10_000)
            log.flush()
        }
        let size = UInt64(try #require(disk.bytes(name)).count)
        #expect(size <= PageLog.byteLimit && size > PageLog.byteLimit - (1 << 20))
        let again = try #require(state.pageLog(of: guest))
        #expect(again.needs(try identifier(0)))
        #expect(try #require(disk.bytes(name)).isEmpty)
    }

    @Test("a log that was changed is cut where it makes no sense, and takes new records behind that")
    func mutations() throws {
        let disk = try TemporaryDisk()
        let repository = try #require(RepositoryID(bytes: [UInt8](repeating: 1, count: 16)))
        let guest = try #require(GuestID(bytes: [UInt8](repeating: 2, count: 16)))
        let state = try HostState(
            files: HostFiles(root: disk.folder), root: disk.folder, repository: repository, randomness: .seeded(1))
        let name = "repositories/\(repository)/pages/\(guest.hexadecimal)"
        do {
            let log = try #require(state.pageLog(of: guest))
            for number in 1...20 {
                log.append(
                    PageLog.Record(chunk: Self.hash(UInt8(number)), values: (0..<number).map { UInt64($0) << 40 }))
            }
            log.flush()
            #expect(Self.records(log).count == 20)
            #expect(!log.needs(Self.hash(7)) && log.needs(Self.hash(77)))
        }
        let original = try #require(disk.bytes(name))
        Mutator.run("logs of pages", [original, [], Array(original.prefix(40))], refusedBy: Refused.self) { bytes in
            try disk.put(bytes, name: name)
            guard let log = state.pageLog(of: guest) else { return "a log that cannot be opened" }
            let before = Self.records(log)
            for record in before where !(1...PageLog.pageLimit).contains(record.values.count) { return "\(record)" }
            let added = PageLog.Record(chunk: Self.hash(200), values: [1, 2, 3])
            guard log.needs(added.chunk) else { return before.contains { $0.chunk == added.chunk } ? nil : "no room" }
            log.append(added)
            log.flush()
            guard let again = state.pageLog(of: guest) else { return "a log that cannot be opened again" }
            return Self.records(again) == before + [added] ? nil : "other records"
        }
    }
}
