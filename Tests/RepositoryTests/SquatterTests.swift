import ChunkEncryption
import Effects
import ObjectStorage
import Repository
import RepositoryFormat
import TestKit
import Testing

/// Somebody who may create objects fills the places that the owner will want. Format page §3: places without a
/// statement are passed over.
@Suite("whoever fills places of the owner stops nobody")
struct SquatterTests {
    private func name(_ text: String) throws -> ObjectName { try #require(ObjectName(text)) }

    private func open(_ store: MemoryStore, _ credential: Credential) async throws -> OpenRepository {
        try await OpenRepository.open(store: store, key: .credential(credential))
    }

    private func enrolment(_ seed: UInt64) -> Enrolment {
        let key = SigningKey(seed: SecretBytes(copying: Randomness.seeded(seed).bytes(32)))
        return Enrolment(key: key.publicKey, role: .writer, domain: 0, label: "host \(seed)")
    }

    @Test("garbage at many next places, with and without spares: readers read on, the owner states behind it")
    func garbage() async throws {
        let sample = try await Samples.sample()
        let store = try await SampleRepository.store(sample.objects)
        let head = try await open(store, sample.owner).chain.head
        var squatted: Set<String> = []
        for number in head.number + 1...head.number + 40 {
            for place in [OwnerStatement.name(number), ObjectPaths.storeIdentity(number - head.number)] {
                _ = try await store.putIfAbsent(try name(place), Array("squat \(number)".utf8))
                squatted.insert(place)
                guard number % 3 == 0 else { continue }
                _ = try await store.putIfAbsent(try name(ObjectPaths.spare(place)), [])
                squatted.insert(ObjectPaths.spare(place))
            }
        }
        var owner = try await open(store, sample.owner)
        #expect(owner.chain.head == head && Set(owner.findings.map(\.object)) == squatted)
        try await owner.enrol(enrolment(20), createdAt: 1)
        try await owner.enrol(enrolment(21), createdAt: 1)
        #expect(owner.chain.head.number == head.number + 42)
        for credential in [sample.owner, sample.reader, sample.hosts[0].credential, sample.verifier] {
            let reader = try await open(store, credential)
            #expect(reader.chain.head == owner.chain.head)
            #expect(reader.chain.signer(enrolment(21).key.fingerprint) != nil)
            let points = try await reader.view().points.count
            #expect(points == ([.owner, .reader].contains(credential.role) ? sample.points.count : 0))
        }
        try await sample.hosts[0].copy().backUp([[1]], to: store, at: 10, randomness: Randomness.seeded(11))
    }

    @Test("the owner's own older statement at the next place is passed over")
    func replay() async throws {
        let sample = try await Samples.sample()
        let store = try await SampleRepository.store(sample.objects)
        var owner = try await open(store, sample.owner)
        let place = owner.chain.nextName
        let older = try #require(sample.objects[try name("owner/00000002")])
        _ = try await store.putIfAbsent(try name(place), older)
        // It was seen before the squatter came: the put is answered with his bytes.
        let head = owner.chain.head
        do {
            try await owner.enrol(enrolment(20), createdAt: 1)
            Issue.record("something was stated behind what may be a damaged statement")
        } catch let error as RepositoryError { #expect(error.code == .damaged) }
        #expect(try await open(store, sample.owner).chain.head == head)
        // What names the owner may be a damaged statement of the owner; an empty object says that it is none.
        try await store.delete(try name(place))
        _ = try await store.putIfAbsent(try name(place), [])
        owner = try await open(store, sample.owner)
        try await owner.enrol(enrolment(20), createdAt: 1)
        #expect(try await open(store, sample.reader).chain.head.number == head.number + 2)
    }

    @Test("garbage that is cleaned away after the owner stated behind it hides nothing")
    func cleaned() async throws {
        let sample = try await Samples.sample()
        let store = try await SampleRepository.store(sample.objects)
        let head = try await open(store, sample.owner).chain.head
        let squatted = (head.number + 1...head.number + 30).map { OwnerStatement.name($0) }
        for place in squatted { _ = try await store.putIfAbsent(try name(place), [1]) }
        var owner = try await open(store, sample.owner)
        try await owner.enrol(enrolment(20), createdAt: 1)
        for place in squatted { try await store.delete(try name(place)) }
        var after = try await open(store, sample.owner)
        #expect(after.chain.head == owner.chain.head && after.findings.isEmpty)
        try await after.enrol(enrolment(21), createdAt: 1)
        #expect(try await open(store, sample.reader).chain.head.number == head.number + 32)
    }

    @Test(
        "garbage far behind takes no number from the owner, at the last number there is neither",
        arguments: [9, 70_000, 99_999_998, 99_999_999] as [UInt32])
    func far(number: UInt32) async throws {
        let sample = try await Samples.sample()
        let store = try await SampleRepository.store(sample.objects)
        let head = try await open(store, sample.owner).chain.head
        for place in [OwnerStatement.name(number), ObjectPaths.spare(OwnerStatement.name(number))] {
            _ = try await store.putIfAbsent(try name(place), [1, 2])
        }
        var owner = try await open(store, sample.owner)
        #expect(owner.chain.head == head && owner.findings.count == 2)
        try await owner.enrol(enrolment(20), createdAt: 1)
        #expect(owner.chain.head.number == head.number + 1)
        #expect(try await open(store, sample.reader).chain.head == owner.chain.head)
    }

    @Test("slots that somebody put among the key slots hide none: the owner's are tried first")
    func keySlots() async throws {
        let sample = try await Samples.sample()
        let store = try await SampleRepository.store(sample.objects)
        let slot = try #require(sample.objects.first { Damage.kind($0.key) == "keys" })
        for number in 0..<100 {
            // A flipped bit in the sealed part: it parses, and is not what the owner signed.
            var copy = slot.value
            copy[copy.count - 100 - number % 30] ^= 1
            let place = "keys/" + String(repeating: "0", count: 30) + (number < 10 ? "0" : "") + String(number)
            _ = try await store.putIfAbsent(try name(place), copy)
        }
        let secret = SlotSecret.passphrase(SecretBytes(copying: Array(SampleRepository.passphrase.utf8)))
        #expect(try await OpenRepository.open(store: store, key: .secret(secret)).credential.role == .owner)
    }

    @Test("a statement that is lost with its spare while a later one stands is missed, whatever lies in its place")
    func lost() async throws {
        let sample = try await Samples.sample()
        for garbage in [nil, [], [1, 2, 3]] as [[UInt8]?] {
            let store = try await SampleRepository.store(sample.objects)
            for place in ["owner/00000002", "spare/owner/00000002"] {
                try await store.delete(try name(place))
                if let garbage { _ = try await store.putIfAbsent(try name(place), garbage) }
            }
            do {
                _ = try await open(store, sample.owner)
                Issue.record("a chain without its statement 2 was taken")
            } catch let error as RepositoryError {
                #expect(error.code == .damaged && error.sentence.contains("owner/00000002"), "\(error.sentence)")
            }
        }
    }
}
