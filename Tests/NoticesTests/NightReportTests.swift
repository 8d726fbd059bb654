import Foundation
import Notices
import TestKit
import Testing

@Suite("the report of a night")
struct NightReportTests {
    private static let night = (Sample.start + 20 * Sample.hour)..<(Sample.start + 30 * Sample.hour)

    static func record(
        _ guest: String, _ outcome: RunRecord.Outcome, after: UInt64 = 0, _ sizes: RunRecord.Sizes = RunRecord.Sizes()
    ) -> RunRecord {
        let began = night.lowerBound + after * 60 * Sample.second
        return RunRecord(
            run: "r-\(guest)", subject: NoticeSubject(guest: guest, repository: "main", policy: "tier-1"),
            policyRevision: "7", startedBy: "schedule", began: began,
            ended: outcome == .running ? nil : began + 25 * 60 * Sample.second, outcome: outcome, point: "p1",
            phases: [RunRecord.Phase("freeze", 80_000_000), RunRecord.Phase("read", 20 * 60 * Sample.second)],
            sizes: sizes, trust: "bitmap-sampled", consistency: "application")
    }

    private func report() -> NightReport {
        let sizes = RunRecord.Sizes(read: 10 << 30, readAgain: 1 << 20, changed: 8 << 30, new: 2 << 30, stored: 1 << 30)
        let promises = [("ok", Sample.hour), ("業務サーバ01", 30 * Sample.hour), ("never", 100 * Sample.hour)].map {
            name, age in
            RunPromise(
                subject: NoticeSubject(guest: name, policy: "tier-1"), since: Self.night.upperBound - 100 * Sample.hour,
                objective: Sample.day, lastPoint: name == "never" ? nil : Self.night.upperBound - age)
        }
        return NightReport(
            host: "host1", night: Self.night,
            runs: [
                Self.record("ok", .complete, sizes), Self.record("業務サーバ01", .failed("no room <b>"), after: 60),
                Self.record("late", .stopped("the window ended"), after: 500), Self.record("now", .running, after: 550),
                Self.record("lost", .skipped("the host was off"), after: 10),
                Self.record("half", .partial(["disk vdb"]), after: 30),
            ], promises: promises, problems: [Sample.failure("業務サーバ01")], at: Self.night.upperBound)
    }

    @Test("what wants a look comes first, sums are over all, and each guest's objective has its class (S50)")
    func model() {
        let report = report()
        #expect(report.runs.map(\.outcome.word) == ["failed", "skipped", "stopped", "partial", "running", "complete"])
        #expect(
            report.headline
                == "1 failed, 1 skipped, 1 stopped, 1 partial, 1 running, 1 complete; 2 of 3 promises broken")
        #expect(
            report.standings.map { "\($0.subject.guest ?? "") \($0.grade?.rawValue ?? "")" } == [
                "never >4", "業務サーバ01 <=2", "ok <1",
            ])
        #expect(report.sizes.stored == 1 << 30 && report.sizes.readAgain == 1 << 20)
        let empty = NightReport(
            host: "h", night: Self.night, runs: [], promises: [], problems: [], at: Self.night.upperBound)
        #expect(empty.headline == "no run at all")
        #expect(empty.text.contains("no run at all") && empty.page.contains("no run at all"))
    }

    @Test("text has each run with its sizes, trust, consistency, revision and who started it, in straight columns")
    func text() throws {
        let lines = report().text.split(separator: "\n").map(String.init)
        let row = try #require(lines.first { $0.hasPrefix("ok") && $0.contains("complete") })
        for cell in [
            "25 min", "10.0 GiB", "8.0 GiB", "2.0 GiB", "1.0 GiB", "bitmap-sampled", "application", "tier-1 (7)",
            "schedule",
        ] {
            #expect(row.contains(cell), "\(cell)")
        }
        #expect(lines.contains("  業務サーバ01, run r-業務サーバ01: failed: no room <b>"))
        // Letters of East Asia take two columns: the row of the guest with five of them is as wide as the others.
        let head = try #require(lines.first { $0.hasPrefix("guest") && $0.contains("outcome") })
        let wide = try #require(lines.first { $0.hasPrefix("業務サーバ01") && $0.contains("failed") })
        let column = try #require(head.range(of: "outcome")).lowerBound.utf16Offset(in: head)
        #expect(try #require(wide.range(of: "failed")).lowerBound.utf16Offset(in: wide) + 5 == column)
    }

    @Test("JSON has the same, and run records come back from it")
    func json() throws {
        let report = report()
        let document = try JSONDocument(decoding: report.document.encoded)
        #expect(document["runs"]?.elements?.compactMap { RunRecord(document: $0) } == report.runs)
        #expect(document["counts"]?["failed"]?.number == 1)
        #expect(document["guests"]?.elements?.first?["objective-class"]?.text == ">4")
        #expect(document["problems"]?.elements?.count == 1)
    }

    @Test("the page is well-formed, needs nothing from elsewhere, and no name or reason becomes a tag")
    func page() throws {
        for name in Sample.hostileNames {
            let report = NightReport(
                host: name, night: Self.night, runs: [Self.record(name, .failed("</title><script>\(name)\"'&"))],
                promises: [RunPromise(subject: NoticeSubject(guest: name), since: 0, objective: 1)],
                problems: [Sample.failure(name)], at: Self.night.upperBound)
            let page = report.page
            #expect(!page.contains("<script") && !page.contains("</title><script"), "\(name.debugDescription)")
            #expect(!page.replacing("http://www.w3.org/2000/svg", with: "").contains("://"))
            var open: [String] = []
            for tag in page.matches(of: #/<(/?)([a-z0-9]+)((?: [a-zA-Z0-9:-]+="[^"<>]*")*)(/?)>/#) {
                let name = String(tag.2)
                if tag.4 == "/" || ["meta", "br"].contains(name) { continue }
                if tag.1 == "/" { #expect(open.popLast() == name) } else { open.append(name) }
            }
            #expect(open.isEmpty)
            // Every angle bracket belongs to a tag of ours.
            let rest = page.replacing(#/<(/?)([a-z0-9]+)((?: [a-zA-Z0-9:-]+="[^"<>]*")*)(/?)>/#, with: "")
            #expect(rest.filter { $0 == "<" }.count == 1 && rest.filter { $0 == ">" }.count == 1, "the doctype alone")
        }
    }

    @Test("bars lie inside of the picture, whatever the times are")
    func picture() throws {
        var dice = Dice(seed: 11)
        let odd: [UInt64] = [0, 1, Sample.start, Sample.start + 7 * Sample.hour, .max, 1 << 63, Sample.day, 999]
        func pick() -> UInt64 { odd[Int(dice.roll(below: UInt64(odd.count)))] }
        for _ in 0..<500 {
            let (a, b) = (pick(), pick())
            var run = Self.record("g", .complete)
            run.began = pick()
            run.ended = pick()
            let report = NightReport(
                host: "h", night: min(a, b)..<max(a, b), runs: [run], promises: [], problems: [], at: pick())
            for match in report.picture.matches(of: #/<rect x="(\d+)" y="\d+" width="(\d+)"/#) {
                let (left, width) = (try #require(Int(match.1)), try #require(Int(match.2)))
                #expect(left >= 180 && left + width <= 180 + 720 + 3)
            }
            #expect(report.picture.matches(of: #/<line /#).count <= 14)
            #expect(!report.text.isEmpty)
        }
    }

    @Test("every night is told once to whoever asks for it, good or bad")
    func notice() throws {
        let settings = try Sample.settings(
            """
            {"targets": [{"name": "log", "type": "journal"}, {"name": "other", "type": "journal"}],
             "rules": [{"kinds": ["night"], "targets": "log"}, {"at-least": "warning", "targets": "other"}]}
            """)
        var desk = NoticeDesk(settings: settings)
        var told: [String] = []
        for night in UInt64(0)..<5 {
            let begin = Sample.start + night * Sample.day
            let runs = night == 3 ? [] : [Self.record("g", .complete)]
            let report = NightReport(
                host: "h", night: begin..<(begin + Sample.hour), runs: runs, promises: [], problems: [],
                at: begin + Sample.hour)
            desk.report([report.notice, report.notice], at: begin + Sample.hour)
            desk.deliver(at: begin + Sample.hour) { message, target in
                told += message.notices.map { "\(target.name) \($0.severity.word)" }
                return .delivered
            }
        }
        #expect(told == ["information", "information", "information", "notice", "information"].map { "log \($0)" })
        #expect(desk.state.ledger.open.isEmpty)
        let bad = report().notice
        #expect(bad.severity == .notice && bad.sentence.contains("1 failed"))
        #expect(bad.details.contains(NoticeDetail("broken-promise", "業務サーバ01 <=2")))
    }

    @Test("more runs than are told one by one are counted")
    func bounds() {
        let runs =
            (0..<(NightReport.mostRuns + 7)).map { Self.record("g\($0)", .complete) } + [
                Self.record("bad", .failed("x"))
            ]
        let report = NightReport(
            host: "h", night: Self.night, runs: runs, promises: [], problems: [], at: Self.night.upperBound)
        #expect(report.runs.count == NightReport.mostRuns && report.unlisted == 8)
        #expect(report.runs.first?.subject.guest == "bad")
        #expect(report.counts["complete"] == NightReport.mostRuns + 7)
        #expect(report.page.contains("and 8 more runs") && report.page.contains("more guests in the table"))
    }

    @Test("a page, a text and a document are made of one model: all name every guest and outcome")
    func agreement() {
        let report = report()
        let json = String(decoding: report.document.encoded, as: UTF8.self)
        for run in report.runs {
            for rendered in [report.text, report.page, json] {
                #expect(rendered.contains(run.subject.guest ?? "") && rendered.contains(run.outcome.word))
            }
        }
    }
}
