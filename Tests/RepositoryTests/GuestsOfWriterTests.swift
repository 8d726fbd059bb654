import BackupModel
import ChunkEncryption
import Effects
import ObjectStorage
import Repository
import RepositoryFormat
import TestKit
import Testing

/// A writer that was enrolled for some guests: the program refuses others, and a point that a changed program made of
/// another counts for nobody (format page §3, design §4.6).
@Suite("the guests that a writer may write")
struct GuestsOfWriterTests {
    private let randomness = Randomness.seeded(31)

    private func guest(_ byte: UInt8) throws -> GuestID {
        try #require(GuestID(bytes: [UInt8](repeating: byte, count: 16)))
    }

    /// The sample with one more host, enrolled for guest 1 alone.
    private func host() async throws -> (store: MemoryStore, owner: Credential, host: SampleRepository.Host) {
        let sample = try await Samples.sample()
        let store = try await SampleRepository.store(sample.objects)
        var repository = try await OpenRepository.open(store: store, key: .credential(sample.owner))
        let seed = SecretBytes(copying: randomness.bytes(SigningKey.seedByteCount))
        try await repository.enrol(
            Enrolment(
                key: SigningKey(seed: seed).publicKey, role: .writer, domain: 0, guests: [try guest(1)], label: "one"),
            createdAt: 9)
        let credential = sample.owner.restricted(
            to: .writer, signingSeed: seed, ownerHead: repository.chain.head)
        return (
            store, sample.owner,
            SampleRepository.Host(name: "one", credential: credential, disk: SimulatedDisk(), guest: try guest(1))
        )
    }

    @Test("its own guest is written and shown")
    func own() async throws {
        let (store, owner, host) = try await host()
        let record = try await host.backUp([[1, 2, 3]], to: store, at: 20, randomness: randomness)
        let view = try await OpenRepository.open(store: store, key: .credential(owner)).view()
        #expect(view.points.contains { $0.record.identifier == record.identifier })
        #expect(view.findings.isEmpty)
    }

    @Test("another is refused before anything of it is stored")
    func refused() async throws {
        let (store, _, host) = try await host()
        let other = SampleRepository.Host(
            name: "two", credential: host.credential, disk: host.disk, guest: try guest(2))
        let error = await #expect(throws: RepositoryError.self) {
            try await other.backUp([[1, 2, 3]], to: store, at: 20, randomness: randomness)
        }
        #expect(error?.code == .refused)
    }

    @Test("a point of another that was committed all the same is void, and named")
    func void() async throws {
        let (store, owner, host) = try await host()
        let repository = try await OpenRepository.open(store: store, key: .credential(host.credential))
        let state = try HostState(files: host.disk, repository: owner.repository, randomness: randomness)
        let session = try await WritingSession.begin(repository, state: state, randomness: randomness)
        let point = try #require(PointID(bytes: [UInt8](repeating: 9, count: 16)))
        var chain = SessionChain(session)
        try await chain.commit(
            RestorePointRecord(
                identifier: point, guest: try guest(2), label: "x", takenAt: 20, consistency: "crash",
                trust: "scanned", host: "one", tool: "test", images: [], base: nil, startedAt: 20, endedAt: 20,
                volume: RestorePointRecord.Volume()))
        let view = try await OpenRepository.open(store: store, key: .credential(owner)).view()
        #expect(!view.points.contains { $0.record.identifier == point })
        let finding = try #require(view.findings.first)
        #expect(finding.object.hasSuffix("/\(session.session)/00000000"))
        #expect(finding.sentence.contains("not enrolled for guest"))
    }
}
