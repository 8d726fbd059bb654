import Jobs
import Notices
import Testing

@Suite("what policies promise for guests, by the records of runs")
struct PromisesTests {
    private static let hour: UInt64 = 3600 * 1_000_000_000
    private static let start: UInt64 = 1_832_889_600 * 1_000_000_000

    private static func record(_ guest: String, policy: String, began: UInt64, _ outcome: RunRecord.Outcome)
        -> RunRecord
    {
        RunRecord(
            run: "\(guest)-\(began)", subject: NoticeSubject(guest: guest, repository: "main", policy: policy),
            policyRevision: "1", startedBy: "schedule", began: began, ended: began, outcome: outcome, point: "p")
    }

    @Test("guests that are named always count, those of a pattern once they have run, and no others")
    func promises() throws {
        let text = ConfigurationTests.small.replacing(
            "names: [web01]", with: "names: [web01]\n    patterns: [\"shop-*\"]")
        let configuration = try #require(AgentConfiguration.read(Array(text.utf8)).configuration)
        let runs = [
            Self.record("shop-1", policy: "nightly", began: Self.start, .complete),
            Self.record("shop-1", policy: "nightly", began: Self.start + Self.hour, .failed("no")),
            // Of a policy that there was, and of a guest that it covered once.
            Self.record("shop-2", policy: "gone", began: Self.start, .complete),
            Self.record("db01", policy: "nightly", began: Self.start, .complete),
        ]
        let newest = Dictionary(runs.map { ($0.subject, $0) }) { $1 }
        let points = Dictionary(runs.filter(\.hasPoint).map { ($0.subject, $0) }) { $1 }
        let promises = configuration.promises(newest: newest, points: points, since: 7)
        #expect(promises.map(\.subject.guest) == ["shop-1", "web01"])
        #expect(promises.allSatisfy { $0.objective == 24 * Self.hour && $0.since == 7 && $0.dueTimes.isEmpty })
        #expect(promises[0].lastPoint == Self.start && promises[0].lastStart == Self.start + Self.hour)
        #expect(promises[1].lastPoint == nil && promises[1].lastStart == nil)
    }
}
