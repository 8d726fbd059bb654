import ArgumentParser
import Effects
import Foundation
import Jobs
import Notices

/// `dozo report nightly`: what the last night came to.
struct ReportNightlyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "nightly", abstract: "Report what the last night came to, from the records of runs.",
        discussion: """
            Examples:
              dozo report nightly
              dozo report nightly --date 2026-11-23 --json
              dozo report nightly --from "2026-11-23 18:00" --until 2026-11-24 --html

            A night lasts from noon to noon by this host's clock; the last one is that which began yesterday. --date \
            names the evening of another. What is promised stands in the agent's file, where there is one; guests that \
            only a pattern or a tag chooses are known once they have run. The agent need not run.
            """)

    @OptionGroup var report: ReportOptions
    @Option(help: ArgumentHelp("The night that began on that day.", valueName: "date"))
    var date: String?
    @Option(help: ArgumentHelp("From this time on.", valueName: "time"))
    var from: String?
    @Option(help: ArgumentHelp("Up to this time; now when it is left out.", valueName: "time"))
    var until: String?

    func validate() throws {
        guard date == nil || from == nil && until == nil else {
            throw ValidationError("--date names a whole night; it goes without --from and --until")
        }
        guard until == nil || from != nil else { throw ValidationError("--until goes with --from") }
        for text in [date, from, until].compactMap(\.self) where TimeText.begin(text) == nil {
            throw ValidationError("\(Console.printable(text)) is no time such as 2026-11-23 or \"2026-11-23 18:00\"")
        }
    }

    func run() async throws {
        let now = SystemClock.system.wall()
        let night = try self.night(now: now)
        let archive = try HostArchives.usual().runs
        let found = try archive.records(in: night)
        if found.damagedLines > 0 {
            Console.note(
                "note: \(Console.count(found.damagedLines, "line")) of the records of runs made no sense and "
                    + "\(found.damagedLines == 1 ? "was" : "were") passed over, as after a crash")
        }
        let since = try archive.first() ?? night.lowerBound
        let promises = try report.configuration().map { configuration in
            configuration.promises(
                newest: try archive.newest(), points: try archive.newest(where: \.hasPoint), since: since)
        }
        if promises == nil {
            Console.note("note: there is no agent's file, so nothing is known of what was promised")
        }
        let document = NightReport(
            host: HostPaths.hostName, night: night, runs: found.records, promises: promises ?? [],
            problems: try openProblems(), at: now)
        report.show(text: document.text, page: document.page, document: document.document)
    }

    /// The night that was asked for.
    private func night(now: UInt64) throws -> Range<UInt64> {
        if let from {
            let begin = TimeText.begin(from) ?? 0
            let end = until.flatMap { TimeText.parse($0) }.map { $0 == .max ? $0 : $0 + 1 } ?? now
            guard begin < end else {
                throw CommandFailure(.usage, "the time to report on ends before it begins, at \(from)")
            }
            return begin..<end
        }
        let evening = date.flatMap { TimeText.begin($0) }
        let begin = TimeText.noon(ofDayAt: evening ?? now, plus: evening == nil ? -1 : 0)
        let end = TimeText.noon(ofDayAt: begin, plus: 1)
        guard begin < now else { throw CommandFailure(.failed, "that night has not begun yet") }
        return begin..<min(end, now)
    }

    /// Problems that go on, as the agent remembers them; none where it remembers nothing.
    private func openProblems() throws -> [Notice] {
        let folder = try HostArchives.usual().path
        guard HostPaths.isFolder(folder) else { return [] }
        let (state, problem) = try NoticeStateFile(files: HostFiles(root: folder), randomness: .system).read()
        if let problem { Console.note("note: \(problem.sentence)") }
        return state.ledger.open.values.map(\.notice)
    }
}
