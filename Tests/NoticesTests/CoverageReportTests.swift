import Notices
import Testing

@Suite("which guests are covered")
struct CoverageReportTests {
    private static func guest(
        _ name: String, _ policies: [String], tagged: Bool = false, at connection: String = "qemu:///system",
        last: UInt64? = nil
    ) -> CoverageReport.Guest {
        CoverageReport.Guest(
            name: name, connection: connection, state: "running",
            covers: policies.enumerated().map { index, policy in
                CoverageReport.Cover(
                    policy: policy, repository: "main", tier: index + 2, objective: 3600 * (index + 1))
            }, mayBeTagged: tagged, lastPoint: last)
    }

    private static func report(
        _ guests: [CoverageReport.Guest], _ policies: [CoverageReport.Policy] = [],
        _ silences: [CoverageReport.Silence] = []
    ) -> CoverageReport {
        CoverageReport(host: "h", guests: guests, policies: policies, silences: silences, at: Sample.start)
    }

    @Test("guests that nobody backs up come first, then those that nobody knows of (S39)")
    func order() throws {
        let report = Self.report(
            [
                Self.guest("web01", ["nightly", "hourly"], tagged: true, last: Sample.start - Sample.hour),
                Self.guest("業務<サーバ>01", []), Self.guest("maybe", [], tagged: true), Self.guest("db", ["nightly"]),
                Self.guest("ant", []),
            ],
            [
                CoverageReport.Policy(name: "nightly", guestCount: 2, missing: [], isUnknown: false),
                CoverageReport.Policy(name: "empty", guestCount: 0, missing: ["lost", "gone"], isUnknown: false),
                CoverageReport.Policy(name: "far", guestCount: 0, missing: [], isUnknown: true),
            ], [CoverageReport.Silence(connection: "xl:", reason: "no xl here")])
        #expect(report.guests.map(\.name) == ["ant", "業務<サーバ>01", "maybe", "db", "web01"])
        #expect(
            report.headline == "2 of 5 guests unprotected; 1 covered by tag or not at all; 1 connection not asked; "
                + "1 policy without a guest")
        #expect(!report.isWhole && report.idle.map(\.name) == ["empty"])
        let lines = report.text.split(separator: "\n").map(String.init)
        #expect(lines[3].hasPrefix("ant ") && lines[3].contains("unprotected"))
        #expect(lines[7].contains("hourly,nightly") && lines[7].contains("1 h ") && lines[7].contains("2028-01-30"))
        for line in [
            "xl: could not be asked: no xl here", "policy empty covers no guest that is there",
            "policy empty names guests that are not there: gone, lost",
            "policy far: not all of its guests could be looked for",
        ] { #expect(lines.contains(line)) }
        #expect(report.page.contains("業務&lt;サーバ&gt;01") && !report.page.contains("<サーバ>"))
        let document = try JSONDocument(decoding: report.document.encoded)
        #expect(document["unprotected"]?.count == 2 && document["doubtful"]?.count == 1)
        #expect(
            document["guests"]?.elements?.map { $0["protection"]?.text }
                == ["unprotected", "unprotected", "doubtful", "covered", "covered"])
    }

    @Test("whole is what was asked everywhere and covered everywhere, and nothing less")
    func whole() {
        #expect(Self.report([Self.guest("a", ["p"])]).isWhole)
        #expect(Self.report([Self.guest("a", ["p"])]).headline == "the only guest is covered")
        #expect(Self.report([Self.guest("a", ["p"]), Self.guest("b", ["p"])]).headline == "all 2 guests are covered")
        #expect(!Self.report([Self.guest("a", ["p"]), Self.guest("b", [])]).isWhole)
        #expect(!Self.report([Self.guest("a", [], tagged: true)]).isWhole)
        let silent = Self.report([Self.guest("a", ["p"])], [], [CoverageReport.Silence(connection: "x", reason: "y")])
        #expect(!silent.isWhole && silent.headline == "no guest is known to be unprotected; 1 connection not asked")
        #expect(Self.report([]).headline == "no guest was found")
    }
}
