package import BackupModel
import Foundation
import GRDB
import RepositoryFormat

// Maps of runs that were stopped
// ------------------------------
// One a disk, beside the map of its last point. It goes with the next commit.

extension KeptMaps {
    /// What stands behind a row's place in its associated data, so that it stands for no other kind of row.
    private static let unfinishedMark: UInt8 = 0x75

    static let unfinishedTable = """
        CREATE TABLE IF NOT EXISTS unfinished (place BLOB PRIMARY KEY, guest BLOB NOT NULL, sealed BLOB NOT NULL)
          WITHOUT ROWID, STRICT;
        """

    /// What is kept of a run that was stopped; `nil` when nothing is.
    package func unfinished(_ guest: GuestID, disk: String) throws(MapCacheError) -> UnfinishedMap? {
        try translating {
            let place = place(guest, disk)
            let row = try queue.read { database in
                try Data.fetchOne(
                    database, sql: "SELECT sealed FROM unfinished WHERE place = ?", arguments: [Data(place)])
            }
            return try row.map {
                try UnfinishedMap(decoding: try opened(Array($0), as: place + [KeptMaps.unfinishedMark]))
            }
        }
    }

    /// Keeps what a run that is not done has of a guest's disks, in the place of all that was kept so of them.
    ///
    /// - Parameter tidies: whether leaves go that no map names.
    package func keep(
        unfinished maps: [String: UnfinishedMap], of guest: GuestID, tidies: Bool
    ) throws(MapCacheError) {
        try translating {
            try queue.write { database in
                try database.execute(sql: "DELETE FROM unfinished WHERE guest = ?", arguments: [Data(guest.bytes)])
                for (disk, map) in maps {
                    let place = place(guest, disk)
                    try database.execute(
                        sql: "INSERT OR REPLACE INTO unfinished (place, guest, sealed) VALUES (?, ?, ?)",
                        arguments: [
                            Data(place), Data(guest.bytes),
                            Data(sealed(map.encoded, as: place + [KeptMaps.unfinishedMark])),
                        ])
                    guard tidies else { continue }
                    let row = try Data.fetchOne(
                        database, sql: "SELECT sealed FROM map WHERE place = ?", arguments: [Data(place)])
                    let last = try row.map { try KeptMap(decoding: try opened(Array($0), as: place)) }
                    try removeLeaves(database, place: place, besides: [map.map.leaves, last?.leaves ?? []])
                }
            }
        }
    }

    /// Removes the leaves of a disk that none of some maps names.
    func removeLeaves(_ database: Database, place: [UInt8], besides maps: [[Hash256?]]) throws {
        try database.execute(
            sql: "CREATE TEMP TABLE IF NOT EXISTS wanted (id BLOB PRIMARY KEY) WITHOUT ROWID, STRICT")
        try database.execute(sql: "DELETE FROM wanted")
        let statement = try database.makeStatement(sql: "INSERT OR IGNORE INTO wanted (id) VALUES (?)")
        for map in maps { for case let id? in map { try statement.execute(arguments: [Data(id.bytes)]) } }
        try database.execute(
            sql: "DELETE FROM leaf WHERE place = ? AND id NOT IN (SELECT id FROM wanted)", arguments: [Data(place)])
        try database.execute(sql: "DROP TABLE wanted")
    }
}
