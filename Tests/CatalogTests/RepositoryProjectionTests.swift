import BackupModel
import Catalog
import ChunkEncryption
import Effects
import ObjectStorage
import Repository
import RepositoryFormat
import TestKit
import Testing

/// Projection of a repository as it is really written and read.
@Suite struct RepositoryProjectionTests {
    private let randomness = Randomness.seeded(51)
    private let store: DirectoryStore

    init() { store = DirectoryStore(files: SimulatedDisk(), randomness: Randomness.seeded(52)) }

    private func create() async throws -> Credential {
        try await RepositoryCreation.create(
            in: store, secret: .recovery(RecoveryKey.generate(randomness: randomness.bytes)), label: "test",
            createdAt: 1, randomness: randomness)
    }

    private func open(_ credential: Credential) async throws -> OpenRepository {
        try await OpenRepository.open(store: store, key: .credential(credential))
    }

    private func begin(_ credential: Credential) async throws -> WritingSession {
        let state = try HostState(
            files: SimulatedDisk(), repository: credential.repository, randomness: randomness)
        return try await WritingSession.begin(try await open(credential), state: state, randomness: randomness)
    }

    private func enrol(_ credential: Credential, label: String) async throws -> Credential {
        var repository = try await open(credential)
        let seed = SecretBytes(copying: randomness.bytes(32))
        try await repository.enrol(
            Enrolment(key: SigningKey(seed: seed).publicKey, role: .writer, domain: 0, label: label), createdAt: 2)
        return credential.restricted(to: .writer, signingSeed: seed, ownerHead: repository.chain.head)
    }

    @Test("sessions that commit in any order: projecting as they come is a rebuild, and records come back")
    func growing() async throws {
        let owner = try await create()
        let folder = try StateFolder()
        let database = try folder.open()
        func projectAndCompare() async throws -> [CatalogPoint] {
            let repository = try await open(owner)
            let view = try await repository.view()
            try CatalogProjection(database).project(view: view, chain: repository.chain)
            #expect(try database.dump() == freshDump(of: try CatalogFacts(view: view, chain: repository.chain)))
            return try CatalogReader(database).points()
        }
        #expect(try await projectAndCompare().isEmpty)
        let first = try await begin(enrol(owner, label: "host-a"))
        let second = try await begin(enrol(owner, label: "業務サーバ01"))
        var fixture = FactsFixture(seed: 53, sessions: 0)
        let guest = try #require(GuestID(bytes: randomness.bytes(16)))
        let records = (0..<3).map { fixture.record(guest: guest, label: "web", at: UInt64($0)) }
        var firstChain = SessionChain(first)
        var secondChain = SessionChain(second)

        try await secondChain.commit(records[1])
        #expect(try await projectAndCompare().map(\.record) == [records[1]])
        try await firstChain.checkpoint(roots: [])
        try await firstChain.commit(records[0])
        #expect(try await projectAndCompare().map(\.record) == [records[0], records[1]])
        try await secondChain.commit(records[2])
        let points = try await projectAndCompare()
        #expect(points.map(\.record) == records)
        #expect(points.map(\.session) == [first.session, second.session, second.session])
        #expect(points.map(\.entry) == [1, 0, 1])
        let writers = try CatalogReader(database).writers()
        #expect(writers.map(\.label) == ["owner", "host-a", "業務サーバ01"])
        #expect(writers.map(\.pointCount) == [0, 1, 2])
        #expect(try CatalogReader(database).notes(in: owner.repository).isEmpty)
    }

    @Test("a credential that opens no points leaves the catalog as it is")
    func writerCredential() async throws {
        let owner = try await create()
        let writer = try await enrol(owner, label: "host-a")
        let repository = try await open(writer)
        let view = try await repository.view()
        let folder = try StateFolder()
        let database = try folder.open()
        let before = try database.dump()
        let error = try refusal { try CatalogProjection(database).project(view: view, chain: repository.chain) }
        #expect(error?.code == .roleLacksKey)
        #expect(error?.exitStatus == 5)
        #expect(try database.dump() == before)
    }
}
