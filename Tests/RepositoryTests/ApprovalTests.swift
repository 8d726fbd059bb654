import BackupModel
import ChunkEncryption
import Effects
import ObjectStorage
import Repository
import RepositoryFormat
import TestKit
import Testing

/// Where the owner asks for persons, no sweep lets a point go without them (format page §11, "Approvals"; S29).
@Suite("approvals")
struct ApprovalTests {
    static let day: UInt64 = 86_400_000_000_000

    @Test("a forget waits for as many persons as are asked for, and is due with them")
    func persons() async throws {
        var scene = try await ApprovalScene()
        let request = try await scene.forget(by: .nightly)
        #expect(try await scene.sweep().isEmpty)
        try await scene.approve(request, by: .bob)
        #expect(try await scene.sweep().isEmpty)
        #expect(try await scene.waiting().map(\.behind) == [["bob"]])
        try await scene.approve(request, by: .carol)
        #expect(try await scene.waiting().isEmpty)
        #expect(try await scene.sweep() == [scene.point])
    }

    @Test("whose key asks is a person behind it; its own word, and a second key of the person, add nobody")
    func ownWord() async throws {
        var scene = try await ApprovalScene()
        let request = try await scene.forget(by: .alice)
        try await scene.approve(request, by: .alice)
        try await scene.approve(request, by: .aliceToo)
        #expect(try await scene.sweep().isEmpty)
        #expect(try await scene.waiting().map(\.behind) == [["alice"]])
        try await scene.approve(request, by: .bob)
        #expect(try await scene.sweep() == [scene.point])
    }

    @Test("one person with two keys is one person, whoever asks")
    func twoKeys() async throws {
        var scene = try await ApprovalScene()
        let request = try await scene.forget(by: .nightly)
        for key in [ApprovalScene.Key.alice, .aliceToo] { try await scene.approve(request, by: key) }
        #expect(try await scene.sweep().isEmpty)
    }

    @Test("an approval is for one request: not for the next, nor for another's")
    func replay() async throws {
        var scene = try await ApprovalScene()
        let first = try await scene.forget(by: .nightly)
        try await scene.approve(first, by: .bob)
        try await scene.approve(first, by: .carol)
        _ = try await scene.maintenance(.nightly).undo([scene.point])
        let second = try await scene.forget(by: .nightly)
        #expect(first != second)
        #expect(try await scene.sweep().isEmpty)
        try await scene.approve(second, by: .bob)
        try await scene.approve(second, by: .carol)
        #expect(try await scene.sweep() == [scene.point])
    }

    @Test("an approved forget is not undone by a later one that nobody approved, and a hold beats both")
    func later() async throws {
        var scene = try await ApprovalScene()
        let request = try await scene.forget(by: .alice)
        try await scene.approve(request, by: .bob)
        try await scene.forget(by: .nightly)
        let held = try await scene.maintenance(.nightly).hold([scene.point])
        #expect(try await scene.sweep().isEmpty)
        try await scene.maintenance(.nightly).release(held.map(\.slot), at: scene.now, reason: "")
        #expect(try await scene.sweep() == [scene.point])
    }

    @Test("an approval ends with its date, by the clock and by what others have signed")
    func expired() async throws {
        for isTold in [false, true] {
            var scene = try await ApprovalScene()
            let request = try await scene.forget(by: .alice)
            try await scene.approve(request, by: .bob, until: scene.now + Self.day)
            if isTold {
                // The sweep's clock stands still; two others signed a later time. One alone may be wrong.
                for key in [ApprovalScene.Key.dave, .aliceToo] {
                    #expect(try await scene.waiting().isEmpty, "one clock that is ahead ends no approval")
                    try await scene.say(at: scene.now + 2 * Self.day, by: key)
                }
            } else {
                scene.now += 2 * Self.day
            }
            #expect(try await scene.sweep().isEmpty, "\(isTold)")
            try await scene.approve(request, by: .bob, until: scene.now + 9 * Self.day)
            #expect(try await scene.sweep() == [scene.point])
        }
    }

    @Test("what keys say that may not approve is void: a maintainer, a writer, a revoked key, a person nobody let in")
    func void() async throws {
        var scene = try await ApprovalScene()
        let request = try await scene.forget(by: .alice)
        let forged = ApprovalRecord(hashes: [request], until: .max, at: scene.now, reason: "").record
        try await scene.maintenance(.nightly).say([forged])
        try await scene.maintenance(.dave).say([forged])
        #expect(try await scene.sweep().isEmpty)
        try await scene.enrol(.mallory)
        try await scene.maintenance(.mallory).say([forged])
        #expect(try await scene.sweep().isEmpty)
        try await scene.approve(request, by: .carol)
        try await scene.revoke(.carol)
        #expect(try await scene.sweep().isEmpty)
        await #expect(throws: RepositoryError.self) { try await scene.approve(request, by: .carol) }
        await #expect(throws: RepositoryError.self) { try await scene.approve(request, by: .nightly) }
        try await scene.approve(request, by: .bob)
        #expect(try await scene.sweep() == [scene.point])
    }

    @Test("an approval copied into another's entry opens nowhere, and names the one who copied it anyway")
    func copied() async throws {
        var scene = try await ApprovalScene()
        let request = try await scene.forget(by: .nightly)
        try await scene.approve(request, by: .bob)
        // The same words under another key that may approve: they count as that key's person, once.
        let copy = ApprovalRecord(hashes: [request], until: scene.now + 30 * Self.day, at: scene.now, reason: "").record
        try await scene.maintenance(.alice).say([copy, copy, copy])
        #expect(try await scene.waiting().isEmpty)
        #expect(try await scene.sweep() == [scene.point])
    }

    // MARK: The owner's word

    @Test("asking for fewer persons, and for none, waits for as many as before; asking for more does not")
    func weakening() async throws {
        var scene = try await ApprovalScene()
        let request = try await scene.forget(by: .nightly)
        let weaker = try await scene.require(nil)
        #expect(try await scene.view().said.approvals.required == 2)
        #expect(try await scene.sweep().isEmpty)
        #expect(try await scene.waiting().map(\.request.hash) == [weaker, request])
        try await scene.approve(weaker, by: .bob)
        try await scene.approve(weaker, by: .alice)
        #expect(try await scene.view().said.approvals.required == nil)
        #expect(try await scene.repository(.nightly).chain.features.names(FeatureSets.approvals, for: .sweep))
        #expect(try await scene.sweep() == [scene.point])

        var stricter = try await ApprovalScene()
        _ = try await stricter.require(3)
        #expect(try await stricter.view().said.approvals.required == 3)
        let back = try await stricter.require(2)
        for key in [ApprovalScene.Key.alice, .bob] { try await stricter.approve(back, by: key) }
        #expect(try await stricter.view().said.approvals.required == 3)
        try await stricter.approve(back, by: .carol)
        #expect(try await stricter.view().said.approvals.required == 2)
    }

    @Test("a new person counts once enough of the old ones say so, and stays when one of those leaves")
    func newPerson() async throws {
        var scene = try await ApprovalScene()
        let statement = try await scene.enrol(.mallory)
        let request = try await scene.forget(by: .mallory)
        try await scene.approve(request, by: .bob)
        #expect(try await scene.sweep().isEmpty, "a person whom only the owner has let in")
        try await scene.approve(statement, by: .bob)
        try await scene.maintenance(.mallory).say([
            ApprovalRecord(hashes: [statement], until: .max, at: scene.now, reason: "").record
        ])
        #expect(try await scene.sweep().isEmpty, "mallory has a say in it")
        try await scene.approve(statement, by: .carol)
        try await scene.revoke(.carol)
        #expect(try await scene.sweep() == [scene.point])
    }

    @Test("a revocation that makes something void stops sweeps until persons stand behind it, and is believed at once")
    func revocation() async throws {
        var scene = try await ApprovalScene()
        let held = try await scene.maintenance(.dave).hold([scene.point])
        #expect(!held.isEmpty)
        let statement = try await scene.revoke(.dave, extent: .nothing)
        #expect(try await scene.view().said.holds(of: scene.point).isEmpty)
        await #expect(throws: RepositoryError.self) { try await scene.sweep() }
        try await scene.approve(statement, by: .bob)
        await #expect(throws: RepositoryError.self) { try await scene.sweep() }
        try await scene.approve(statement, by: .alice)
        #expect(try await scene.sweep().isEmpty)
    }

    // MARK: Locks and rules

    @Test("nothing unlocks where nobody is asked; persons unlock what was locked before")
    func unlock() async throws {
        var free = try await ApprovalScene(persons: nil)
        try await free.maintenance(.nightly).lock([free.point], until: .max, at: free.now, reason: "")
        let void = try await free.maintenance(.alice).unlock([free.point], at: free.now, reason: "").hash
        for key in [ApprovalScene.Key.bob, .carol] { try await free.approve(void, by: key) }
        try await free.forget(by: .nightly)
        #expect(try await free.sweep().isEmpty)

        var scene = try await ApprovalScene()
        try await scene.maintenance(.nightly).lock([scene.point], until: .max, at: scene.now, reason: "")
        let forget = try await scene.forget(by: .alice)
        try await scene.approve(forget, by: .bob)
        #expect(try await scene.sweep().isEmpty, "locked")
        let request = try await scene.maintenance(.alice).unlock([scene.point], at: scene.now, reason: "").hash
        #expect(try await scene.sweep().isEmpty, "nobody has approved the unlock")
        try await scene.maintenance(.nightly).lock([scene.point], until: .max - 1, at: scene.now, reason: "")
        try await scene.approve(request, by: .bob)
        #expect(try await scene.sweep().isEmpty, "locked again behind the request")
        let again = try await scene.maintenance(.alice).unlock([scene.point], at: scene.now, reason: "").hash
        try await scene.approve(again, by: .carol)
        #expect(try await scene.sweep() == [scene.point])
    }

    @Test("what locks all points ends with persons too, and with nobody else")
    func standingUnlock() async throws {
        var scene = try await ApprovalScene()
        try await scene.maintenance(.nightly).lockAll(for: 5_000 * Self.day, at: scene.now, reason: "")
        let forget = try await scene.forget(by: .alice)
        try await scene.approve(forget, by: .bob)
        let ofPoint = try await scene.maintenance(.alice).unlock([scene.point], at: scene.now, reason: "").hash
        try await scene.approve(ofPoint, by: .bob)
        #expect(try await scene.sweep().isEmpty, "an unlock of the point's own locks")
        let request = try await scene.maintenance(.alice).unlock([], standing: true, at: scene.now, reason: "").hash
        #expect(try await scene.sweep().isEmpty)
        #expect(try await scene.waiting().map(\.request.hash) == [ofPoint, request].suffix(1))
        try await scene.approve(request, by: .carol)
        #expect(try await scene.sweep() == [scene.point])
    }

    @Test("rules that persons approved once let one key forget by them, and no other key, rules or clock")
    func rules() async throws {
        let rules = Array("keep 2".utf8)
        var scene = try await ApprovalScene()
        let digest = try scene.digest(of: rules, by: .nightly)
        for key in [ApprovalScene.Key.bob, .carol] { try await scene.approve(digest, by: key) }
        try await scene.forget(by: .nightly, rules: Array("keep 1".utf8))
        #expect(try await scene.sweep().isEmpty, "other rules")
        try await scene.forget(by: .dave, rules: rules)
        #expect(try await scene.sweep().isEmpty, "another key")
        try await scene.forget(by: .nightly)
        #expect(try await scene.sweep().isEmpty, "by hand")
        let today = scene.now
        scene.now += 20 * Self.day
        try await scene.forget(by: .nightly, rules: rules)
        scene.now = today
        #expect(try await scene.sweep().isEmpty, "not yet said")
        scene.now += 21 * Self.day
        #expect(try await scene.sweep().isEmpty, "only the clock of the key that sweeps says so")
        scene.now = today
        try await scene.forget(by: .nightly, rules: rules)
        #expect(try await scene.sweep() == [scene.point])
    }

    @Test("without a requirement nothing waits, whatever is approved or not")
    func ordinary() async throws {
        var scene = try await ApprovalScene(persons: nil)
        try await scene.forget(by: .nightly)
        #expect(try await scene.waiting().isEmpty)
        #expect(try await scene.sweep() == [scene.point])
    }
}
