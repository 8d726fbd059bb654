import ObjectStorage
import Repository
import TestKit

extension BackupAttempt {
    /// The same run of an image that does not change.
    func calm() -> BackupAttempt {
        BackupAttempt(
            host: host, number: number, level: level, workers: workers, randomness: randomness,
            ownRandomness: ownRandomness, imageChanges: false, owner: owner, earlier: earlier,
            packsPerCheckpoint: packsPerCheckpoint)
    }
}

extension History {
    /// Some histories end with something that must be refused.
    mutating func end() async {
        switch dice.roll(below: 6) {
        case 0: await endWithClone()
        case 1: await endWithRollBack()
        case 2: await endWithHiddenTail()
        default: break
        }
    }

    /// The host's machine is copied, and both go on: whoever comes second is refused, and nothing is lost.
    private mutating func endWithClone() async {
        note("\(hosts[0].name) is cloned")
        var clone = hosts[0]
        clone.disk = hosts[0].disk.copy()
        hosts.append(clone)
        let number = hosts.count - 1
        let attempts = [attempt(by: 0).calm(), attempt(by: number).calm()]
        let stores = [store.opened(&dice), store.opened(&dice)]
        var outcomes: [BackupAttempt.Outcome]
        if dice.roll(below: 2) == 0 {
            outcomes = [await attempts[0].run(stores[0], executor: executor)]
            outcomes.append(await attempts[1].run(stores[1], executor: executor))
        } else {
            let (first, second) = (
                PausingStore(store: stores[0], executor: executor, machine: nil),
                PausingStore(store: stores[1], executor: executor, machine: nil)
            )
            async let one = attempts[0].run(first, executor: executor)
            async let other = attempts[1].run(second, executor: executor)
            outcomes = [await one, await other]
        }
        var refusals = 0
        for (outcome, place) in zip(outcomes.indices, [0, number]) {
            switch outcomes[outcome] {
            case .committed: take(outcomes[outcome], of: attempts[outcome], by: place)
            case .failed(let sentence, let code):
                note("the copy is noticed: \(sentence)")
                if code == .refused { refusals += 1 } else { complain("a copied host fails otherwise: \(sentence)") }
            }
        }
        if refusals != 1 { complain("of a host and its copy \(refusals) were refused") }
        hosts.removeLast()
        if case .failed = outcomes[0] { hosts[0].committed = [] }
        restored = []
        await check()
    }

    /// The store is put back to a copy: the host that saw more refuses, and what the copy held restores.
    private mutating func endWithRollBack() async {
        let before = (store: store.copy(&dice), promised: promised)
        guard await mustSucceed(0) else { return }
        note("the store goes back to before that")
        (store, promised) = before
        await mustBeRefused()
        restored = []
        await check()
    }

    /// The store does not show the newest object: the host that wrote it refuses.
    private mutating func endWithHiddenTail() async {
        guard case .memory(let memory) = store, await mustSucceed(0) else { return }
        // Its own commit is the newest object; whole, it has a pack, a run and an entry at least.
        let count = 1 + Int(dice.roll(below: 3))
        note("the store hides its newest \(count) objects")
        memory.hideTail(count)
        await mustBeRefused()
        memory.hideTail(0)
        restored = []
        await check()
    }

    private mutating func mustBeRefused() async {
        let attempt = attempt(by: 0).calm()
        switch await attempt.run(store.opened(&dice), executor: executor) {
        case .committed: complain("\(hosts[0].name) did not notice that the store shows less than before")
        case .failed(let sentence, let code):
            note("noticed: \(sentence)")
            if code != .refused { complain("a store that shows less is not refused but: \(sentence)") }
        }
    }
}
