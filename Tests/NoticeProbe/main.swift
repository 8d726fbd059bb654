// Drives the notices from the command line, for Tests/Integration/notices.sh: an agent's desk without an agent.
//
//   NoticeProbe SETTINGS STATE-FOLDER [SECONDS] <STEPS
//
// SETTINGS is a file of JSON as docs/operating/notices.md has it. Each line of STEPS is one object: `do` is report
// (with `notices`), observe (with `expectations` and `uncovered`), succeeded (with `guest`, `complete`), remind,
// digest, deliver, or nightly (with `format`, `from`, `until`, `runs`, `expectations`); `at` is the instant,
// nanoseconds since 1970, or left out for now. The state is written after each step. Each delivery is told in one line
// of JSON; SECONDS is what it may take. Status 1 when something could not be read.
import Effects
import Glibc
import Notices

private func say(_ document: JSONDocument) { print(String(decoding: document.encoded, as: UTF8.self)) }

private func stop(_ sentence: String) -> Never {
    print(sentence)
    exit(1)
}

private func expectation(_ entry: JSONDocument) -> RunPromise {
    RunPromise(
        subject: NoticeSubject(document: entry), since: entry["since"]?.count ?? 0,
        objective: entry["objective"]?.count, dueTimes: (entry["due"]?.elements ?? []).compactMap(\.count),
        lastStart: entry["last-start"]?.count, lastPoint: entry["last-point"]?.count)
}

private func take(_ step: JSONDocument, _ desk: inout NoticeDesk, _ courier: NoticeCourier, at now: UInt64) {
    switch step["do"]?.text {
    case "report":
        let notices = (step["notices"]?.elements ?? []).map { entry in
            guard let notice = Notice(document: entry) else { stop("no notice: \(entry)") }
            return notice
        }
        desk.report(notices, at: now)
    case "observe":
        var absence = Absence()
        absence.runs = step["expectations"]?.elements?.map(expectation)
        absence.uncovered = step["uncovered"]?.elements?.map { entry in
            UncoveredGuest(name: entry["guest"]?.text ?? "", since: entry["since"]?.count ?? 0)
        }
        desk.observe(absence, at: now)
    case "succeeded":
        desk.succeeded(
            NoticeSubject(document: step), isComplete: step["complete"]?.truth ?? true, at: now)
    case "nightly":
        let report = NightReport(
            host: HostPaths.hostName, night: (step["from"]?.count ?? 0)..<(step["until"]?.count ?? .max),
            runs: (step["runs"]?.elements ?? []).compactMap { RunRecord(document: $0) },
            promises: (step["expectations"]?.elements ?? []).map(expectation),
            problems: desk.state.ledger.open.values.map(\.notice), at: now)
        switch step["format"]?.text {
        case "html": print(report.page)
        case "json": say(report.document)
        default: print(report.text)
        }
    case "remind": desk.remind(at: now)
    case "digest": desk.closeDigests(at: now)
    case "deliver":
        desk.deliver(at: now) { message, target in
            let outcome = courier.send(message, to: target)
            let (word, sentence): (String, String?) =
                switch outcome {
                case .delivered: ("delivered", nil)
                case .failed(let sentence): ("failed", sentence)
                case .refused(let sentence): ("refused", sentence)
                }
            say(
                .members(
                    ("target", .text(target.name)), ("outcome", .text(word)),
                    ("notices", .number(Int64(message.notices.count))), ("sentence", sentence.map { .text($0) })))
            return outcome
        }
        let next = desk.nextAttempt(at: now)
        say(.members(("waiting", .number(Int64(desk.state.outbox.parcels.count))), ("next", next.map { .count($0) })))
    default: stop("no step: \(step)")
    }
}

let words = CommandLine.arguments
guard words.count == 3 || words.count == 4 else {
    print("usage: NoticeProbe SETTINGS STATE-FOLDER [SECONDS] <STEPS")
    exit(2)
}
do {
    let text = try HostPaths.read(words[1], limit: 1 << 20)
    let settings = try NoticeSettings(document: try JSONDocument(decoding: text))
    let file = NoticeStateFile(
        files: HostFiles(root: HostPaths.absolute(words[2])), randomness: .system)
    let (state, problem) = try file.read()
    if let problem { say(.members(("problem", .text(problem.sentence)))) }
    var desk = NoticeDesk(settings: settings, state: state)
    let courier = NoticeCourier(
        host: HostPaths.hostName,
        curl: CurlProgram(seconds: words.count == 4 ? Int(words[3]) ?? 1 : CurlProgram.deliverySeconds))
    while let line = readLine() {
        let step = try JSONDocument(decoding: Array(line.utf8))
        take(step, &desk, courier, at: step["at"]?.count ?? SystemClock.system.wall())
        try file.write(desk.state)
    }
} catch {
    stop("\(error)")
}
