package import BackupModel

/// What an object is (format page §1). The numbers are published and never used again for anything else.
package enum ObjectKind: UInt16, CaseIterable, Sendable {
    case ownerStatement = 1
    case keySlot = 2
    case storeIdentity = 3
    case logSlot = 4
    case ledger = 5
    case sessionEntry = 6
    case pack = 7
    case indexRun = 8
}

/// Who may read what an object holds.
package enum ObjectClass: UInt8, CaseIterable, Sendable {
    /// Clear to everybody who holds the store.
    case open = 0
    /// Maps, roots, record bodies, runs: sealed to the structure key.
    case structure = 1
    /// Guest bytes: sealed to the content key.
    case content = 2
}

/// The 16 bytes that name a repository in every object, whatever store holds it.
package struct RepositoryID: Hashable, Sendable, CustomStringConvertible {
    /// Number of bytes.
    package static let byteCount = 16
    /// The bytes; always ``byteCount`` of them.
    package let bytes: [UInt8]

    /// `nil` unless there are exactly 16 bytes.
    package init?(bytes: some Collection<UInt8>) {
        guard bytes.count == RepositoryID.byteCount else { return nil }
        self.bytes = Array(bytes)
    }

    package var description: String { bytes.hexadecimal }
}

/// The 96 bytes at the front of every object (format page §2).
package struct ObjectHeader: Hashable, Sendable {
    /// Bytes of an encoded header.
    package static let byteCount = 96
    /// First bytes of every object; the line ends and the control character show a copy in text mode.
    package static let magic: [UInt8] = [0x44, 0x4F, 0x5A, 0x4F, 0x0D, 0x0A, 0x1A, 0x0A]
    /// Version of the format that this module reads and writes.
    package static let version: UInt16 = 1
    /// Draft of that version; 0 once it is final.
    package static let draft: UInt16 = 1
    /// The one suite of algorithms of this version.
    package static let suite: UInt8 = 1
    /// Flags whose meaning must be known; none is defined yet.
    package static let criticalFlags: UInt64 = 0x0000_0000_FFFF_FFFF

    /// What the object is.
    package var kind: ObjectKind
    /// Who may read it.
    package var objectClass: ObjectClass
    /// The repository it belongs to.
    package var repository: RepositoryID
    /// Dedup domain, 0 for the default one.
    package var domain: UInt32
    /// Epoch of the domain's keys.
    package var keyEpoch: UInt32
    /// Fingerprint of the key that signed the object.
    package var signer: Hash256
    /// Bytes that follow the header (packs, runs), or of the CBOR body (all others).
    package var bodyByteCount: UInt64
    /// Non-critical flags are kept as they are.
    package var flags: UInt64

    /// - Precondition: the body is within the object limit and no critical flag is set, since none exists.
    package init(
        kind: ObjectKind, objectClass: ObjectClass, repository: RepositoryID, domain: UInt32 = 0, keyEpoch: UInt32 = 0,
        signer: Hash256, bodyByteCount: UInt64, flags: UInt64 = 0
    ) {
        precondition(bodyByteCount <= FormatLimits.objectByteCount, "an object stays within the object limit")
        precondition(flags & ObjectHeader.criticalFlags == 0, "this version defines no critical flag")
        self.kind = kind
        self.objectClass = objectClass
        self.repository = repository
        self.domain = domain
        self.keyEpoch = keyEpoch
        self.signer = signer
        self.bodyByteCount = bodyByteCount
        self.flags = flags
    }

    /// The header as 96 bytes.
    package var encoded: [UInt8] {
        var bytes = ObjectHeader.magic
        bytes.reserveCapacity(ObjectHeader.byteCount)
        bytes.append(littleEndian: ObjectHeader.version)
        bytes.append(littleEndian: ObjectHeader.draft)
        bytes.append(littleEndian: kind.rawValue)
        bytes.append(objectClass.rawValue)
        bytes.append(ObjectHeader.suite)
        bytes.append(contentsOf: repository.bytes)
        bytes.append(littleEndian: domain)
        bytes.append(littleEndian: keyEpoch)
        bytes.append(signer)
        bytes.append(littleEndian: bodyByteCount)
        bytes.append(littleEndian: flags)
        bytes.append(contentsOf: [UInt8](repeating: 0, count: ObjectHeader.byteCount - bytes.count))
        return bytes
    }

    /// Parses the first 96 bytes of an object.
    ///
    /// - Parameter name: the object's name in the store, for the error's sentence.
    /// - Throws: ``FormatError``, `damaged` for a wrong magic or a cut header, `unsupported` for another version,
    ///   draft, suite, kind or critical flag, `malformed` for a body over the limit or reserved bytes in use.
    package init(parsing bytes: ArraySlice<UInt8>, name: String) throws(FormatError) {
        var fields = FieldReader(bytes, of: "the header of \(name)")
        guard try fields.take(ObjectHeader.magic.count).elementsEqual(ObjectHeader.magic) else {
            throw .damaged("\(name) does not begin like an object of a Dozo repository")
        }
        let version = try fields.integer(UInt16.self)
        let draft = try fields.integer(UInt16.self)
        guard version == ObjectHeader.version, draft == ObjectHeader.draft else {
            throw .unsupported(
                "\(name) is of format \(version) draft \(draft); "
                    + "this program reads format \(ObjectHeader.version) draft \(ObjectHeader.draft)")
        }
        let kindNumber = try fields.integer(UInt16.self)
        guard let kind = ObjectKind(rawValue: kindNumber) else {
            throw .unsupported("\(name) is of kind \(kindNumber), which this program does not know")
        }
        let classNumber = try fields.integer(UInt8.self)
        guard let objectClass = ObjectClass(rawValue: classNumber) else {
            throw .unsupported("\(name) is of class \(classNumber), which this program does not know")
        }
        let suite = try fields.integer(UInt8.self)
        guard suite == ObjectHeader.suite else {
            throw .unsupported("\(name) uses the algorithms of suite \(suite), which this program does not know")
        }
        guard let repository = RepositoryID(bytes: try fields.take(RepositoryID.byteCount)) else {
            preconditionFailure("16 bytes make a repository id")
        }
        self.kind = kind
        self.objectClass = objectClass
        self.repository = repository
        domain = try fields.integer(UInt32.self)
        keyEpoch = try fields.integer(UInt32.self)
        signer = try fields.hash()
        bodyByteCount = try fields.integer(UInt64.self)
        flags = try fields.integer(UInt64.self)
        guard bodyByteCount <= FormatLimits.objectByteCount else {
            throw .overLimit("the body of \(name)", value: bodyByteCount, limit: UInt64(FormatLimits.objectByteCount))
        }
        guard flags & ObjectHeader.criticalFlags == 0 else {
            throw .unsupported(
                "\(name) carries critical flags \(flags & ObjectHeader.criticalFlags) that are unknown here")
        }
        try fields.zeros(8)
    }
}
