import Foundation
import Jobs
import Notices
import TestKit
import Testing

/// What the scheduler begins, stops and catches up (S25, S49, S50).
@Suite("agenda of the agent (S25, S50)")
struct AgendaTests {
    static let text = """
        time-zone: Europe/Berlin
        repositories:
          main:
            location: /srv/dozo
            credential-file: /etc/dozo/writer
        guests:
          bank:
            connection: libvirt
            names: [bank]
          shops:
            connection: libvirt
            patterns: ["shop-*"]
            tags: [shop]
        tiers:
          1:
            name: trade
            largest-rpo: 1h
          3:
            name: inner
            largest-rpo: 7d
        policies:
          trade:
            guests: [bank]
            repository: main
            tier: 1
            schedule: every 15m
            retention:
              last: 8
          nightly:
            guests: [shops, bank]
            repository: main
            tier: 3
            schedule: "30 22 * * *"
            window:
              from: "22:00"
              to: "06:00"
            limits:
              concurrency: 2
            retention:
              daily: 14
        """
    static let libvirt = GuestConnection.libvirt(uri: "qemu:///system")
    /// 2028-02-01 12:00 in Berlin.
    static let noon = 1_833_015_600

    static func configuration(_ text: String = text) throws -> AgentConfiguration {
        let reading = AgentConfiguration.read(Array(text.utf8))
        return try #require(reading.configuration, "\(reading.errors.map { $0.text(file: "file") })")
    }

    static func agenda(_ places: Int, guests: [String], at now: Int = noon) throws -> Agenda {
        var agenda = Agenda(try configuration(), places: Agenda.Places(host: places))
        agenda.discovered(
            Dictionary(uniqueKeysWithValues: guests.map { ($0, []) }), at: libvirt, now: now)
        return agenda
    }

    static func key(_ guest: String, _ policy: String) -> JobKey {
        JobKey(guest: AgendaGuest(connection: libvirt, name: guest), policy: policy)
    }

    /// Drives an agenda and gives ids to its runs.
    final class Driver {
        var agenda: Agenda
        private var number = 0

        init(agenda: Agenda) { self.agenda = agenda }

        func advance(_ now: Int) -> [AgendaOrder] {
            var count = number
            defer { number = count }
            return agenda.advance(to: now) {
                count += 1
                return "r\(count)"
            }
        }

        func begun(_ now: Int) -> [AgendaRun] {
            advance(now).compactMap { if case .start(let run) = $0 { run } else { nil } }
        }
    }

    static func hours(_ count: Int) -> Int { count * 3600 }

    @Test("the first tier comes first, and one place is kept for it")
    func places() throws {
        let driver = Driver(agenda: try Self.agenda(2, guests: ["bank", "shop-a", "shop-b", "shop-c"]))
        // 22:40: the quarter of an hour and the night are due together.
        let night = Self.noon + Self.hours(10) + 2400
        let first = driver.begun(night)
        #expect(first.map(\.key) == [Self.key("bank", "trade"), Self.key("shop-a", "nightly")])
        driver.agenda.ended(first[0].identifier, .point(instant: night), now: night + 60)
        // The other shops wait: the place that is free is the first tier's.
        #expect(driver.begun(night + 60).isEmpty)
        let quarter = driver.begun(night + 900)
        #expect(quarter.map(\.key) == [Self.key("bank", "trade")])
        #expect(quarter.map(\.cause) == [.schedule])
        driver.agenda.ended(quarter[0].identifier, .point(instant: night + 900), now: night + 930)
        driver.agenda.ended(first[1].identifier, .point(instant: night), now: night + 931)
        #expect(driver.begun(night + 931).map(\.key) == [Self.key("bank", "nightly")])
    }

    @Test("one guest is never run twice at once, whatever policies say")
    func once() throws {
        let driver = Driver(agenda: try Self.agenda(8, guests: ["bank"]))
        let night = Self.noon + Self.hours(10) + 2400
        let runs = driver.begun(night)
        #expect(runs.map(\.key) == [Self.key("bank", "trade")])
        driver.agenda.ended(runs[0].identifier, .point(instant: night), now: night + 5)
        #expect(driver.begun(night + 5).map(\.key) == [Self.key("bank", "nightly")])
    }

    @Test("at the window's end it stops, and goes on when it opens again; never one run from two nights")
    func window() throws {
        let driver = Driver(agenda: try Self.agenda(4, guests: ["shop-a"]))
        let night = Self.noon + Self.hours(10) + 1800
        let run = try #require(driver.begun(night).first)
        #expect(driver.advance(Self.noon + Self.hours(18) - 1).isEmpty)
        // 06:00.
        #expect(
            driver.advance(Self.noon + Self.hours(18)) == [.stop(run, reason: "its window is over")])
        #expect(driver.advance(Self.noon + Self.hours(18) + 1).isEmpty)
        driver.agenda.ended(run.identifier, .stopped, now: Self.noon + Self.hours(18) + 9)
        let job = try #require(driver.agenda.jobs[Self.key("shop-a", "nightly")])
        #expect(job.pending?.isUnfinished == true && job.lastPoint == nil && job.durations.isEmpty)
        #expect(driver.advance(Self.noon + Self.hours(34) - 1).isEmpty)
        // 22:00, half an hour before it would be due by itself.
        let again = try #require(driver.begun(Self.noon + Self.hours(34)).first)
        #expect(again.cause == .catchUp && again.due == run.due && again.identifier != run.identifier)
        driver.agenda.ended(again.identifier, .point(instant: again.began), now: again.began + 600)
        #expect(driver.agenda.jobs[Self.key("shop-a", "nightly")]?.durations == [])
        // The time of 22:30 is due by itself.
        #expect(driver.begun(Self.noon + Self.hours(34) + 1800).map(\.cause) == [.schedule])
    }

    @Test("what was missed while nobody looked is caught up once")
    func catchUp() throws {
        let driver = Driver(agenda: try Self.agenda(4, guests: ["bank"]))
        let later = Self.noon + 3 * 86_400 + Self.hours(11)
        let runs = driver.begun(later)
        #expect(runs.map(\.key) == [Self.key("bank", "trade")])
        driver.agenda.ended(runs[0].identifier, .point(instant: later), now: later)
        let next = driver.begun(later)
        #expect(next.map(\.key) == [Self.key("bank", "nightly")])
        #expect(next.map(\.due) == [Self.noon + 3 * 86_400 + Self.hours(10) + 1800])
        driver.agenda.ended(next[0].identifier, .point(instant: later), now: later)
        #expect(driver.begun(later + 1).isEmpty)
    }

    @Test("a run that fails is tried again twice, then waits until it is due; what is hopeless is not tried")
    func retries() throws {
        let driver = Driver(agenda: try Self.agenda(4, guests: ["shop-a"]))
        var now = Self.noon + Self.hours(10) + 1800
        for delay in Agenda.retryDelays + [0] {
            let run = try #require(driver.begun(now).first)
            driver.agenda.ended(run.identifier, .failed(mayTryAgain: true), now: now)
            guard delay > 0 else { break }
            #expect(driver.begun(now + delay - 1).isEmpty)
            now += delay
        }
        #expect(driver.begun(now + Self.hours(5)).isEmpty)
        let next = try #require(driver.begun(Self.noon + Self.hours(34) + 1800).first)
        driver.agenda.ended(next.identifier, .failed(mayTryAgain: false), now: next.began)
        #expect(driver.begun(next.began + Self.hours(5)).isEmpty)
    }

    @Test("people: run now in spite of window and pause, skip, pause and resume")
    func people() throws {
        var driver = Driver(agenda: try Self.agenda(4, guests: ["shop-a"]))
        let key = Self.key("shop-a", "nightly")
        driver.agenda.pause(.guest("shop-a"), until: nil)
        let isTaken = driver.agenda.demand(key, by: "eva", now: Self.noon)
        let isUnknown = driver.agenda.demand(Self.key("shop-z", "nightly"), by: "eva", now: Self.noon)
        #expect(isTaken && !isUnknown)
        let run = try #require(driver.begun(Self.noon).first)
        #expect(run.cause == .person("eva"))
        #expect(driver.advance(Self.noon + 60).isEmpty, "outside of the window, because somebody wants it")
        driver.agenda.ended(run.identifier, .point(instant: Self.noon), now: Self.noon + 60)
        let paused = driver.begun(Self.noon + Self.hours(11))
        #expect(paused.isEmpty)
        let (first, second) = (driver.agenda.resume(.guest("shop-a")), driver.agenda.resume(.guest("shop-a")))
        #expect(first && !second)
        #expect(driver.begun(Self.noon + Self.hours(11)).count == 1, "and caught up once")

        driver = Driver(agenda: try Self.agenda(4, guests: ["shop-a"]))
        let skipped = driver.agenda.skip(key)
        #expect(skipped == nil)
        let due = Self.noon + Self.hours(10) + 1800
        #expect(driver.advance(due) == [.skipped(key, due: due)])
        let promises = driver.agenda.promises(now: UInt64(due + 9000) * 1_000_000_000)
        #expect(promises.first { $0.subject.guest == "shop-a" }?.dueTimes == [])
        #expect(driver.begun(due + 86_400).count == 1)

        driver = Driver(agenda: try Self.agenda(4, guests: ["shop-a"]))
        driver.agenda.pause(.all, until: due + 600)
        #expect(driver.begun(due).isEmpty)
        #expect(driver.begun(due + 600).count == 1, "a pause with an end ends by itself")
    }

    @Test("guests come, go and come under policies by name, pattern and tag; who is not covered is known (S39)")
    func guests() throws {
        var agenda = try Self.agenda(2, guests: [])
        agenda.discovered(["bank": [], "x": ["shop", "red"], "y": ["red"]], at: Self.libvirt, now: 100)
        #expect(
            agenda.jobs.keys.sorted() == [
                Self.key("bank", "nightly"), Self.key("bank", "trade"), Self.key("x", "nightly"),
            ])
        #expect(agenda.uncovered == [AgendaGuest(connection: Self.libvirt, name: "y"): 100])
        agenda.discovered(["y": ["red"], "x": []], at: Self.libvirt, now: 200)
        #expect(agenda.jobs[Self.key("x", "nightly")] == nil, "it has lost its tag")
        #expect(agenda.jobs[Self.key("bank", "trade")]?.isThere == false)
        let uncovered: [String: Int] = Dictionary(
            uniqueKeysWithValues: agenda.uncovered.map { ($0.key.name, $0.value) })
        #expect(uncovered == ["x": 200, "y": 100])
        // What is promised for a guest that is gone, or was never seen, is still promised.
        #expect(agenda.promises(now: 1_000_000_000_000).count == 2)
        agenda.discovered(["bank": []], at: Self.libvirt, now: 300)
        #expect(agenda.jobs[Self.key("bank", "trade")]?.isThere == true)
        // The file names it, so that it is missed from the beginning on.
        #expect(agenda.jobs[Self.key("bank", "trade")]?.since == Self.noon)
    }

    @Test("another configuration keeps what is known, and runs go on")
    func adopt() throws {
        let driver = Driver(agenda: try Self.agenda(4, guests: ["bank", "shop-a"]))
        let night = Self.noon + Self.hours(10) + 1800
        let runs = driver.begun(night)
        #expect(Set(runs.map(\.key)) == [Self.key("bank", "trade"), Self.key("shop-a", "nightly")])
        let other = Self.text.replacingOccurrences(of: "nightly:", with: "by-night:")
        driver.agenda.adopt(try Self.configuration(other))
        #expect(driver.agenda.jobs.keys.map(\.policy) == ["trade"])
        driver.agenda.discovered(["bank": [], "shop-a": []], at: Self.libvirt, now: night)
        #expect(driver.agenda.jobs[Self.key("shop-a", "by-night")]?.lastPoint == nil)
        #expect(driver.agenda.runs.count == 2)
        let shop = try #require(runs.first { $0.key.policy == "nightly" })
        driver.agenda.ended(shop.identifier, .point(instant: night), now: night + 9)
        #expect(driver.agenda.runs.count == 1)
    }

    @Test("a policy that got another name has not lost its guests' points, whether an agent ran meanwhile or not")
    func renamed() throws {
        let driver = Driver(agenda: try Self.agenda(4, guests: ["shop-a", "shop-b"]))
        let night = Self.noon + Self.hours(10) + 1800
        for run in driver.begun(night) where run.key.guest.name == "shop-a" {
            driver.agenda.ended(run.identifier, .point(instant: night), now: night + 9)
        }
        let other = try Self.configuration(Self.text.replacingOccurrences(of: "nightly:", with: "by-night:"))
        let written = driver.agenda.document
        var restarted = try #require(Agenda(other, places: .init(host: 4), document: written))
        // Also when it is started twice before the guests are seen.
        restarted = try #require(Agenda(other, places: .init(host: 4), document: restarted.document))
        driver.agenda.adopt(other)
        for var agenda in [driver.agenda, restarted] {
            agenda.discovered(["shop-a": [], "shop-b": []], at: Self.libvirt, now: night + 60)
            #expect(agenda.jobs[Self.key("shop-a", "by-night")]?.lastPoint == night)
            #expect(agenda.jobs[Self.key("shop-b", "by-night")]?.lastPoint == nil)
        }
    }

    @Test("a point from a clock that was ahead does not stand for the points of years")
    func clockAhead() throws {
        let driver = Driver(agenda: try Self.agenda(4, guests: ["shop-a"]))
        let night = Self.noon + Self.hours(10) + 1800
        let key = Self.key("shop-a", "nightly")
        let ahead = night + 5 * 366 * 86_400
        let first = try #require(driver.begun(night).first)
        driver.agenda.ended(first.identifier, .point(instant: ahead), now: ahead)
        #expect(driver.agenda.jobs[key]?.lastPoint == ahead)
        let second = try #require(driver.begun(night + 86_400).first)
        driver.agenda.ended(second.identifier, .point(instant: night + 86_400), now: night + 86_460)
        #expect(driver.agenda.jobs[key]?.lastPoint == night + 86_400)
        // One that is ahead by no more than honest clocks differ stays the newest.
        let third = try #require(driver.begun(night + 2 * 86_400).first)
        driver.agenda.ended(third.identifier, .point(instant: night + 2 * 86_400 + 3600), now: night + 2 * 86_400)
        #expect(driver.agenda.jobs[key]?.lastPoint == night + 2 * 86_400 + 3600)
    }

    @Test("a name that nobody has is promised a backup, and missed like any other (S39)")
    func nobody() throws {
        let text = Self.text.replacingOccurrences(of: "schedule: every 15m", with: "schedule: every 1h")
        var agenda = Agenda(try Self.configuration(text), places: .init(host: 2))
        agenda.discovered(["shop-a": []], at: Self.libvirt, now: Self.noon)
        let key = Self.key("bank", "trade")
        #expect(agenda.jobs[key]?.isThere == false)
        let promise = agenda.promises(now: UInt64(Self.noon + Self.hours(5)) * 1_000_000_000)
            .first { $0.subject.guest == "bank" && $0.subject.policy == "trade" }
        #expect(promise?.dueTimes.isEmpty == false)
        // Patterns promise nothing to names that nobody has.
        #expect(Set(agenda.jobs.keys.map(\.guest.name)) == ["bank", "shop-a"])
    }

    @Test("a run that takes much longer than any before it is late, and a first one after a day (S36)")
    func standsStill() throws {
        let driver = Driver(agenda: try Self.agenda(4, guests: ["shop-a"]))
        func isLate(_ now: Int) -> Bool {
            let time = UInt64(now) * 1_000_000_000
            let promise = driver.agenda.promises(now: time).first { $0.subject.guest == "shop-a" }
            return promise?.runProblem(at: time)?.kind == .late
        }
        let night = Self.noon + Self.hours(10) + 1800
        let first = try #require(driver.begun(night).first)
        #expect(!isLate(night + 86_400) && isLate(night + 86_401))
        driver.agenda.ended(first.identifier, .point(instant: night), now: night + 600)
        #expect(!isLate(night + 601))
        let second = try #require(driver.begun(night + 86_400).first)
        #expect(!isLate(second.began + 3 * 600 + 3600) && isLate(second.began + 3 * 600 + 3601))
    }

    @Test("who skips a run that is under way gives up the next one, and not what goes on")
    func skipUnderWay() throws {
        let driver = Driver(agenda: try Self.agenda(4, guests: ["shop-a"]))
        let key = Self.key("shop-a", "nightly")
        let night = Self.noon + Self.hours(10) + 1800
        let run = try #require(driver.begun(night).first)
        let skipped = driver.agenda.skip(key)
        #expect(skipped == nil && driver.agenda.runs[run.identifier] != nil)
        driver.agenda.ended(run.identifier, .point(instant: night), now: night + 60)
        #expect(driver.advance(night + 86_400) == [.skipped(key, due: night + 86_400)])
        #expect(driver.begun(night + 2 * 86_400).count == 1)
    }

    @Test("the forecast of a window that is too short names who does not come (S6, S50)")
    func forecast() throws {
        let driver = Driver(agenda: try Self.agenda(2, guests: ["shop-a", "shop-b", "shop-c"]))
        let due = Self.noon + Self.hours(10) + 1800
        for day in 0..<3 {
            var now = due + day * 86_400
            while let run = driver.begun(now).first {
                // Four hours each; the window has seven and a half behind the time at which they are due.
                now += Self.hours(4)
                _ = driver.advance(min(now, due + day * 86_400 + Self.hours(7) + 1799))
                driver.agenda.ended(run.identifier, .point(instant: run.began), now: now)
                guard now < due + day * 86_400 + Self.hours(7) else { break }
            }
        }
        let forecasts = driver.agenda.windowForecasts(now: Self.noon + 3 * 86_400)
        let forecast = try #require(forecasts.first)
        #expect(forecasts.count == 1 && forecast.subject.policy == "nightly")
        #expect(forecast.doneAt > forecast.closesAt && !forecast.unfinished.isEmpty)
        var absence = Absence()
        absence.windows = forecasts
        #expect(absence.problems(at: UInt64(Self.noon + 3 * 86_400) * 1_000_000_000).map(\.kind) == [.windowOverrun])
    }

    @Test("random nights keep every rule, and nothing is lost by writing down and reading again", arguments: 0..<40)
    func histories(seed: UInt64) throws {
        var dice = Dice(seed: seed)
        let configuration = try Self.configuration()
        let driver = Driver(
            agenda: try Self.agenda(
                Int.random(in: 1...4, using: &dice), guests: ["bank", "shop-a", "shop-b", "shop-c"]))
        var now = Self.noon
        var running: [String: AgendaRun] = [:]
        var begunTimes: [JobKey: [Int]] = [:]
        let window = try #require(configuration.policies["nightly"]?.window)
        let zone = try #require(configuration.policies["nightly"]?.timeZone)
        for _ in 0..<400 {
            now += [1, 60, 600, 3000, 20_000, 90_000].randomElement(using: &dice) ?? 60
            // A crash: all that is left is what was written down, and the runs that go on.
            if Int.random(in: 0..<8, using: &dice) == 0 {
                let document = try JSONDocument(decoding: driver.agenda.document.encoded)
                var read = try #require(Agenda(configuration, places: driver.agenda.places, document: document))
                read.reconcile(Array(running.values))
                #expect(read.jobs == driver.agenda.jobs && read.runs == driver.agenda.runs)
                #expect(read.pauses == driver.agenda.pauses && read.uncovered == driver.agenda.uncovered)
                driver.agenda = read
            }
            if Int.random(in: 0..<10, using: &dice) == 0 {
                driver.agenda.pause(.policy("nightly"), until: now + Int.random(in: 1..<100_000, using: &dice))
            }
            let wasPaused = driver.agenda.isPaused(Self.key("shop-a", "nightly"))
            for order in driver.advance(now) {
                switch order {
                case .start(let run):
                    #expect(!running.values.contains { $0.key.guest == run.key.guest }, "one guest twice")
                    if run.key.policy == "nightly" {
                        #expect(window.isOpen(at: now, zone: zone), "outside of the window")
                        #expect(!wasPaused || !driver.agenda.isPaused(run.key), "paused")
                    }
                    running[run.identifier] = run
                    begunTimes[run.key, default: []].append(run.due)
                    #expect(run.due <= now && running.count <= driver.agenda.places.host)
                    let lower = running.values.count { $0.tier > 1 }
                    #expect(driver.agenda.places.host == 1 || lower < driver.agenda.places.host, "no place is kept")
                    #expect(running.values.count { $0.key.policy == "nightly" } <= 2)
                case .stop(let run, _):
                    #expect(!window.isOpen(at: now, zone: zone))
                    driver.agenda.ended(run.identifier, .stopped, now: now)
                    running[run.identifier] = nil
                case .skipped: Issue.record("nobody skips")
                }
            }
            for run in running.values.sorted(by: { $0.identifier < $1.identifier })
            where Int.random(in: 0..<3, using: &dice) == 0 {
                let ends: [RunEnd] = [
                    .point(instant: run.began), .point(instant: run.began), .failed(mayTryAgain: true), .stopped,
                ]
                driver.agenda.ended(run.identifier, ends.randomElement(using: &dice) ?? .stopped, now: now)
                running[run.identifier] = nil
            }
            #expect(Set(driver.agenda.runs.keys) == Set(running.keys))
            if let next = driver.agenda.nextEvent(after: now) { #expect(next > now) }
        }
        // Whoever was due once came.
        #expect(begunTimes[Self.key("bank", "trade")]?.isEmpty == false)
        // With one place the first tier, which is due again at each of these long steps, may take it every time.
        #expect(driver.agenda.places.host == 1 || begunTimes[Self.key("shop-a", "nightly")]?.isEmpty == false)
    }

    @Test("what was written by another version, or is garbage, begins anew and never fails")
    func garbage() throws {
        let configuration = try Self.configuration()
        let places = Agenda.Places(host: 2)
        #expect(Agenda(configuration, places: places, document: .null) == nil)
        #expect(Agenda(configuration, places: places, document: .members(("format", .number(99)))) == nil)
        var mutator = Mutator(seed: 7)
        let driver = Driver(agenda: try Self.agenda(2, guests: ["bank", "shop-a"]))
        _ = driver.advance(Self.noon + Self.hours(11))
        driver.agenda.pause(.all, until: Self.noon)
        let whole = driver.agenda.document.encoded
        for _ in 0..<2000 {
            let bytes = mutator.mutated(whole)
            guard let document = try? JSONDocument(decoding: bytes) else { continue }
            guard var read = Agenda(configuration, places: places, document: document) else { continue }
            _ = read.advance(to: Self.noon + Self.hours(12)) { "x" }
            _ = read.promises(now: 1)
        }
    }
}
