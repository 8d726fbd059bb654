import BackupModel
import ChunkCompression
import ChunkEncryption
import Chunking
import Effects
import Glibc
import RepositoryFormat

/// One pass of every stage over the data of one raw image, region by region.
// Safety: the buffers are this object's own, sized for one region and its chunks, and freed once.
@safe final class StagePass {
    private static let regionByteCount = 16 << 20
    private static let packByteCount = 32 << 20
    // The headers hide both behind a feature macro: lseek(2).
    private static let seekData: CInt = 3
    private static let seekHole: CInt = 4

    private let image: CInt
    private let scratch: String
    private let files: HostFiles
    private let back: OutputFile
    private let gathered = UnsafeMutableRawBufferPointer.allocate(byteCount: 8 << 20, alignment: 4096)
    private var gatheredByteCount = 0
    private var packCount = 0
    private let region = UnsafeMutableRawBufferPointer.allocate(byteCount: regionByteCount, alignment: 4096)
    private let packed = UnsafeMutableRawBufferPointer.allocate(byteCount: 4 << 20, alignment: 64)
    private let opened = UnsafeMutableRawBufferPointer.allocate(byteCount: 4 << 20, alignment: 64)
    private let plain = UnsafeMutableRawBufferPointer.allocate(byteCount: 4 << 20, alignment: 64)
    private let pack = UnsafeMutableRawBufferPointer.allocate(byteCount: packByteCount + (8 << 20), alignment: 4096)
    private let chunker: RegionChunker
    private let boundary: BoundaryCipher
    private let hasher: KeyedHasher
    private let compressor = ChunkCompressor(level: 1)
    private let decompressor = ChunkDecompressor()
    private let cipher: BlobCipher
    private var clock = StageClock()
    private var seen = Set<Hash256>()
    private var entries: [PackEntry] = []
    private var packFill = 0
    private var backPosition: UInt64 = 0
    private static let writeByteCount = 4 << 20

    private struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    init(image path: String, scratch: String) throws {
        func key(_ byte: UInt8, _ count: Int) -> SecretBytes {
            SecretBytes(copying: [UInt8](repeating: byte, count: count))
        }
        // Safety: the key lives through the call, which copies it.
        chunker = try unsafe key(1, ChunkerParameters.pageSize).withUnsafeBytes {
            try unsafe RegionChunker(parameters: ChunkerParameters(), pageHashKey: $0)
        }
        boundary = BoundaryCipher(key: key(2, BoundaryCipher.keyByteCount))
        hasher = KeyedHasher(key: key(3, 32))
        guard let repository = RepositoryID(bytes: [UInt8](repeating: 4, count: RepositoryID.byteCount)) else {
            throw Failure(description: "16 bytes make an id")
        }
        cipher = BlobCipher(repository: repository, domain: 0)
        cipher.use(packKey: key(5, 32))
        image = unsafe open(path, O_RDONLY | O_CLOEXEC)
        self.scratch = scratch
        files = HostFiles(root: scratch)
        back = try OutputFile(path: scratch + "/back", byteCount: 64 << 30)
        guard image >= 0 else { throw Failure(description: "cannot open \(path) or scratch") }
    }

    deinit {
        close(image)
        unsafe gathered.deallocate()
        unsafe region.deallocate()
        unsafe packed.deallocate()
        unsafe opened.deallocate()
        unsafe plain.deallocate()
        unsafe pack.deallocate()
    }

    func run() throws -> StageClock {
        let size = Int(lseek(image, 0, SEEK_END))
        guard size >= 0 else { throw Failure(description: "the image has no size") }
        try clock.measure(.passphrase, 0) {
            _ = try KeyDerivation.scrypt(
                passphrase: SecretBytes(copying: Array("a passphrase".utf8)), salt: [UInt8](repeating: 6, count: 32),
                cost: .standard)
        }
        var start = 0
        while start < size {
            let count = min(StagePass.regionByteCount, size - start)
            try pass(start, count: count)
            start += count
        }
        try finishPack()
        try clock.measure(.writeBack, 0) {
            try writeBack()
            try back.publish()
        }
        try files.remove("back")
        return clock
    }

    // MARK: Forth

    private func pass(_ start: Int, count: Int) throws {
        var holes: [Extent] = []
        let readByteCount = clock.measure(.read, 0) { read(start, count: count, holes: &holes) }
        clock.measure(.read, readByteCount) {}
        guard readByteCount > 0 else { return }
        var pieces: [RegionPiece] = []
        // Safety: a region is never longer than the buffer.
        let bytes = unsafe UnsafeMutableRawBufferPointer(rebasing: region[..<count])
        clock.measure(.cut, readByteCount) {
            unsafe chunker.chunk(bytes, knownHoles: holes, into: &pieces) { unsafe boundary.encrypt(inPlace: $0) }
        }
        pieces.removeAll(where: \.isHole)
        var identifiers: [Hash256] = []
        identifiers.reserveCapacity(pieces.count)
        clock.measure(.identity, pieces.reduce(0) { $0 + Int($1.length) }) {
            for piece in pieces { identifiers.append(unsafe hasher.authenticate(slice(piece))) }
        }
        for (piece, identifier) in zip(pieces, identifiers) where seen.insert(identifier).inserted {
            try unsafe keep(slice(piece), identifier: identifier)
        }
    }

    private func slice(_ piece: RegionPiece) -> UnsafeRawBufferPointer {
        // Safety: pieces lie inside the region that was cut.
        unsafe UnsafeRawBufferPointer(rebasing: region[Int(piece.offset)..<Int(piece.end)])
    }

    /// Reads what is allocated. - Returns: bytes read.
    private func read(_ start: Int, count: Int, holes: inout [Extent]) -> Int {
        var position = start
        var total = 0
        let end = start + count
        while position < end {
            let data = min(max(Int(lseek(image, off_t(position), StagePass.seekData)), position), end)
            let next = lseek(image, off_t(position), StagePass.seekData) < 0 ? end : data
            if next > position {
                holes.append(Extent(start: UInt64(position - start), length: UInt64(next - position)))
            }
            guard next < end else { break }
            let hole = min(Int(lseek(image, off_t(next), StagePass.seekHole)), end)
            // Safety: the range lies in the region's buffer.
            let room = unsafe UnsafeMutableRawBufferPointer(rebasing: region[(next - start)..<(hole - start)])
            let got = unsafe pread(image, room.baseAddress, hole - next, off_t(next))
            total += max(got, 0)
            position = hole
        }
        return total
    }

    private func keep(_ chunk: UnsafeRawBufferPointer, identifier: Hash256) throws {
        let room = unsafe UnsafeMutableRawBufferPointer(rebasing: packed[..<(chunk.count - 1)])
        let count = clock.measure(.compress, chunk.count) { unsafe compressor.compress(chunk, into: room) }
        let body = unsafe count.map { unsafe UnsafeRawBufferPointer(rebasing: packed[..<$0]) } ?? chunk
        let sealedByteCount = body.count + AuthenticatedCipher.tagByteCount
        if packFill + sealedByteCount > StagePass.packByteCount { try finishPack() }
        let entry = PackEntry(
            identifier: identifier, kind: .data, codec: count == nil ? .stored : .zstd, keyNumber: 0,
            counter: UInt32(entries.count), offset: UInt32(packFill), storedByteCount: UInt32(sealedByteCount),
            plainByteCount: UInt32(chunk.count))
        // Safety: the pack's buffer has room for a full pack and one more chunk.
        let place = unsafe UnsafeMutableRawBufferPointer(rebasing: pack[packFill..<packFill + sealedByteCount])
        clock.measure(.seal, sealedByteCount) { unsafe cipher.seal(body, as: entry, into: place) }
        entries.append(entry)
        packFill += sealedByteCount
    }

    private func finishPack() throws {
        guard packFill > 0 else { return }
        let bytes = unsafe UnsafeRawBufferPointer(rebasing: pack[..<packFill])
        let sums = clock.measure(.checksum, packFill) { unsafe Checksum.ofBlocks(bytes, blockByteCount: 1 << 20) }
        guard !sums.isEmpty else { throw Failure(description: "a pack has checksums") }
        let hash = clock.measure(.packHash, packFill) { unsafe SecureHash.sha256(bytes) }
        guard hash != Hash256.zero else { throw Failure(description: "a pack has a name") }
        // A new file a pack, as the store makes it.
        let name = "stored-\(packCount)"
        packCount += 1
        let content = unsafe [UInt8](bytes)
        try clock.measure(.write, packFill) {
            try files.writeNew(name, content)
            try files.syncFile(name)
        }
        try giveBack(name)
        try files.remove(name)
        entries.removeAll(keepingCapacity: true)
        packFill = 0
    }

    // MARK: Back

    private func giveBack(_ name: String) throws {
        let stored = unsafe open(scratch + "/" + name, O_RDONLY | O_CLOEXEC)
        defer { close(stored) }
        func read() -> Int { unsafe pread(stored, pack.baseAddress, packFill, 0) }
        // Once to bring it into the page cache, where a benchmark's repository lies too.
        guard read() == packFill, clock.measure(.readStored, packFill, read) == packFill else {
            throw Failure(description: "cannot read the scratch file")
        }
        for entry in entries {
            let place = Int(entry.offset)..<Int(entry.offset + entry.storedByteCount)
            // Safety: the entry's place was filled above; the rooms hold the largest chunk there is.
            let sealed = unsafe UnsafeRawBufferPointer(rebasing: pack[place])
            let room = unsafe UnsafeMutableRawBufferPointer(
                rebasing: opened[..<(sealed.count - AuthenticatedCipher.tagByteCount)])
            try clock.measure(.open, sealed.count) { try unsafe cipher.open(sealed, as: entry, into: room) }
            var content = UnsafeRawBufferPointer(room)
            if entry.codec == .zstd {
                let target = unsafe UnsafeMutableRawBufferPointer(rebasing: plain[..<Int(entry.plainByteCount)])
                try clock.measure(.decompress, target.count) {
                    try unsafe decompressor.decompress(content, into: target)
                }
                unsafe content = UnsafeRawBufferPointer(target)
            }
            let identifier = clock.measure(.identityBack, content.count) {
                unsafe hasher.authenticate(content)
            }
            guard identifier == entry.identifier else { throw Failure(description: "a chunk came back different") }
            try clock.measure(.writeBack, content.count) {
                // Safety: the room has place for one chunk behind what waits.
                let place = unsafe UnsafeMutableRawBufferPointer(rebasing: gathered[gatheredByteCount...])
                unsafe place.copyMemory(from: content)
                gatheredByteCount += content.count
                if gatheredByteCount >= StagePass.writeByteCount { try writeBack() }
            }
        }
    }

    /// Writes what was gathered as a restore does: large, aligned.
    private func writeBack() throws {
        let whole = gatheredByteCount / 4096 * 4096
        // Safety: so many bytes were gathered.
        try unsafe back.write(UnsafeRawBufferPointer(rebasing: gathered[..<whole]), at: backPosition)
        backPosition += UInt64(whole)
        gatheredByteCount = 0
    }
}
