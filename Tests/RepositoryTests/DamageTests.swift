import ChunkEncryption
import Glibc
import ObjectStorage
import Repository
import RepositoryFormat
import Synchronization
import TestKit
import Testing

/// Every object of a whole repository, damaged in every way of ``Damage``.
@Suite("damage to any object is found, named, and never gives wrong bytes")
struct DamageTests {
    /// `DAMAGE_SEED` of the environment chooses other places for the flipped bits.
    private static var seed: UInt64 {
        unsafe getenv("DAMAGE_SEED").flatMap { unsafe UInt64(String(cString: $0)) } ?? 1
    }

    private static func objects(_ kind: String, of sample: SampleRepository) -> [(ObjectName, [UInt8])] {
        sample.objects.filter { Damage.kind($0.key) == kind }.sorted { $0.key < $1.key }
    }

    /// What cannot be noticed by somebody who has seen nothing before: nobody names a key slot, and what is last has
    /// been seen by nobody else.
    private static func isUnnoticeable(_ damage: Damage, of sample: SampleRepository) -> Bool {
        guard damage.changes.values.allSatisfy({ $0 == nil }), let name = damage.changes.keys.min() else {
            return false
        }
        if damage.changes.count == 2 { return Damage.kind(name) == "keys" }
        // Nothing is damaged then: a verification says that the object has no spare.
        if Damage.kind(name) == "spare" { return true }
        return !sample.earlier.keys.contains(name) && name.text.hasPrefix("s/")
    }

    private func expectAllFound(
        _ kind: String, _ damages: (ObjectName, [UInt8], inout Dice) -> [Damage],
        also check: (Damage, Examination) -> Void = { _, _ in }
    ) async throws {
        let sample = try await Samples.sample()
        var dice = Dice(seed: Self.seed)
        for (name, bytes) in Self.objects(kind, of: sample) {
            for damage in damages(name, bytes, &dice) {
                let isUnnoticeable = Self.isUnnoticeable(damage, of: sample)
                let examination = try await Examination(
                    damage.store(sample), of: sample, what: damage.what, named: isUnnoticeable ? [] : damage.names)
                for complaint in examination.complaints {
                    Issue.record("\(complaint); DAMAGE_SEED=\(Self.seed)")
                }
                check(damage, examination)
            }
        }
    }

    @Test("the sample is sound, and has what it is there for")
    func sound() async throws {
        let sample = try await Samples.sample()
        let examination = try await Examination(
            SampleRepository.store(sample.objects), of: sample, what: "nothing", named: [])
        #expect(examination.complaints.isEmpty)
        #expect(examination.found.isEmpty)
        #expect(examination.gone.isEmpty && examination.suffering.isEmpty)
        let counts = Dictionary(grouping: sample.objects.keys, by: Damage.kind).mapValues(\.count)
        print("sample: \(counts)")
        #expect(sample.points.count == 4)
        #expect(counts["packs", default: 0] >= 20 && counts["runs", default: 0] >= 4)
        #expect(counts["keys"] == 2 && counts["owner"] == 4 && counts["log"] == 5 && counts["spare"] == 7)
        let repository = try await OpenRepository.open(
            store: SampleRepository.store(sample.objects), key: .credential(sample.reader))
        let actions = Set(try await repository.view().sessions.flatMap { $0.entries.map(\.action) })
        #expect(actions == [.checkpoint, .commit, .abandon])
    }

    @Test(
        "whatever happens to an owner statement, a store identity or a spare of one, it is named and costs nothing",
        arguments: ["owner", "store", "spare"])
    func trust(kind: String) async throws {
        let (sample, foreign) = (try await Samples.sample(), try await Samples.foreign())
        try await expectAllFound(kind) { name, bytes, dice in
            Damage.flips(name, bytes, &dice) + Damage.lengths(name, bytes)
                + Damage.exchanges(name, bytes, sample: sample, foreign: foreign)
        } also: { damage, examination in
            #expect(examination.gone.isEmpty && examination.suffering.isEmpty, "\(damage.what)")
            #expect(!examination.isRefused, "\(damage.what)")
        }
    }

    @Test(
        "damage to an owner statement, a store identity or a key slot and its spare too is named",
        arguments: ["owner", "store", "keys"])
    func trustTwice(kind: String) async throws {
        let (sample, foreign) = (try await Samples.sample(), try await Samples.foreign())
        try await expectAllFound(kind) { name, bytes, dice in
            let damages =
                Damage.flips(name, bytes, &dice) + Damage.lengths(name, bytes)
                + Damage.exchanges(name, bytes, sample: sample, foreign: foreign)
            return damages.filter { $0.changes.count == 1 }.map(\.withSpare)
        }
    }

    @Test("a damaged slot is named, its session is found again, and every point restores")
    func slots() async throws {
        let (sample, foreign) = (try await Samples.sample(), try await Samples.foreign())
        try await expectAllFound("log") { name, bytes, dice in
            Damage.flips(name, bytes, &dice) + Damage.lengths(name, bytes)
                + Damage.exchanges(name, bytes, sample: sample, foreign: foreign)
        } also: { damage, examination in
            // The last slot: without it nothing says that a log goes on, but verify finds what it had opened.
            let isTail = damage.changes.values.contains { $0 == nil } && !examination.gone.isEmpty
            #expect(examination.gone.isEmpty || isTail, "\(damage.what)")
            #expect(examination.unnamed.isEmpty && examination.suffering.isEmpty, "\(damage.what)")
            #expect(!examination.isRefused, "\(damage.what)")
        }
    }

    @Test("a damaged session entry is named and costs at most the points that it names")
    func entries() async throws {
        let (sample, foreign) = (try await Samples.sample(), try await Samples.foreign())
        let view = try await OpenRepository.open(
            store: SampleRepository.store(sample.objects), key: .credential(sample.owner)
        ).view()
        let unnamed = Mutex(0)
        try await expectAllFound("s") { name, bytes, dice in
            Damage.flips(name, bytes, &dice) + Damage.lengths(name, bytes)
                + Damage.exchanges(name, bytes, sample: sample, foreign: foreign)
        } also: { damage, examination in
            let own = view.points.filter {
                damage.names.contains(
                    ObjectPaths.sessionEntry(writer: $0.writer, session: $0.session, number: $0.entry))
            }
            #expect(examination.gone.isSubset(of: own.map(\.record.identifier)), "\(damage.what)")
            #expect(examination.suffering.isEmpty, "\(damage.what)")
            #expect(!examination.isRefused, "\(damage.what)")
            unnamed.withLock { $0 += examination.unnamed.count }
            // A point can be named while the record at the end of its entry still opens.
            if damage.what.hasPrefix("bit"), let (name, changed) = damage.changes.first, let bytes = changed {
                let before = sample.objects[name] ?? []
                let place = before.indices.first { before[$0] != bytes[$0] } ?? 0
                if place < before.count / 2 { #expect(examination.unnamed.isEmpty, "\(damage.what)") }
            }
        }
        print("session entries: \(unnamed.withLock { $0 }) times the lost point could not be named")
    }

    @Test("a damaged run is named and costs nothing")
    func runs() async throws {
        let (sample, foreign) = (try await Samples.sample(), try await Samples.foreign())
        try await expectAllFound("runs") { name, bytes, dice in
            Damage.flips(name, bytes, &dice) + Damage.lengths(name, bytes)
                + Damage.exchanges(name, bytes, sample: sample, foreign: foreign)
        } also: { damage, examination in
            #expect(examination.gone.isEmpty && examination.suffering.isEmpty, "\(damage.what)")
        }
    }

    @Test("a damaged pack is named, with the chunks that are lost and the points that suffer", arguments: 0..<4)
    func packs(quarter: Int) async throws {
        let (sample, foreign) = (try await Samples.sample(), try await Samples.foreign())
        let mine = Set(
            Self.objects("packs", of: sample).enumerated().filter { $0.offset % 4 == quarter }.map(\.element.0))
        try await expectAllFound("packs") { name, bytes, dice in
            guard mine.contains(name) else { return [] }
            return Damage.flips(name, bytes, &dice) + Damage.lengths(name, bytes)
                + Damage.exchanges(name, bytes, sample: sample, foreign: foreign)
        } also: { damage, examination in
            #expect(examination.gone.isEmpty, "\(damage.what)")
        }
    }

    @Test("a damaged key slot is named, and opens from its spare; without that the other slot still opens")
    func keySlots() async throws {
        let (sample, foreign) = (try await Samples.sample(), try await Samples.foreign())
        try await expectAllFound("keys") { name, bytes, dice in
            Damage.flips(name, bytes, &dice) + Damage.lengths(name, bytes)
                + Damage.exchanges(name, bytes, sample: sample, foreign: foreign)
        } also: { damage, examination in
            #expect(examination.gone.isEmpty && examination.suffering.isEmpty && !examination.isRefused)
        }
        let slots = Self.objects("keys", of: sample)
        for (number, (name, bytes)) in slots.enumerated() {
            let damage = Damage.flip(name, bytes, bit: 8 * (bytes.count / 2))
            for (damage, expected) in [(damage, slots.count), (damage.withSpare, slots.count - 1)] {
                let store = try await damage.store(sample)
                var opened = 0
                for secret in [
                    SlotSecret.passphrase(SecretBytes(copying: Array(SampleRepository.passphrase.utf8))),
                    .recovery(sample.recovery),
                ] {
                    do {
                        _ = try await OpenRepository.open(store: store, key: .secret(secret))
                        opened += 1
                    } catch let error as RepositoryError { #expect(error.code == .wrongKey) }
                }
                #expect(opened == expected, "slot \(number)")
            }
        }
    }

    @Test("every bit of a slot and of a session entry is looked at", arguments: ["log", "s"])
    func everyBit(kind: String) async throws {
        let sample = try await Samples.sample()
        let (name, bytes) = try #require(Self.objects(kind, of: sample).min { $0.1.count < $1.1.count })
        for bit in 0..<bytes.count * 8 {
            let damage = Damage.flip(name, bytes, bit: bit)
            let repository = try await OpenRepository.open(
                store: damage.store(sample), key: .credential(sample.verifier))
            let view = try await repository.view()
            #expect(view.findings.map(\.object) == [name.text], "\(damage.what)")
            #expect(view.sessions.count == 5, "\(damage.what)")
        }
    }
}
