// The maps of the last points, kept on the host
// ---------------------------------------------
// A host that holds no key to read the repository still makes points from changes alone: it remembers the map of each
// disk as it was at the last point, leaf by leaf. What is kept holds ids of chunks and lengths, nothing of what they
// hold, and is sealed under a key that follows from the host's own writer key. All of it can be lost at any time: the
// disk is then read whole, and nothing is uploaded twice.
//
// One SQLite file for each guest in the state folder: one process backs a guest up at a time, so nobody else writes it
// or makes it anew while it is used, and backups of two guests do not wait for each other. Rows are sealed one by one,
// each under a key of its own (a random salt), and say what they are in the associated data, so that no row can stand
// for another.
package import BackupModel
package import ChunkEncryption
import Effects
import Foundation
import GRDB
package import RepositoryFormat

/// What is kept of a disk at a guest's last point.
package struct KeptMap: Hashable, Sendable {
    /// The point.
    package var point: PointID
    /// The entry that committed it.
    package var commit: SessionHead
    /// The image's root, as the repository has it.
    package var root: [UInt8]
    /// Ids of the leaves in order; `nil` where all of one is a hole.
    package var leaves: [Hash256?]
    /// Which image the disk was; see `GuestDisk.identity`. Empty when it was not known.
    package var identity: String
    /// Points made from changes since the disk was last read whole.
    package var pointsSinceScan: UInt64
    /// Whether the list of changes was caught lying: the next point reads everything.
    package var isDoubted: Bool

    /// A map from its fields.
    package init(
        point: PointID, commit: SessionHead, root: [UInt8], leaves: [Hash256?], identity: String,
        pointsSinceScan: UInt64, isDoubted: Bool
    ) {
        self.point = point
        self.commit = commit
        self.root = root
        self.leaves = leaves
        self.identity = identity
        self.pointsSinceScan = pointsSinceScan
        self.isDoubted = isDoubted
    }
}

/// Why the cache cannot be used; never a reason for a backup to fail.
package struct MapCacheError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Names the file.
    package let sentence: String

    package var description: String { sentence }
}

/// The cache of one guest in one repository on this host. May be used from several tasks of one process at once; the
/// caller makes sure that no other process uses it.
package final class KeptMaps: Sendable {
    /// Name of a guest's file in the repository's state folder.
    package static func fileName(_ guest: GuestID) -> String { "maps-\(guest.hexadecimal).sqlite" }
    /// What SQLite may put beside a file, and which belongs to it; the file itself comes last.
    private static let companions = ["-journal", "-wal", "-shm", ""]
    /// One file for all guests, as it was once.
    private static let earlierName = "maps.sqlite"
    /// Version of the tables and of what the rows hold; others are thrown away.
    private static let version = 1
    private static let saltByteCount = 16

    /// Absolute path of the file, for messages.
    package let path: String
    let queue: DatabaseQueue
    private let key: SecretBytes

    /// Opens the cache, makes it when there is none, and makes it anew when it cannot be used.
    ///
    /// - Parameters:
    ///   - folder: the repository's state folder, absolute and private.
    ///   - guest: whose maps are kept.
    ///   - seed: the signing seed of the host's writer key.
    /// - Throws: ``MapCacheError`` when it cannot be made either.
    package init(folder: String, guest: GuestID, seed: SecretBytes) throws(MapCacheError) {
        let name = KeptMaps.fileName(guest)
        path = "\(folder)/\(name)"
        key = KeyDerivation.derive(key: seed, label: "dozo/1 map cache")
        let files = HostFiles(root: folder)
        for suffix in KeptMaps.companions { try? files.remove(KeptMaps.earlierName + suffix) }
        if let opened = try? KeptMaps.open(path) {
            queue = opened
            return
        }
        for suffix in KeptMaps.companions { try? files.remove(name + suffix) }
        do { queue = try KeptMaps.open(path) } catch {
            throw MapCacheError(sentence: "the map cache \(path) cannot be used: \(error)")
        }
    }

    private static func open(_ path: String) throws -> DatabaseQueue {
        var configuration = Configuration()
        configuration.prepareDatabase { database in
            // Losing the last rows with the power costs a read of the disk, so no row waits for the disk.
            try database.execute(
                sql: "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA synchronous = NORMAL")
        }
        // SQLite would go by the umask; what it puts beside the file gets the file's rights.
        if !HostPaths.exists(path) { try HostPaths.writeNew(path, []) }
        let queue = try DatabaseQueue(path: path, configuration: configuration)
        try queue.write { database in
            let found = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
            guard found == 0 || found == version else { throw DatabaseError(message: "version \(found)") }
            try database.execute(
                sql: """
                    CREATE TABLE IF NOT EXISTS map (place BLOB PRIMARY KEY, guest BLOB NOT NULL, sealed BLOB NOT NULL)
                      WITHOUT ROWID, STRICT;
                    CREATE TABLE IF NOT EXISTS leaf (place BLOB NOT NULL, id BLOB NOT NULL, sealed BLOB NOT NULL,
                      PRIMARY KEY (place, id)) WITHOUT ROWID, STRICT;
                    \(unfinishedTable)
                    PRAGMA user_version = \(version);
                    """)
        }
        return queue
    }

    func translating<Result>(_ body: () throws -> Result) throws(MapCacheError) -> Result {
        do { return try body() } catch let error as MapCacheError { throw error } catch {
            throw MapCacheError(sentence: "the map cache \(path) cannot be used: \(error)")
        }
    }

    /// Where a disk's rows stand: not its name.
    func place(_ guest: GuestID, _ disk: String) -> [UInt8] {
        KeyedHasher(key: key).authenticate(guest.bytes + Array(disk.utf8)).bytes
    }

    // MARK: Maps

    /// What is kept of a disk; `nil` when nothing is.
    package func map(_ guest: GuestID, disk: String) throws(MapCacheError) -> KeptMap? {
        try translating {
            let place = place(guest, disk)
            let row = try queue.read { database in
                try Data.fetchOne(database, sql: "SELECT sealed FROM map WHERE place = ?", arguments: [Data(place)])
            }
            return try row.map { try KeptMap(decoding: try opened(Array($0), as: place)) }
        }
    }

    /// After a commit: these are the guest's maps now, and what belongs to none of them goes, progress of stopped runs
    /// included.
    package func replace(_ maps: [String: KeptMap], of guest: GuestID) throws(MapCacheError) {
        try translating {
            try queue.write { database in
                let old = try Data.fetchAll(
                    database, sql: "SELECT place FROM map WHERE guest = ?", arguments: [Data(guest.bytes)])
                let kept = Set(maps.keys.map { Data(place(guest, $0)) })
                for place in old where !kept.contains(place) {
                    try database.execute(sql: "DELETE FROM map WHERE place = ?", arguments: [place])
                    try database.execute(sql: "DELETE FROM leaf WHERE place = ?", arguments: [place])
                }
                try database.execute(sql: "DELETE FROM unfinished WHERE guest = ?", arguments: [Data(guest.bytes)])
                for (disk, map) in maps {
                    let place = place(guest, disk)
                    try database.execute(
                        sql: "INSERT OR REPLACE INTO map (place, guest, sealed) VALUES (?, ?, ?)",
                        arguments: [Data(place), Data(guest.bytes), Data(sealed(map.encoded, as: place))])
                    try removeLeaves(database, place: place, besides: [map.leaves])
                }
            }
        }
    }

    // MARK: Leaves

    /// Keeps leaves of a disk; those that no later ``replace(_:of:)`` names go with it.
    package func add(
        _ leaves: [(identifier: Hash256, bytes: [UInt8])], guest: GuestID, disk: String
    ) throws(MapCacheError) {
        try translating {
            let place = place(guest, disk)
            try queue.write { database in
                let statement = try database.makeStatement(
                    sql: "INSERT OR REPLACE INTO leaf (place, id, sealed) VALUES (?, ?, ?)")
                for leaf in leaves {
                    let sealed = sealed(leaf.bytes, as: place + leaf.identifier.bytes)
                    try statement.execute(arguments: [Data(place), Data(leaf.identifier.bytes), Data(sealed)])
                }
            }
        }
    }

    /// A leaf of a disk; `nil` when it is not kept.
    package func leaf(_ identifier: Hash256, guest: GuestID, disk: String) throws(MapCacheError) -> [UInt8]? {
        try translating {
            let place = place(guest, disk)
            let row = try queue.read { database in
                try Data.fetchOne(
                    database, sql: "SELECT sealed FROM leaf WHERE place = ? AND id = ?",
                    arguments: [Data(place), Data(identifier.bytes)])
            }
            return try row.map { try opened(Array($0), as: place + identifier.bytes) }
        }
    }

    // MARK: Sealing

    private func rowKey(_ salt: [UInt8]) -> SecretBytes {
        KeyDerivation.derive(key: key, label: "dozo/1 map cache row", context: salt)
    }

    func sealed(_ plain: [UInt8], as name: [UInt8]) -> [UInt8] {
        let salt = Randomness.system.bytes(KeptMaps.saltByteCount)
        var output = [UInt8](repeating: 0, count: plain.count + AuthenticatedCipher.tagByteCount)
        // Safety: all buffers live through the call; the key is fresh, so the first nonce is too.
        unsafe rowKey(salt).withUnsafeBytes { key in
            unsafe name.withUnsafeBytes { name in
                unsafe plain.withUnsafeBytes { plain in
                    unsafe output.withUnsafeMutableBytes { output in
                        unsafe AuthenticatedCipher().seal(
                            key: key, nonce: 0, associatedData: name, plaintext: plain, into: output)
                    }
                }
            }
        }
        return salt + output
    }

    func opened(_ row: [UInt8], as name: [UInt8]) throws -> [UInt8] {
        guard row.count >= KeptMaps.saltByteCount + AuthenticatedCipher.tagByteCount else {
            throw MapCacheError(sentence: "the map cache \(path) is damaged")
        }
        let body = Array(row[KeptMaps.saltByteCount...])
        var output = [UInt8](repeating: 0, count: body.count - AuthenticatedCipher.tagByteCount)
        do {
            // Safety: all buffers live through the call.
            try unsafe rowKey(Array(row[..<KeptMaps.saltByteCount])).withUnsafeBytes { key in
                try unsafe name.withUnsafeBytes { name in
                    try unsafe body.withUnsafeBytes { body in
                        try unsafe output.withUnsafeMutableBytes { output in
                            try unsafe AuthenticatedCipher().open(
                                key: key, nonce: 0, associatedData: name, sealed: body, into: output)
                        }
                    }
                }
            }
        } catch {
            throw MapCacheError(
                sentence: "the map cache \(path) is damaged, or was made with another writer key: \(error)")
        }
        return output
    }
}
