import BackupModel
import Capture
import Effects
import MapCache
import RepositoryFormat

/// The maps of the disks of a guest at its last point: given to a run to build on, and kept anew behind it.
final class MapKeeper: MapRecorder {
    /// Leaves that are put into the cache at once.
    private static let batch = 64

    private let cache: KeptMaps
    private let guest: GuestID
    /// What tells one image of a disk from another.
    var identities: [String: String] = [:]
    private var earlier: [String: KeptMap] = [:]
    private var waiting: [(identifier: Hash256, bytes: [UInt8])] = []
    private var made: [String: KeptMap] = [:]
    /// Why the cache is of no use any more; the next point then reads everything.
    private(set) var failure: String?

    init(_ cache: KeptMaps, guest: GuestID) {
        self.cache = cache
        self.guest = guest
    }

    /// What is kept of a disk.
    func kept(disk: String) -> KeptMap? {
        if let map = earlier[disk] { return map }
        do throws(MapCacheError) {
            let map = try cache.map(guest, disk: disk)
            earlier[disk] = map
            return map
        } catch {
            failure = error.sentence
            return nil
        }
    }

    /// The map of a disk to build on.
    func map(_ kept: KeptMap, disk: String) throws -> any EarlierMap {
        try KeptImageMap(cache: cache, guest: guest, disk: disk, kept: kept)
    }

    func took(leaf identifier: Hash256, bytes: [UInt8], disk: String) {
        waiting.append((identifier, bytes))
        if waiting.count >= MapKeeper.batch { keepWaiting(disk) }
    }

    private func keepWaiting(_ disk: String) {
        defer { waiting = [] }
        guard failure == nil, !waiting.isEmpty else { return }
        do throws(MapCacheError) { try cache.add(waiting, guest: guest, disk: disk) } catch {
            failure = error.sentence
        }
    }

    func finished(disk: String, root: [UInt8], leaves: [Hash256?], isWholeRead: Bool, liedAbout: Bool) {
        keepWaiting(disk)
        // The commit's names are filled in when it is known.
        guard let none = PointID(bytes: [UInt8](repeating: 0, count: 16)),
            let nobody = WriterID(bytes: none.bytes), let nothing = SessionID(bytes: none.bytes),
            let zero = Hash256(bytes: [UInt8](repeating: 0, count: Hash256.byteCount))
        else { preconditionFailure("zeros make ids") }
        made[disk] = KeptMap(
            point: none, commit: SessionHead(writer: nobody, session: nothing, number: 0, hash: zero), root: root,
            leaves: leaves, identity: identities[disk] ?? "",
            pointsSinceScan: isWholeRead ? 0 : (earlier[disk]?.pointsSinceScan ?? 0) + 1, isDoubted: liedAbout)
    }

    func committed(_ point: PointID, by entry: SessionHead) {
        guard failure == nil else { return }
        let maps = made.mapValues { map in
            var map = map
            (map.point, map.commit) = (point, entry)
            return map
        }
        do throws(MapCacheError) { try cache.replace(maps, of: guest) } catch { failure = error.sentence }
    }
}

/// A map from the cache.
struct KeptImageMap: EarlierMap {
    let root: ImageRoot
    private let cache: KeptMaps
    private let guest: GuestID
    private let disk: String
    private let leaves: [Hash256?]

    init(cache: KeptMaps, guest: GuestID, disk: String, kept: KeptMap) throws {
        root = try ImageRoot(parsing: kept.root, name: "the root of disk \(disk) in the map cache")
        self.cache = cache
        self.guest = guest
        self.disk = disk
        leaves = kept.leaves
        let size = UInt64(root.parameters.leafByteCount)
        guard UInt64(leaves.count) == (root.byteCount + size - 1) / size else {
            throw EarlierImageUnusable("its map in this host's cache is incomplete", isLie: false)
        }
    }

    func identifier(ofLeaf number: UInt64) async throws -> Hash256? { leaves[Int(number)] }

    func leaf(_ number: UInt64) async throws -> MapLeaf? {
        guard let identifier = leaves[Int(number)] else { return nil }
        let offset = number * UInt64(root.parameters.leafByteCount)
        let byteCount = UInt32(min(UInt64(root.parameters.leafByteCount), root.byteCount - offset))
        do {
            guard let bytes = try cache.leaf(identifier, guest: guest, disk: disk) else {
                throw EarlierImageUnusable("its map in this host's cache is incomplete", isLie: false)
            }
            return try MapLeaf(parsing: bytes, byteCount: byteCount, name: "a leaf in the map cache")
        } catch let error as MapCacheError {
            throw EarlierImageUnusable(error.sentence, isLie: false)
        }
    }
}
