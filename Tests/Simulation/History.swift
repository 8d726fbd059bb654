import BackupModel
import Effects
import ObjectStorage
package import Repository
import RepositoryFormat
package import TestKit

// One history
// -----------
// One or two hosts enrol themselves in a repository and back up changing guests, several times and at the same time,
// while the power goes, answers get lost and random generators repeat. Everything follows from the seed: which calls
// fail, what a disk keeps, and in which order waiting tasks go on. After each round everything works again, and then:
// every point that a host was told of is there and restores byte for byte; so does every other point that is shown; no
// host has forgotten what it must not. In the end every host backs up once more, and that must succeed.

/// One simulated history of backups and crashes.
package struct History {
    /// A call that is left out or a rule that is broken, to show that the checks notice.
    package struct Mutant: Sendable {
        /// Left out on the disk that holds the repository; a history with one always lies on a disk.
        package var store = SimulatedDisk.LeftOut.nothing
        /// Left out on the disks that hold the hosts' state.
        package var host = SimulatedDisk.LeftOut.nothing
        /// A rule that no sweep holds to.
        package var sweep: SweepRule?

        /// The real program.
        package init() {}
    }

    /// What sweeps did.
    package struct Swept: Sendable {
        /// Objects deleted, points let go, epochs closed, sessions ended from outside, runs that waited for some.
        package var (deleted, dropped, closes, fenced, waits) = (0, 0, 0, 0, 0)
        /// Index runs merged, packs rewritten.
        package var (merged, rewritten) = (0, 0)

        /// Nothing yet.
        package init() {}
    }

    /// How a history came out.
    package struct Report: Sendable {
        /// What is wrong; `nil` when nothing is.
        package var complaint: String?
        /// What happened, a line each.
        package var trace: [String] = []
        /// Points committed.
        package var commits = 0
        /// Runs that failed.
        package var failures = 0
        /// Points found that nobody was told of.
        package var untold = 0
        /// Objects that sweeps deleted, points that they let go, epochs they closed, sessions they ended.
        package var swept = Swept()
        /// Points of backups that went on in another session.
        package var moved = 0
        /// Restores and verifications beside sweeps that came to an end.
        package var read = 0
    }

    let mutant: Mutant
    /// Whether sessions say something before their end, every few packs.
    let hasCheckpoints: Bool
    let template: RepositoryTemplate
    let executor: SeededExecutor
    var dice: Dice
    var store: SimulatedStore
    var hosts: [SimulatedHost] = []
    let generatorRepeats: Bool
    var report = Report()
    /// What was presented for backup, by number.
    var presented: [UInt64: [[UInt8]]] = [:]
    /// Whether several guests of one machine are backed up at once, in processes of their own that are killed and begin
    /// again.
    let sharesHost: Bool
    /// Who frees what nobody needs; empty in histories without.
    var sweepers: [SimulatedSweeper] = []
    /// Points that somebody was told to forget: they may be gone.
    var forgotten: Set<PointID> = []
    /// Points that are held: they stay whatever is said.
    var held: Set<PointID> = []
    /// Points that a host was told of, by what they were presented as.
    var promised: [PointID: UInt64] = [:]
    /// Points that were restored and compared already.
    var restored: Set<PointID> = []
    /// What there was when that was looked at last: while no epoch is closed and no pack goes, they stay whole.
    var lastChecked: (close: LogHead?, packs: Set<String>) = (nil, [])
    /// What each key and nonce that was met gave, and the packs that were looked through for them.
    var sealUses: [SealUse: [UInt8]] = [:]
    var keyChecked: Set<ObjectKey> = []

    private init(
        seed: UInt64, template: RepositoryTemplate, executor: SeededExecutor, mutant: Mutant, sweeps: Bool,
        sharesHost: Bool, checkpoints: Bool
    ) async throws {
        self.sharesHost = sharesHost
        self.mutant = mutant
        hasCheckpoints = checkpoints
        self.template = template
        self.executor = executor
        dice = Dice(seed: seed)
        generatorRepeats = seed % 4 == 3
        let onDisk = dice.roll(below: 2) == 0 || mutant.store != .nothing
        store =
            onDisk
            ? .folder(SimulatedDisk(leftOut: mutant.store)) : .memory(MemoryStore(randomness: .seeded(dice.next())))
        let empty = store.opened(&dice)
        for (name, bytes) in template.content.sorted(by: { $0.key < $1.key }) {
            _ = try await empty.putIfAbsent(name, bytes)
        }
        if case .folder(let disk) = store { disk.makeDurable() }
        for number in 0...(sweeps && checkpoints ? 1 : dice.roll(below: 2)) {
            hosts.append(
                SimulatedHost(
                    name: "host\(number)", disk: SimulatedDisk(leftOut: mutant.host),
                    guest: SimulatedGuest(
                        label: "guest\(number)", mostPages: sweeps && checkpoints ? 100 : 36, dice: &dice)))
        }
        if sharesHost { await addGuests() }
        guard sweeps else { return }
        for number in 0...dice.roll(below: 2) { sweepers.append(SimulatedSweeper(name: "sweeper\(number)")) }
    }

    /// Plays the history of one seed.
    ///
    /// - Parameters:
    ///   - sweeps: whether points are forgotten and the repository is swept, also while backups run.
    ///   - sharesHost: whether one machine has two or three guests, which are backed up at the same time in processes
    ///     of their own; each is killed at any moment, and begins again while the others go on.
    ///   - checkpoints: whether sessions name what they have stored every few packs.
    package static func play(
        seed: UInt64, template: RepositoryTemplate, mutant: Mutant = Mutant(), sweeps: Bool = false,
        sharesHost: Bool = false, checkpoints: Bool = false
    ) async -> Report {
        let executor = SeededExecutor(seed: seed ^ 0x5EED)
        return await executor.run {
            do {
                var history = try await History(
                    seed: seed, template: template, executor: executor, mutant: mutant, sweeps: sweeps,
                    sharesHost: sharesHost, checkpoints: checkpoints)
                return await history.play()
            } catch {
                return Report(complaint: "the repository could not be laid out: \(error)")
            }
        }
    }

    private mutating func play() async -> Report {
        for _ in 0...dice.roll(below: sweepers.isEmpty ? 3 : 6) {
            await round()
            await releaseSleepers()
            if report.complaint == nil { await check() }
            if report.complaint != nil { return finished() }
        }
        for number in hosts.indices {
            guard await mustSucceed(number) else { return finished() }
        }
        restored = []
        await check()
        if report.complaint == nil, sharesHost { await checkEnds() }
        if report.complaint == nil, sweepers.isEmpty, !sharesHost { await end() }
        if report.complaint == nil, !sweepers.isEmpty { await sweepToTheEnd() }
        if report.complaint == nil, !sweepers.isEmpty { await endWithRefusal() }
        return finished()
    }

    private func finished() -> Report {
        var report = report
        let (choices, fingerprint) = executor.trace
        report.trace.append("\(choices) choices, fingerprint \(fingerprint)")
        return report
    }

    // MARK: Rounds

    /// Every host runs a few times, at the same time, while things go wrong; then all works again.
    private mutating func round() async {
        let executor = self.executor
        note(store.plan(&dice))
        var livesOn = Set<Int>()
        for number in hosts.indices where dice.roll(below: 2) == 0 {
            let calls = SimulatedStore.moment(&dice, most: 70)
            hosts[number].disk.losePower(after: calls)
            if dice.roll(below: 4) == 0 { livesOn.insert(number) }
            note("\(hosts[number].name) loses power after \(calls) calls")
        }
        for _ in 0...dice.roll(below: 2) {
            let slow = slowHost()
            let runs = hosts.indices.map { plannedRuns(of: $0, livesOn: livesOn.contains($0), beside: slow) }
            let planned = sweepers.indices.map { errands(of: $0, besideSlow: slow != nil) }
            let (readings, known) = (self.readings(), Set(promised.keys))
            async let done = SimulatedSweeper.run(planned)
            async let read = Reading.run(readings)
            let outcomes = await withTaskGroup(of: (Int, [BackupAttempt.Outcome]).self) { group in
                for (number, runs) in runs.enumerated() {
                    group.addTask {
                        var outcomes: [BackupAttempt.Outcome] = []
                        for run in runs { outcomes.append(await run.attempt.run(run.store, executor: executor)) }
                        return (number, outcomes)
                    }
                }
                return await group.reduce(into: [Int: [BackupAttempt.Outcome]]()) { $0[$1.0] = $1.1 }
            }
            let (ends, readingEnds) = (await done, await read)
            for number in hosts.indices {
                for (run, outcome) in zip(runs[number], outcomes[number] ?? []) {
                    take(outcome, of: run.attempt, by: number)
                }
            }
            for (errands, ends) in zip(planned, ends) {
                for (errand, end) in zip(errands, ends) { take(end, of: errand) }
            }
            for (reading, end) in zip(readings, readingEnds) { take(end, of: reading, known: known) }
        }
        store.restart(&dice)
        for number in hosts.indices {
            let disk = hosts[number].disk
            if disk.isDown || dice.roll(below: 2) == 0 {
                disk.restart(dice: &dice)
            } else {
                disk.losePower(after: .max)
            }
        }
        note("everything works again")
    }

    /// A run by a host, of its guest as it is by now.
    mutating func attempt(by number: Int) -> BackupAttempt {
        if dice.roll(below: 3) > 0 { hosts[number].guest.change(&dice) }
        let attempt = UInt64(presented.count + 1)
        presented[attempt] = hosts[number].guest.disks
        let seed = generatorRepeats ? dice.roll(below: 2) : dice.next()
        var made = BackupAttempt(
            host: hosts[number], number: attempt, level: dice.roll(below: 2) == 0 ? 1 : 5,
            workers: 1 + Int(dice.roll(below: 2)),
            randomness: generatorRepeats ? .repeating(seed) : .seeded(seed), ownRandomness: .seeded(dice.next()),
            imageChanges: dice.roll(below: 12) == 0, owner: template.owner)
        if hasCheckpoints { made.packsPerCheckpoint = 2 + Int(dice.roll(below: 6)) }
        return made
    }

    mutating func take(_ outcome: BackupAttempt.Outcome, of attempt: BackupAttempt, by number: Int) {
        switch outcome {
        case .committed(let record, let head, let hasMoved):
            report.commits += 1
            if hasMoved { report.moved += 1 }
            note("\(hosts[number].name) committed \(record.identifier) as \(attempt.number)")
            if promised.updateValue(attempt.number, forKey: record.identifier) != nil {
                complain("two points are called \(record.identifier)")
            }
            hosts[number].committed.append(head)
            hosts[number].wasEnrolled = true
        case .failed(let sentence, let code):
            report.failures += 1
            note("\(hosts[number].name) failed \(attempt.number): \(sentence)")
            if sharesHost { complainOfWrongEnd(sentence, by: number) }
            // Crashes and lost answers never look like damage, and nobody copied a host.
            if code == .damaged || code == .refused, !sentence.contains("run the backup again"),
                !sentence.contains("put by somebody else")
            {
                complain("\(hosts[number].name) took a crash for something else: \(sentence)")
            }
        }
    }

    /// Nothing goes wrong any more: the host's next backup commits.
    mutating func mustSucceed(_ number: Int) async -> Bool {
        var attempt = attempt(by: number)
        if attempt.imageChanges { attempt = attempt.calm() }
        let outcome = await attempt.run(store.opened(&dice), executor: executor)
        take(outcome, of: attempt, by: number)
        guard case .failed(let sentence, _) = outcome else { return report.complaint == nil }
        complain("the next backup of \(hosts[number].name) failed: \(sentence)")
        return false
    }

    mutating func note(_ line: String) { report.trace.append(line) }

    mutating func complain(_ sentence: String) {
        note("COMPLAINT: \(sentence)")
        if report.complaint == nil { report.complaint = sentence }
    }
}

extension Randomness {
    /// A generator whose *n*-th answer depends on the seed and *n* alone, as after a snapshot of a machine was resumed
    /// twice.
    static func repeating(_ seed: UInt64) -> Randomness {
        let calls = CallCounter()
        return Randomness { count in
            var dice = Dice(seed: (seed << 32) ^ UInt64(calls.next()))
            return dice.bytes(count)
        }
    }
}
