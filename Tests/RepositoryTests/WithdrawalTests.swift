import BackupModel
import ChunkEncryption
import Effects
import ObjectStorage
import Repository
import RepositoryFormat
import Simulation
import TestKit
import Testing

/// A revocation that waits for persons hides nothing from lists and restores, lets nothing be built on what it makes
/// void, and can be taken back until they have approved it (format page §11, "Revocations that wait").
@Suite("revocations that wait, and withdrawn ones")
struct WithdrawalTests {
    /// The key of the first host, who made the first and the third point, is revoked.
    private static func key(_ scene: ApprovalScene) throws -> Hash256 {
        try #require(scene.sample.hosts[0].credential.signingKey).publicKey.fingerprint
    }

    private static func own(_ scene: ApprovalScene) -> Set<PointID> { [scene.point, scene.other] }

    private static func ids(_ view: RepositoryView) -> Set<PointID> { Set(view.points.map(\.record.identifier)) }

    /// Every point of a view comes back byte for byte.
    private static func expectAllRestore(_ view: RepositoryView, _ scene: ApprovalScene) async throws {
        let repository = try await scene.owner()
        let reader = try await RepositoryReader(repository, view: view)
        for point in view.points {
            let disks = try #require(scene.sample.disks[point.record.identifier])
            for (disk, image) in zip(disks, point.record.images) {
                #expect(try await RestoredImage.bytes(of: image, reader: reader) == disk)
            }
        }
    }

    /// What a program that has not seen the revocation adds with the key.
    private static func addAsThief(_ scene: ApprovalScene, before: MemoryStore.Snapshot) async throws {
        let earlier = MemoryStore(before, randomness: .seeded(1))
        let known = try await SampleRepository.objects(earlier)
        try await scene.sample.hosts[0].copy().backUp([[6, 6, 6]], to: earlier, at: 66, randomness: .seeded(66))
        for (name, bytes) in try await SampleRepository.objects(earlier) where known[name] == nil {
            _ = try await scene.store.putIfAbsent(name, bytes)
        }
    }

    @Test("what waits is listed apart and restores, also what a thief adds; nothing leans on it and nothing goes")
    func waiting() async throws {
        var scene = try await ApprovalScene()
        let before = scene.store.snapshot()
        let statement = try await scene.revoke(Self.key(scene), extent: .nothing)
        let repository = try await scene.owner()
        let strict = try await repository.view()
        #expect(Self.ids(strict).isDisjoint(with: Self.own(scene)) && strict.doubted.isEmpty)
        let shown = try await repository.showing(strict)
        #expect(Self.ids(shown) == Set(scene.sample.points) && shown.doubted == Self.own(scene))
        try await Self.expectAllRestore(shown, scene)
        await #expect(throws: RepositoryError.self) { try await scene.sweep() }
        try await Self.addAsThief(scene, before: before)
        let later = try await repository.showing(try await repository.view())
        #expect(later.points.count == scene.sample.points.count + 1 && later.doubted.count == 3)
        // Approved, it is final, and gone from lists.
        for key in [ApprovalScene.Key.alice, .bob] { try await scene.approve(statement, by: key) }
        let final = try await repository.showing(try await repository.view())
        #expect(Self.ids(final).isDisjoint(with: Self.own(scene)) && final.doubted.isEmpty)
    }

    @Test("taken back while it waits, its points are points as before: sweeps go on and keep what they need")
    func withdrawn() async throws {
        var scene = try await ApprovalScene()
        let before = scene.store.snapshot()
        let key = try Self.key(scene)
        let statement = try await scene.revoke(key, extent: .nothing)
        try await scene.revoke(key, withdraws: statement)
        let view = try await scene.view()
        #expect(Self.ids(view) == Set(scene.sample.points) && view.findings.isEmpty)
        #expect(try await scene.owner().showing(view).doubted.isEmpty)
        let request = try await scene.forget(by: .alice, [scene.sample.points[1]])
        try await scene.approve(request, by: .bob)
        #expect(try await scene.sweep() == [scene.sample.points[1]])
        for _ in 0..<3 { _ = try await scene.sweep() }
        let swept = try await scene.owner().view()
        #expect(Self.ids(swept) == Set(scene.sample.points).subtracting([scene.sample.points[1]]))
        try await Self.expectAllRestore(swept, scene)
        let report = try await Verification(
            try await scene.owner(), view: swept, level: .content, workers: 1
        ).run()
        #expect(report.isSound)
        // The key itself stays bounded: it writes no more, and what a copy of it signs is void.
        await #expect(throws: RepositoryError.self) {
            try await scene.sample.hosts[0].copy().backUp([[1]], to: scene.store, at: 9, randomness: .seeded(9))
        }
        try await Self.addAsThief(scene, before: before)
        #expect(Self.ids(try await scene.owner().view()).count == 3)
        try await scene.sample.hosts[1].copy().backUp([[1]], to: scene.store, at: 9, randomness: .seeded(9))
    }

    @Test("who cannot read approvals believes every revocation, withdrawn or not, and reads the same log")
    func keyless() async throws {
        let scene = try await ApprovalScene()
        let statement = try await scene.revoke(Self.key(scene), extent: .nothing)
        try await scene.revoke(Self.key(scene), withdraws: statement)
        let writer = try await OpenRepository.open(
            store: scene.store, key: .credential(scene.sample.hosts[1].credential)
        ).view()
        let owner = try await scene.owner().view()
        #expect(writer.log.slots.map(\.isSpoiled) == owner.log.slots.map(\.isSpoiled))
        let own = WriterID(fingerprint: try Self.key(scene))
        #expect(!writer.sessions.contains { $0.writer == own } && owner.sessions.contains { $0.writer == own })
    }

    @Test("approved by persons it is final: a withdrawal, before or behind, changes nothing")
    func approved() async throws {
        for isBefore in [false, true] {
            var scene = try await ApprovalScene()
            let key = try Self.key(scene)
            let statement = try await scene.revoke(key, extent: .nothing)
            if isBefore { try await scene.revoke(key, withdraws: statement) }
            for key in [ApprovalScene.Key.alice, .bob] { try await scene.approve(statement, by: key) }
            if !isBefore { try await scene.revoke(key, withdraws: statement) }
            #expect(Self.ids(try await scene.view()).isDisjoint(with: Self.own(scene)), "\(isBefore)")
        }
        // Where nobody is asked for, a revocation holds at once.
        let free = try await ApprovalScene(persons: nil)
        let statement = try await free.revoke(Self.key(free), extent: .nothing)
        try await free.revoke(Self.key(free), withdraws: statement)
        let view = try await free.view()
        #expect(Self.ids(view).isDisjoint(with: Self.own(free)))
        #expect(try await free.owner().showing(view).doubted.isEmpty)
    }

    @Test("a withdrawal gives holds back and nobody a say")
    func saying() async throws {
        var scene = try await ApprovalScene()
        _ = try await scene.maintenance(.dave).hold([scene.point])
        let request = try await scene.forget(by: .alice, [scene.other])
        try await scene.approve(request, by: .bob)
        let ofDave = try await scene.revoke(.dave, extent: .nothing)
        #expect(try await scene.view().said.holds(of: scene.point).isEmpty)
        try await scene.revoke(try scene.fingerprint(.dave), withdraws: ofDave)
        #expect(try await scene.view().said.holds(of: scene.point).count == 1)
        let ofBob = try await scene.revoke(.bob, extent: .nothing)
        try await scene.revoke(try scene.fingerprint(.bob), withdraws: ofBob)
        let approvals = try await scene.view().said.approvals
        #expect(!approvals.mayApprove(try scene.fingerprint(.bob)) && approvals.approvers == ["alice", "carol"])
        #expect(approvals.approvers(without: try scene.fingerprint(.carol)) == ["alice"])
        #expect(approvals.approvers(without: try scene.fingerprint(.aliceToo)) == ["alice", "carol"])
        #expect(try await scene.waiting().contains { $0.request.hash == request && $0.behind == ["alice"] })
        // Nor is another key's revocation taken back.
        await #expect(throws: RepositoryError.self) {
            try await scene.revoke(try scene.fingerprint(.dave), withdraws: ofBob)
        }
    }

    @Test("what a person had approved of the owner's words stays void with a withdrawn revocation")
    func wordsOfTheOwner() async throws {
        var scene = try await ApprovalScene()
        let statement = try await scene.enrol(.mallory)
        for key in [ApprovalScene.Key.bob, .carol] { try await scene.approve(statement, by: key) }
        let mallory = try scene.fingerprint(.mallory)
        #expect(try await scene.view().said.approvals.mayApprove(mallory))
        let ofBob = try await scene.revoke(.bob, extent: .nothing)
        try await scene.revoke(try scene.fingerprint(.bob), withdraws: ofBob)
        let view = try await scene.view()
        #expect(!view.said.approvals.mayApprove(mallory))
        #expect(!(try await scene.owner().showing(view).said.approvals.mayApprove(mallory)))
    }

    @Test("the key of closes is not revoked from the beginning: nothing behind them could be read")
    func closes() async throws {
        var scene = try await ApprovalScene()
        let request = try await scene.forget(by: .alice)
        try await scene.approve(request, by: .bob)
        #expect(try await scene.sweep() == [scene.point])
        await #expect(throws: RepositoryError.self) { try await scene.revoke(.nightly, extent: .nothing) }
        try await scene.revoke(.nightly)
        #expect(try await scene.owner().view().points.count == 3)
    }
}
