import Notices
import TestKit
import Testing

/// Nobody reports anything here: promises and the time are enough (S36).
@Suite("what did not happen")
struct AbsenceTests {
    private static let target = Sample.day

    private func promise(_ change: (inout RunPromise) -> Void = { _ in }) -> RunPromise {
        var promise = RunPromise(
            subject: Sample.guest, since: Sample.start, objective: Self.target,
            dueTimes: (0..<10).map { Sample.start + 22 * Sample.hour + $0 * Sample.day })
        change(&promise)
        return promise
    }

    private func problems(_ promise: RunPromise, at now: UInt64) -> [Notice] {
        var absence = Absence()
        absence.runs = [promise]
        return absence.problems(at: now)
    }

    @Test("a scheduler that stands: late, then missed, then the objective in every class, without any run")
    func standing() {
        let promise = promise {
            $0.lastStart = Sample.start
            $0.lastPoint = Sample.start
        }
        var seen: [String] = []
        // Five days in steps of five minutes.
        for now in stride(from: Sample.start, to: Sample.start + 5 * Sample.day, by: 300_000_000_000) {
            let words = problems(promise, at: now).map { notice in
                ([notice.kind.rawValue] + notice.details.filter { $0.name == "objective-class" }.map(\.value)).joined()
            }.sorted().joined(separator: " ")
            if words != seen.last { seen.append(words) }
        }
        #expect(
            seen == [
                "", "late", "missed", "missed objective-missed<=2", "missed objective-missed<=4",
                "missed objective-missed>4",
            ])
    }

    @Test("the classes of an age: up to the target is kept, then 2, 4 and beyond, to the nanosecond")
    func classes() {
        let target: UInt64 = 1000
        let table: [(UInt64, ObjectiveClass)] = [
            (0, .kept), (999, .kept), (1000, .kept), (1001, .upToTwo), (2000, .upToTwo), (2001, .upToFour),
            (4000, .upToFour), (4001, .beyondFour), (.max, .beyondFour),
        ]
        for (age, wanted) in table { #expect(ObjectiveClass(age: age, target: target) == wanted, "\(age)") }
        #expect(ObjectiveClass(age: .max, target: 1) == .beyondFour)
        #expect(ObjectiveClass(age: .max, target: .max) == .kept)
    }

    @Test("a run that was started meets its due time, one that goes on too long is late")
    func running() {
        let due = Sample.start + 22 * Sample.hour
        let begun = promise {
            $0.lastStart = due + Sample.second
            $0.isRunning = true
            $0.longestRun = 2 * Sample.hour
            $0.lastPoint = Sample.start + 10 * Sample.hour
        }
        #expect(problems(begun, at: due + Sample.hour).isEmpty)
        let late = problems(begun, at: due + 3 * Sample.hour)
        #expect(late.map(\.kind) == [.late])
        #expect(late.first?.sentence.contains("still running after 2 h 59 min") == true)
    }

    @Test("a due time exactly now, or of the time before the promise, is nobody's fault")
    func borders() {
        let due = Sample.start + 22 * Sample.hour
        let new = promise { $0.objective = nil }
        #expect(problems(new, at: due).isEmpty)
        #expect(problems(new, at: due + RunPromise.usualPatience - 1).isEmpty)
        #expect(problems(new, at: due + RunPromise.usualPatience).map(\.kind) == [.late])
        #expect(problems(new, at: due + RunPromise.usualMissedAfter - 1).map(\.kind) == [.late])
        #expect(problems(new, at: due + RunPromise.usualMissedAfter).map(\.kind) == [.missed])
        let younger = promise {
            $0.objective = nil
            $0.since = due + 1
        }
        #expect(problems(younger, at: due + 3 * Sample.hour).isEmpty)
    }

    @Test("a second due time makes a first one missed, however patient the policy is, and both are counted")
    func twoDue() {
        let patient = promise {
            $0.objective = nil
            $0.missedAfter = 100 * Sample.day
        }
        let found = problems(patient, at: Sample.start + 46 * Sample.hour)
        #expect(found.map(\.kind) == [.missed])
        #expect(found.first?.details.contains(NoticeDetail("due-count", "2")) == true)
        #expect(found.first?.sentence.contains("2 runs of policy tier-1 due") == true)
    }

    @Test("a paused guest misses no run, and its objective all the same")
    func paused() {
        let paused = promise { $0.isPaused = true }
        #expect(problems(paused, at: Sample.start + 3 * Sample.day).map(\.kind) == [.objectiveMissed])
    }

    @Test("a guest without any point counts from when the policy began to hold")
    func noPoint() {
        let promise = promise { $0.dueTimes = [] }
        #expect(problems(promise, at: Sample.start + Sample.day).isEmpty)
        let found = problems(promise, at: Sample.start + Sample.day + 1)
        #expect(found.map(\.kind) == [.objectiveMissed])
        #expect(found.first?.sentence.contains("has no good point at all") == true)
    }

    @Test("points and starts from the future prove nothing, and are told as a matter of the clock")
    func future() {
        let now = Sample.start + 3 * Sample.day
        let ahead = promise {
            $0.lastPoint = now + 400 * Sample.day
            $0.lastStart = now + 400 * Sample.day
        }
        let found = problems(ahead, at: now)
        #expect(Set(found.map(\.kind)) == [.missed, .objectiveMissed, .clockJumped])
        // An hour ahead is no jump: two hosts are never of one mind.
        let near = promise {
            $0.lastPoint = now + Sample.hour
            $0.lastStart = now + Sample.hour
        }
        #expect(problems(near, at: now).isEmpty)
    }

    @Test(
        "guests that no policy covers, agents that are silent, unread stores, too little room (S6, S37, S39)"
    )
    func others() {
        let now = Sample.start + 10 * Sample.day
        var absence = Absence()
        absence.uncovered = [UncoveredGuest(name: "new01", since: now - Sample.hour, place: "qemu:///system")]
        absence.heartbeats = [
            Heartbeat(agent: "host1", lastSign: now - 61 * Sample.second, limit: 60 * Sample.second),
            Heartbeat(agent: "host2", lastSign: now - 60 * Sample.second, limit: 60 * Sample.second),
            Heartbeat(agent: "host3", lastSign: nil, limit: 60 * Sample.second),
        ]
        let main = NoticeSubject(repository: "main")
        absence.verifications = [
            VerificationPromise(subject: main, since: Sample.start, lastVerified: nil, limit: 7 * Sample.day),
            VerificationPromise(
                subject: NoticeSubject(repository: "other"), since: 0, lastVerified: now - 7 * Sample.day,
                limit: 7 * Sample.day),
        ]
        absence.rooms = [
            RoomForecast(subject: main, freeBytes: 3 << 40, fullAt: now + 10 * Sample.day, warning: 14 * Sample.day),
            RoomForecast(
                subject: NoticeSubject(repository: "a"), freeBytes: 1 << 30, fullAt: now + Sample.day,
                warning: 14 * Sample.day),
            RoomForecast(subject: NoticeSubject(repository: "b"), freeBytes: 0, fullAt: nil, warning: 0),
            RoomForecast(
                subject: NoticeSubject(repository: "c"), freeBytes: 1, fullAt: now + 15 * Sample.day,
                warning: 14 * Sample.day),
        ]
        absence.windows = [
            WindowForecast(
                subject: NoticeSubject(policy: "tier-1"), closesAt: now, doneAt: now + 90 * 60 * Sample.second,
                unfinished: (0..<30).map { "g\($0)" }),
            WindowForecast(subject: NoticeSubject(policy: "tier-2"), closesAt: now, doneAt: now, unfinished: []),
        ]
        let found = absence.problems(at: now)
        let words = found.map {
            "\($0.kind.rawValue) \($0.severity.word) \(name($0.subject))"
        }
        #expect(
            words == [
                "unprotected error new01", "agent-stopped critical host1", "agent-stopped critical host3",
                "unverified warning main", "storage-full warning main", "storage-full error a",
                "storage-full critical b",
                "window-overrun warning tier-1",
            ])
        #expect(found.contains { $0.sentence.contains("3.0 TiB are free") && $0.sentence.contains("2028-02-20") })
        #expect(found.last?.sentence.contains("1 h 30 min later; not done by then: g0, g1") == true)
        #expect(found.last?.sentence.contains("and 10 more") == true)
    }

    private func name(_ subject: NoticeSubject) -> String {
        subject.guest ?? subject.repository ?? subject.object ?? subject.policy ?? ""
    }

    @Test("what nobody could look at is neither a problem nor over")
    func unseen() {
        var ledger = NoticeLedger()
        var absence = Absence()
        absence.uncovered = [UncoveredGuest(name: "new01", since: Sample.start)]
        let first = ledger.observe(
            absence.problems(at: Sample.start), of: absence.kinds, at: Sample.start, Sample.manners)
        #expect(first.map(\.kind) == [.unprotected])
        absence = Absence()
        absence.runs = []
        #expect(
            ledger.observe(absence.problems(at: Sample.start), of: absence.kinds, at: Sample.start, Sample.manners)
                == [])
        absence.uncovered = []
        let last = ledger.observe(
            absence.problems(at: Sample.start), of: absence.kinds, at: Sample.start, Sample.manners)
        #expect(last.map(\.phase) == [.over])
    }

    @Test("whatever times are given, nothing traps and one notice stands for one kind and subject")
    func anyTimes() {
        var dice = Dice(seed: 7)
        let odd: [UInt64] = [0, 1, Sample.start, Sample.start + 1, .max, .max - 1, 1 << 63, Sample.day, 1_000]
        func pick() -> UInt64 { odd[Int(dice.roll(below: UInt64(odd.count)))] }
        for _ in 0..<3000 {
            var absence = Absence()
            absence.uncoveredPatience = pick()
            absence.runs = (0..<2).map { _ in
                RunPromise(
                    subject: Sample.guest, since: pick(), objective: dice.roll(below: 2) == 0 ? nil : pick(),
                    dueTimes: [pick(), pick(), pick()], patience: pick(), missedAfter: pick(), longestRun: pick(),
                    lastStart: pick(), isRunning: dice.roll(below: 2) == 0, lastPoint: pick())
            }
            absence.uncovered = [UncoveredGuest(name: "u", since: pick())]
            absence.heartbeats = [Heartbeat(agent: "h", lastSign: pick(), limit: pick())]
            absence.verifications = [
                VerificationPromise(subject: Sample.guest, since: pick(), lastVerified: pick(), limit: pick())
            ]
            absence.rooms = [RoomForecast(subject: Sample.guest, freeBytes: pick(), fullAt: pick(), warning: pick())]
            absence.windows = [
                WindowForecast(subject: Sample.guest, closesAt: pick(), doneAt: pick(), unfinished: ["a"])
            ]
            let now = pick()
            let found = absence.problems(at: now)
            #expect(Set(found.map(\.key)).count == found.count)
            #expect(found == absence.problems(at: now))
        }
    }
}
