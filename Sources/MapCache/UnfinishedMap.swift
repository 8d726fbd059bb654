package import BackupModel
import RepositoryFormat

/// What is kept of a disk of which a run was stopped before its point was made.
///
/// It is a map of the whole disk at the run's instant, and says where it may be wrong: what the run had not come to.
/// No point stands behind it. So whoever builds on it looks for each chunk that it names (format page §11,
/// "Inheriting"), and takes for changed what is stale and what the list that began at the instant says.
package struct UnfinishedMap: Hashable, Sendable {
    /// The map: its point is that which was not made, and names the list of changes that began at the instant; its
    /// commit says nothing. Where the run had not come to, leaves are those of what it built on, or holes.
    package var map: KeptMap
    /// Bytes of which the map may say something else than the disk had at the instant; ascending and apart.
    package var stale: [Extent]
    /// Bytes that were read for it, in regions, those included that were not completed: a run that has to read them
    /// again says so. Ascending and apart.
    package var read: [Extent]
    /// The last point of the disk when the run was made; `nil` for none. Once there is another, this means nothing.
    package var after: PointID?

    /// A map from its fields.
    package init(map: KeptMap, stale: [Extent], read: [Extent], after: PointID?) {
        self.map = map
        self.stale = stale
        self.read = read
        self.after = after
    }
}

extension UnfinishedMap {
    /// Bytes of a point's id.
    private static let pointByteCount = 16

    var encoded: [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(after == nil ? 0 : 1)
        bytes += after?.bytes ?? [UInt8](repeating: 0, count: UnfinishedMap.pointByteCount)
        for list in [stale, read] {
            bytes.append(littleEndian: UInt32(list.count))
            for extent in list {
                bytes.append(littleEndian: extent.start)
                bytes.append(littleEndian: extent.length)
            }
        }
        return bytes + map.encoded
    }

    init(decoding bytes: [UInt8]) throws {
        let what = "an unfinished map in the map cache"
        var reader = FieldReader(bytes[...], of: what)
        let hasPoint: UInt8 = try reader.integer(UInt8.self)
        let point = Array(try reader.take(UnfinishedMap.pointByteCount))
        after = hasPoint == 0 ? nil : PointID(bytes: point)
        var lists: [[Extent]] = []
        for _ in 0..<2 {
            let count: UInt32 = try reader.integer(UInt32.self)
            var list: [Extent] = []
            for _ in 0..<count {
                let start: UInt64 = try reader.integer(UInt64.self)
                let length: UInt64 = try reader.integer(UInt64.self)
                guard !start.addingReportingOverflow(length).overflow else { throw FormatError.notCanonical(what) }
                list.append(Extent(start: start, length: length))
            }
            lists.append(list)
        }
        (stale, read) = (lists[0], lists[1])
        map = try KeptMap(decoding: Array(try reader.take(reader.remaining)))
    }
}
