import BackupModel
import Foundation
import Jobs
import Notices
import TestKit
import Testing

/// Sixty nights on a virtual clock, 1 February to 31 March 2028 in Berlin: a leap day, the beginning of summer time,
/// guests that grow until their window is too short, a full disk, missed nights, agents that are killed every day, and
/// two agents with one repository. What is there at the end of each step is held against a second, plain model (S6,
/// S49, S50).
@Suite("sixty nights (S49, S50)")
struct SixtyNightsTests {
    static let zone = TimeZone(identifier: "Europe/Berlin") ?? .gmt
    /// 2028-02-01 00:00 and 2028-04-01 00:00 in Berlin.
    static let (first, last) = (1_832_972_400, 1_838_152_800)
    static let step = 300

    static let office = """
        time-zone: Europe/Berlin
        repositories:
          main:
            location: /srv/dozo
            credential-file: /etc/dozo/writer
            maintainer-credential-file: /etc/dozo/maintainer
        guests:
          bank:
            connection: libvirt
            names: [bank]
          shops:
            connection: libvirt
            patterns: ["shop-*"]
        tiers:
          1:
            name: trade
            largest-rpo: 2h
          3:
            name: inner
            largest-rpo: 2d
        policies:
          trade:
            guests: [bank]
            repository: main
            tier: 1
            rpo: 2h
            schedule: every 1h
            retention:
              last: 6
              hourly: 24
              daily: 7
          nightly:
            guests: [shops]
            repository: main
            tier: 3
            rpo: 25h
            schedule: "30 22 * * *"
            jitter: 20m
            window:
              from: "22:00"
              to: "06:00"
            limits:
              concurrency: 2
            retention:
              daily: 10
              weekly: 4
              monthly: 2
        """
    /// The second agent: due in the hour that summer time leaves out, and kept for weeks.
    static let branch = """
        time-zone: Europe/Berlin
        repositories:
          main:
            location: /srv/dozo
            credential-file: /etc/dozo/writer
        guests:
          erp:
            connection: libvirt
            names: [erp]
        tiers:
          2:
            name: orders
            largest-rpo: 2d
        policies:
          orders:
            guests: [erp]
            repository: main
            tier: 2
            rpo: 25h
            schedule: "30 2 * * *"
            retention:
              daily: 3
              weekly: 5
        """

    struct Point: Hashable {
        let id: PointID
        let guest: String
        let time: Int
    }

    /// One agent with its host.
    struct Host {
        let configuration: AgentConfiguration
        let guests: [String]
        var agenda: Agenda
        var number = 0
        /// Runs whose processes go on, with the seconds of work that are left.
        var processes: [String: (run: AgendaRun, left: Int)] = [:]
        /// Work of guests that a stopped run has done already.
        var done: [String: Int] = [:]
        var isDown = false

        init(_ text: String, guests: [String], places: Int) throws {
            configuration = try AgendaTests.configuration(text)
            self.guests = guests
            agenda = Agenda(configuration, places: Agenda.Places(host: places))
            discover(at: SixtyNightsTests.first)
        }

        mutating func discover(at now: Int) {
            agenda.discovered(
                Dictionary(uniqueKeysWithValues: guests.map { ($0, []) }), at: AgendaTests.libvirt, now: now)
        }

        /// kill -9 of the agent; with the power gone, of its processes too.
        mutating func die(withPower: Bool) throws {
            if withPower { processes = [:] }
            let document = try JSONDocument(decoding: agenda.document.encoded)
            var read = try #require(Agenda(configuration, places: agenda.places, document: document))
            read.reconcile(processes.values.map(\.run))
            agenda = read
        }
    }

    /// Seconds that a whole run takes: shops grow until two of them do not fit into a night any more.
    static func work(_ guest: String, day: Int) -> Int {
        switch guest {
        case "bank": 240
        case "erp": 3000
        case "shop-a": 3600 + day * 240
        case "shop-b": 7200 + day * 360
        default: 1800
        }
    }

    static func civil(_ time: Int) -> DateComponents {
        var calendar = Calendar(identifier: .iso8601)
        calendar.timeZone = zone
        return calendar.dateComponents(
            [.year, .month, .day, .hour, .weekOfYear, .yearForWeekOfYear],
            from: Date(timeIntervalSince1970: TimeInterval(time)))
    }

    // MARK: The plain model of what is promised

    /// The points that a guest's rules keep, from all that were ever made: counted from the newest to the oldest.
    static func promised(_ points: [Point], _ rules: RetentionRules) -> Set<PointID> {
        let ordered = points.sorted { $0.time > $1.time }
        var kept = Set(ordered.prefix(max(1, rules.last)).map(\.id))
        for (period, count) in rules.periods {
            var names: [String] = []
            for point in ordered {
                let parts = civil(point.time)
                let name: String
                switch period {
                // The hour that is repeated in autumn lies outside of these nights.
                case .hour: name = "\(parts.year ?? 0) \(parts.month ?? 0) \(parts.day ?? 0) \(parts.hour ?? 0)"
                case .day: name = "\(parts.year ?? 0) \(parts.month ?? 0) \(parts.day ?? 0)"
                case .week: name = "\(parts.yearForWeekOfYear ?? 0) \(parts.weekOfYear ?? 0)"
                case .month: name = "\(parts.year ?? 0) \(parts.month ?? 0)"
                case .year: name = "\(parts.year ?? 0)"
                }
                if names.contains(name) { continue }
                guard names.count < count else { break }
                names.append(name)
                kept.insert(point.id)
            }
        }
        return kept
    }

    // MARK: The nights

    @Test("exactly the promised points are there at every step", arguments: [UInt64(1), 2, 3])
    func nights(seed: UInt64) throws {
        var dice = Dice(seed: seed)
        var office = try Host(Self.office, guests: ["bank", "shop-a", "shop-b", "shop-c"], places: 3)
        var branch = try Host(Self.branch, guests: ["erp"], places: 2)
        var ever: [String: [Point]] = [:]
        var there: [String: [Point]] = [:]
        var rules: [String: RetentionRules] = [:]
        for guest in office.guests {
            rules[guest] = office.configuration.policies[guest == "bank" ? "trade" : "nightly"]?.retention
        }
        rules["erp"] = branch.configuration.policies["orders"]?.retention
        var deaths = [Int.random(in: 0..<86_400, using: &dice), Int.random(in: 0..<86_400, using: &dice)]
        var unfinished = 0
        var broken: Set<NoticeKind> = []
        var lastPrune = Self.first
        for now in stride(from: Self.first, to: Self.last, by: Self.step) {
            let day = (now - Self.first) / 86_400
            let ofDay = (now - Self.first) % 86_400
            // 20 February 20:00 to 22 February 09:00; 3 March noon to 5 March 15:00.
            let isFull = (19 * 86_400 + 72_000..<21 * 86_400 + 32_400).contains(now - Self.first)
            office.isDown = (31 * 86_400 + 43_200..<33 * 86_400 + 54_000).contains(now - Self.first)
            for index in deaths.indices where (deaths[index]..<deaths[index] + Self.step).contains(ofDay) {
                let withPower = Bool.random(using: &dice)
                if index == 0 { try office.die(withPower: withPower) } else { try branch.die(withPower: withPower) }
            }
            if ofDay == 0 { deaths = deaths.map { _ in Int.random(in: 0..<86_400, using: &dice) } }
            if office.isDown, !office.processes.isEmpty { try office.die(withPower: true) }
            var made: [Point] = []
            if !office.isDown {
                Self.live(&office, now, day, isFull: isFull, &made, &unfinished, &dice)
            }
            Self.live(&branch, now, day, isFull: isFull, &made, &unfinished, &dice)
            for point in made {
                ever[point.guest, default: []].append(point)
                there[point.guest, default: []].append(point)
            }
            if !made.isEmpty || now - lastPrune >= 86_400 {
                lastPrune = now
                for (guest, points) in there {
                    let rule = try #require(rules[guest])
                    let verdicts = Retention(rules: rule, zone: Self.zone).decide(
                        points.map { RetainedPoint(id: $0.id, takenAt: UInt64($0.time) * 1_000_000_000) },
                        now: UInt64(now) * 1_000_000_000, lockTime: UInt64(now) * 1_000_000_000)
                    let kept = Set(verdicts.filter(\.isKept).map(\.point.id))
                    there[guest] = points.filter { kept.contains($0.id) }
                    #expect(kept == Self.promised(ever[guest] ?? [], rule), "\(guest) on day \(day)")
                }
            }
            guard ofDay == 8 * 3600 else { continue }
            try Self.judge(office, there, now, isDown: office.isDown, &broken)
        }
        try Self.atTheEnd(office, branch, ever, unfinished: unfinished, broken: broken)
    }

    /// One step of an agent and its processes.
    static func live(
        _ host: inout Host, _ now: Int, _ day: Int, isFull: Bool, _ made: inout [Point], _ unfinished: inout Int,
        _ dice: inout Dice
    ) {
        if (now - first) % 3600 == 0 { host.discover(at: now) }
        var number = host.number
        for order in host.agenda.advance(
            to: now,
            newIdentifier: {
                number += 1
                return "r\(number)"
            })
        {
            switch order {
            case .start(let run):
                let guest = run.key.guest.name
                // What is stored already is not stored again; it is still read again, at a third of the time.
                let stored = host.done[guest] ?? 0
                host.processes[run.identifier] = (run, max(60, work(guest, day: day) - stored * 2 / 3))
            case .stop(let run, _):
                if let process = host.processes.removeValue(forKey: run.identifier) {
                    host.done[run.key.guest.name, default: 0] += max(0, now - process.run.began)
                    unfinished += 1
                }
                host.agenda.ended(run.identifier, .stopped, now: now)
            case .skipped: Issue.record("nobody skips")
            }
        }
        host.number = number
        for (identifier, process) in host.processes.sorted(by: { $0.key < $1.key }) {
            guard process.left > step else {
                host.processes[identifier] = nil
                guard !isFull else {
                    host.agenda.ended(identifier, .failed(mayTryAgain: true), now: now)
                    continue
                }
                host.done[process.run.key.guest.name] = nil
                let id = PointID(bytes: dice.bytes(16))
                if let id { made.append(Point(id: id, guest: process.run.key.guest.name, time: process.run.began)) }
                host.agenda.ended(identifier, .point(instant: process.run.began), now: now)
                continue
            }
            host.processes[identifier]?.left = process.left - step
        }
    }

    /// What is told in the morning is what is so.
    static func judge(
        _ host: Host, _ there: [String: [Point]], _ now: Int, isDown: Bool, _ broken: inout Set<NoticeKind>
    ) throws {
        var absence = Absence()
        let promises = host.agenda.promises(now: UInt64(now) * 1_000_000_000)
        absence.runs = promises
        absence.windows = host.agenda.windowForecasts(now: now)
        let problems = absence.problems(at: UInt64(now) * 1_000_000_000)
        broken.formUnion(problems.map(\.kind))
        for promise in promises {
            let guest = try #require(promise.subject.guest)
            let newest = there[guest]?.map(\.time).max()
            #expect(promise.lastPoint == newest.map { UInt64($0) * 1_000_000_000 }, "\(guest)")
            let age = now - (newest ?? first)
            let rpo = Int(try #require(promise.objective) / 1_000_000_000)
            let isTold = problems.contains { $0.kind == .objectiveMissed && $0.subject.guest == guest }
            #expect(isTold == (age > rpo), "\(guest): \(age) s old, \(rpo) promised")
        }
    }

    static func atTheEnd(
        _ office: Host, _ branch: Host, _ ever: [String: [Point]], unfinished: Int, broken: Set<NoticeKind>
    ) throws {
        // Days of Berlin on which each guest got a point. erp: 60 days, less the two of the full disk.
        func days(_ guest: String) -> Set<String> {
            Set(
                (ever[guest] ?? []).map { point in
                    let parts = civil(point.time)
                    return "\(parts.month ?? 0)-\(parts.day ?? 0)"
                })
        }
        #expect(days("erp").count >= 57, "\(60 - days("erp").count) days without")
        for day in ["2-28", "2-29", "3-1", "3-25", "3-26", "3-27"] {
            #expect(days("erp").contains(day), "leap day and summer time: \(day)")
            #expect(days("bank").contains(day), "\(day)")
        }
        // On the day of summer time it came once, at the end of the hour that is left out.
        let spring = (ever["erp"] ?? []).filter { civil($0.time).month == 3 && civil($0.time).day == 26 }
        #expect(spring.count == 1 && spring.allSatisfy { civil($0.time).hour == 3 })
        // Hourly: less the days down and full, and what the kills cost.
        let hours = (ever["bank"] ?? []).count
        let (most, least) = (1440, 1222)
        #expect(hours >= least && hours <= most, "\(hours) points of bank")
        // No point of an hour is lost that was not lost with the power: gaps are at most two hours elsewhere.
        #expect(unfinished > 0, "no window was ever too short: the guests do not grow enough")
        #expect(broken.contains(.objectiveMissed) && broken.contains(.windowOverrun))
        #expect(office.agenda.runs.count == office.processes.count)
        #expect(branch.agenda.runs.count == branch.processes.count)
        for guest in ["shop-a", "shop-b", "shop-c"] {
            #expect(days(guest).count >= 30, "\(guest) has points of \(days(guest).count) days")
        }
    }
}
