import BackupModel
import ChunkEncryption
import Foundation
import GRDB
import MapCache
import RepositoryFormat
import TestKit
import Testing

@Suite("maps kept on the host")
struct KeptMapsTests {
    private final class Folder {
        let path: String
        init() throws {
            path = FileManager.default.temporaryDirectory.path + "/maps-\(UUID().uuidString)"
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        }
        deinit { try? FileManager.default.removeItem(atPath: path) }
    }

    private let folder: Folder
    private let seed = SecretBytes(copying: [UInt8](repeating: 7, count: 32))
    private let guest: GuestID

    init() throws {
        folder = try Folder()
        guest = try #require(GuestID(bytes: [UInt8](repeating: 1, count: 16)))
    }

    private var file: String { folder.path + "/" + KeptMaps.fileName(guest) }

    private func hash(_ number: UInt8) throws -> Hash256 {
        try #require(Hash256(bytes: [UInt8](repeating: number, count: 32)))
    }

    private func map(_ leaves: [Hash256?]) throws -> KeptMap {
        let point = try #require(PointID(bytes: [UInt8](repeating: 2, count: 16)))
        let writer = try #require(WriterID(bytes: [UInt8](repeating: 3, count: 16)))
        let session = try #require(SessionID(bytes: [UInt8](repeating: 4, count: 16)))
        return KeptMap(
            point: point, commit: SessionHead(writer: writer, session: session, number: 5, hash: try hash(6)),
            root: [1, 2, 3], leaves: leaves, identity: "raw /images/業務.raw", pointsSinceScan: 9, isDoubted: true)
    }

    @Test("what was kept is there after the program was started anew, holes and all")
    func roundTrip() throws {
        let kept = try map([try hash(8), nil, try hash(9)])
        let maps = try KeptMaps(folder: folder.path, guest: guest, seed: seed)
        try maps.add([(try hash(8), [10, 11]), (try hash(9), [])], guest: guest, disk: "vda")
        try maps.replace(["vda": kept], of: guest)
        let again = try KeptMaps(folder: folder.path, guest: guest, seed: seed)
        #expect(try again.map(guest, disk: "vda") == kept)
        #expect(try again.leaf(try hash(8), guest: guest, disk: "vda") == [10, 11])
        #expect(try again.leaf(try hash(9), guest: guest, disk: "vda") == [])
        #expect(try again.map(guest, disk: "vdb") == nil)
        #expect(try again.leaf(try hash(8), guest: guest, disk: "vdb") == nil)
    }

    @Test("leaves that the last map does not name go, and disks that a point has no more")
    func cleaning() throws {
        let maps = try KeptMaps(folder: folder.path, guest: guest, seed: seed)
        for disk in ["vda", "vdb"] {
            try maps.add([(try hash(8), [1]), (try hash(9), [2])], guest: guest, disk: disk)
        }
        try maps.replace(["vda": try map([try hash(8), try hash(9)]), "vdb": try map([try hash(8)])], of: guest)
        try maps.replace(["vda": try map([try hash(9)])], of: guest)
        #expect(try maps.leaf(try hash(8), guest: guest, disk: "vda") == nil)
        #expect(try maps.leaf(try hash(9), guest: guest, disk: "vda") == [2])
        #expect(try maps.map(guest, disk: "vdb") == nil)
        #expect(try maps.leaf(try hash(8), guest: guest, disk: "vdb") == nil)
    }

    @Test("another writer's key opens nothing, and nothing is in clear")
    func sealed() throws {
        let maps = try KeptMaps(folder: folder.path, guest: guest, seed: seed)
        let leaf = Array("a leaf that nobody may read".utf8)
        try maps.add([(try hash(8), leaf)], guest: guest, disk: "vda")
        try maps.replace(["vda": try map([try hash(8)])], of: guest)
        let bytes = try Data(contentsOf: URL(fileURLWithPath: file))
        for clear in [leaf, Array("業務".utf8), Array("vda".utf8)] { #expect(bytes.range(of: Data(clear)) == nil) }
        let other = try KeptMaps(
            folder: folder.path, guest: guest, seed: SecretBytes(copying: [UInt8](repeating: 8, count: 32)))
        #expect(try other.map(guest, disk: "vda") == nil)
    }

    @Test("a file that is damaged anywhere gives what was kept, nothing, or an error, and never something else")
    func damage() throws {
        let kept = try map([try hash(8)])
        let maps = try KeptMaps(folder: folder.path, guest: guest, seed: seed)
        try maps.add([(try hash(8), [10, 11])], guest: guest, disk: "vda")
        try maps.replace(["vda": kept], of: guest)
        let whole = try Data(contentsOf: URL(fileURLWithPath: file))
        var dice = Dice(seed: 4)
        for _ in 0..<200 {
            var bytes = whole
            for _ in 0...dice.roll(below: 3) {
                bytes[Int(dice.roll(below: UInt64(bytes.count)))] ^= UInt8(1 << dice.roll(below: 8))
            }
            if dice.roll(below: 5) == 0 { bytes = bytes.prefix(Int(dice.roll(below: UInt64(bytes.count)))) }
            try bytes.write(to: URL(fileURLWithPath: file))
            guard let damaged = try? KeptMaps(folder: folder.path, guest: guest, seed: seed) else { continue }
            if let found = try? damaged.map(guest, disk: "vda") { #expect(found == kept) }
            if let leaf = try? damaged.leaf(try hash(8), guest: guest, disk: "vda") { #expect(leaf == [10, 11]) }
        }
    }

    private func unfinished(_ leaves: [Hash256?], after: PointID?) throws -> UnfinishedMap {
        UnfinishedMap(
            map: try map(leaves), stale: [Extent(start: 0, length: 4096), Extent(start: 1 << 40, length: 1)],
            read: [Extent(start: 7, length: 9)], after: after)
    }

    @Test("what a stopped run left is there beside the last map, and goes with the next commit, leaves and all")
    func unfinishedMaps() throws {
        let maps = try KeptMaps(folder: folder.path, guest: guest, seed: seed)
        let last = try map([try hash(8)])
        try maps.add([(try hash(8), [1]), (try hash(9), [2]), (try hash(10), [3])], guest: guest, disk: "vda")
        try maps.replace(["vda": last], of: guest)
        try maps.add([(try hash(9), [2]), (try hash(10), [3])], guest: guest, disk: "vda")
        let first = try unfinished([try hash(9), nil], after: last.point)
        try maps.keep(unfinished: ["vda": first, "vdb": try unfinished([], after: nil)], of: guest, tidies: true)
        let again = try KeptMaps(folder: folder.path, guest: guest, seed: seed)
        #expect(try again.unfinished(guest, disk: "vda") == first)
        #expect(try again.unfinished(guest, disk: "vdb")?.after == nil)
        #expect(try again.map(guest, disk: "vda") == last)
        // Leaves of neither go.
        #expect(try again.leaf(try hash(8), guest: guest, disk: "vda") == [1])
        #expect(try again.leaf(try hash(9), guest: guest, disk: "vda") == [2])
        #expect(try again.leaf(try hash(10), guest: guest, disk: "vda") == nil)
        // Another one takes the place of all.
        try again.keep(unfinished: ["vda": try unfinished([nil], after: nil)], of: guest, tidies: false)
        #expect(try again.unfinished(guest, disk: "vdb") == nil)
        #expect(try again.unfinished(guest, disk: "vda")?.map.leaves == [nil])
        try again.replace(["vda": last], of: guest)
        #expect(try again.unfinished(guest, disk: "vda") == nil)
    }

    @Test("no row stands for one of another kind or disk")
    func kinds() throws {
        let maps = try KeptMaps(folder: folder.path, guest: guest, seed: seed)
        try maps.replace(["vda": try map([nil]), "vdb": try map([nil])], of: guest)
        try maps.keep(
            unfinished: ["vda": try unfinished([nil], after: nil), "vdb": try unfinished([nil, nil], after: nil)],
            of: guest, tidies: false)
        let queue = try DatabaseQueue(path: maps.path)
        try queue.write { database in
            try database.execute(sql: "UPDATE unfinished SET sealed = (SELECT sealed FROM map WHERE map.place = place)")
        }
        for disk in ["vda", "vdb"] {
            #expect(throws: MapCacheError.self) { try maps.unfinished(guest, disk: disk) }
            #expect(try maps.map(guest, disk: disk) != nil)
        }
    }

    @Test("an unfinished map that is cut short anywhere is refused")
    func cutShort() throws {
        let whole = try unfinished([try hash(8), nil], after: nil)
        let maps = try KeptMaps(folder: folder.path, guest: guest, seed: seed)
        try maps.keep(unfinished: ["vda": whole], of: guest, tidies: false)
        let queue = try DatabaseQueue(path: maps.path)
        let row = try queue.read { try Data.fetchOne($0, sql: "SELECT sealed FROM unfinished") }
        for count in stride(from: 0, to: try #require(row).count, by: 7) {
            try queue.write { database in
                try database.execute(sql: "UPDATE unfinished SET sealed = ?", arguments: [row?.prefix(count)])
            }
            #expect(throws: MapCacheError.self) { try maps.unfinished(guest, disk: "vda") }
        }
    }
}
