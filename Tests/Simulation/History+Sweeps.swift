import BackupModel
import ObjectStorage
import Repository
import RepositoryFormat
import Synchronization
import TestKit

extension History {
    /// What a sweeper does beside one run of each host: one thing, or beside a slow one up to eight.
    mutating func errands(of number: Int, besideSlow isBesideSlow: Bool) -> [Errand] {
        // One that is impatient ends whatever is slow.
        let isPatient = isBesideSlow && dice.roll(below: 4) > 0
        var errands = (0...(isBesideSlow ? dice.roll(below: 8) : 0)).map { _ in
            errand(of: number, patience: isPatient || dice.roll(below: 2) == 1 ? 2 : 0)
        }
        // What one run of a sweeper remembers the next one knows.
        for index in errands.indices { errands[index].memory = errands[0].memory }
        return errands
    }

    /// What a sweeper does next: mostly it sweeps, sometimes it forgets, takes back or holds.
    private mutating func errand(of number: Int, patience: UInt64) -> Errand {
        let points = promised.keys.sorted()
        func some(_ dice: inout Dice) -> [PointID] { points.filter { _ in dice.roll(below: 2) == 0 } }
        var task = Errand.Task.sweep(patience: patience)
        // With all that need a pack forgotten, the next backup may still lean on it.
        let chosen = dice.roll(below: 3) == 0 ? points : some(&dice)
        switch dice.roll(below: 8) {
        case 0, 1, 2: if !chosen.isEmpty { task = .forget(chosen) }
        case 3: if !chosen.isEmpty { task = .undo(chosen) }
        case 4: if let one = chosen.first { task = .hold([one]) }
        default: break
        }
        // From the word on, whatever becomes of it.
        if case .forget(let points) = task { forgotten.formUnion(points) }
        let drowsy = DrowsyStore(
            store: store.opened(&dice), late: sweepers[number].sleep,
            chance: dice.roll(below: 3) == 0 ? UInt8(dice.roll(below: 256)) : 0, randomness: .seeded(dice.next()))
        return Errand(
            sweeper: number, task: task,
            store: PausingStore(store: drowsy, executor: executor, machine: nil), credential: template.owner,
            disk: sweepers[number].disk, memory: Errand.Box(sweepers[number].memory), now: UInt64(presented.count),
            randomness: .seeded(dice.next()), broken: mutant.sweep)
    }

    mutating func take(_ end: Errand.End, of errand: Errand) {
        sweepers[errand.sweeper].memory = errand.memory.memory.withLock { $0 }
        switch (end, errand.task) {
        case (.swept(let swept), _):
            report.swept.deleted += swept.deleted
            report.swept.dropped += swept.dropped.count
            report.swept.closes += swept.hasClosed ? 1 : 0
            report.swept.fenced += swept.fenced.count
            report.swept.waits += swept.waitsFor.isEmpty ? 0 : 1
            report.swept.merged += swept.mergedRuns
            report.swept.rewritten += swept.rewritten
            if let damaged = swept.damaged.first { complain("a sweep took \(damaged) for damaged") }
            note("\(sweepers[errand.sweeper].name) swept: \(swept)")
            for point in swept.dropped where !forgotten.contains(point) || held.contains(point) {
                complain("point \(point) was let go, and nobody forgot it, or it is held")
            }
        case (.said, .undo(let points)):
            // Only those whose forget is not said at the same time by another.
            note("\(sweepers[errand.sweeper].name) took back \(points)")
        case (.said, .hold(let points)):
            held.formUnion(points)
            note("\(sweepers[errand.sweeper].name) holds \(points)")
        case (.said, let task): note("\(sweepers[errand.sweeper].name) said \(task)")
        case (.gone, .hold(let points)), (.gone, .undo(let points)):
            note("\(points) are gone")
            if points.allSatisfy({ !forgotten.contains($0) }) { complain("\(points) are gone, and nobody forgot them") }
        case (.gone, _): break
        case (.failed(let sentence, let code), _):
            report.failures += 1
            note("\(sweepers[errand.sweeper].name) failed: \(sentence)")
            if code == .damaged { complain("a sweep took a crash for damage: \(sentence)") }
        }
    }

    /// Sweeps that slept wake, and delete what they had made up their minds about.
    mutating func releaseSleepers() async {
        let store = store.opened(&dice)
        for sweeper in sweepers where dice.roll(below: 2) == 0 {
            for name in sweeper.sleep.take() {
                note("\(sweeper.name) wakes and deletes \(name)")
                try? await store.delete(name)
            }
        }
    }

    /// Nothing goes wrong any more: what nobody needs is gone after a few sweeps, and the hosts go on.
    mutating func sweepToTheEnd() async {
        for _ in 0..<16 {
            let errand = calm(.sweep(patience: 0))
            let end = await errand.run()
            take(end, of: errand)
            guard case .swept(let swept) = end else {
                return complain("a sweep failed with nothing in its way: \(end)")
            }
            if !swept.hasClosed, swept.deleted == 0 { break }
        }
        await check()
        await checkGarbage()
        for number in hosts.indices { guard await mustSucceed(number) else { return } }
        await check()
    }

    /// At least half of every pack that is left is what a point needs, and what was forgotten is gone; of index runs
    /// there are few, and the ledger carries few keys.
    private mutating func checkGarbage() async {
        do {
            let access = store.opened(&dice)
            let repository = try await OpenRepository.open(store: access, key: .credential(template.owner))
            let view = try await repository.view()
            let reader = try await RepositoryReader(repository, view: view)
            for point in view.points where view.said.forget(of: point.record.identifier) != nil {
                complain("point \(point.record.identifier) was forgotten and is still there")
            }
            var needed = Set<Hash256>()
            let blobs = reader.blobs()
            var open = view.points.flatMap(\.record.images).map(\.root)
            while let identifier = open.popLast() {
                guard needed.insert(identifier).inserted else { continue }
                let bytes = try await blobs.structureBytes(of: identifier, name: "a map")
                let blob = try StructureBlob(parsing: bytes, name: "a map")
                open += blob.structures
                needed.formUnion(blob.contents)
            }
            let names = try await access.list(prefix: "packs/")
            // Of a session that no ledger has taken over nothing is copied.
            let outside = Set(view.packs.map(\.key))
            for name in names {
                guard let key = ObjectKey(name: name.text, folder: "packs") else { continue }
                let contents = try await reader.shelf.contents(of: key)
                let live = contents.entries.filter { needed.contains($0.identifier) }
                if live.isEmpty { complain("\(name) holds nothing that a point needs and is still there") }
                if !outside.contains(key),
                    live.reduce(0, { $0 + Int($1.storedByteCount) }) * 2 <= contents.footer.blobs.count
                {
                    complain("more than half of \(name) is dead, and it is still there")
                }
            }
            let runs = try await access.list(prefix: "runs/")
            if runs.count > 2 * IndexMerge.width { complain("\(runs.count) index runs are left") }
            // What a session names that no ledger has taken over is carried as long.
            let takenOver = Set(view.log.ledger?.horizon.map(\.session) ?? [])
            let named = view.sessions.filter { !takenOver.contains($0.session) }.flatMap(\.entries).flatMap(
                \.inventory.packs
            ).map(\.key)
            let carried = Set(view.log.ledger?.condemnedCarried.map(\.key) ?? []).subtracting(named).count
            // A run that was replaced by one that says less stays, with what it names.
            if runs.count == reader.index.askedRuns.count, carried > names.count {
                complain("\(carried) dead keys are carried")
            }
        } catch { complain("the swept repository cannot be read: \(error)") }
    }
}
