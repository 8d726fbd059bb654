import BackupModel
import RepositoryFormat

/// A structure blob put together by hand from the layout on the format page (§7).
struct PlainBlob {
    var kind: UInt64
    var version: UInt64 = 1
    var structures: [Hash256] = []
    var contents: [Hash256] = []
    var payload: [UInt8] = []

    var bytes: [UInt8] {
        joined(
            .little(kind, 2), .little(version, 2), .little(UInt64(structures.count), 4),
            .little(UInt64(contents.count), 4), .little(UInt64(payload.count), 4),
            (structures + contents).flatMap(\.bytes), payload)
    }

    /// A leaf of entries {reference, skip, length, repeat}.
    static func leaf(_ covered: UInt64, _ contents: [Hash256], _ entries: [[UInt64]]) -> PlainBlob {
        var payload = joined(.little(covered, 4), .little(UInt64(entries.count), 4))
        for value in entries.flatMap({ $0 }) { payload += [UInt8].little(value, 4) }
        return PlainBlob(kind: 2, contents: contents, payload: payload)
    }

    /// A node of references.
    static func node(_ level: UInt8, _ structures: [Hash256], _ references: [UInt64]) -> PlainBlob {
        var payload = joined([level, 0, 0, 0], .little(UInt64(references.count), 4))
        for value in references { payload += [UInt8].little(value, 4) }
        return PlainBlob(kind: 3, structures: structures, payload: payload)
    }
}

/// How a hole and an absent child are spelled.
let holeReference: UInt64 = 0xFFFF_FFFF
let absentReference: UInt64 = 0xFFFF_FFFE
