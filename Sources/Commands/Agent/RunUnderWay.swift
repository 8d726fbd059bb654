import Effects
import Foundation
import GuestSource
import Jobs
import Notices

/// One run of a policy for a guest, step by step: the command before it, the backup, the command after it. Each is a
/// process of its own that goes on when the agent does not; what is to be known of it lies in the run's folder.
struct RunUnderWay {
    /// What is being done.
    enum Step: String {
        case before
        case backup
        case after
    }

    /// How the backup, or what came before it, ended.
    enum Ending: Hashable {
        case point
        case stopped(String)
        /// The sentence, and whether a new try may help.
        case failed(String, mayTryAgain: Bool)
    }

    let run: AgendaRun
    /// The policy's revision.
    let mark: String
    /// Arguments of the backup.
    let arguments: [String]
    let after: RunHook?
    private(set) var step: Step
    private(set) var program: DetachedProgram
    /// When the step began, nanoseconds since 1970.
    private(set) var stepBegan: UInt64
    /// Seconds that the step may take; `nil` for as long as it takes.
    private(set) var limit: Int?
    private(set) var ending: Ending?
    /// The record, as far as it is known.
    var record: RunRecord
    /// When the backup was told to stop, nanoseconds since 1970.
    private(set) var stopAsked: UInt64?
    /// Why.
    private(set) var stopReason: String?
    /// Notes that the backup printed.
    private(set) var notes: [String] = []
    /// What the backup found of what the guest has written; `nil` when nothing is amiss.
    private(set) var churn: BackupResult.Churn?
    /// Why it could not be written down how it stands; `nil` when it could.
    private(set) var unkept: String?
    /// What the point, or the run around it, lacks.
    private(set) var lacks: [String] = []

    /// Seconds after which a backup that was told to stop is told to end at once.
    static let stopPatience: UInt64 = 90
    /// Seconds after which it is ended.
    static let endPatience: UInt64 = 110
    /// Seconds that the command after a run may take when the agent is on its way out.
    static let closingLimit = 30
    /// Most bytes of what a backup says that are read.
    private static let mostOutput = 4 << 20
    private static let mostNotes = 16

    // MARK: Beginning

    /// Begins a run with its first step.
    ///
    /// - Throws: ``FileError`` when its folder or its first process cannot be made.
    init(
        _ run: AgendaRun, _ policy: BackupPolicy, arguments: [String], mark: String, folder: AgentFolder, now: UInt64
    ) throws {
        self.run = run
        self.mark = mark
        self.arguments = arguments
        after = policy.after
        record = RunRecord(
            run: run.identifier, subject: run.subject, policyRevision: "\(run.key.policy)@\(mark)",
            startedBy: run.cause.text, began: now, ended: nil, outcome: .running)
        stepBegan = now
        try folder.makeRunFolder(run.identifier)
        if let before = policy.before {
            step = .before
            limit = before.timeLimit
            program = try RunUnderWay.start(before.command, .before, run, folder, outcome: nil, point: nil)
        } else {
            step = .backup
            limit = nil
            program = try RunUnderWay.start(
                [RunUnderWay.ownProgram] + arguments, .backup, run, folder, outcome: nil, point: nil)
        }
        keep(folder)
    }

    /// Writes down how it stands. What cannot be written is kept in mind: the run itself goes on.
    private mutating func keep(_ folder: AgentFolder) {
        do {
            try folder.keep(document, of: run.identifier)
            unkept = nil
        } catch { unkept = CommandFailure(error).sentence }
    }

    /// This program's file. After an upgrade the new version lies there, and that is the one to run.
    static let ownProgram: String = {
        let path = HostPaths.resolved("/proc/self/exe")
        let gone = " (deleted)"
        return path.hasSuffix(gone) ? String(path.dropLast(gone.count)) : path
    }()

    private static func start(
        _ command: [String], _ step: Step, _ run: AgendaRun, _ folder: AgentFolder, outcome: String?, point: String?
    ) throws(FileError) -> DetachedProgram {
        let place = "\(folder.runFolder(run.identifier))/\(step.rawValue)"
        var environment: [String]?
        if step != .backup {
            environment = [
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8",
                "DOZO_STAGE=\(step.rawValue)", "DOZO_RUN=\(run.identifier)",
                "DOZO_GUEST=\(PlainText.line(run.key.guest.name))", "DOZO_POLICY=\(run.key.policy)",
                "DOZO_REPOSITORY=\(run.repository)", "DOZO_STARTED_BY=\(PlainText.line(run.cause.text))",
            ]
            if let outcome { environment?.append("DOZO_OUTCOME=\(outcome)") }
            if let point { environment?.append("DOZO_POINT=\(point)") }
        }
        return try DetachedProgram(
            starting: command, environment: environment, output: "\(place).out", messages: "\(place).err")
    }

    // MARK: Going on

    /// Looks how it stands and does what comes next.
    ///
    /// - Returns: whether it has come to its end.
    mutating func advance(_ folder: AgentFolder, now: UInt64, isClosing: Bool) -> Bool {
        program.look()
        guard !program.isRunning else {
            enforceLimits(now, isClosing: isClosing)
            return false
        }
        record.phases.append(RunRecord.Phase(phaseName, now > stepBegan ? now - stepBegan : 0))
        switch step {
        case .before:
            let complaint = hookComplaint(folder, now: now)
            if let stopReason {
                ending = .stopped(stopReason)
            } else if let complaint {
                ending = .failed("the command before it \(complaint)", mayTryAgain: true)
            } else {
                do throws(FileError) {
                    try begin(.backup, [RunUnderWay.ownProgram] + arguments, limit: nil, folder, now)
                    return false
                } catch { ending = .failed(error.sentence, mayTryAgain: true) }
            }
        case .backup: readBackup(folder)
        case .after:
            if let complaint = hookComplaint(folder, now: now) { lacks.append("the command after it \(complaint)") }
            return true
        }
        guard let after else { return true }
        let limit = isClosing ? min(after.timeLimit, RunUnderWay.closingLimit) : after.timeLimit
        do throws(FileError) { try begin(.after, after.command, limit: limit, folder, now) } catch {
            lacks.append("the command after it was not run: \(error.sentence)")
            return true
        }
        return false
    }

    private var phaseName: String {
        switch step {
        case .before: "command before"
        case .backup: "backup"
        case .after: "command after"
        }
    }

    private mutating func begin(
        _ next: Step, _ command: [String], limit: Int?, _ folder: AgentFolder, _ now: UInt64
    ) throws(FileError) {
        program = try RunUnderWay.start(
            command, next, run, folder, outcome: ending?.word, point: record.point)
        step = next
        self.limit = limit
        stepBegan = now
        keep(folder)
    }

    private mutating func enforceLimits(_ now: UInt64, isClosing: Bool) {
        let second: UInt64 = 1_000_000_000
        if step != .backup, isClosing { limit = min(limit ?? .max, RunUnderWay.closingLimit) }
        if let limit, now > stepBegan + UInt64(limit) * second { program.end() }
        guard step == .backup, let asked = stopAsked, now > asked else { return }
        if now - asked > RunUnderWay.endPatience * second {
            program.end()
        } else if now - asked > RunUnderWay.stopPatience * second {
            // The second one ends it at once; a guest that stands still is let go on by the process that watches.
            program.send(SIGTERM)
        }
    }

    /// Lets it stop cleanly: a backup at the end of what it has in work, the command before it at once.
    mutating func stop(_ reason: String, _ folder: AgentFolder, now: UInt64) {
        guard stopAsked == nil else { return }
        stopAsked = now
        stopReason = reason
        switch step {
        case .before: program.end()
        case .backup: program.send(SIGTERM)
        case .after: break
        }
        keep(folder)
    }

    // MARK: What was said

    private func said(_ step: Step, _ name: String, _ folder: AgentFolder) -> [UInt8] {
        HostPaths.beginning(
            "\(folder.runFolder(run.identifier))/\(step.rawValue).\(name)", count: RunUnderWay.mostOutput) ?? []
    }

    private func lines(_ step: Step, _ folder: AgentFolder) -> [String] {
        String(decoding: said(step, "err", folder), as: UTF8.self).split(separator: "\n").map(String.init)
    }

    /// What is wrong with how a command around the run ended; `nil` when nothing is. Its status is not known to an
    /// agent that was started after it; then what it has done counts as done.
    private func hookComplaint(_ folder: AgentFolder, now: UInt64) -> String? {
        if let limit, now > stepBegan + UInt64(limit) * 1_000_000_000 { return "was ended after \(limit) s" }
        guard let status = program.status, status != 0 else { return nil }
        let last = lines(step, folder).last.map { ": \(PlainText.line($0, limit: 200))" } ?? ""
        return "ended with status \(status)\(last)"
    }

    private mutating func readBackup(_ folder: AgentFolder) {
        let lines = lines(.backup, folder)
        notes += lines.filter { $0.hasPrefix("note: ") }.prefix(RunUnderWay.mostNotes).map {
            String($0.dropFirst("note: ".count))
        }
        let decoder = JSONDecoder()
        if let result = try? decoder.decode(BackupResult.self, from: Data(said(.backup, "out", folder))) {
            ending = .point
            record.point = result.point.id
            record.consistency = result.point.consistency
            record.trust = result.point.trust
            record.sizes = RunRecord.Sizes(
                read: result.read_bytes, readAgain: result.read_again_bytes ?? 0, changed: result.changed_bytes,
                new: result.new_bytes, stored: result.stored_bytes)
            pointInstant = TimeText.parse(result.point.taken_at)
            if result.churn?.findings?.isEmpty == false { churn = result.churn }
            lacks += (result.left_out ?? []).map { "disk \($0.name): \($0.why)" }
            record.phases +=
                (result.phases ?? []).map {
                    RunRecord.Phase($0.name, UInt64(max(0, min($0.seconds, 1e9)) * 1e9))
                }
            return
        }
        let complaint = lines.reversed().lazy.compactMap {
            try? decoder.decode(CommandComplaint.self, from: Data($0.utf8))
        }.first
        if let complaint {
            record.sizes = RunRecord.Sizes(
                read: complaint.read_bytes ?? 0, readAgain: complaint.read_again_bytes ?? 0, changed: 0,
                new: complaint.new_bytes ?? 0, stored: complaint.stored_bytes ?? 0)
        }
        switch (complaint.flatMap { ExitStatus(rawValue: $0.status) }, complaint?.error) {
        case (.interrupted, _): ending = .stopped(stopReason ?? "a signal reached it")
        case (let status?, let sentence?):
            ending = .failed(sentence, mayTryAgain: ![.usage, .wrongKey, .damaged].contains(status))
        default:
            let last = lines.last.map { "; it said last: \(PlainText.line($0, limit: 200))" } ?? ""
            ending =
                stopReason.map { Ending.stopped("\($0), and it was ended") }
                ?? .failed("its process ended without a result (killed, or out of memory)\(last)", mayTryAgain: true)
        }
    }

    /// The instant of the point, nanoseconds since 1970.
    private(set) var pointInstant: UInt64?

    // MARK: Kept

    /// For the run's folder.
    var document: JSONDocument {
        .members(
            ("record", record.document), ("agenda", run.document), ("mark", .text(mark)),
            ("arguments", .list(arguments.map { .text($0) })),
            ("after", after.map { .list($0.command.map { .text($0) }) }),
            ("after-limit", after.map { .number(Int64($0.timeLimit)) }), ("step", .text(step.rawValue)),
            ("process", .number(Int64(program.process))), ("ticks", .count(program.startTicks)),
            ("host-start", .text(program.hostStart)), ("step-began", .count(stepBegan)),
            ("limit", limit.map { .number(Int64($0)) }), ("stop-asked", stopAsked.map { .count($0) }),
            ("stop-reason", stopReason.map { .text($0) }), ("ending", ending.map { .text($0.word) }),
            ("ending-sentence", ending?.sentence.map { .text($0) }),
            ("may-try-again", .truth(ending?.mayTryAgain ?? true)),
            ("point-instant", pointInstant.map { .count($0) }))
    }

    /// One that an earlier agent began; `nil` when its document is not whole.
    init?(document: JSONDocument, of configuration: AgentConfiguration) {
        guard let record = document["record"].flatMap(RunRecord.init(document:)),
            let run = document["agenda"].flatMap({ AgendaRun(document: $0, of: configuration) }),
            let mark = document["mark"]?.text, let step = document["step"]?.text.flatMap(Step.init(rawValue:)),
            let process = document["process"]?.number.flatMap(Int32.init(exactly:)),
            let ticks = document["ticks"]?.count, let hostStart = document["host-start"]?.text,
            let began = document["step-began"]?.count
        else { return nil }
        self.record = record
        self.run = run
        self.mark = mark
        self.step = step
        arguments = (document["arguments"]?.elements ?? []).compactMap(\.text)
        let command = (document["after"]?.elements ?? []).compactMap(\.text)
        after =
            command.isEmpty
            ? nil : RunHook(command: command, timeLimit: Int(document["after-limit"]?.number ?? 60))
        program = DetachedProgram(process: process, startTicks: ticks, hostStart: hostStart)
        stepBegan = began
        limit = document["limit"]?.number.map(Int.init(_:))
        stopAsked = document["stop-asked"]?.count
        stopReason = document["stop-reason"]?.text
        pointInstant = document["point-instant"]?.count
        ending = document["ending"]?.text.flatMap {
            Ending(
                word: $0, sentence: document["ending-sentence"]?.text ?? "",
                mayTryAgain: document["may-try-again"]?.truth ?? true)
        }
    }
}

extension RunUnderWay.Ending {
    /// As files and the environment of commands have it.
    var word: String {
        switch self {
        case .point: "complete"
        case .stopped: "stopped"
        case .failed: "failed"
        }
    }

    fileprivate var sentence: String? {
        switch self {
        case .point: nil
        case .stopped(let sentence), .failed(let sentence, _): sentence
        }
    }

    fileprivate var mayTryAgain: Bool {
        if case .failed(_, let mayTryAgain) = self { mayTryAgain } else { true }
    }

    fileprivate init?(word: String, sentence: String, mayTryAgain: Bool) {
        switch word {
        case "complete": self = .point
        case "stopped": self = .stopped(sentence)
        case "failed": self = .failed(sentence, mayTryAgain: mayTryAgain)
        default: return nil
        }
    }
}

extension AgendaRun {
    /// Whom it is about.
    var subject: NoticeSubject { NoticeSubject(guest: key.guest.name, repository: repository, policy: key.policy) }
}
