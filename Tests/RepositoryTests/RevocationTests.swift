import BackupModel
import Capture
import ChunkEncryption
import ObjectStorage
import Repository
import RepositoryFormat
import Simulation
import TestKit
import Testing

/// What `dozo key revoke` comes to: which points stay, what a thief of the key can still add, and that other hosts'
/// points do not suffer.
@Suite("a revoked key is believed as far as the owner says")
struct RevocationTests {
    let sample: SampleRepository
    let fingerprint: Hash256

    init() async throws {
        sample = try await Samples.sample()
        fingerprint = try #require(sample.hosts[0].credential.signingKey).publicKey.fingerprint
    }

    private func open(_ store: MemoryStore) async throws -> OpenRepository {
        try await OpenRepository.open(store: store, key: .credential(sample.owner))
    }

    private func own(_ view: RepositoryView) -> [RestorePoint] {
        view.points.filter { $0.writer == WriterID(fingerprint: fingerprint) }
    }

    /// Revokes, and checks what the plan said.
    private func revoke(_ extent: (RepositoryView) throws -> KeyRevocation.Extent, in store: MemoryStore) async throws
        -> KeyRevocation
    {
        var repository = try await open(store)
        let view = try await repository.view()
        let plan = try KeyRevocation(of: fingerprint, extent: try extent(view), view: view)
        try await repository.revoke(plan.revocation, createdAt: 1)
        let after = try await open(store).view()
        #expect(own(after).map(\.record.identifier) == plan.kept.map(\.record.identifier))
        #expect(Set(view.points).subtracting(after.points) == Set(plan.void))
        return plan
    }

    /// Every point that is shown comes back.
    private func expectAllRestore(_ store: MemoryStore) async throws {
        let repository = try await open(store)
        let view = try await repository.view()
        let reader = try await RepositoryReader(repository, view: view)
        for point in view.points {
            let disks = try #require(sample.disks[point.record.identifier])
            for (disk, image) in zip(disks, point.record.images) {
                #expect(try await RestoredImage.bytes(of: image, reader: reader) == disk)
            }
        }
        let report = try await Verification(repository, view: view, level: .content, workers: 1).run()
        #expect(report.isSound && report.wholePoints.count == view.points.count)
        #expect(report.findings.filter { !$0.isRevoked }.isEmpty)
    }

    /// What a program that has not seen the revocation adds with the key, laid into the store.
    private func addAsThief(to store: MemoryStore) async throws {
        let before = try await SampleRepository.store(sample.objects)
        try await sample.hosts[0].copy().backUp([[6, 6, 6]], to: before, at: 66, randomness: .seeded(66))
        for (name, bytes) in try await SampleRepository.objects(before) where sample.objects[name] == nil {
            _ = try await store.putIfAbsent(name, bytes)
        }
    }

    @Test("until now: every point stays, the host writes no more, and a thief adds nothing")
    func untilNow() async throws {
        let store = try await SampleRepository.store(sample.objects)
        let plan = try await revoke({ _ in .untilNow }, in: store)
        #expect(plan.void.isEmpty && plan.kept.count == 2)
        do {
            try await sample.hosts[0].copy().backUp([[1]], to: store, at: 9, randomness: .seeded(9))
            Issue.record("a revoked key wrote")
        } catch let error as RepositoryError {
            #expect(error.code == .refused && error.sentence.contains("revoked"), "\(error.sentence)")
        }
        #expect(try await store.list(prefix: "log/").count == 5)
        try await addAsThief(to: store)
        let view = try await open(store).view()
        #expect(Set(view.points.map(\.record.identifier)) == Set(sample.points))
        #expect(view.findings.count == 1 && view.findings[0].isRevoked)
        try await expectAllRestore(store)
        // The other host goes on behind it.
        try await sample.hosts[1].copy().backUp([[1]], to: store, at: 9, randomness: .seeded(9))
    }

    @Test("until a point: later ones are void, and other hosts' points come back whole")
    func untilPoint() async throws {
        let store = try await SampleRepository.store(sample.objects)
        let plan = try await revoke({ view in .until(try #require(own(view).first)) }, in: store)
        #expect(plan.kept.count == 1 && plan.void.count == 1)
        try await addAsThief(to: store)
        try await expectAllRestore(store)
        #expect(try await open(store).view().points.count == 3)
    }

    @Test("nothing: all its points are void, and other hosts' points that share its chunks come back whole")
    func nothing() async throws {
        let store = try await SampleRepository.store(sample.objects)
        let plan = try await revoke({ _ in .nothing }, in: store)
        #expect(plan.kept.isEmpty && plan.void.count == 2 && plan.revocation.slot == nil)
        try await expectAllRestore(store)
        // A writer leans on nothing of it: what is backed up now stands without the revoked packs.
        let record = try await sample.hosts[1].copy().backUp(
            sample.disks[sample.points[1]] ?? [], to: store, at: 9, randomness: .seeded(9))
        #expect(record.volume.stored > 0)
        let view = try await open(store).view()
        let kept = Set(view.packs.map(\.key.packName))
        for name in try await store.list(prefix: "packs/") where !kept.contains(name.text) {
            try await store.delete(name)
        }
        let repository = try await open(store)
        let reader = try await RepositoryReader(repository, view: repository.view())
        for (disk, image) in zip(sample.disks[sample.points[1]] ?? [], record.images) {
            #expect(try await RestoredImage.bytes(of: image, reader: reader) == disk)
        }
    }

    @Test("what a thief said to have seen before the revocation stops nobody after it")
    func bogusHeads() async throws {
        let store = try await SampleRepository.store(sample.objects)
        let repository = try await open(store)
        let view = try await repository.view()
        let thief = try #require(sample.hosts[0].credential.signingKey)
        let writer = WriterID(fingerprint: fingerprint)
        let bogus = SessionHead(
            writer: WriterID(fingerprint: try #require(sample.hosts[1].credential.signingKey).publicKey.fingerprint),
            session: try #require(SessionID(bytes: [UInt8](repeating: 9, count: 16))), number: 3,
            hash: SecureHash.sha256([9]))
        let last = view.log.slots.last { $0.signer == fingerprint }
        let slot = LogSlot(
            slot: view.log.next, previous: view.log.previous,
            claim: .open(try #require(SessionID(bytes: [UInt8](repeating: 8, count: 16))), bases: []),
            writerPrevious: last.flatMap { slot in slot.hash.map { LogHead(slot: slot.slot, hash: $0) } }, ended: [],
            heads: Heads(
                owner: (repository.chain.head.number, repository.chain.head.hash), log: view.log.head,
                sessions: [bogus]))
        let object = SignedObject(
            kind: .logSlot, repository: repository.chain.repository, body: slot.body, signedBy: thief)
        _ = try await store.putIfAbsent(
            try #require(ObjectName(ObjectPaths.slot(view.log.next))), object.bytes)
        func backUp() async throws {
            try await sample.hosts[1].copy().backUp([[1]], to: store, at: 9, randomness: .seeded(9))
        }
        await #expect(throws: RepositoryError.self) { try await backUp() }
        let plan = try await revoke({ _ in .untilNow }, in: store)
        #expect(plan.void.isEmpty && plan.revocation.sessions.contains { $0.hash.bytes.allSatisfy { $0 == 0 } })
        try await backUp()
        #expect(try await open(store).view().points.filter { $0.writer == writer }.count == 2)
    }

    @Test("a commit does not make the host forget what the owner has said meanwhile")
    func statementDuringBackup() async throws {
        let store = try await SampleRepository.store(sample.objects)
        let host = sample.hosts[1].copy()
        let repository = try await OpenRepository.open(store: store, key: .credential(host.credential))
        let state = try HostState(files: host.disk, repository: repository.chain.repository, randomness: .seeded(9))
        let session = try await WritingSession.begin(repository, state: state, randomness: .seeded(10))
        _ = try await revoke({ _ in .untilNow }, in: store)
        let head = try await open(store).chain.head
        var memory = try #require(try state.memory())
        memory.saw(head)
        try state.keep(memory: memory)
        let plan = BackupPlan(
            guest: host.guest, label: host.name, takenAt: 9, host: host.name, tool: "test", base: nil, workers: 1,
            now: { 9 })
        _ = try await BackupRun(session, plan: plan).run([.image(name: "d", source: SimulatedImage([1, 2, 3]))])
        #expect(try state.memory()?.owner == head)
    }

    @Test("a session that is still open is pinned to its last entry, or to none")
    func openSession() async throws {
        let store = try await SampleRepository.store(sample.objects)
        let host = sample.hosts[0].copy()
        var dice = Dice(seed: 3)
        let bytes = dice.bytes(100 << 10)
        _ = try? await host.backUp([bytes], to: store, at: 9, changes: true, randomness: .seeded(9))
        let repository = try await open(store)
        let view = try await repository.view()
        let session = try #require(view.sessions.last { $0.signer == fingerprint && !$0.hasEnded })
        let plan = try KeyRevocation(of: fingerprint, extent: .untilNow, view: view)
        let pinned = try #require(plan.revocation.sessions.first { $0.session == session.session })
        #expect(pinned.number == session.entries.last?.number ?? 0)
        let next = SessionEntryReference(
            session: session.session, number: session.next, hash: SecureHash.sha256([1]))
        #expect(!plan.revocation.accepts(next, under: session.slot))
        if let last = session.entries.last {
            let reference = SessionEntryReference(session: session.session, number: last.number, hash: last.hash)
            #expect(plan.revocation.accepts(reference, under: session.slot))
        }
    }
}
