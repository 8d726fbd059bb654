import Notices
import Testing

@Suite("sentences of what is reported")
struct NoticeEventTests {
    private let now = Sample.start
    private let guest = NoticeSubject(guest: "db01", repository: "main", policy: "tier-1")

    private func value(_ notice: Notice, _ name: String) -> String? { notice.details.first { $0.name == name }?.value }

    @Test("a failed run says why, and whether anything else of the guest is there")
    func failed() {
        let usual = Notice.failed(guest, run: "r1", at: now, because: "the store is full", remedy: "make room")
        #expect(
            usual.sentence == "the backup of guest db01 failed: the store is full; its earlier points are as they were")
        #expect(usual.severity == .error && usual.remedy == "make room" && usual.run == "r1")
        let first = Notice.failed(guest, run: "r1", at: now, because: "x", remedy: nil, isGone: true)
        #expect(first.severity == .critical && first.sentence.hasSuffix("it has no other point"))
    }

    @Test("a point that lacks something names what")
    func partial() {
        let notice = Notice.partial(guest, run: "r", at: now, missing: ["disk vdb (passed through)", "quiescing"])
        #expect(
            notice.sentence == "the point of guest db01 is there and lacks disk vdb (passed through); quiescing")
        let many = Notice.partial(guest, run: "r", at: now, missing: (0..<10_000).map { "disk \($0)" })
        #expect(many.sentence.unicodeScalars.count <= PlainText.longestSentence + 1)
    }

    @Test("an encryption-like guest is told with its ranges, the bytes and the last clean point, and is critical")
    func encryption() {
        let ranges = (0..<20).map { UInt64($0) << 30..<(UInt64($0) << 30 + 1 << 20) }
        let notice = Notice.encryptionLike(
            guest, run: "r", at: now, disk: "vda", ranges: ranges, lastClean: ("p7", now - Sample.day))
        #expect(notice.severity == .critical)
        #expect(notice.sentence.contains("written 20.0 MiB to disk vda that look encrypted"))
        #expect(notice.sentence.contains("the last clean point is p7 of 2028-01-30 00:00 UTC, which is held"))
        #expect(value(notice, "range-1") == "0-1048576" && value(notice, "range-16") == "16106127360-16107175936")
        #expect(value(notice, "more-ranges") == "4" && value(notice, "last-clean-point") == "p7")
        let none = Notice.encryptionLike(
            guest, run: "r", at: now, disk: "vda", ranges: [0..<UInt64.max, 1..<UInt64.max], lastClean: nil)
        #expect(none.sentence.contains("there is no clean point") && none.sentence.contains("15.9 EiB"))
    }

    @Test("a list of changes that lied names its disk and says that this point is right")
    func lying() {
        let notice = Notice.lyingChangeList(guest, run: "r", at: now, disk: "vdb", ranges: [512..<1024])
        #expect(
            notice.sentence.contains("list of changes of disk vdb of guest db01 did not name blocks that had changed"))
        #expect(value(notice, "disk") == "vdb" && value(notice, "range-1") == "512-1024")
    }

    @Test("what waits for persons is information for a day and a warning then, and no bad night by itself")
    func approvals() {
        func notice(_ since: UInt64) -> Notice {
            .approvalWaiting(
                repository: "main", kinds: [("forget", 2), ("unlock", 1)], since: since, location: "/b", at: now)
        }
        let young = notice(now - Sample.day)
        #expect(young.severity == .information && young.since == now - Sample.day)
        #expect(
            young.sentence.hasPrefix(
                "3 requests wait for the approval of persons in repository main (2 forget, 1 unlock), the oldest since "
            ))
        #expect(young.remedy?.contains("dozo approve -r /b") == true && value(young, "forget") == "2")
        let old = notice(now - Sample.day - 1)
        #expect(old.severity == .warning && old.key == young.key && !old.kind.isMoment)
        let one = Notice.approvalWaiting(repository: "m", kinds: [("person", 1)], since: now, location: "/b", at: now)
        #expect(one.sentence.hasPrefix("1 request waits for"))
        // Told when it comes, told as worse, told as over.
        var ledger = NoticeLedger()
        let manners = NoticeManners()
        #expect(ledger.note([young], at: now, manners).map(\.phase) == [.new])
        #expect(ledger.note([old], at: now + 1, manners).map(\.phase) == [.worse])
        #expect(ledger.end(at: now + 2) { $0 == old.key }.map(\.phase) == [.over])
        for (waiting, severity) in [(young, NoticeSeverity.information), (old, .notice)] {
            let night = NightReport(
                host: "h", night: 0..<now,
                runs: [NightReportTests.record("a", .complete, RunRecord.Sizes())], promises: [], problems: [waiting],
                at: now)
            #expect(night.notice.severity == severity && night.text.contains("dozo approve"))
            #expect(String(decoding: night.document.encoded, as: UTF8.self).contains("approval-waiting"))
        }
    }

    @Test("a guest that is left frozen, a clock that jumped, an agent that stops and starts")
    func others() {
        let frozen = Notice.leftFrozen(guest, run: nil, at: now, since: now - Sample.hour, reason: "its agent is gone")
        #expect(frozen.severity == .critical && frozen.since == now - Sample.hour)
        #expect(frozen.sentence.contains("stands still since 2028-01-30 23:00 UTC"))
        let jump = Notice.clockJumped(by: 3 * Sample.day, isBackward: true, host: "h1", at: now, because: "NTP")
        #expect(jump.sentence == "the clock of h1 jumped back by 3 days: NTP")
        let stop = Notice.agentStopped(host: "h1", at: now, because: "SIGTERM")
        #expect(stop.kind == .agentStopped && stop.sentence.contains("was stopped (SIGTERM)"))
        // Told by itself or found by its silence, it is one problem.
        var absence = Absence()
        absence.heartbeats = [Heartbeat(agent: "h1", lastSign: 0, limit: 1)]
        #expect(absence.problems(at: now).map(\.key) == [stop.key])
        let over = frozen.over(at: now)
        #expect(over.phase == .over && over.sentence.hasPrefix("over after 1 h: guest db01 stands still"))
    }
}
