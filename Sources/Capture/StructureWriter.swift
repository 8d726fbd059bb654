import BackupModel
import ChunkCompression
import ChunkEncryption
import Repository
import RepositoryFormat

/// Stores map leaves, nodes and roots that the repository lacks, in structure packs of their own.
final class StructureWriter {
    private var session: WritingSession
    private let compressor = ChunkCompressor(level: 3)
    private var builder: PackBuilder
    private let packByteCount: Int
    private var hashers: [BlobKind: KeyedHasher] = [:]

    /// - Throws: ``RepositoryError`` when the credential cannot write.
    init(_ session: WritingSession, packByteCount: Int) throws {
        self.session = session
        self.packByteCount = packByteCount
        builder = PackBuilder(try session.packSettings(.structure, targetByteCount: packByteCount))
    }

    /// Stores into another session of the same backup from now on.
    ///
    /// - Precondition: ``flush()`` came before.
    func move(to session: WritingSession) throws {
        precondition(builder.isEmpty, "what was stored was put in its session")
        self.session = session
        builder = PackBuilder(try session.packSettings(.structure, targetByteCount: packByteCount))
    }

    /// Stores a structure blob unless the repository has it. - Returns: its id.
    func store(_ bytes: [UInt8], kind: BlobKind) async throws -> Hash256 {
        let hasher = try hasher(for: kind)
        let identifier = hasher.authenticate(bytes)
        guard try await session.claim(identifier) else { return identifier }
        if builder.isFull { try await flush() }
        var packed = [UInt8](repeating: 0, count: bytes.count - 1)
        let count = unsafe bytes.withUnsafeBytes { plain in
            // Safety: both buffers live for the call.
            unsafe packed.withUnsafeMutableBytes { unsafe compressor.compress(plain, into: $0) }
        }
        let stored = count.map { packed[..<$0] } ?? bytes[...]
        try unsafe stored.withUnsafeBytes { buffer in
            try unsafe builder.append(
                buffer, kind: kind, codec: count == nil ? .stored : .zstd, identifier: identifier,
                plainByteCount: bytes.count)
        }
        return identifier
    }

    private func hasher(for kind: BlobKind) throws -> KeyedHasher {
        if let hasher = hashers[kind] { return hasher }
        let hasher = KeyedHasher(key: try session.keys.identityKey(kind))
        hashers[kind] = hasher
        return hasher
    }

    /// Puts the pack being filled, if it holds anything.
    func flush() async throws {
        guard !builder.isEmpty else { return }
        try await session.put(builder.finish(), objectClass: .structure)
    }
}
