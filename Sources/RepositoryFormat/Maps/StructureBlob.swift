package import BackupModel

/// The front of every structure blob (format page §7): which kind it is and everything it leans on.
///
/// A sweep marks through the reference table alone, so also through kinds it has never heard of.
package struct StructureBlob: Hashable, Sendable {
    /// Version of the layouts below.
    package static let version: UInt16 = 1
    static let frontByteCount = 16

    /// The number of the blob's kind, perhaps one that this program does not know.
    package let kindNumber: UInt16
    /// Ids of structure blobs, in order of first use.
    package let structures: [Hash256]
    /// Ids of chunks of guest bytes, in order of first use.
    package let contents: [Hash256]
    /// What the kind says.
    package let payload: ArraySlice<UInt8>

    static func encoded(kind: BlobKind, structures: [Hash256], contents: [Hash256], payload: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(
            frontByteCount + (structures.count + contents.count) * Hash256.byteCount + payload.count)
        bytes.append(littleEndian: UInt16(kind.rawValue))
        bytes.append(littleEndian: version)
        bytes.append(littleEndian: UInt32(structures.count))
        bytes.append(littleEndian: UInt32(contents.count))
        bytes.append(littleEndian: UInt32(payload.count))
        for identifier in structures { bytes.append(identifier) }
        for identifier in contents { bytes.append(identifier) }
        bytes += payload
        precondition(bytes.count <= FormatLimits.chunkByteCount, "a structure blob stays within the chunk limit")
        return bytes
    }

    /// Parses the front of a structure blob of any kind.
    ///
    /// - Parameter name: names the blob in errors, for example "map leaf 1f2e3d4c".
    /// - Throws: ``FormatError``.
    package init(parsing bytes: [UInt8], name: String) throws(FormatError) {
        var fields = FieldReader(bytes[...], of: name)
        kindNumber = try fields.integer(UInt16.self)
        let version = try fields.integer(UInt16.self)
        guard version == StructureBlob.version else {
            throw .unsupported("\(name) has version \(version), which this program does not know")
        }
        let structureCount = Int(try fields.integer(UInt32.self))
        let contentCount = Int(try fields.integer(UInt32.self))
        let payloadCount = Int(try fields.integer(UInt32.self))
        let needed = (structureCount + contentCount) * Hash256.byteCount + payloadCount
        guard needed == fields.remaining else { throw .length(name, needed: needed, available: fields.remaining) }
        var structures: [Hash256] = []
        structures.reserveCapacity(structureCount)
        for _ in 0..<structureCount { structures.append(try fields.hash()) }
        var contents: [Hash256] = []
        contents.reserveCapacity(contentCount)
        for _ in 0..<contentCount { contents.append(try fields.hash()) }
        self.structures = structures
        self.contents = contents
        payload = try fields.take(payloadCount)
    }

    /// The same, for a blob that must be of one kind.
    init(parsing bytes: [UInt8], kind: BlobKind, name: String) throws(FormatError) {
        try self.init(parsing: bytes, name: name)
        guard kindNumber == UInt16(kind.rawValue) else {
            throw .misplaced("\(name) is of kind \(kindNumber) where kind \(kind.rawValue) is needed")
        }
    }
}

/// How maps spell a child: an index into the reference table, or one of two words.
enum MapReference {
    /// All bytes below are zero.
    static let hole: UInt32 = 0xFFFF_FFFF
    /// Not known yet; only in the root of an image that is not finished.
    static let absent: UInt32 = 0xFFFF_FFFE
}
