import TestKit
import Testing

@Suite("the mutator itself")
struct MutatorTests {
    @Test("a canary that must fail: whatever is accepted wrongly is reported with its seed")
    func canary() {
        let whole = PlainBlob.node(1, [Sample.hash(1)], [0]).bytes
        withKnownIssue {
            Mutator.run("canary", [whole]) { bytes in bytes.count == whole.count && bytes != whole ? "found" : nil }
        } matching: { issue in
            issue.comments.contains { $0.rawValue.contains("DOZO_FUZZ_SEED=") }
        }
    }

    @Test("one seed gives one mutation, and seeds differ")
    func seeded() {
        let whole = PlainBlob.node(1, [Sample.hash(1)], [0]).bytes
        let mutations = (UInt64(0)..<200).map { seed in
            var mutator = Mutator(seed: seed)
            return mutator.mutated(whole)
        }
        var again = Mutator(seed: 17)
        #expect(again.mutated(whole) == mutations[17])
        #expect(Set(mutations).count > 150)
    }
}
