package import BackupModel

/// What a blob in a pack is (format page §6). Published numbers.
package enum BlobKind: UInt8, CaseIterable, Sendable {
    /// Room that says nothing, so that a pack's size says less.
    case padding = 0
    /// Guest bytes.
    case data = 1
    /// Entries of a stretch of an image.
    case mapLeaf = 2
    /// Children of a stretch of an image.
    case mapNode = 3
    /// The top of an image.
    case imageRoot = 4

    /// The class of the packs that hold such blobs; padding lives in content packs.
    package var objectClass: ObjectClass { self == .data || self == .padding ? .content : .structure }
}

/// How a blob's bytes were packed. Published numbers.
package enum BlobCodec: UInt8, Sendable {
    /// As they are.
    case stored = 0
    /// One zstd frame.
    case zstd = 1
}

/// One entry of a pack's directory: a blob, and where its bytes lie.
package struct PackEntry: Hashable, Sendable {
    /// Bytes of an encoded entry.
    package static let byteCount = 56

    /// Keyed hash of kind and plain bytes.
    package var identifier: Hash256
    /// See ``BlobKind``.
    package var kind: BlobKind
    /// See ``BlobCodec``.
    package var codec: BlobCodec
    /// Which key of the pack's key table.
    package var keyNumber: UInt16
    /// The nonce under that key.
    package var counter: UInt32
    /// Bytes from the pack's first byte.
    package var offset: UInt32
    /// Bytes in the pack, tag included.
    package var storedByteCount: UInt32
    /// Bytes once opened and decompressed.
    package var plainByteCount: UInt32
    /// Dictionary number; 0 for none, and no other is defined yet.
    package var dictionary: UInt32 = 0

    /// An entry from its fields; they are checked where a directory is parsed.
    package init(
        identifier: Hash256, kind: BlobKind, codec: BlobCodec, keyNumber: UInt16, counter: UInt32, offset: UInt32,
        storedByteCount: UInt32, plainByteCount: UInt32
    ) {
        self.identifier = identifier
        self.kind = kind
        self.codec = codec
        self.keyNumber = keyNumber
        self.counter = counter
        self.offset = offset
        self.storedByteCount = storedByteCount
        self.plainByteCount = plainByteCount
    }

    func append(to bytes: inout [UInt8]) {
        bytes.append(identifier)
        bytes.append(kind.rawValue)
        bytes.append(codec.rawValue)
        bytes.append(littleEndian: keyNumber)
        bytes.append(littleEndian: counter)
        bytes.append(littleEndian: offset)
        bytes.append(littleEndian: storedByteCount)
        bytes.append(littleEndian: plainByteCount)
        bytes.append(littleEndian: dictionary)
    }

    init(parsing fields: inout FieldReader, of name: String) throws(FormatError) {
        identifier = try fields.hash()
        let kindNumber = try fields.integer(UInt8.self)
        guard let kind = BlobKind(rawValue: kindNumber) else {
            throw .unsupported("\(name) holds a blob of kind \(kindNumber), which this program does not know")
        }
        self.kind = kind
        let codecNumber = try fields.integer(UInt8.self)
        guard let codec = BlobCodec(rawValue: codecNumber) else {
            throw .unsupported("\(name) holds a blob packed by codec \(codecNumber), which this program does not know")
        }
        self.codec = codec
        keyNumber = try fields.integer(UInt16.self)
        counter = try fields.integer(UInt32.self)
        offset = try fields.integer(UInt32.self)
        storedByteCount = try fields.integer(UInt32.self)
        plainByteCount = try fields.integer(UInt32.self)
        dictionary = try fields.integer(UInt32.self)
        guard dictionary == 0 else {
            throw .unsupported(
                "\(name) holds a blob that needs dictionary \(dictionary), which this program does not know")
        }
    }
}
