import Effects
import Jobs
import Notices

/// The agent: one loop that looks at the time, at its processes and at whoever asks, and does what is next.
///
/// It does nothing that takes long itself. Backups, questions to hypervisors and tidying are processes of their own;
/// notices are sent by a thread. So it answers at once, keeps windows to the second, and a crash of any part costs that
/// part.
final class AgentService {
    /// How it is run.
    struct Options {
        /// Absolute path of the configuration file.
        let configFile: String
        /// Absolute path of the control socket.
        let socket: String
        let log: AgentLog
        var places: Agenda.Places
    }

    let options: Options
    let folder: AgentFolder
    let archive: RunArchive
    let clock: SystemClock
    let began: UInt64
    private let lock: FileLock
    private let manager: SupervisorLink?
    var configuration: AgentConfiguration
    /// What is wrong with the file as it is now, when the one that counts is an earlier one.
    var configurationProblem: String?
    var agenda: Agenda
    var rounds: DailyRounds
    var runs: [String: RunUnderWay] = [:]
    var errands: [Errand] = []
    let post: NoticePost
    /// When each connection was last asked for its guests, and what went wrong.
    var discovery: [GuestConnection: (asked: UInt64, problem: String?)] = [:]
    /// When each repository was last asked what waits for approval, and what it was.
    var approvals: [String: (asked: UInt64, waiting: WaitingApprovals?)] = [:]
    private var socket: ControlSocket?
    private var written: [UInt8] = []
    private var lastSign: (wall: UInt64, monotonic: UInt64)
    private var lastAbsence: UInt64 = 0
    private var lastBeat: UInt64 = 0
    private var lastStatus = ""
    /// Since when the clock has not jumped, by the one that never goes back; `nil` when it was not seen to.
    private var steadySince: UInt64?
    /// Whether something happened that the agenda has to look at before its time.
    var isDirty = true
    /// When the agenda was last looked at, and when it wants to be at the latest; seconds since 1970.
    private var (lastLook, wake) = (0, 0)
    /// Why the agent is on its way out; `nil` while it is not.
    private(set) var closing: (reason: String, since: UInt64)?

    var log: AgentLog { options.log }
    var now: UInt64 { clock.wall() }

    static let second: UInt64 = 1_000_000_000
    /// Milliseconds that the loop waits for questions while processes are to be watched, and else.
    private static let (busyWait, idleWait) = (200, 1000)
    /// Milliseconds before the next round when the state cannot be written.
    private static let troubleWait = 900
    /// Between two looks for what did not happen.
    private static let absenceInterval = 30 * second
    private static let beatInterval = 10 * second
    /// How far the clock may move against the time that passed before that is told.
    private static let clockTolerance = 300 * second
    /// After this the agent ends although processes go on; they are found again by the next one.
    private static let closingPatience = 150 * second

    /// Reads the configuration and what was written down, finds runs that go on, and listens.
    ///
    /// - Throws: ``CommandFailure``: `refused` for a file that is wrong or when another agent runs; `failed`.
    init(_ options: Options, clock: SystemClock = .system) throws {
        self.options = options
        self.clock = clock
        let now = clock.wall()
        began = now
        lastSign = (now, clock.monotonic())
        folder = try AgentFolder(stateFolder: try HostContext.stateFolder())
        guard let lock = try folder.lock() else {
            throw CommandFailure(.refused, "another agent of this host is running; `dozo status` says what it does")
        }
        self.lock = lock
        archive = RunArchive(folder: "\(folder.path)/runs")
        manager = SupervisorLink { Environment[$0] }
        configuration = try AgentService.read(options.configFile, options.log)
        let (document, problem) = try folder.read()
        if let problem { options.log.say(.error, "state-lost", problem) }
        let known = document?["agenda"].flatMap { [configuration] in
            Agenda(configuration, places: options.places, document: $0)
        }
        if document != nil, known == nil {
            options.log.say(
                .error, "state-lost",
                "what was written down in \(folder.path) is of another version of dozo: what was due and what was "
                    + "paused is not known any more")
        }
        agenda = known ?? Agenda(configuration, places: options.places)
        rounds = DailyRounds(document: document?["rounds"], now: AgentService.seconds(now))
        post = try NoticePost(configuration.noticeSettings, folder: folder, clock: clock) { [log = options.log] in
            log.say(.error, "notices", $0)
        }
        try findRuns()
        socket = try ControlSocket(path: options.socket, group: SocketPeer.group(named: AgentAccess.group))
    }

    static func seconds(_ nanoseconds: UInt64) -> Int { Int(clamping: nanoseconds / second) }

    /// The configuration in a file.
    static func read(_ file: String, _ log: AgentLog) throws -> AgentConfiguration {
        let bytes: [UInt8]
        do { bytes = try ConfigurationFile.bytes(file) } catch {
            // Starting again makes no file.
            throw CommandFailure(
                .refused, "\(error.sentence); give the agent's file with --config, or begin with the sample")
        }
        let reading = AgentConfiguration.read(bytes)
        guard let configuration = reading.configuration else {
            for problem in reading.errors { log.say(.error, "configuration", problem.text(file: file)) }
            throw CommandFailure(
                .refused,
                "\(file) is not right: \(Console.count(reading.errors.count, "error")); `dozo agent check` says which")
        }
        if HostPaths.isChangeableByOthers(file) {
            log.say(
                .warning, "configuration",
                "others than its owner can change \(file) or its folder, and its commands are run as this user")
        }
        return configuration
    }

    // MARK: The loop

    /// Works until it is told to stop.
    func run() throws {
        log.say(
            .notice, "started", "the agent begins its work",
            [
                ("version", DozoCommand.version), ("config", options.configFile),
                ("policies", "\(configuration.policies.count)"), ("runs", "\(runs.count)"),
            ])
        let host = HostPaths.hostName
        post.post { desk, now in
            desk.end(at: now) { $0.kind == .agentStopped && $0.subject.object == host }
            desk.report([.agentStarted(host: host, at: now, version: DozoCommand.version)], at: now)
        }
        manager?.tell(.ready)
        while !isDone {
            let wait = runs.isEmpty && errands.isEmpty ? AgentService.idleWait : AgentService.busyWait
            socket?.serve(waiting: wait) { [self] peer, question in answer(question, from: peer) }
            step()
        }
        finish()
    }

    /// One round of the loop, without waiting.
    func step() {
        let now = now
        watchClock(now)
        if Interruption.wasRequested, closing == nil { close("a signal asks it to", now) }
        if Interruption.takeReload() { reload() }
        do {
            try advanceRuns(now)
            try advanceErrands(now)
            if closing == nil { try makeRounds(now) }
            try lookAtAgenda(now)
        } catch {
            // A full disk or the like: the runs go on, and the next round tries again.
            log.say(.error, "state", CommandFailure(error).sentence)
            ThreadPause.take(milliseconds: AgentService.troubleWait)
        }
        if now >= lastAbsence + AgentService.absenceInterval || now < lastAbsence {
            lastAbsence = now
            lookForAbsence(now)
        }
        signOfLife(now)
    }

    /// Looks at all jobs, but only when there may be something to do: with thousands of guests that is work.
    private func lookAtAgenda(_ now: UInt64) throws {
        let seconds = AgentService.seconds(now)
        guard isDirty || seconds >= wake || seconds < lastLook else { return }
        isDirty = false
        lastLook = seconds
        do {
            try obey(agenda.advance(to: seconds, newIdentifier: AgentService.newIdentifier), now)
            try keep()
        } catch {
            isDirty = true
            throw error
        }
        wake = agenda.nextEvent(after: seconds) ?? .max
    }

    private static func newIdentifier() -> String {
        Randomness.system.bytes(6).map { String(UInt16($0) + 256, radix: 16).dropFirst() }.joined()
    }

    /// Writes down what changed.
    func keep() throws {
        let document = JSONDocument.members(("agenda", agenda.document), ("rounds", rounds.document))
        let bytes = document.encoded
        guard bytes != written else { return }
        try folder.keep(document)
        written = bytes
    }

    private func signOfLife(_ now: UInt64) {
        guard now >= lastBeat + AgentService.beatInterval || now < lastBeat else { return }
        lastBeat = now
        do { try folder.beat(at: now) } catch { log.say(.error, "state", CommandFailure(error).sentence) }
        manager?.tell(.alive)
        let running = runs.count
        let text =
            closing.map { "stopping: \($0.reason)" }
            ?? (running == 0 ? "nothing is under way" : "\(Console.count(running, "run")) under way")
        if text != lastStatus {
            lastStatus = text
            manager?.tell(.status(text))
        }
    }

    private func watchClock(_ now: UInt64) {
        let monotonic = clock.monotonic()
        let passed = monotonic - lastSign.monotonic
        let expected = lastSign.wall + passed
        let (jump, isBackward) = now >= expected ? (now - expected, false) : (expected - now, true)
        lastSign = (now, monotonic)
        if jump > AgentService.clockTolerance { steadySince = monotonic }
        guard jump > AgentService.clockTolerance else { return }
        let text = PlainText.duration(jump)
        log.say(.warning, "clock-jumped", "the host's clock went \(isBackward ? "back" : "ahead") by \(text)")
        let host = HostPaths.hostName
        post.post { desk, now in
            desk.report(
                [.clockJumped(by: jump, isBackward: isBackward, host: host, at: now, because: "seen by the agent")],
                at: now)
        }
    }

    /// Whether what deletes may go by the clock: not for a day after it jumped.
    var isClockSteady: Bool {
        guard let steadySince else { return true }
        return clock.monotonic() - steadySince >= AgentService.steadyTime
    }

    private static let steadyTime = 86_400 * second

    // MARK: Reload

    /// Takes the file as it is now; a wrong one is told, and the one before goes on counting.
    func reload() {
        manager?.tell(.reloading)
        defer { manager?.tell(.ready) }
        do {
            let new = try AgentService.read(options.configFile, log)
            configuration = new
            configurationProblem = nil
            agenda.adopt(new)
            isDirty = true
            let settings = new.noticeSettings
            post.post { desk, _ in desk.settings = settings }
            discovery = [:]
            log.say(
                .notice, "reloaded", "the configuration was read again; runs that are under way go on as they began",
                [("policies", "\(new.policies.count)"), ("runs", "\(runs.count)")])
        } catch {
            let sentence = CommandFailure(error).sentence
            configurationProblem = sentence
            log.say(.error, "reload-refused", "\(sentence); the configuration from before goes on counting")
        }
    }

    // MARK: The end

    /// Begins to end: nothing new is begun, and what runs is stopped cleanly.
    private func close(_ reason: String, _ now: UInt64) {
        closing = (reason, now)
        agenda.isClosing = true
        isDirty = true
        manager?.tell(.stopping)
        log.say(.notice, "stopping", "the agent stops: \(reason)", [("runs", "\(runs.count)")])
        for errand in errands { errand.end() }
        errands = []
        do { try obey(agenda.stopAll(reason: "the agent was stopped"), now) } catch {
            log.say(.error, "state", CommandFailure(error).sentence)
        }
        let host = HostPaths.hostName
        post.post { desk, now in
            desk.report([.agentStopped(host: host, at: now, because: reason)], at: now)
        }
    }

    private var isDone: Bool {
        guard let closing else { return false }
        return runs.isEmpty || now > closing.since + AgentService.closingPatience
    }

    private func finish() {
        if !runs.isEmpty {
            log.say(
                .warning, "left-running",
                "\(Console.count(runs.count, "run")) did not stop in time and go on; the next agent finds them")
        }
        let deadline = clock.monotonic() + AgentService.noticePatience
        while !post.isIdle, clock.monotonic() < deadline { ThreadPause.take(milliseconds: 50) }
        do { try keep() } catch { log.say(.error, "state", CommandFailure(error).sentence) }
        log.say(.notice, "stopped", "the agent has ended")
    }

    /// How long the agent waits at its end until its notices are written down; those that were not sent are sent by the
    /// next one.
    private static let noticePatience = 3 * second
}
