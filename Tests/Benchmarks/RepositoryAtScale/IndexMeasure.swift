import BackupModel
import ChunkEncryption
import Effects
import Glibc
import ObjectStorage
import Repository
import RepositoryFormat
import TestKit

/// Opens the repository and looks chunks up.
struct IndexMeasure {
    static let lookUps = 500_000
    let folder: String
    let chunkCount: Int

    private struct Lap {
        let wall = SystemClock.system.monotonic()
        let cpu = Lap.processor

        static var processor: Double {
            var used = rusage()
            // Safety: the structure is ours.
            _ = unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &used)
            return Double(used.ru_utime.tv_sec + used.ru_stime.tv_sec)
                + Double(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6
        }

        /// - Returns: CPU seconds since the lap began.
        @discardableResult
        func report(_ what: String, count: Int? = nil) -> Double {
            let wall = Double(SystemClock.system.monotonic() - self.wall) / 1e9
            let cpu = Lap.processor - self.cpu
            let rate = count.map { ", \(Int(Double($0) / cpu)) a CPU second" } ?? ""
            print(
                "\(what): \(Int(wall * 1000)) ms, \(Int(cpu * 1000)) ms CPU\(rate); "
                    + "\(RepositoryAtScale.residentMebibytes()) MiB")
            return cpu
        }
    }

    func run() async throws {
        let store = try RepositoryAtScale.store(folder)
        guard let claimed = try await OpenRepository.claimedRepository(store),
            let writer = try RepositoryAtScale.state(folder, claimed).writerCredential()
        else { exit(1) }
        let state = try RepositoryAtScale.state(folder, claimed)
        var lap = Lap()
        let repository = try await OpenRepository.open(store: store, key: .credential(writer))
        let view = try await repository.view()
        lap.report("view of \(view.packs.count) packs in \(view.runs.count) runs")
        let keys = try repository.keys()
        let index = try await ChunkIndex(
            repository.access, view: view, keys: keys, shelf: PackShelf(repository.access, keys: keys),
            filters: state.filters)
        lap.report("opened")
        lap = Lap()
        try await lookUp(index, 20_000, there: true)
        lap.report("first hits", count: 20_000)
        lap = Lap()
        await index.buildFilters(state.filters)
        lap.report("filters")
        lap = Lap()
        try await lookUp(index, IndexMeasure.lookUps, there: nil)
        lap.report("half of each", count: IndexMeasure.lookUps)
        lap = Lap()
        try await lookUp(index, IndexMeasure.lookUps, there: true)
        let hits = lap.report("hits", count: IndexMeasure.lookUps)
        lap = Lap()
        try await lookUp(index, IndexMeasure.lookUps, there: false)
        // What a hit cannot do without: the filters, which are all that a miss asks, finding the block, a read, opening
        // what was read, and asking once for each pack that is met.
        var bound = lap.report("misses", count: IndexMeasure.lookUps)
        lap = Lap()
        try await readBlocks(Set(index.askedRuns), view, store)
        bound += lap.report("blocks read, alone", count: IndexMeasure.lookUps)
        lap = Lap()
        try openBlocks()
        bound += lap.report("blocks opened, alone", count: IndexMeasure.lookUps)
        lap = Lap()
        try searchFences()
        bound += lap.report("fences searched, alone", count: IndexMeasure.lookUps)
        lap = Lap()
        for pack in view.packs { _ = try await repository.access.byteCount(pack.key.packName) }
        // All but e^-2.56 of 195,313 packs are met by so many look-ups, and accordingly for other numbers.
        let share = 1 - exp(-Double(IndexMeasure.lookUps) / Double(view.packs.count))
        bound += share * lap.report("packs asked for, alone", count: view.packs.count)
        print("hits: \((hits / bound * 100).rounded() / 100) x the sum of what they cannot do without")
    }

    /// Reads blocks of the runs that are asked, at random.
    private func readBlocks(_ asked: Set<String>, _ view: RepositoryView, _ store: FakedPacksStore) async throws {
        let runs = view.runs.filter {
            asked.contains($0.key.runName) && $0.byteCount > UInt64(IndexRunLayout.blockByteCount * 2)
        }
        .map { (ObjectAccess.name($0.key.runName), $0.byteCount) }
        let blocks = runs.flatMap { name, size in
            (0..<Int(size) / IndexRunLayout.blockByteCount - 1).map { (name, $0) }
        }
        var dice = Dice(seed: 3)
        for _ in 0..<IndexMeasure.lookUps {
            let (name, block) = blocks[Int(dice.roll(below: UInt64(blocks.count)))]
            let start = UInt64(ObjectHeader.byteCount + block * IndexRunLayout.blockByteCount)
            guard try await store.get(name, offset: start, count: IndexRunLayout.blockByteCount) != nil else { exit(1) }
        }
    }

    /// Finds blocks in fences as large as those of parts, as many as there are.
    private func searchFences() throws {
        var dice = Dice(seed: 4)
        let parts = (0..<max(1, chunkCount >> 18)).map { _ in
            (0..<((1 << 18) / IndexRunLayout.blockEntryCount)).map { _ in dice.next() }.sorted()
        }
        var found = 0
        for _ in 0..<IndexMeasure.lookUps {
            found += parts[Int(dice.roll(below: UInt64(parts.count)))].pieces(thatMayHold: dice.next()).count
        }
        guard found > 0 else { exit(1) }
    }

    /// Opens sealed bytes as long as a block, each under a key that is set anew, as another run's would be.
    private func openBlocks() throws {
        let cipher = AuthenticatedCipher()
        let key = SecretBytes(copying: [UInt8](repeating: 1, count: AuthenticatedCipher.keyByteCount))
        let plain = [UInt8](repeating: 2, count: IndexRunLayout.blockByteCount - AuthenticatedCipher.tagByteCount)
        var sealed = [UInt8](repeating: 0, count: IndexRunLayout.blockByteCount)
        var room = plain
        try unsafe key.withUnsafeBytes { key in
            try unsafe plain.withUnsafeBytes { plain in
                try unsafe sealed.withUnsafeMutableBytes { sealed in
                    try unsafe room.withUnsafeMutableBytes { room in
                        // Safety: all buffers live through the calls and have the sizes that the cipher asks for.
                        unsafe cipher.seal(
                            key: key, nonce: 1, associatedData: UnsafeRawBufferPointer(rebasing: plain[..<80]),
                            plaintext: plain, into: sealed)
                        for _ in 0..<IndexMeasure.lookUps {
                            try unsafe cipher.open(
                                key: key, nonce: 1, associatedData: UnsafeRawBufferPointer(rebasing: plain[..<80]),
                                sealed: UnsafeRawBufferPointer(sealed), into: room)
                        }
                    }
                }
            }
        }
    }

    /// - Parameter there: whether what is looked up is there; `nil`: by turns.
    private func lookUp(_ index: ChunkIndex, _ count: Int, there: Bool?) async throws {
        var dice = Dice(seed: there == nil ? 5 : there == true ? 1 : 2)
        var wrong = 0
        for turn in 0..<count {
            let isThere = there ?? (turn % 2 == 0)
            let number = Int(dice.roll(below: UInt64(chunkCount))) + (isThere ? 0 : chunkCount)
            if try await index.contains(RepositoryAtScale.identifier(number)) != isThere { wrong += 1 }
        }
        guard wrong == 0 else {
            print("WRONG: \(wrong) of \(count) look-ups")
            exit(1)
        }
    }
}
