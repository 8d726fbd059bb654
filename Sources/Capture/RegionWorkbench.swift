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
    /// What may have changed in it since the earlier image; `nil` when there is none to build on.
    var changed: [Extent]?
    /// Whether all of it is read, to see whether what is said to be unchanged is.
    var isSample = false
    /// Whether what it was is leant on only after each of its chunks was found.
    var isToBeProven = false
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
    /// Whether a leaf uses parts of chunks.
    var hasSlices = false
    let bench: RegionWorkbench
    /// The region, when it is what it was, so that there is nothing to store.
    var inherited: Extent?
    /// What of it the repository did not have.
    var newChunks = NewChunks()
}

extension RegionResult {
    /// A region in which nothing changed.
    init(inheriting job: RegionJob, bench: RegionWorkbench) {
        self.init(
            number: job.number, leaves: [], readByteCount: 0, newByteCount: 0, bench: bench, inherited: job.extent)
    }
}

extension RegionJob {
    /// What is known to read as zeros.
    var holes: [Extent] { extents.filter { $0.kind == .hole }.map(\.extent) }
}

/// Everything one worker needs to turn a region into chunks in packs, reused from region to region.
///
/// Memory: one region, one chunk, and one content pack being filled, by default 16 + 0.25 + 33 MiB.
// Safety: a workbench is used by one task at a time: it is given to a child task with a region and comes back with the
// result, and nothing else holds it in between. The buffers are private and freed once.
@safe final class RegionWorkbench: @unchecked Sendable {
    // Constant, as all that is asked for each chunk: a session that goes on elsewhere gets another workbench.
    let session: WritingSession
    private(set) var parameters: ImageParameters
    /// Where the region in work begins, and what of it the repository did not have so far.
    private var (origin, newChunks): (UInt64, NewChunks) = (0, NewChunks())
    private(set) var chunker: RegionChunker
    let boundary: BoundaryCipher
    private let hasher: KeyedHasher
    private let compressor: ChunkCompressor
    private let builder: PackBuilder
    let region: UnsafeMutableRawBufferPointer
    let packed: UnsafeMutableRawBufferPointer
    /// Where pages of disks are noted, and what makes their values.
    private(set) var logging: (log: PageLog, cipher: BoundaryCipher)?
    /// Pages that need not be stored.
    private var matches = PageMatches.none
    private var pieces: [RegionPiece] = []
    private var recut: [RecutPiece] = []

    /// - Throws: ``RepositoryError`` when the credential cannot write; ``ChunkingError`` for sizes that cannot be
    ///   written.
    init(_ session: WritingSession, parameters: ImageParameters, packByteCount: Int, level: Int) throws {
        self.session = session
        self.parameters = parameters
        let keys = session.keys
        chunker = try RegionWorkbench.chunker(session, parameters)
        boundary = BoundaryCipher(
            key: KeyDerivation.derive(
                key: try keys.boundaryKey(), label: "dozo/1 boundary", context: RegionWorkbench.context(parameters),
                byteCount: BoundaryCipher.keyByteCount))
        hasher = KeyedHasher(key: try keys.identityKey(.data))
        compressor = ChunkCompressor(level: level)
        builder = PackBuilder(try session.packSettings(.content, targetByteCount: packByteCount))
        // Safety: ours alone until the deinitialiser.
        unsafe region = .allocate(byteCount: Int(parameters.regionByteCount), alignment: 4096)
        unsafe packed = .allocate(byteCount: Int(parameters.maximum), alignment: 64)
    }

    private static func context(_ parameters: ImageParameters) -> [UInt8] {
        var context: [UInt8] = []
        context.append(littleEndian: parameters.boundaryEpoch)
        return context
    }

    private static func chunker(_ session: WritingSession, _ parameters: ImageParameters) throws -> RegionChunker {
        let pageKey = KeyDerivation.derive(
            key: try session.keys.boundaryKey(), label: "dozo/1 NH", context: context(parameters),
            byteCount: ChunkerParameters.pageSize)
        let sizes = ChunkerParameters(
            regionSize: Int(parameters.regionByteCount), minimum: Int(parameters.minimum),
            maximum: Int(parameters.maximum), threshold: parameters.threshold,
            zeroRunMinimum: Int(parameters.zeroRunMinimum), gridOrigin: Int(parameters.gridOrigin))
        // Safety: the key lives through the call, which copies it.
        return try unsafe pageKey.withUnsafeBytes { try unsafe RegionChunker(parameters: sizes, pageHashKey: $0) }
    }

    /// Cuts another image from now on.
    ///
    /// - Parameters:
    ///   - logging: where pages are noted; `nil` for what is no disk.
    ///   - matches: pages that are named as parts of chunks that the repository has.
    /// - Precondition: regions and leaves are as long as before, and chunks no longer than the largest until now.
    /// - Throws: ``ChunkingError`` for sizes that cannot be written.
    func use(
        _ parameters: ImageParameters, logging: (log: PageLog, cipher: BoundaryCipher)? = nil,
        matches: PageMatches = .none
    ) throws {
        // A found page goes through the cut as a hole: one that became zeros of a chunk would be a wrong page.
        precondition(
            matches.isEmpty || parameters.zeroRunMinimum <= UInt32(ChunkerParameters.pageSize),
            "each page that was found is a hole of the cut")
        self.logging = logging
        self.matches = matches
        guard parameters != self.parameters else { return }
        // Safety: only its length is asked for.
        let room = unsafe packed.count
        precondition(
            parameters.regionByteCount == self.parameters.regionByteCount
                && parameters.leafByteCount == self.parameters.leafByteCount && Int(parameters.maximum) <= room,
            "a workbench has room for what it was made for")
        chunker = try RegionWorkbench.chunker(session, parameters)
        self.parameters = parameters
    }

    /// Whether nothing is leant on that only this session has looked up.
    var mayMove: Bool { matches.isEmpty }

    /// A workbench of the same image in another session of the backup.
    ///
    /// - Parameter sizes: the largest that were and will be used.
    /// - Precondition: ``flush()`` came before, and ``mayMove``.
    /// - Throws: as ``init(_:parameters:packByteCount:level:)``.
    func moved(
        to session: WritingSession, sizes: ImageParameters, packByteCount: Int, level: Int
    ) throws -> RegionWorkbench {
        precondition(builder.isEmpty && mayMove, "what was stored was put in its session")
        let bench = try RegionWorkbench(session, parameters: sizes, packByteCount: packByteCount, level: level)
        try bench.use(parameters, logging: logging)
        return bench
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
    /// - Parameters:
    ///   - source: where to read from; `nil` when the buffer is filled already.
    ///   - earlier: what the image was; only what changed since and what lies around it is then read.
    /// - Throws: what reading and storing throw; `CancellationError` between two chunks.
    func capture(
        _ job: RegionJob, from source: (any ImageSource)?, since earlier: EarlierImage?
    ) async throws -> RegionResult {
        (origin, newChunks) = (job.extent.start, NewChunks())
        var result = try await captured(job, from: source, since: earlier)
        result.newChunks = newChunks
        return result
    }

    private func captured(
        _ job: RegionJob, from source: (any ImageSource)?, since earlier: EarlierImage?
    ) async throws -> RegionResult {
        if let source, let earlier, let changed = job.changed,
            let cut = try await EarlierCut.of(job.extent, map: earlier.map)
        {
            // A list of changes forgets what lay behind the end of a disk that shrank and grew again. What reads as
            // zeros without being asked for, and was data, has changed, whatever the list says.
            var changed = changed + cut.data(in: job.holes, from: job.extent.start)
            if job.isToBeProven { changed += try await missing(of: cut, from: job.extent.start) }
            changed = Extent.joined(changed)
            if changed.isEmpty, !job.isSample {
                return job.isToBeProven ? keeping(cut, of: job) : RegionResult(inheriting: job, bench: self)
            }
            guard job.isSample else { return try await recapture(job, from: source, earlier: cut, changed: changed) }
            let read = try await fill(job.extent, of: job, from: source)
            try compare(cut, of: job, except: changed)
            return try await cutAnew(job, holes: [], readByteCount: read)
        }
        var holes: [Extent] = []
        var readByteCount = source == nil ? job.extent.length : 0
        for extent in job.extents {
            if extent.kind == .hole {
                holes.append(
                    Extent(start: extent.extent.start - job.extent.start, length: extent.extent.length))
            } else if let source {
                readByteCount += try await fill(extent.extent, of: job, from: source)
            }
        }
        return try await cutAnew(job, holes: holes, readByteCount: readByteCount)
    }

    /// Where chunks lie that a new point may not lean on: swept away, lost, or never stored.
    private func missing(of cut: EarlierCut, from start: UInt64) async throws -> [Extent] {
        var found: [Extent] = []
        for case (let piece, let identifier?) in zip(cut.pieces, cut.identifiers) {
            guard try await !session.index.contains(identifier) else { continue }
            found.append(Extent(start: start + UInt64(piece.offset), length: UInt64(piece.length)))
        }
        return found
    }

    /// A region that is what it was, with leaves that may have to be stored again.
    private func keeping(_ cut: EarlierCut, of job: RegionJob) -> RegionResult {
        var leaves = LeafSplitter(leafByteCount: parameters.leafByteCount)
        for (piece, identifier) in zip(cut.pieces, cut.identifiers) {
            if let identifier {
                leaves.append(identifier, length: piece.length)
            } else {
                leaves.appendHole(piece.length)
            }
        }
        return RegionResult(
            number: job.number, leaves: leaves.finish(), readByteCount: 0, newByteCount: 0, bench: self)
    }

    /// Cuts the region, which is in the buffer but for its holes, and stores what the repository lacks.
    private func cutAnew(
        _ job: RegionJob, holes: [Extent], readByteCount: UInt64
    ) async throws -> RegionResult {
        let count = Int(job.extent.length)
        let holes = holes + matches.extents(in: job.extent)
        pieces.removeAll(keepingCapacity: true)
        // Safety: a region is never longer than the buffer.
        let bytes = unsafe UnsafeMutableRawBufferPointer(rebasing: region[..<count])
        unsafe chunker.chunk(bytes, knownHoles: holes, into: &pieces) { unsafe boundary.encrypt(inPlace: $0) }
        var newByteCount: UInt64 = 0
        var hasSlices = false
        var leaves = LeafSplitter(leafByteCount: parameters.leafByteCount)
        var block = 0
        for piece in pieces {
            if piece.isHole {
                if append(hole: piece, of: job.extent, matches, to: &leaves) { hasSlices = true }
                continue
            }
            let (identifier, isNew) = try await keep(piece)
            note(piece, identifier: identifier, block: block)
            block += (Int(piece.length) + ChunkerParameters.pageSize - 1) / ChunkerParameters.pageSize
            if isNew { newByteCount += UInt64(piece.length) }
            leaves.append(identifier, length: piece.length)
        }
        return RegionResult(
            number: job.number, leaves: leaves.finish(), readByteCount: readByteCount, newByteCount: newByteCount,
            hasSlices: hasSlices, bench: self)
    }

    /// Looks whether the parts of a region that are said to be unchanged are what they were.
    ///
    /// - Throws: ``EarlierImageUnusable`` when one is not.
    private func compare(_ cut: EarlierCut, of job: RegionJob, except changed: [Extent]) throws {
        for (piece, identifier) in zip(cut.pieces, cut.identifiers) {
            let start = job.extent.start + UInt64(piece.offset)
            let extent = Extent(start: start, length: UInt64(piece.length))
            guard !changed.contains(where: { $0.intersection(extent) != nil }) else { continue }
            // Safety: pieces lie inside the region.
            let isSame =
                if let identifier { identifier == hash(piece) } else {
                    unsafe region[Int(piece.offset)..<Int(piece.end)].allSatisfy { $0 == 0 }
                }
            guard !isSame else { continue }
            throw EarlierImageUnusable(
                "its list of changes was caught lying: bytes near \(start) changed and are not in it; look for a "
                    + "program that writes the image beside the guest. The next point reads everything too",
                isLie: true)
        }
    }

    /// As ``capture``, from what the region was and what changed in it.
    private func recapture(
        _ job: RegionJob, from source: any ImageSource, earlier: EarlierCut, changed: [Extent]
    ) async throws -> RegionResult {
        let count = Int(job.extent.length)
        var readByteCount: UInt64 = 0
        recut.removeAll(keepingCapacity: true)
        // Safety: a region is never longer than the buffer, and the chunker asks for ranges inside the region only.
        try unsafe await chunker.recut(
            UnsafeMutableRawBufferPointer(rebasing: region[..<count]), earlier: earlier.pieces,
            changed: changed.map { Extent(start: $0.start - job.extent.start, length: $0.length) }, into: &recut,
            read: { range in
                let wanted = Extent(start: job.extent.start + UInt64(range.lowerBound), length: UInt64(range.count))
                readByteCount += try await self.fill(wanted, of: job, from: source)
            }, encryptBlocks: { unsafe boundary.encrypt(inPlace: $0) })
        var newByteCount: UInt64 = 0
        var leaves = LeafSplitter(leafByteCount: parameters.leafByteCount)
        for entry in recut {
            if entry.piece.isHole {
                leaves.appendHole(entry.piece.length)
            } else if let kept = entry.kept {
                guard let identifier = earlier.identifiers[kept] else {
                    preconditionFailure("a chunk that is kept has an id")
                }
                leaves.append(identifier, length: entry.piece.length)
            } else {
                let (identifier, isNew) = try await keep(entry.piece)
                note(entry.piece, identifier: identifier)
                if isNew { newByteCount += UInt64(entry.piece.length) }
                leaves.append(identifier, length: entry.piece.length)
            }
        }
        return RegionResult(
            number: job.number, leaves: leaves.finish(), readByteCount: readByteCount, newByteCount: newByteCount,
            bench: self)
    }

    /// Brings bytes of the region into the buffer, zeros where the source has a hole. - Returns: bytes read.
    private func fill(_ wanted: Extent, of job: RegionJob, from source: any ImageSource) async throws -> UInt64 {
        var readByteCount: UInt64 = 0
        for extent in job.extents {
            guard let part = extent.extent.intersection(wanted) else { continue }
            let start = Int(part.start - job.extent.start)
            // Safety: the part lies in the region, which is never longer than the buffer.
            let target = unsafe UnsafeMutableRawBufferPointer(rebasing: region[start..<start + Int(part.length)])
            if extent.kind == .hole {
                unsafe target.initializeMemory(as: UInt8.self, repeating: 0)
            } else {
                try await unsafe source.read(at: part.start, into: target)
                readByteCount += part.length
            }
        }
        return readByteCount
    }

    /// Stores the chunk unless the repository has it. - Returns: its id, and whether it was new.
    func keep(_ piece: RegionPiece) async throws -> (identifier: Hash256, isNew: Bool) {
        try Task.checkCancellation()
        let identifier = hash(piece)
        guard try await session.claim(identifier) else { return (identifier, false) }
        try await store(piece, identifier: identifier)
        return (identifier, true)
    }

    func hash(_ piece: RegionPiece) -> Hash256 {
        // Safety: pieces lie inside the region that was cut.
        unsafe hasher.authenticate(UnsafeRawBufferPointer(rebasing: region[Int(piece.offset)..<Int(piece.end)]))
    }

    private func store(_ piece: RegionPiece, identifier: Hash256) async throws {
        if builder.isFull { try await flush() }
        // Safety: pieces lie inside the region that was cut, and no piece is longer than the packed buffer.
        let plain = unsafe UnsafeRawBufferPointer(rebasing: region[Int(piece.offset)..<Int(piece.end)])
        let room = unsafe UnsafeMutableRawBufferPointer(rebasing: packed[..<(plain.count - 1)])
        let packedByteCount = unsafe compressor.compress(plain, into: room)
        newChunks.add(
            Extent(start: origin + UInt64(piece.offset), length: UInt64(piece.length)),
            packed: UInt64(packedByteCount ?? plain.count))
        if let count = packedByteCount {
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
