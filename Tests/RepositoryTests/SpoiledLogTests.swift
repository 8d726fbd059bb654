import BackupModel
import ChunkEncryption
import Effects
import ObjectStorage
import Repository
import RepositoryFormat
import TestKit
import Testing

/// What counts around spoiled slots and entries, and what a squatter without an enrolled key, a revoked writer or a
/// hostile store make of it.
@Suite("spoiled slots and entries")
struct SpoiledLogTests {
    private let sample: SampleRepository
    private let repository: OpenRepository
    private let view: RepositoryView
    private let writer: SigningKey

    init() async throws {
        sample = try await Samples.sample()
        repository = try await OpenRepository.open(
            store: SampleRepository.store(sample.objects), key: .credential(sample.owner))
        view = try await repository.view()
        writer = try #require(sample.hosts[1].credential.signingKey)
    }

    // MARK: Making objects

    private func name(_ text: String) throws -> ObjectName { try #require(ObjectName(text)) }

    private func slotName(_ number: Int, epoch: UInt32 = 0) throws -> ObjectName {
        try name(ObjectPaths.slot(SlotNumber(incarnation: 0, epoch: epoch, number: UInt32(number))))
    }

    private func look(_ objects: [ObjectName: [UInt8]]) async throws -> RepositoryView {
        try await OpenRepository.open(store: SampleRepository.store(objects), key: .credential(sample.owner)).view()
    }

    private func shown(_ view: RepositoryView) -> [PointID] { view.points.map(\.record.identifier) }

    private func flipped(_ bytes: [UInt8]?) throws -> [UInt8] {
        var bytes = try #require(bytes)
        bytes[bytes.count / 2] ^= 1
        return bytes
    }

    private func slot(
        _ number: UInt32, epoch: UInt32 = 0, previous: Hash256, claim: LogSlot.Claim, by key: SigningKey
    ) -> SignedObject {
        let content = LogSlot(
            slot: SlotNumber(incarnation: 0, epoch: epoch, number: number), previous: previous, claim: claim,
            writerPrevious: nil, ended: [], heads: nil)
        return SignedObject(
            kind: .logSlot, repository: repository.chain.repository, body: content.body, signedBy: key)
    }

    private func entry(
        _ session: SessionID, number: UInt32 = 0, previous: Hash256, slot: SlotNumber,
        action: SessionEntry.Action = .checkpoint, by key: SigningKey
    ) throws -> (name: ObjectName, bytes: [UInt8]) {
        let writer = WriterID(fingerprint: key.publicKey.fingerprint)
        let draft = SessionEntry.Draft(
            writer: writer, session: session, number: number, previous: previous, slot: slot, action: action,
            heads: Heads(owner: (repository.chain.head.number, repository.chain.head.hash), log: nil, sessions: []),
            inventory: Inventory(), records: [])
        let object = try SessionEntry.compose(
            draft, recipient: try repository.keys().recipient(.structure), signer: key, randomness: .seeded(4))
        return (
            try name(ObjectPaths.sessionEntry(writer: writer, session: session, number: number)), object.bytes
        )
    }

    private func stranger() -> SigningKey { SigningKey(seed: SecretBytes(copying: Randomness.seeded(8).bytes(32))) }
    private func newSession() throws -> SessionID { try #require(SessionID(bytes: Randomness.seeded(9).bytes(16))) }

    private func revoking(_ revocation: Revocation) throws -> (name: ObjectName, bytes: [UInt8]) {
        let owner = try #require(sample.owner.signingKey)
        return (
            try name(repository.chain.nextName),
            try repository.chain.revoking(revocation, createdAt: 5, signedBy: owner).bytes
        )
    }

    // MARK: Squatters

    @Test("a squatter's garbage at the next slot stops nobody and hides nothing")
    func squattedSlot() async throws {
        var objects = sample.objects
        let place = view.log.slots.count
        objects[try slotName(place)] = Array("garbage".utf8)
        let store = try await SampleRepository.store(objects)
        let record = try await sample.hosts[0].copy().backUp([[1, 2]], to: store, at: 9, randomness: .seeded(5))
        let after = try await look(try await SampleRepository.objects(store))
        #expect(shown(after) == sample.points + [record.identifier])
        #expect(after.findings.map(\.object) == [try slotName(place).text])
        #expect(after.hidden.isEmpty)
    }

    @Test("a squatter's garbage at the next place of a dead session is passed over by its end")
    func squattedEntry() async throws {
        let host = sample.hosts[0].copy()
        let store = try await SampleRepository.store(sample.objects)
        let state = try HostState(files: host.disk, repository: repository.chain.repository, randomness: .seeded(1))
        let dead = try await WritingSession.begin(
            try await OpenRepository.open(store: store, key: .credential(host.credential)), state: state,
            randomness: .seeded(2))
        let garbage = try name(ObjectPaths.sessionEntry(writer: dead.writer, session: dead.session, number: 0))
        _ = try await store.putIfAbsent(garbage, Array("garbage".utf8))
        dead.end()
        let record = try await host.backUp([[1, 2]], to: store, at: 9, randomness: .seeded(5))
        let after = try await look(try await SampleRepository.objects(store))
        #expect(shown(after) == sample.points + [record.identifier])
        #expect(after.findings.map(\.object) == [garbage.text])
        let session = try #require(after.sessions.first { $0.session == dead.session })
        #expect(session.entries.map(\.action) == [.abandon])
        #expect(session.entries.map(\.number) == [1])
        #expect(session.hasEnded)
    }

    @Test("a stranger's slot and session count for nothing, though they fit each other")
    func strangersSession() async throws {
        var objects = sample.objects
        let session = try newSession()
        let number = UInt32(view.log.slots.count)
        let slot = slot(number, previous: view.log.previous, claim: .open(session, bases: []), by: stranger())
        objects[try slotName(Int(number))] = slot.bytes
        let entry = try entry(
            session, previous: slot.hash, slot: SlotNumber(incarnation: 0, epoch: 0, number: number), by: stranger())
        objects[entry.name] = entry.bytes
        let after = try await look(objects)
        #expect(shown(after) == sample.points)
        #expect(after.sessions.count == view.sessions.count)
        #expect(after.findings.map(\.object) == [try slotName(Int(number)).text])
    }

    @Test("garbage in the next epoch is no lost close, even behind a spoiled slot")
    func squattedEpoch() async throws {
        var objects = sample.objects
        objects[try slotName(0, epoch: 1)] = Array("garbage".utf8)
        #expect(shown(try await look(objects)) == sample.points)
        let last = try slotName(view.log.slots.count - 1)
        objects[last] = try flipped(objects[last])
        let after = try await look(objects)
        #expect(shown(after) == sample.points)
        #expect(after.findings.map(\.object) == [last.text])
    }

    // MARK: Who may be found again

    @Test("under a spoiled slot a session counts only with the hash that the next slot names")
    func statedHash() async throws {
        var objects = sample.objects
        objects[try slotName(2)] = try flipped(objects[try slotName(2)])
        let other = try entry(
            try newSession(), previous: SecureHash.sha256([1]), slot: SlotNumber(incarnation: 0, epoch: 0, number: 2),
            by: writer)
        objects[other.name] = other.bytes
        let after = try await look(objects)
        #expect(shown(after) == sample.points)
        #expect(after.sessions.count == view.sessions.count)
    }

    @Test("a session cannot count under a slot that is sound, nor under one that nobody claimed")
    func soundSlot() async throws {
        for number in [UInt32(2), UInt32(view.log.slots.count)] {
            var objects = sample.objects
            objects[try slotName(0)] = try flipped(objects[try slotName(0)])
            let place = SlotNumber(incarnation: 0, epoch: 0, number: number)
            let hash = view.log.slots.first { $0.slot == place }?.hash ?? SecureHash.sha256([1])
            let other = try entry(try newSession(), previous: hash, slot: place, by: writer)
            objects[other.name] = other.bytes
            #expect(try await look(objects).sessions.count == view.sessions.count)
        }
    }

    @Test("of a revoked writer a session under a spoiled slot counts only when somebody has named it")
    func revokedWriter() async throws {
        // Host b's first slot is named by nobody's `ended` but its own second one; the second only by a listing.
        let own = view.sessions.filter { $0.signer == writer.publicKey.fingerprint }
        let last = try #require(own.last)
        var objects = sample.objects
        let revocation = try revoking(Revocation(key: writer.publicKey.fingerprint, slot: last.slot))
        objects[revocation.name] = revocation.bytes
        #expect(shown(try await look(objects)) == sample.points)
        for session in own {
            var spoiled = objects
            let name = try slotName(Int(session.slot.slot.number))
            spoiled[name] = try flipped(spoiled[name])
            let after = try await look(spoiled)
            #expect(after.findings.map(\.object) == [name.text])
            #expect(after.sessions.contains { $0.session == session.session } == (session.session != last.session))
        }
        // Forged after the revocation, with the right hash for an earlier slot of somebody else.
        var forged = objects
        let place = try slotName(0)
        forged[place] = try flipped(forged[place])
        let other = try entry(
            try newSession(), previous: try #require(view.log.slots[0].hash), slot: view.log.slots[0].slot, by: writer)
        forged[other.name] = other.bytes
        #expect(try await look(forged).sessions.count == view.sessions.count)
    }

    @Test("nothing of a revoked writer behind its last slot counts, and what follows does")
    func revokedSlots() async throws {
        let own = view.sessions.filter { $0.signer == writer.publicKey.fingerprint }
        var objects = sample.objects
        let revocation = try revoking(Revocation(key: writer.publicKey.fingerprint, slot: own[0].slot))
        objects[revocation.name] = revocation.bytes
        let store = try await SampleRepository.store(objects)
        let record = try await sample.hosts[0].copy().backUp([[1, 2]], to: store, at: 9, randomness: .seeded(5))
        let after = try await look(try await SampleRepository.objects(store))
        #expect(shown(after) == Array(sample.points.prefix(3)) + [record.identifier])
        #expect(after.findings.map(\.object) == [ObjectPaths.slot(own[1].slot.slot)])
    }

    // MARK: What stays void

    @Test("behind a sound slot or entry another `previous` is void")
    func notFollowing() async throws {
        var objects = sample.objects
        let number = UInt32(view.log.slots.count)
        let session = try newSession()
        let slot = slot(number, previous: SecureHash.sha256([1]), claim: .open(session, bases: []), by: writer)
        objects[try slotName(Int(number))] = slot.bytes
        var after = try await look(objects)
        #expect(after.sessions.count == view.sessions.count)
        #expect(after.findings.map(\.object) == [try slotName(Int(number)).text])

        objects = sample.objects
        let last = try #require(view.sessions.last)
        let entry = try entry(
            last.session, number: last.next, previous: SecureHash.sha256([1]), slot: last.slot.slot, by: writer)
        objects[entry.name] = entry.bytes
        after = try await look(objects)
        #expect(after.sessions.last?.entries.count == last.entries.count)
        #expect(after.findings.map(\.object) == [entry.name.text])
    }

    // MARK: A lost close

    @Test("a lost close is refused and never an old state", arguments: [true, false])
    func lostClose(isRemoved: Bool) async throws {
        let sweeper = try #require(sample.maintainer.signingKey)
        let ledger = SignedObject(
            kind: .ledger, repository: repository.chain.repository,
            body: Ledger(points: [], horizon: [], generation: [], condemnedFresh: [], condemnedCarried: []).body,
            signedBy: sweeper)
        let number = view.log.slots.count
        let close = slot(
            UInt32(number), previous: view.log.previous, claim: .close(ledger: ledger.hash), by: sweeper)
        let next = slot(
            0, epoch: 1, previous: close.hash, claim: .open(try newSession(), bases: []), by: writer)
        var objects = sample.objects
        objects[try name(ObjectPaths.ledger(ledger.hash))] = ledger.bytes
        objects[try slotName(number)] = close.bytes
        objects[try slotName(0, epoch: 1)] = next.bytes
        #expect(try await look(objects).log.slots.count == number + 2)
        objects[try slotName(number)] = isRemoved ? nil : try flipped(close.bytes)
        let error = await #expect(throws: RepositoryError.self) { try await look(objects) }
        #expect(error?.code == .damaged)
        #expect(error?.sentence.contains(try slotName(number).text) == true)
        // Nor does a squatter hide it with garbage at the beginning of the epoch.
        let second = slot(1, epoch: 1, previous: next.hash, claim: .open(try newSession(), bases: []), by: writer)
        objects[try slotName(0, epoch: 1)] = Array("garbage".utf8)
        objects[try slotName(1, epoch: 1)] = second.bytes
        await #expect(throws: RepositoryError.self) { try await look(objects) }
        // A writer may not close: then it is not a close that was lost.
        objects = sample.objects
        objects[try slotName(number)] =
            slot(UInt32(number), previous: view.log.previous, claim: .close(ledger: ledger.hash), by: writer).bytes
        let after = try await look(objects)
        #expect(shown(after) == sample.points)
        #expect(after.findings.map(\.object) == [try slotName(number).text])
    }

    // MARK: Hosts

    @Test("a host whose own last slot is spoiled goes on, and names that slot as its last")
    func spoiledOwnSlot() async throws {
        for host in sample.hosts {
            let key = try #require(host.credential.signingKey).publicKey.fingerprint
            let own = try #require(view.sessions.last { $0.signer == key })
            let place = try slotName(Int(own.slot.slot.number))
            var objects = sample.objects
            objects[place] = try flipped(objects[place])
            let store = try await SampleRepository.store(objects)
            let record = try await host.copy().backUp([[1, 2]], to: store, at: 9, randomness: .seeded(5))
            let after = try await look(try await SampleRepository.objects(store))
            #expect(shown(after) == sample.points + [record.identifier])
            #expect(after.log.slots.last?.content?.writerPrevious == own.slot)
            // And when that object comes back, nothing is out of order.
            var repaired = try await SampleRepository.objects(store)
            repaired[place] = sample.objects[place]
            let whole = try await look(repaired)
            #expect(shown(whole) == sample.points + [record.identifier])
            #expect(whole.findings.isEmpty)
        }
    }

    @Test("a host whose own commit is spoiled is told that it is damaged, not that the store went back")
    func spoiledOwnCommit() async throws {
        let key = try #require(sample.hosts[1].credential.signingKey).publicKey.fingerprint
        let own = try #require(view.sessions.last { $0.signer == key })
        let place = try name(own.entryName(own.next - 1))
        var objects = sample.objects
        objects[place] = try flipped(objects[place])
        let store = try await SampleRepository.store(objects)
        let error = await #expect(throws: RepositoryError.self) {
            try await sample.hosts[1].copy().backUp([[1, 2]], to: store, at: 9, randomness: .seeded(5))
        }
        #expect(error?.code == .damaged)
        #expect(error?.sentence.contains(place.text) == true)
        // Another host is not kept from its work.
        try await sample.hosts[0].copy().backUp([[1, 2]], to: store, at: 9, randomness: .seeded(5))
    }

    @Test("chunks that only a spoiled entry named are found, and the next backup stores them again")
    func salvage() async throws {
        let checkpoint = try #require(
            view.sessions.flatMap(\.entries).first { $0.action == .checkpoint && !$0.inventory.packs.isEmpty })
        let place = try name(
            ObjectPaths.sessionEntry(
                writer: checkpoint.writer, session: checkpoint.session, number: checkpoint.number))
        var objects = sample.objects
        objects[place] = try flipped(objects[place])
        let store = try await SampleRepository.store(objects)
        let disks = try #require(sample.disks[sample.points[2]])
        try await sample.hosts[0].copy().backUp(disks, to: store, at: 9, randomness: .seeded(5))
        // Without the packs that nothing names the new point stands by itself.
        var bare = try await SampleRepository.objects(store)
        for pack in checkpoint.inventory.packs { bare[try name(pack.key.packName)] = nil }
        let repository = try await OpenRepository.open(
            store: SampleRepository.store(bare), key: .credential(sample.owner))
        let after = try await repository.view()
        let report = try await Verification(repository, view: after, level: .content, workers: 1).run()
        let last = try #require(after.points.last?.record.identifier)
        #expect(report.wholePoints.contains(last))
    }
}

extension ReadSession {
    fileprivate func entryName(_ number: UInt32) -> String {
        ObjectPaths.sessionEntry(writer: writer, session: session, number: number)
    }
}
