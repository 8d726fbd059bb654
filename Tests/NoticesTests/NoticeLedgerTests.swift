import Notices
import TestKit
import Testing

@Suite("what is told once, again, and as over")
struct NoticeLedgerTests {
    private func lines(_ notices: [Notice]) -> [String] { notices.map { "\($0.phase.word) \($0.kind.rawValue)" } }

    @Test(
        "sixty nights of a guest that is not backed up for three days: each problem once, a reminder a day, and its end"
    )
    func sixtyNights() {
        var ledger = NoticeLedger()
        var told: [(day: UInt64, line: String)] = []
        var promise = RunPromise(
            subject: Sample.guest, since: Sample.start, objective: Sample.day + 6 * Sample.hour,
            lastStart: Sample.start, lastPoint: Sample.start)
        for now in stride(from: Sample.start, to: Sample.start + 60 * Sample.day, by: 600_000_000_000) {
            let day = (now - Sample.start) / Sample.day
            let due = Sample.start + day * Sample.day + 2 * Sample.hour
            promise.dueTimes = [due] + (day > 0 ? [due - Sample.day] : [])
            let isStanding = (20..<23).contains(day)
            if now == due, !isStanding {
                promise.lastStart = now
                promise.lastPoint = now
            }
            var absence = Absence()
            absence.runs = [promise]
            let news = ledger.observe(absence.problems(at: now), of: absence.kinds, at: now, Sample.manners)
            told += lines(news).map { (day, $0) }
        }
        #expect(
            told.map { "\($0.day) \($0.line)" } == [
                "20 new late", "20 new missed", "20 new objective-missed", "21 reminder missed",
                "21 reminder objective-missed", "21 worse objective-missed",
                "22 reminder missed", "22 reminder objective-missed", "23 over missed",
                "23 over objective-missed",
            ])
        #expect(ledger.open.isEmpty)
    }

    @Test(
        "the same failure is told once, again later, at once when it is worse, and over when a run succeeds"
    )
    func failures() {
        var ledger = NoticeLedger()
        let now = Sample.start
        #expect(lines(ledger.note([Sample.failure()], at: now, Sample.manners)) == ["new failed"])
        #expect(ledger.note([Sample.failure(at: now + 1)], at: now + 1, Sample.manners).isEmpty)
        #expect(ledger.remind(at: now + Sample.day - 1, Sample.manners).isEmpty)
        #expect(lines(ledger.remind(at: now + Sample.day, Sample.manners)) == ["reminder failed"])
        #expect(ledger.remind(at: now + Sample.day, Sample.manners).isEmpty)
        let worse = Sample.failure(at: now + Sample.day + 1, .critical)
        #expect(lines(ledger.note([worse], at: now + Sample.day + 1, Sample.manners)) == ["worse failed"])
        // Critical ones are told again sooner.
        #expect(lines(ledger.remind(at: now + Sample.day + 5 * Sample.hour, Sample.manners)) == ["reminder failed"])
        let over = ledger.end(at: now + 2 * Sample.day) { $0.kind == .failed }
        #expect(lines(over) == ["over failed"])
        #expect(over.first?.sentence.hasPrefix("over after 2 days: ") == true)
        #expect(ledger.end(at: now + 2 * Sample.day) { _ in true }.isEmpty)
        #expect(lines(ledger.note([Sample.failure()], at: now + 3 * Sample.day, Sample.manners)) == ["new failed"])
    }

    @Test("two guests of almost one name are two problems")
    func keys() {
        let names = ["a", "a/policy=b", "a%2Fpolicy=b", "A", "a "]
        let keys = names.map { NoticeKey(kind: .failed, subject: NoticeSubject(guest: $0)).line }
        #expect(Set(keys).count == names.count)
        let both = NoticeKey(kind: .failed, subject: NoticeSubject(guest: "a", policy: "b")).line
        #expect(!keys.contains(both))
    }

    @Test("moments are told once in a while and have no end")
    func moments() {
        var ledger = NoticeLedger()
        let jump = Notice.clockJumped(by: Sample.day, isBackward: false, host: "h", at: Sample.start, because: "x")
        #expect(lines(ledger.note([jump], at: Sample.start, Sample.manners)) == ["new clock-jumped"])
        #expect(ledger.note([jump], at: Sample.start + Sample.hour, Sample.manners).isEmpty)
        #expect(ledger.open.isEmpty)
        #expect(lines(ledger.note([jump], at: Sample.start + Sample.day, Sample.manners)) == ["new clock-jumped"])
    }

    @Test("a clock that goes back a year silences nothing for longer than a reminder")
    func backwards() {
        var ledger = NoticeLedger()
        let later = Sample.start + 365 * Sample.day
        let jump = Notice.agentStarted(host: "h", at: later, version: "1")
        _ = ledger.note([Sample.failure(at: later), jump], at: later, Sample.manners)
        #expect(lines(ledger.note([jump], at: Sample.start, Sample.manners)) == ["new agent-started"])
        #expect(ledger.remind(at: Sample.start, Sample.manners).isEmpty)
        #expect(lines(ledger.remind(at: Sample.start + Sample.day, Sample.manners)) == ["reminder failed"])
    }

    @Test("more problems than are kept are counted in one notice, and those that are kept stay")
    func bounds() {
        var ledger = NoticeLedger()
        let many = (0..<(NoticeLedger.mostOpen + 100)).map { Sample.failure("g\($0)") }
        let told = ledger.note(many, at: Sample.start, Sample.manners)
        let kept = ledger.open.count
        #expect((2000...NoticeLedger.mostOpen).contains(kept) && told.count == kept + 1)
        #expect(told.last?.sentence.hasPrefix("\(many.count - kept) more notices") == true)
        #expect(ledger.note(many, at: Sample.start + 1, Sample.manners).isEmpty)
        for index in 0..<3000 {
            _ = ledger.note(
                [.agentStarted(host: "h\(index)", at: Sample.start, version: "1")], at: Sample.start + UInt64(index),
                Sample.manners)
        }
        #expect(ledger.moments.count == NoticeLedger.mostMoments)
    }

    @Test("against a plain model: whatever is seen when, every problem is told as new and over alternately")
    func model() {
        for seed in UInt64(1)...60 {
            var dice = Dice(seed: seed)
            var ledger = NoticeLedger()
            var isOpen: [NoticeKey: Bool] = [:]
            var lastTold: [NoticeKey: UInt64] = [:]
            var now = Sample.start
            for _ in 0..<120 {
                now += dice.roll(below: 3 * Sample.hour)
                let seen = (0..<6).filter { _ in dice.roll(below: 3) > 0 }.map { Sample.failure("g\($0)", at: now) }
                let told = ledger.observe(seen, of: [.failed], at: now, Sample.manners)
                let keys = Set(seen.map(\.key))
                var expected: Set<String> = []
                for index in 0..<6 {
                    let key = Sample.failure("g\(index)").key
                    if keys.contains(key), isOpen[key] != true {
                        expected.insert("new \(key.line)")
                        lastTold[key] = now
                    } else if keys.contains(key), now - (lastTold[key] ?? 0) >= Sample.day {
                        expected.insert("reminder \(key.line)")
                        lastTold[key] = now
                    } else if !keys.contains(key), isOpen[key] == true {
                        expected.insert("over \(key.line)")
                    }
                    isOpen[key] = keys.contains(key)
                }
                let words = told.map { "\($0.phase.word) \($0.key.line)" }
                #expect(Set(words) == expected && words.count == expected.count, "seed \(seed)")
            }
        }
    }
}
