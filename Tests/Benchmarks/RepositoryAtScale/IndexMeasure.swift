import BackupModel
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

        func report(_ what: String, count: Int? = nil) {
            let wall = Double(SystemClock.system.monotonic() - self.wall) / 1e9
            let cpu = Lap.processor - self.cpu
            let rate = count.map { ", \(Int(Double($0) / cpu)) a CPU second" } ?? ""
            print(
                "\(what): \(Int(wall * 1000)) ms, \(Int(cpu * 1000)) ms CPU\(rate); "
                    + "\(RepositoryAtScale.residentMebibytes()) MiB")
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
        for there in [true, false] {
            lap = Lap()
            try await lookUp(index, IndexMeasure.lookUps, there: there)
            lap.report(there ? "hits" : "misses", count: IndexMeasure.lookUps)
        }
    }

    private func lookUp(_ index: ChunkIndex, _ count: Int, there: Bool) async throws {
        var dice = Dice(seed: there ? 1 : 2)
        var wrong = 0
        for _ in 0..<count {
            let number = Int(dice.roll(below: UInt64(chunkCount))) + (there ? 0 : chunkCount)
            if try await index.contains(RepositoryAtScale.identifier(number)) != there { wrong += 1 }
        }
        guard wrong == 0 else {
            print("WRONG: \(wrong) of \(count) look-ups")
            exit(1)
        }
    }
}
