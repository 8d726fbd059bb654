import BackupModel
import RepositoryFormat

/// Lays pieces of a region into leaves; a piece that straddles two leaves becomes two slices.
struct LeafSplitter {
    let leafByteCount: UInt32
    private var builder = MapLeafBuilder()
    private var leaves: [[UInt8]?] = []

    init(leafByteCount: UInt32) { self.leafByteCount = leafByteCount }

    private var room: UInt32 { leafByteCount - UInt32(builder.byteCount) }

    private mutating func closeFullLeaf() {
        if room == 0 { leaves.append(builder.finish()) }
    }

    mutating func appendHole(_ length: UInt32) {
        var rest = length
        while rest > 0 {
            let part = min(rest, room)
            builder.appendHole(part)
            rest -= part
            closeFullLeaf()
        }
    }

    /// Appends `length` bytes of a chunk, from `skip` on.
    mutating func append(_ chunk: Hash256, skip: UInt32 = 0, length: UInt32) {
        var done: UInt32 = 0
        while done < length {
            let part = min(length - done, room)
            builder.append(chunk, skip: skip + done, length: part)
            done += part
            closeFullLeaf()
        }
    }

    mutating func finish() -> [[UInt8]?] {
        if builder.byteCount > 0 { leaves.append(builder.finish()) }
        return leaves
    }
}
