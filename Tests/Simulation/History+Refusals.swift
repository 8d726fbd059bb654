import BackupModel
import ObjectStorage
import Repository
import RepositoryFormat
import TestKit

extension History {
    /// Number of a kind of record that no program knows yet.
    static let newKind: UInt32 = 4_711

    /// Some histories end with something that stops every sweep, which is refused and not one object goes; or with a
    /// forget that is taken back in time.
    mutating func endWithRefusal() async {
        switch dice.roll(below: 8) {
        case 0: await endWithStoreThatWentBack()
        case 1: await endWithNewerProgram()
        case 2: await endWithUndo()
        default: break
        }
    }

    /// The store is put back to a copy from before a sweep: whoever swept refuses, and what the copy held restores.
    private mutating func endWithStoreThatWentBack() async {
        let before = (store: store.copy(&dice), promised: promised, held: held)
        guard await mustSucceed(0), case .swept = await calmSweep() else { return }
        note("the store goes back to before that sweep")
        (store, promised, held) = before
        // A sweep that sleeps knows nothing of what was put back, and its keys are not there yet.
        await mustRefuse(.refused, because: "the store went back")
        restored = []
        await check()
    }

    /// A newer program says something that whoever sweeps must understand.
    private mutating func endWithNewerProgram() async {
        for isCritical in [false, true] {
            note("a newer program says something \(isCritical ? "critical" : "that can be passed over")")
            let end = await calm(.newer(isCritical: isCritical)).run()
            guard case .said = end else { return complain("the newer program was not heard: \(end)") }
            if isCritical { break }
            let swept = await calmSweep()
            guard case .swept = swept else { return complain("a sweep minds what it may pass over: \(swept)") }
        }
        await mustRefuse(.unsupported, because: "a newer program said something critical")
        await check()
    }

    /// A point is forgotten and that is taken back, before anybody sweeps: it stays.
    private mutating func endWithUndo() async {
        guard let point = promised.max(by: { $0.value < $1.value })?.key else { return }
        for task in [Errand.Task.forget([point]), .undo([point])] {
            note("calmly: \(task)")
            let end = await calm(task).run()
            guard case .said = end else { return complain("\(task) was not heard: \(end)") }
        }
        forgotten.remove(point)
        for _ in 0..<2 { _ = await calmSweep() }
        await check()
    }

    /// A sweep with nothing in its way.
    private mutating func calmSweep() async -> Errand.End {
        let errand = calm(.sweep(patience: 0))
        let end = await errand.run()
        take(end, of: errand)
        return end
    }

    private mutating func mustRefuse(_ code: RepositoryError.Code, because why: String) async {
        let before = await objects()
        switch await calm(.sweep(patience: 0)).run() {
        case .failed(let sentence, let found) where found == code: note("noticed: \(sentence)")
        case let end: complain("\(why), and a sweep did not refuse: \(end)")
        }
        if await objects() != before { complain("\(why), and a sweep that refused changed the store") }
    }

    private mutating func objects() async -> [ObjectName] {
        (try? await store.opened(&dice).list(prefix: "")) ?? []
    }

    /// An errand of the first sweeper at a time when nothing goes wrong.
    mutating func calm(_ task: Errand.Task) -> Errand {
        Errand(
            sweeper: 0, task: task, store: store.opened(&dice), credential: template.owner,
            disk: sweepers[0].disk, memory: Errand.Box(sweepers[0].memory), now: .max,
            randomness: .seeded(dice.next()), broken: mutant.sweep)
    }
}
