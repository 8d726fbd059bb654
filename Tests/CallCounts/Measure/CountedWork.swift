import BackupModel
import CCallCounts
import Capture
import ChunkEncryption
import Chunking
import Effects
import ObjectStorage
import Recovery
import Repository
import RepositoryFormat
import Simulation
import TestKit

/// Every kind of work over one image in memory, one worker, sizes as people use them.
struct CountedWork {
    enum Kind: String, CaseIterable {
        case cutting = "cutting and naming chunks"
        case full = "first full"
        case night = "night without a change list"
        case restore = "restore"
        case verify = "verify --content"
    }

    struct Sum {
        let allocations: UInt64
        let references: UInt64
        let inHashLibrary: UInt64
        let chunks: Int

        static func now(chunks: Int) -> Sum {
            Sum(
                allocations: call_counts_allocations(), references: call_counts_references(),
                inHashLibrary: call_counts_hash_library_allocations(), chunks: chunks)
        }

        func since(_ start: Sum) -> Sum {
            Sum(
                allocations: allocations - start.allocations, references: references - start.references,
                inHashLibrary: inHashLibrary - start.inHashLibrary, chunks: chunks)
        }
    }

    let byteCount: Int
    let folder: String

    func run() async throws -> [Kind: Sum] {
        let content = CountedWork.content(byteCount)
        let store = MemoryStore(randomness: .seeded(1))
        let randomness = Randomness.seeded(2)
        let owner = try await RepositoryCreation.create(
            in: store, secret: .passphrase(SecretBytes(copying: Array("call counts".utf8))), label: "counts",
            cost: try PassphraseCost(cost: 1 << 15, blockSize: 8, parallelization: 1), createdAt: 0,
            randomness: randomness)
        var repository = try await OpenRepository.open(store: store, key: .credential(owner))
        let seed = SecretBytes(copying: randomness.bytes(SigningKey.seedByteCount))
        try await repository.enrol(
            Enrolment(key: SigningKey(seed: seed).publicKey, role: .writer, domain: 0, label: "host"), createdAt: 1)
        let writer = owner.restricted(to: .writer, signingSeed: seed, ownerHead: repository.chain.head)
        let disk = SimulatedDisk()

        var sums: [Kind: Sum] = [:]
        let (pieces, cutting) = cut(content)
        sums[.cutting] = cutting
        for (kind, time) in [(Kind.full, UInt64(2)), (.night, 3)] {
            let start = Sum.now(chunks: 0)
            try await backUp(content, to: store, writer, disk, at: time, randomness)
            sums[kind] = Sum.now(chunks: pieces).since(start)
        }

        let opened = try await OpenRepository.open(store: store, key: .credential(owner))
        let view = try await opened.view()
        guard let image = view.points.last?.record.images.first else { preconditionFailure("a point was committed") }
        let reader = try await RepositoryReader(opened, view: view)
        let path = "\(folder)/restored-\(byteCount)"
        var start = Sum.now(chunks: 0)
        let outcome = try await ImageRestore(reader, image: image, plan: RestorePlan(path: path, workers: 1)).run()
        sums[.restore] = Sum.now(chunks: pieces).since(start)
        precondition(outcome.written == UInt64(byteCount), "all of the image has content")

        start = Sum.now(chunks: 0)
        let report = try await Verification(opened, view: view, level: .content, workers: 1).run()
        sums[.verify] = Sum.now(chunks: pieces).since(start)
        precondition(report.findings.isEmpty, "nothing is damaged")
        return sums
    }

    private func backUp(
        _ content: [UInt8], to store: MemoryStore, _ writer: Credential, _ disk: SimulatedDisk, at time: UInt64,
        _ randomness: Randomness
    ) async throws {
        let repository = try await OpenRepository.open(store: store, key: .credential(writer))
        let state = try HostState(files: disk, repository: writer.repository, randomness: randomness)
        let session = try await WritingSession.begin(repository, state: state, randomness: randomness)
        guard let guest = GuestID(bytes: [UInt8](repeating: 7, count: 16)) else {
            preconditionFailure("16 bytes make an id")
        }
        let plan = BackupPlan(
            guest: guest, label: "guest", takenAt: time, host: "host", tool: "counts", base: nil, workers: 1,
            now: { time })
        _ = try await BackupRun(session, plan: plan).run([
            .image(name: "disk", source: SimulatedImage(content))
        ])
    }

    /// The stages that see every page, alone.
    private func cut(_ content: [UInt8]) -> (pieces: Int, Sum) {
        func key(_ byte: UInt8, _ count: Int) -> SecretBytes {
            SecretBytes(copying: [UInt8](repeating: byte, count: count))
        }
        let parameters = ChunkerParameters()
        // Safety: the key lives through the call, which copies it.
        let made = try? unsafe key(1, ChunkerParameters.pageSize).withUnsafeBytes {
            try unsafe RegionChunker(parameters: parameters, pageHashKey: $0)
        }
        guard let chunker = made else { preconditionFailure("the defaults are valid") }
        let boundary = BoundaryCipher(key: key(2, BoundaryCipher.keyByteCount))
        let hasher = KeyedHasher(key: key(3, Hash256.byteCount))
        var region = [UInt8](repeating: 0, count: parameters.regionSize)
        var pieces: [RegionPiece] = []
        pieces.reserveCapacity(parameters.regionSize / ChunkerParameters.pageSize)
        var count = 0
        var distinct: UInt64 = 0
        let start = Sum.now(chunks: 0)
        for offset in stride(from: 0, to: content.count, by: region.count) {
            pieces.removeAll(keepingCapacity: true)
            // Safety: the content is a whole number of regions.
            unsafe content.withUnsafeBytes { bytes in
                unsafe region.withUnsafeMutableBytes { room in
                    unsafe room.copyMemory(
                        from: UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + room.count]))
                    unsafe chunker.chunk(room, knownHoles: [], into: &pieces) {
                        unsafe boundary.encrypt(inPlace: $0)
                    }
                    for piece in pieces where !piece.isHole {
                        let range = Int(piece.offset)..<Int(piece.end)
                        distinct ^= unsafe hasher.authenticate(
                            UnsafeRawBufferPointer(rebasing: room[range])
                        ).leadingWord
                    }
                }
            }
            count += pieces.count
        }
        let sum = Sum.now(chunks: count).since(start)
        precondition(distinct != 0, "chunks differ")
        return (count, sum)
    }

    /// Pages that compress to about a half, none of them alike.
    private static func content(_ byteCount: Int) -> [UInt8] {
        var dice = Dice(seed: 11)
        var bytes = [UInt8](repeating: 0, count: byteCount)
        for place in stride(from: 0, to: byteCount, by: 16) {
            let word = dice.next() | 1
            for shift in 0..<8 { bytes[place + shift] = UInt8(truncatingIfNeeded: word >> UInt64(8 * shift)) }
        }
        return bytes
    }
}
