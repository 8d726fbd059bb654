import BackupModel
import Capture
import ObjectStorage
import Repository
import RepositoryFormat
import Synchronization
import TestKit

// Night after night
// -----------------
// A guest changes at random places; each night it is backed up twice: from what changed since the point before, and
// whole. Both must come to one map, and so to one image root, whatever happened; and what is restored must be the disk.
// Some nights the list of changes lies and all of the rest is looked at; some nights the earlier map is lost in part.

/// A seeded history of changed-only backups next to whole ones.
package struct IncrementalHistory {
    /// How a history came out.
    package struct Report: Sendable {
        /// What is wrong; `nil` when nothing is.
        package var complaint: String?
        /// Bytes that the changed-only runs read.
        package var readChanged: UInt64 = 0
        /// Bytes that the whole runs read.
        package var readWhole: UInt64 = 0
        /// Changed-only runs.
        package var nights = 0
        /// Runs whose list of changes left out something that had changed, while everything was looked at.
        package var lies = 0
        /// Nights on which the disk had shrunk and grown again.
        package var shrunk = 0
        /// Runs whose earlier map could not be read everywhere.
        package var lostMaps = 0
    }

    private let template: RepositoryTemplate
    private let executor: SeededExecutor
    private let store = MemoryStore(randomness: .seeded(1))
    private let machine = SimulatedDisk(leftOut: .nothing)
    private var dice: Dice
    private var report = Report()
    private var host: SimulatedHost
    private var number: UInt64 = 0

    private init(seed: UInt64, template: RepositoryTemplate, executor: SeededExecutor) {
        self.template = template
        self.executor = executor
        dice = Dice(seed: seed)
        host = SimulatedHost(name: "host", disk: machine, guest: SimulatedGuest(label: "guest", dice: &dice))
    }

    /// Plays the history of one seed.
    package static func play(seed: UInt64, template: RepositoryTemplate) async -> Report {
        let executor = SeededExecutor(seed: seed ^ 0x5EED)
        return await executor.run {
            var history = IncrementalHistory(seed: seed, template: template, executor: executor)
            do { try await history.play() } catch { history.report.complaint = "a run failed: \(error)" }
            return history.report
        }
    }

    private mutating func play() async throws {
        for (name, bytes) in template.content.sorted(by: { $0.key < $1.key }) {
            _ = try await store.putIfAbsent(name, bytes)
        }
        var disk = [UInt8](repeating: 0, count: Int(dice.roll(below: 80)) * 4096 + Int(dice.roll(below: 2)) * 1_717)
        for _ in 0..<dice.roll(below: 12) { _ = change(&disk) }
        var base = try await backUp(disk, since: nil)
        for _ in 0..<5 {
            if dice.roll(below: 5) == 0 { shrinkAndGrow(&disk) }
            let before = disk
            if dice.roll(below: 6) == 0 { resize(&disk) }
            let changed = (0..<dice.roll(below: 4)).compactMap { _ in change(&disk) }
            let image = try await earlier(base, changed: changed, from: before, to: disk)
            let partial = try await backUp(disk, since: image)
            let whole = try await backUp(disk, since: nil)
            report.nights += 1
            report.readChanged += partial.volume.read
            report.readWhole += whole.volume.read
            guard partial.images[0].root == whole.images[0].root else {
                report.complaint = "night \(report.nights): the changed-only map is another than the whole one"
                return
            }
            guard try await restored(partial) == disk else {
                report.complaint = "night \(report.nights): the changed-only point restores other bytes"
                return
            }
            base = partial
        }
    }

    private func reader() async throws -> RepositoryReader {
        let repository = try await OpenRepository.open(store: store, key: .credential(template.owner))
        return try await RepositoryReader(repository, view: try await repository.view())
    }

    private mutating func earlier(
        _ base: RestorePointRecord, changed: [Extent], from before: [UInt8], to after: [UInt8]
    ) async throws -> EarlierImage {
        var map: any EarlierMap = try await ImageMap(base.images[0], reader: try await reader())
        if dice.roll(below: 8) == 0 {
            report.lostMaps += 1
            map = LossyMap(map: map, lost: dice.roll(below: 4))
        }
        var told = changed
        var share = [0, 300, 1000][Int(dice.roll(below: 3))]
        if before.count == after.count, !told.isEmpty, dice.roll(below: 3) == 0 {
            // One is left out. Whether that is a lie depends on what was written and on the others.
            told.remove(at: Int(dice.roll(below: UInt64(told.count))))
            share = 1000
            let untold = before.indices.contains { index in
                before[index] != after[index] && !told.contains { $0.start <= UInt64(index) && UInt64(index) < $0.end }
            }
            if untold { report.lies += 1 }
        }
        return EarlierImage(
            map: map, changed: told, sampling: ChangeSampling(perMille: share, seed: dice.next()))
    }

    /// A map that a cache has lost a leaf of.
    private struct LossyMap: EarlierMap {
        let map: any EarlierMap
        let lost: UInt64

        var root: ImageRoot { map.root }

        func identifier(ofLeaf number: UInt64) async throws -> Hash256? {
            try await map.identifier(ofLeaf: number)
        }

        func leaf(_ number: UInt64) async throws -> MapLeaf? {
            guard number != lost else { throw EarlierImageUnusable("it is lost", isLie: false) }
            return try await map.leaf(number)
        }
    }

    private func restored(_ point: RestorePointRecord) async throws -> [UInt8] {
        try await RestoredImage.bytes(of: point.images[0], reader: try await reader())
    }

    private mutating func backUp(_ disk: [UInt8], since earlier: EarlierImage?) async throws -> RestorePointRecord {
        number += 1
        host.guest.disks = [disk]
        let attempt = BackupAttempt(
            host: host, number: number, level: 1, workers: 1 + Int(dice.roll(below: 3)),
            randomness: .seeded(dice.next()), ownRandomness: .seeded(dice.next()), imageChanges: false,
            owner: template.owner, earlier: earlier)
        switch await attempt.run(store, executor: executor) {
        case .committed(let record, _, _): return record
        case .failed(let sentence, _): throw Failed(sentence: sentence)
        }
    }

    private struct Failed: Error, CustomStringConvertible {
        let sentence: String
        var description: String { sentence }
    }

    /// Writes data, zeros, or what was there already. - Returns: what a bitmap would say; `nil` for an empty disk.
    private mutating func change(_ disk: inout [UInt8]) -> Extent? {
        guard !disk.isEmpty else { return nil }
        let longest: UInt64 = [600, 5_000, 20_000, 150_000][Int(dice.roll(below: 4))]
        var start = Int(dice.roll(below: UInt64(disk.count)))
        var end = min(disk.count, start + 1 + Int(dice.roll(below: longest)))
        if dice.roll(below: 2) == 0 {
            start = start / 4096 * 4096
            end = min(disk.count, (end + 4095) / 4096 * 4096)
        }
        let kind = dice.roll(below: 4)
        if kind == 0 {
            disk.replaceSubrange(start..<end, with: repeatElement(0, count: end - start))
        } else if kind < 3 {
            var words = Dice(seed: dice.roll(below: 40))
            disk.replaceSubrange(start..<end, with: words.bytes(end - start))
        }
        let grain = [512, 4_096, 65_536][Int(dice.roll(below: 3))]
        let low = start / grain * grain
        return Extent(start: UInt64(low), length: UInt64(min(disk.count, (end + grain - 1) / grain * grain) - low))
    }

    /// Takes the end of the disk away and gives as much back: a list of changes is told nothing of it, but what is
    /// there now is a hole.
    private mutating func shrinkAndGrow(_ disk: inout [UInt8]) {
        guard !disk.isEmpty else { return }
        let start = Int(dice.roll(below: UInt64(disk.count))) / 4096 * 4096
        disk.replaceSubrange(start..., with: repeatElement(0, count: disk.count - start))
        report.shrunk += 1
    }

    private mutating func resize(_ disk: inout [UInt8]) {
        let size = Int(dice.roll(below: 400_000))
        if size < disk.count {
            disk.removeLast(disk.count - size)
        } else {
            disk +=
                dice.roll(below: 2) == 0
                ? [UInt8](repeating: 0, count: size - disk.count)
                : dice.bytes(
                    size - disk.count)
        }
    }
}
