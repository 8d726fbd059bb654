import ChunkEncryption
import ObjectStorage
import Repository
import RepositoryFormat
import TestKit

extension History {
    /// A run of the program, and the store as it sees it.
    struct Run {
        let attempt: BackupAttempt
        let store: PausingStore
    }

    /// The first machine gets one or two guests more; each is backed up by a process of its own.
    mutating func addGuests() async {
        for number in 0...dice.roll(below: 2) {
            hosts.append(
                SimulatedHost(
                    name: "\(hosts[0].name), process \(number + 1)", disk: hosts[0].disk,
                    guest: SimulatedGuest(label: "guest of process \(number + 1)", dice: &dice)))
        }
        // That several first backups enrol the host once is a matter of the command, which waits.
        _ = await mustSucceed(0)
    }

    /// A host whose backup takes so long that epochs are closed meanwhile; `nil` for none.
    mutating func slowHost() -> Int? {
        guard hasCheckpoints, !sweepers.isEmpty, dice.roll(below: 2) == 0 else { return nil }
        return Int(dice.roll(below: UInt64(hosts.count)))
    }

    /// What runs for a guest, one after another: once; on a machine with several a few times, each of which may be
    /// killed at any call; beside a slow host a few times.
    mutating func plannedRuns(of number: Int, livesOn: Bool, beside slow: Int?) -> [Run] {
        (0...(sharesHost || (slow ?? number) != number ? dice.roll(below: 3) : 0)).map { _ in
            var attempt = attempt(by: number)
            if number == slow {
                attempt.pausesPerRead = 200 << Int(dice.roll(below: 5))
                attempt.packsPerCheckpoint = 1
            }
            var store = PausingStore(
                store: store.opened(&dice), executor: executor, machine: livesOn ? nil : hosts[number].disk)
            if sharesHost {
                let isKilled = dice.roll(below: 3) == 0
                let process = SimulatedProcess(
                    on: hosts[number].disk,
                    killedAfter: isKilled ? SimulatedStore.moment(&dice, most: 240) : .max)
                if isKilled { note("\(hosts[number].name) is killed in \(attempt.number)") }
                attempt.process = process
                store.process = process
            }
            return Run(attempt: attempt, store: store)
        }
    }

    /// Nothing runs any more: the next sessions of the machine end all that are left of its dead ones.
    mutating func checkEnds() async {
        // One slot states so many ends; more need more sessions.
        for _ in 0..<3 { guard await mustSucceed(0) else { return } }
        do {
            let state = try HostState(
                files: hosts[0].disk, repository: template.owner.repository, randomness: .seeded(dice.next()))
            let own = try state.writerCredential()?.signingKey?.publicKey.fingerprint
            let repository = try await OpenRepository.open(
                store: store.opened(&dice), key: .credential(template.owner))
            let view = try await repository.view()
            for session in view.sessions
            where session.signer == own && !session.hasEnded && !session.endsWithCommit {
                complain("session \(session.session) is dead, and nobody has ended it")
            }
        } catch { complain("the ends of sessions cannot be looked at: \(error)") }
    }

    /// Nobody ends a session that is alive but a sweep, and that only one of which it has seen nothing for long.
    mutating func complainOfWrongEnd(_ sentence: String, by number: Int) {
        if sweepers.isEmpty, sentence.contains("somebody ended this session") {
            complain("a session of \(hosts[number].name) was ended while it was alive: \(sentence)")
        }
    }
}
