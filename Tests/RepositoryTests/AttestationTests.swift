import BackupModel
import ChunkEncryption
import Effects
import ObjectStorage
import Repository
import RepositoryFormat
import TestKit
import Testing

/// What verifications found stands in the repository (S49): who may say it, and what it counts for.
@Suite("attestations")
struct AttestationTests {
    static let day: UInt64 = 86_400_000_000_000

    /// The sample repository and those who may speak in it.
    struct Scene {
        let sample: SampleRepository
        let store: MemoryStore

        init() async throws {
            sample = try await Samples.sample()
            store = MemoryStore(sample.snapshot, randomness: .seeded(1))
        }

        func say(
            as credential: Credential? = nil, draw: UInt64, whole: [PointID] = [], damaged: [PointID] = [],
            level: AttestationRecord.Level, day: UInt64
        ) async throws {
            let repository = try await OpenRepository.open(
                store: store, key: .credential(credential ?? sample.maintainer))
            try await MaintenanceSession(repository, randomness: .seeded(draw)).attest(
                whole: whole, damaged: damaged, level: level, at: day * AttestationTests.day)
        }

        func said() async throws -> SaidOfPoints {
            try await OpenRepository.open(store: store, key: .credential(sample.maintainer)).view().said
        }
    }

    /// Level and day.
    private func shown(_ verified: SaidOfPoints.Verified?) -> String? {
        verified.map { "\($0.level.rawValue) \($0.at / Self.day)" }
    }

    @Test("nothing is verified before somebody says so, and then what was named and nothing else")
    func plain() async throws {
        let scene = try await Scene()
        let points = scene.sample.points
        #expect(try await scene.said().verified(points[0]) == nil)
        try await scene.say(draw: 2, whole: [points[0]], level: .packs, day: 1000)
        let said = try await scene.said()
        #expect(shown(said.verified(points[0])) == "packs 1000")
        #expect(said.verified(points[1]) == nil)
        #expect(!said.isDamaged(points[0]) && !said.isDamaged(points[1]))
    }

    @Test("the word of a maintainer counts as packs whatever it says, that of the owner as it stands")
    func levels() async throws {
        let scene = try await Scene()
        let point = scene.sample.points[0]
        try await scene.say(draw: 2, whole: [point], level: .content, day: 1000)
        #expect(try await scene.said().verified(point)?.level == .packs)
        try await scene.say(as: scene.sample.owner, draw: 3, whole: [point], level: .content, day: 1001)
        #expect(try await shown(scene.said().verified(point)) == "content 1001")
        // A later look that goes less deep takes nothing from the deeper one.
        try await scene.say(draw: 4, whole: [point], level: .packs, day: 1002)
        #expect(try await shown(scene.said().verified(point)) == "content 1001")
        try await scene.say(as: scene.sample.owner, draw: 5, whole: [point], level: .content, day: 1003)
        #expect(try await scene.said().verified(point)?.at == 1003 * Self.day)
    }

    @Test("a point that is found damaged is verified at no level until it is found whole again")
    func damage() async throws {
        let scene = try await Scene()
        let point = scene.sample.points[0]
        try await scene.say(as: scene.sample.owner, draw: 2, whole: [point], level: .content, day: 1000)
        // The clock of who finds the damage is behind: the order of the log decides, and no clock.
        try await scene.say(draw: 3, whole: [scene.sample.points[1]], damaged: [point], level: .packs, day: 1)
        var said = try await scene.said()
        #expect(said.verified(point) == nil && said.isDamaged(point))
        #expect(said.verified(scene.sample.points[1])?.level == .packs)
        try await scene.say(draw: 4, whole: [point], level: .packs, day: 1002)
        said = try await scene.said()
        #expect(said.verified(point)?.level == .packs && !said.isDamaged(point))
        // Of one id that is whole and damaged, damaged counts.
        try await scene.say(draw: 5, whole: [point], damaged: [point], level: .packs, day: 1003)
        said = try await scene.said()
        #expect(said.verified(point) == nil && said.isDamaged(point))
    }

    @Test("a reader and a writer say nothing of this kind")
    func rights() async throws {
        let scene = try await Scene()
        for credential in [scene.sample.reader, scene.sample.hosts[0].credential] {
            await #expect(throws: RepositoryError.self) {
                try await scene.say(
                    as: credential, draw: 2, whole: [scene.sample.points[0]], level: .packs, day: 1000)
            }
        }
    }

    @Test("what a revoked maintainer said is void")
    func revoked() async throws {
        let scene = try await Scene()
        let point = scene.sample.points[0]
        try await scene.say(draw: 2, whole: [point], level: .packs, day: 1000)
        var owner = try await OpenRepository.open(store: scene.store, key: .credential(scene.sample.owner))
        let key = try #require(scene.sample.maintainer.signingKey?.publicKey.fingerprint)
        let plan = try KeyRevocation(of: key, extent: .nothing, view: try await owner.view())
        try await owner.revoke(plan.revocation, createdAt: 1)
        let said = try await OpenRepository.open(store: scene.store, key: .credential(scene.sample.owner)).view().said
        #expect(said.verified(point) == nil)
    }
}
