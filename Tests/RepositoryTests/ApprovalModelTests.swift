import BackupModel
import Effects
import Repository
import RepositoryFormat
import TestKit
import Testing

/// Any sequence of requests, approvals, undos, holds, locks, revocations and words of the owner, against a model that
/// knows nothing of slots, sessions and records: what a sweep lets go is what the model says (S29).
@Suite("approvals against a model")
struct ApprovalModelTests {
    private typealias Key = ApprovalScene.Key

    /// What was said, in its order.
    private struct Model {
        enum Word {
            case forget(PointID, by: Key, rules: Int?, at: UInt64, hash: Hash256)
            case unlock(PointID, by: Key, hash: Hash256)
            case lock(PointID)
            case approve(Hash256, by: Key, until: UInt64)
            case undo(PointID)
            case hold(PointID, number: Int)
            case release(Int)
            case require(Int?, hash: Hash256)
            case enrolMallory(hash: Hash256)
            case revoke(Key)
        }

        var words: [Word] = []
        /// Who has signed a time, and which.
        var times: [(key: Key, at: UInt64)] = []
        /// What an approval of rules names, by key and number.
        var digests: [Key: [Hash256]] = [:]

        private var revoked: Set<Key> {
            Set(words.compactMap { if case .revoke(let key) = $0 { key } else { nil } })
        }

        /// Persons who have approved something, of these keys; `nil` for a time counts all that was ever said.
        private func approvers(_ hash: Hash256, besides signer: Key?, among keys: Set<Key>, at time: UInt64?) -> Set<
            String
        > {
            var persons = Set<String>()
            for case .approve(hash, let key, let until) in words where key != signer && keys.contains(key) {
                if let time, revoked.contains(key) || until < time { continue }
                if let person = key.person { persons.insert(person) }
            }
            return persons
        }

        /// Keys that are persons' in force, and how many persons are asked for.
        private var inForce: (keys: Set<Key>, required: Int?) {
            var keys: Set<Key> = [.alice, .aliceToo, .bob, .carol]
            var required: Int? = 2
            for word in words {
                switch word {
                case .require(let persons, let hash):
                    guard let asked = required else {
                        required = persons
                        continue
                    }
                    let isStricter = persons.map { $0 >= asked } ?? false
                    if isStricter || approvers(hash, besides: nil, among: keys, at: nil).count >= asked {
                        required = persons
                    }
                case .enrolMallory(let hash):
                    if required.map({ approvers(hash, besides: nil, among: keys, at: nil).count >= $0 }) ?? true {
                        keys.insert(.mallory)
                    }
                default: break
                }
            }
            return (keys, required)
        }

        /// What a sweep lets go, of points that are there.
        func gone(of points: [PointID], now: UInt64) -> Set<PointID> {
            let (keys, required) = inForce
            let believed = times.filter { !revoked.contains($0.key) }
            // What no other clock bears out ends no approval.
            let borneOut = believed.filter { said in
                let others = believed.filter { $0.key != said.key }.map(\.at).max() ?? 0
                return said.at <= max(now, others) + ApprovalTests.day
            }
            let approvalTime = max(now, borneOut.map(\.at).max() ?? 0)
            let others = believed.filter { $0.key != .nightly }.map(\.at).max() ?? 0
            let lockTime = min(now, others + ApprovalTests.day)
            func behind(_ hash: Hash256, _ signer: Key) -> Set<String> {
                var persons = approvers(hash, besides: signer, among: keys, at: approvalTime)
                if keys.contains(signer), !revoked.contains(signer), let own = signer.person { persons.insert(own) }
                return persons
            }
            var gone = Set<PointID>()
            for point in points {
                var forgets: [UInt64] = []
                var holds = Set<Int>()
                var isLocked = false
                for word in words {
                    switch word {
                    case .forget(point, let key, let rules, let at, let hash):
                        var persons = behind(hash, key).count
                        if let rules, let digest = digests[key]?[rules], at <= lockTime {
                            persons = max(persons, behind(digest, key).count)
                        }
                        if persons >= required ?? 0 { forgets.append(at) }
                    case .undo(point): forgets = []
                    case .hold(point, let number): holds.insert(number)
                    case .release(let number): holds.remove(number)
                    case .lock(point): isLocked = true
                    case .unlock(point, let key, let hash):
                        if let required, behind(hash, key).count >= required { isLocked = false }
                    default: break
                    }
                }
                guard let last = forgets.last, holds.isEmpty, !isLocked, last <= now else { continue }
                gone.insert(point)
            }
            return gone
        }
    }

    /// A repository and its model, to which the same is said.
    private struct History {
        var dice: Dice
        var scene: ApprovalScene
        var model = Model()
        let rules = [Array("keep 2".utf8), Array("keep 1".utf8)]
        /// What there is to approve.
        var hashes: [Hash256] = []
        var held: [Int: [SlotNumber]] = [:]
        var revoked = Set<Key>()
        var hasMallory = false

        init(seed: UInt64) async throws {
            dice = Dice(seed: seed)
            scene = try await ApprovalScene(seed: seed)
            model.times.append((.bob, scene.now))
            for key in [Key.nightly, .dave, .alice] {
                model.digests[key] = try rules.map { try scene.digest(of: $0, by: key) }
                hashes.append(try scene.digest(of: rules[0], by: key))
            }
        }

        mutating func pick<Item>(_ items: [Item]) -> Item { items[Int(dice.next() % UInt64(items.count))] }
        mutating func happens(oneIn count: UInt64) -> Bool { dice.next() % count == 0 }

        /// Something is said of a point.
        mutating func step(_ number: Int, of point: PointID) async throws {
            let speaker = pick([Key.nightly, .dave, .alice].filter { !revoked.contains($0) })
            switch dice.next() % 20 {
            case 0...4: try await forget(point, by: speaker)
            case 5...11: try await approve()
            case 12:
                _ = try await scene.maintenance(speaker).undo([point])
                model.words.append(.undo(point))
            case 13:
                held[number] = try await scene.maintenance(speaker).hold([point]).map(\.slot)
                model.words.append(.hold(point, number: number))
            case 14:
                guard let first = held.keys.min(), let slots = held.removeValue(forKey: first) else { return }
                try await scene.maintenance(speaker).release(slots, at: scene.now, reason: "")
                model.words.append(.release(first))
                model.times.append((speaker, scene.now))
            case 15: try await lock(point, by: speaker)
            case 16:
                let persons = pick([nil, 2, 3])
                hashes.append(try await scene.require(persons))
                model.words.append(.require(persons, hash: hashes[hashes.count - 1]))
            case 17: try await changePeople()
            default: break
            }
            if happens(oneIn: 3) { scene.now += dice.next() % (2 * ApprovalTests.day) }
        }

        private mutating func forget(_ point: PointID, by speaker: Key) async throws {
            let number = happens(oneIn: 3) ? pick([0, 1]) : nil
            // A clock that is ahead.
            let at = happens(oneIn: 6) ? scene.now + 3 * ApprovalTests.day : scene.now
            let hash = try await scene.maintenance(speaker).forget(
                [point], at: at, reason: "", rules: number.map { rules[$0] } ?? []
            ).hash
            model.words.append(.forget(point, by: speaker, rules: number, at: at, hash: hash))
            model.times.append((speaker, at))
            hashes.append(hash)
        }

        private mutating func approve() async throws {
            let hash = pick(happens(oneIn: 4) ? hashes : Array(hashes.suffix(4)))
            let until = scene.now + (happens(oneIn: 4) ? 1 : 12) * ApprovalTests.day
            // Also keys that may not.
            var keys: [Key] = [.alice, .aliceToo, .bob, .carol, .nightly, .dave]
            if hasMallory { keys.append(.mallory) }
            let key = pick(keys.filter { !revoked.contains($0) })
            if key.isMaintainer {
                try await scene.maintenance(key).say([
                    ApprovalRecord(hashes: [hash], until: until, at: scene.now, reason: "").record
                ])
            } else {
                try await scene.approve(hash, by: key, until: until)
            }
            guard key.person != nil else { return }
            model.words.append(.approve(hash, by: key, until: until))
            model.times.append((key, scene.now))
        }

        private mutating func lock(_ point: PointID, by speaker: Key) async throws {
            try await scene.maintenance(speaker).lock([point], until: .max, at: scene.now, reason: "")
            model.words.append(.lock(point))
            model.times.append((speaker, scene.now))
            let hash = try await scene.maintenance(speaker).unlock([point], at: scene.now, reason: "").hash
            model.words.append(.unlock(point, by: speaker, hash: hash))
            hashes.append(hash)
        }

        private mutating func changePeople() async throws {
            if !hasMallory {
                hasMallory = true
                hashes.append(try await scene.enrol(.mallory))
                model.words.append(.enrolMallory(hash: hashes[hashes.count - 1]))
            } else if revoked.count < 2 {
                let key = pick([Key.dave, .aliceToo, .bob, .carol].filter { !revoked.contains($0) })
                // A key that has said nothing would be believed nothing.
                guard model.times.contains(where: { $0.key == key }) else { return }
                try await scene.revoke(key)
                revoked.insert(key)
                model.words.append(.revoke(key))
            }
        }
    }

    /// Plays a history. - Returns: where repository and model part, or `nil`; and how many points went.
    private static func play(seed: UInt64, breaking rule: SweepRule? = nil) async throws -> (parted: String?, gone: Int)
    {
        var history = try await History(seed: seed)
        var gone = 0
        for step in 0..<40 {
            let present = try await history.scene.view().points.map(\.record.identifier)
            guard !present.isEmpty else { break }
            try await history.step(step, of: history.pick(present))
            guard history.happens(oneIn: 3) else { continue }
            let expected = history.model.gone(of: present, now: history.scene.now)
            let swept = try await SweepRule.breaking(rule) { try await history.scene.sweep() }
            guard Set(swept) == expected else {
                return ("step \(step): gone are \(swept), by the model \(expected)", gone)
            }
            gone += swept.count
        }
        return (nil, gone)
    }

    private static let seeds: [UInt64] = Array(0..<6)

    @Test("what sweeps let go is what the model says", arguments: seeds)
    func agreement(seed: UInt64) async throws {
        let (parted, _) = try await Self.play(seed: seed)
        #expect(parted == nil, "seed \(seed): \(parted ?? "")")
    }

    @Test("the histories let points go, and notice a sweep that does not ask")
    func notices() async throws {
        var gone = 0
        var noticed = false
        for seed in Self.seeds where gone == 0 || !noticed {
            if gone == 0 { gone = try await Self.play(seed: seed).gone }
            if !noticed { noticed = try await Self.play(seed: seed, breaking: .approvalsAreAsked).parted != nil }
        }
        #expect(gone > 0 && noticed, "\(gone) points went")
    }
}
