import BackupModel
import RepositoryFormat

extension KeptMap {
    var encoded: [UInt8] {
        let value: RecordValue = .map([
            "point": .bytes(point.bytes), "writer": .bytes(commit.writer.bytes),
            "session": .bytes(commit.session.bytes), "number": .unsigned(UInt64(commit.number)),
            "hash": .bytes(commit.hash.bytes), "root": .bytes(root),
            "identity": .text(identity), "since_scan": .unsigned(pointsSinceScan),
            "doubted": .unsigned(isDoubted ? 1 : 0),
        ])
        let head = value.encoded
        // The ids stand behind the record: of a large disk they are more than a record may hold. A hole is an id of
        // zeros, which no keyed hash gives.
        var bytes: [UInt8] = []
        bytes.reserveCapacity(4 + head.count + leaves.count * Hash256.byteCount)
        bytes.append(littleEndian: UInt32(head.count))
        bytes += head
        for leaf in leaves { bytes += leaf?.bytes ?? KeptMap.hole }
        return bytes
    }

    private static let hole = [UInt8](repeating: 0, count: Hash256.byteCount)

    init(decoding bytes: [UInt8]) throws {
        let what = "a map in the map cache"
        var reader = FieldReader(bytes[...], of: what)
        let count: UInt32 = try reader.integer(UInt32.self)
        let fields = try RecordFields(RecordValue(decoding: try reader.take(Int(count)), of: what), of: what)
        let ids = Array(try reader.take(reader.remaining))
        point = try fields.identifier("point")
        commit = SessionHead(
            writer: try fields.identifier("writer"), session: try fields.identifier("session"),
            number: try fields.word("number"), hash: try fields.hash("hash"))
        root = try fields.bytes("root")
        leaves = stride(from: 0, to: ids.count / Hash256.byteCount * Hash256.byteCount, by: Hash256.byteCount).map {
            let bytes = ids[$0..<$0 + Hash256.byteCount]
            return bytes.allSatisfy { $0 == 0 } ? nil : Hash256(bytes: bytes)
        }
        identity = try fields.text("identity")
        pointsSinceScan = try fields.unsigned("since_scan")
        isDoubted = try fields.unsigned("doubted") != 0
    }
}
