import BackupModel
import ChunkCompression
import ChunkEncryption
import Chunking
import GuestSource
import Repository
import RepositoryFormat

/// A region to be captured.
struct RegionJob: Sendable {
    /// Number of the region in the image.
    let number: Int
    /// Its bytes in the image.
    let extent: Extent
    /// What is known about it; empty when the bytes are already in the workbench.
    let extents: [SourceExtent]
}

/// A region that was captured: its leaves, not yet stored, and the workbench it comes back with.
struct RegionResult: Sendable {
    let number: Int
    /// Bytes of the leaves in order; `nil` where a whole leaf is a hole.
    let leaves: [[UInt8]?]
    /// Bytes read from the source.
    let readByteCount: UInt64
    /// Bytes of chunks that the repository did not have.
    let newByteCount: UInt64
    let bench: RegionWorkbench
}

/// Everything one worker needs to turn a region into chunks in packs, reused from region to region.
///
/// Memory: one region, one chunk, and one content pack being filled, by default 16 + 0.25 + 33 MiB.
// Safety: a workbench is used by one task at a time: it is given to a child task with a region and comes back with the
// result, and nothing else holds it in between. The buffers are private and freed once.
@safe final class RegionWorkbench: @unchecked Sendable {
    private let session: WritingSession
    private let parameters: ImageParameters
    private let chunker: RegionChunker
    private let boundary: BoundaryCipher
    private let hasher: KeyedHasher
    private let compressor: ChunkCompressor
    private let builder: PackBuilder
    private let region: UnsafeMutableRawBufferPointer
    private let packed: UnsafeMutableRawBufferPointer
    private var pieces: [RegionPiece] = []

    /// - Throws: ``RepositoryError`` when the credential cannot write; ``ChunkingError`` for sizes that cannot be
    ///   written.
    init(_ session: WritingSession, parameters: ImageParameters, packByteCount: Int, level: Int) throws {
        self.session = session
        self.parameters = parameters
        let keys = session.keys
        var context: [UInt8] = []
        context.append(littleEndian: parameters.boundaryEpoch)
        let pageKey = KeyDerivation.derive(
            key: try keys.boundaryKey(), label: "dozo/1 NH", context: context, byteCount: ChunkerParameters.pageSize)
        let sizes = ChunkerParameters(
            regionSize: Int(parameters.regionByteCount), minimum: Int(parameters.minimum),
            maximum: Int(parameters.maximum), threshold: parameters.threshold,
            zeroRunMinimum: Int(parameters.zeroRunMinimum), gridOrigin: Int(parameters.gridOrigin))
        // Safety: the key lives through the call, which copies it.
        chunker = try unsafe pageKey.withUnsafeBytes { try unsafe RegionChunker(parameters: sizes, pageHashKey: $0) }
        boundary = BoundaryCipher(
            key: KeyDerivation.derive(
                key: try keys.boundaryKey(), label: "dozo/1 boundary", context: context,
                byteCount: BoundaryCipher.keyByteCount))
        hasher = KeyedHasher(key: try keys.identityKey(.data))
        compressor = ChunkCompressor(level: level)
        builder = PackBuilder(try session.packSettings(.content, targetByteCount: packByteCount))
        unsafe region = .allocate(byteCount: Int(parameters.regionByteCount), alignment: 4096)
        unsafe packed = .allocate(byteCount: Int(parameters.maximum), alignment: 64)
    }

    deinit {
        unsafe region.deallocate()
        unsafe packed.deallocate()
    }

    /// Fills the region's buffer from standard input. - Returns: bytes read; fewer than a region only at the end.
    func fill(from input: inout StandardInputSource) async throws -> Int {
        try await unsafe input.next(into: region)
    }

    /// Reads, cuts, and stores what the repository lacks.
    ///
    /// - Parameter source: where to read from; `nil` when the buffer is filled already.
    /// - Throws: what reading and storing throw; `CancellationError` between two chunks.
    func capture(_ job: RegionJob, from source: (any ImageSource)?) async throws -> RegionResult {
        let count = Int(job.extent.length)
        var holes: [Extent] = []
        var readByteCount = UInt64(source == nil ? count : 0)
        for extent in job.extents {
            let start = extent.extent.start - job.extent.start
            if extent.kind == .hole {
                holes.append(Extent(start: start, length: extent.extent.length))
                continue
            }
            // Safety: the source was asked for this region alone, so the extent lies inside the buffer.
            let target = unsafe UnsafeMutableRawBufferPointer(
                rebasing: region[Int(start)..<Int(start + extent.extent.length)])
            try await unsafe source?.read(at: extent.extent.start, into: target)
            readByteCount += extent.extent.length
        }
        pieces.removeAll(keepingCapacity: true)
        // Safety: a region is never longer than the buffer.
        let bytes = unsafe UnsafeMutableRawBufferPointer(rebasing: region[..<count])
        unsafe chunker.chunk(bytes, knownHoles: holes, into: &pieces) { unsafe boundary.encrypt(inPlace: $0) }
        var newByteCount: UInt64 = 0
        var leaves = LeafSplitter(leafByteCount: parameters.leafByteCount)
        for piece in pieces {
            if piece.isHole {
                leaves.appendHole(piece.length)
                continue
            }
            try Task.checkCancellation()
            let identifier = hash(piece)
            if try await session.claim(identifier) {
                newByteCount += UInt64(piece.length)
                try await store(piece, identifier: identifier)
            }
            leaves.append(identifier, length: piece.length)
        }
        return RegionResult(
            number: job.number, leaves: leaves.finish(), readByteCount: readByteCount, newByteCount: newByteCount,
            bench: self)
    }

    private func hash(_ piece: RegionPiece) -> Hash256 {
        // Safety: pieces lie inside the region that was cut.
        unsafe hasher.authenticate(UnsafeRawBufferPointer(rebasing: region[Int(piece.offset)..<Int(piece.end)]))
    }

    private func store(_ piece: RegionPiece, identifier: Hash256) async throws {
        if builder.isFull { try await flush() }
        // Safety: pieces lie inside the region that was cut, and no piece is longer than the packed buffer.
        let plain = unsafe UnsafeRawBufferPointer(rebasing: region[Int(piece.offset)..<Int(piece.end)])
        let room = unsafe UnsafeMutableRawBufferPointer(rebasing: packed[..<(plain.count - 1)])
        if let count = unsafe compressor.compress(plain, into: room) {
            try unsafe builder.append(
                UnsafeRawBufferPointer(rebasing: packed[..<count]), kind: .data, codec: .zstd, identifier: identifier,
                plainByteCount: plain.count)
        } else {
            try unsafe builder.append(
                plain, kind: .data, codec: .stored, identifier: identifier, plainByteCount: plain.count)
        }
    }

    /// Puts the pack being filled, if it holds anything.
    func flush() async throws {
        guard !builder.isEmpty else { return }
        try await session.put(builder.finish(), objectClass: .content)
    }
}

/// Lays pieces of a region into leaves; a piece that straddles two leaves becomes two slices.
private struct LeafSplitter {
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

    mutating func append(_ chunk: Hash256, length: UInt32) {
        var skip: UInt32 = 0
        while skip < length {
            let part = min(length - skip, room)
            builder.append(chunk, skip: skip, length: part)
            skip += part
            closeFullLeaf()
        }
    }

    mutating func finish() -> [[UInt8]?] {
        if builder.byteCount > 0 { leaves.append(builder.finish()) }
        return leaves
    }
}
