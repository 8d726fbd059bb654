import BackupModel
import Capture
import Effects
import ObjectStorage
import Repository
import RepositoryFormat
import Simulation
import TestKit
import Testing

/// Several sessions of one host, as several processes with one state folder have them.
@Suite("sessions of one host at once")
struct SessionsAtOnceTests {
    private static func guest(_ byte: UInt8) -> GuestID { GuestID(bytes: [UInt8](repeating: byte, count: 16))! }

    private func begin(_ host: SampleRepository.Host, _ store: any ObjectStore, seed: UInt64) async throws
        -> WritingSession
    {
        let state = try HostState(files: host.disk, repository: host.credential.repository, randomness: .seeded(seed))
        return try await WritingSession.begin(
            try await OpenRepository.open(store: store, key: .credential(host.credential)), state: state,
            randomness: .seeded(seed))
    }

    private func run(_ session: WritingSession, guest: UInt8, _ bytes: [UInt8]) async throws -> RestorePointRecord {
        let plan = BackupPlan(
            guest: Self.guest(guest), label: "guest \(guest)", takenAt: UInt64(guest), host: "host", tool: "test",
            base: nil, workers: 1, now: { UInt64(guest) })
        return try await BackupRun(session, plan: plan).run([.image(name: "d", source: SimulatedImage(bytes))])
    }

    private func view(_ store: any ObjectStore, _ owner: Credential) async throws -> RepositoryView {
        try await OpenRepository.open(store: store, key: .credential(owner)).view()
    }

    @Test("one that lives is not ended by the next, and both commit in any order", arguments: [true, false])
    func bothCommit(firstFirst: Bool) async throws {
        let sample = try await Samples.sample()
        let store = try await SampleRepository.store(sample.objects)
        let host = sample.hosts[0].copy()
        let sessions = [try await begin(host, store, seed: 21), try await begin(host, store, seed: 22)]
        let order = firstFirst ? [0, 1] : [1, 0]
        for number in order { _ = try await run(sessions[number], guest: UInt8(40 + number), [1, 2, UInt8(number)]) }
        let after = try await view(store, sample.owner)
        for session in sessions {
            let read = try #require(after.sessions.first { $0.session == session.session })
            #expect(read.entries.map(\.action).last == .commit)
            #expect(!read.entries.map(\.action).contains(.abandon))
        }
        #expect(after.points.count == sample.points.count + 2)
        #expect(after.findings.isEmpty && after.hidden.isEmpty)
        // Both commits are remembered, whoever came last.
        let state = try HostState(files: host.disk, repository: host.credential.repository, randomness: .seeded(5))
        let known = try #require(try state.memory()?.sessions)
        #expect(sessions.allSatisfy { session in known.contains { $0.session == session.session } })
    }

    @Test("a dead one is ended once, by the first that begins; a living one beside it stays")
    func deadAndLiving() async throws {
        let sample = try await Samples.sample()
        let store = try await SampleRepository.store(sample.objects)
        let host = sample.hosts[0].copy()
        var dead: WritingSession? = try await begin(host, store, seed: 21)
        let name = try #require(dead?.session)
        let living = try await begin(host, store, seed: 22)
        dead = nil
        let third = try await begin(host, store, seed: 23)
        let fourth = try await begin(host, store, seed: 24)
        let now = try await view(store, sample.owner)
        #expect(now.sessions.first { $0.session == name }?.entries.map(\.action) == [.abandon])
        for session in [living, third, fourth] {
            #expect(now.sessions.first { $0.session == session.session }?.entries.isEmpty == true)
        }
        let ends = now.log.slots.flatMap { $0.content?.ended ?? [] }.filter { $0.session == name }
        #expect(ends.count == 1)
        for (number, session) in [living, third, fourth].enumerated() {
            _ = try await run(session, guest: UInt8(50 + number), [UInt8(number), 7])
        }
        #expect(try await view(store, sample.owner).points.count == sample.points.count + 3)
    }

    @Test("packs of a dead one are taken over by one session, those of a living one by none")
    func adoption() async throws {
        let sample = try await Samples.sample()
        let store = try await SampleRepository.store(sample.objects)
        let host = sample.hosts[0].copy()
        let state = try HostState(files: host.disk, repository: host.credential.repository, randomness: .seeded(5))
        var first: WritingSession? = try await begin(host, store, seed: 21)
        let name = try #require(first?.session)
        let hash = try #require(Hash256(bytes: [UInt8](repeating: 3, count: 32)))
        try await first?.put(FinishedPack(bytes: [1], hash: hash, entries: []), objectClass: .content)
        let packs = try state.finishedPacks(in: name)
        #expect(packs.count == 1)
        let second = try await begin(host, store, seed: 22)
        _ = try await run(second, guest: 61, [1])
        #expect(try state.finishedPacks(in: name) == packs, "a living session's packs were taken for a dead one's")
        first = nil
        let third = try await begin(host, store, seed: 23)
        let fourth = try await begin(host, store, seed: 24)
        _ = try await run(fourth, guest: 62, [2])
        #expect(try state.finishedPacks(in: name) == packs, "two sessions took one dead session over")
        _ = try await run(third, guest: 63, [3])
        #expect(try state.finishedPacks(in: name).isEmpty)
    }

    @Test("a session that began while another committed is not told that the store went back")
    func commitBetweenLooks() async throws {
        let sample = try await Samples.sample()
        let store = try await SampleRepository.store(sample.objects)
        let host = sample.hosts[0].copy()
        let state = try HostState(files: host.disk, repository: host.credential.repository, randomness: .seeded(5))
        var repository = try await OpenRepository.open(store: store, key: .credential(host.credential))
        let other = try await begin(host, store, seed: 21)
        let remembered = try await state.recall(&repository)
        let view = try await repository.view()
        _ = try await run(other, guest: 71, [1, 2])
        try state.check(view, chain: repository.chain, remembering: remembered)
        // What is remembered by now, the view from before does not show.
        #expect(throws: RepositoryError.self) {
            try state.check(view, chain: repository.chain, remembering: try state.memory())
        }
    }

    @Test("the memory of the store never goes back, whatever is merged in which order", arguments: UInt64(0)..<200)
    func merging(seed: UInt64) throws {
        var dice = Dice(seed: seed)
        func hash(_ number: UInt64) -> Hash256 { Hash256(bytes: [UInt8](repeating: UInt8(number), count: 32))! }
        // What one place holds is one thing: the hash follows from the place.
        var seen: [HostState.Memory] = []
        for _ in 0..<6 {
            let (owner, slot, incarnation) = (dice.roll(below: 9), dice.roll(below: 20), dice.roll(below: 2))
            let sessions = (0..<dice.roll(below: 4)).map { _ in
                let (session, number) = (dice.roll(below: 3), dice.roll(below: 9))
                return SessionHead(
                    writer: WriterID(bytes: [UInt8](repeating: 1, count: 16))!,
                    session: SessionID(bytes: [UInt8](repeating: UInt8(session), count: 16))!, number: UInt32(number),
                    hash: hash(number))
            }
            seen.append(
                HostState.Memory(
                    owner: OwnerHead(number: UInt32(owner), hash: hash(owner)),
                    log: dice.roll(below: 4) == 0
                        ? nil
                        : LogHead(
                            slot: SlotNumber(incarnation: UInt32(incarnation), epoch: 0, number: UInt32(slot)),
                            hash: hash(slot)), incarnation: UInt32(incarnation), sessions: sessions))
        }
        var orders: [HostState.Memory] = []
        for order in [Array(seen), Array(seen.reversed()), Array(seen[3...] + seen[..<3])] {
            var memory = HostState.Memory(
                owner: OwnerHead(number: 0, hash: hash(0)), log: nil, incarnation: 0, sessions: [])
            for other in order {
                let before = memory
                memory.merge(other)
                #expect(memory.owner.number >= max(before.owner.number, other.owner.number))
                #expect(memory.incarnation == max(before.incarnation, other.incarnation))
                if other.incarnation == memory.incarnation {
                    for head in other.sessions {
                        #expect(memory.sessions.contains { $0.session == head.session && $0.number >= head.number })
                    }
                    if let log = other.log { #expect(memory.log.map { $0.slot >= log.slot } ?? false) }
                }
            }
            memory.sessions.sort { $0.session < $1.session }
            orders.append(memory)
        }
        #expect(orders.allSatisfy { $0.owner == orders[0].owner && $0.log == orders[0].log })
        #expect(orders.allSatisfy { Set($0.sessions) == Set(orders[0].sessions) })
    }

    @Test("what many write at once into one state folder is all there, and no reader meets a half")
    func sharedFiles() async throws {
        let folder = try TemporaryDisk()
        let repository = RepositoryID(bytes: [UInt8](repeating: 7, count: 16))!
        @Sendable func state(_ seed: UInt64) throws -> HostState {
            try HostState(
                files: HostFiles(root: folder.folder), root: folder.folder, repository: repository,
                randomness: .seeded(seed))
        }
        func hash(_ byte: UInt8) -> Hash256 { Hash256(bytes: [UInt8](repeating: byte, count: 32))! }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in UInt8(1)...8 {
                group.addTask {
                    let state = try state(UInt64(number))
                    for round in UInt8(0)..<12 {
                        let guest = HostState.Guest(
                            identifier: Self.guest(number), base: nil, formats: ["round \(round)": "raw"])
                        try state.keep(guest: guest, named: "\(number)-\(round)")
                        let head = SessionHead(
                            writer: WriterID(bytes: [UInt8](repeating: 1, count: 16))!,
                            session: SessionID(bytes: [UInt8](repeating: number, count: 16))!, number: UInt32(round),
                            hash: hash(round))
                        try state.keep(
                            memory: HostState.Memory(
                                owner: OwnerHead(number: UInt32(round), hash: hash(round)), log: nil, incarnation: 0,
                                sessions: [head]))
                        let pack = ObjectKey(hash: hash(number * 16 + round), generation: 0)
                        try state.keep(damage: HostState.Damage(packs: [pack]), insteadOf: HostState.Damage())
                    }
                }
                group.addTask {
                    let state = try state(UInt64(number) + 100)
                    for _ in 0..<40 { _ = (try state.guests(), try state.memory(), try state.damage()) }
                }
            }
            try await group.waitForAll()
        }
        let after = try state(200)
        #expect(try after.guests().count == 8 * 12)
        #expect(try after.memory()?.sessions.map(\.number) == [UInt32](repeating: 11, count: 8))
        #expect(try after.damage().packs.count == 8 * 12)
        // A verification replaces what it knew when it began, and nothing that came since.
        let before = try after.damage()
        let late = ObjectKey(hash: hash(250), generation: 0)
        try after.keep(damage: HostState.Damage(packs: before.packs.union([late])))
        try after.keep(damage: HostState.Damage(), insteadOf: before)
        #expect(try after.damage().packs == [late])
    }
}
