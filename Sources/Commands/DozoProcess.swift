import ArgumentParser
import Effects
import Glibc
import Synchronization

/// Runs a command line as a process: standard output for results, standard error for everything else, a documented exit
/// status, and signals that stop it cleanly.
public enum DozoProcess {
    /// Parses the process's arguments, runs the command, and exits.
    public static func run() async -> Never {
        signal(SIGPIPE, SIG_IGN)
        HostMemory.keepFreed()
        StandardDescriptors.makeSure()
        let arguments = Array(CommandLine.arguments.dropFirst())
        // Priorities belong to threads, and those that start later inherit them: now there is one. What cannot be
        // parsed is told when it is parsed again.
        if let command = try? DozoCommand.parseAsRoot(arguments) as? any LoadingCommand {
            command.load.makeWay(usual: command.usualNice)
        }
        let status = await Interruption.cancelling { await DozoProcess.status(of: arguments) }
        if let reason = Console.lostResults.withLock({ $0 }) {
            Console.note("dozo: the result could not be written to standard output: \(reason)")
            if status == .done { exit(ExitStatus.failed.rawValue) }
        }
        exit(status.rawValue)
    }

    /// Runs one command line. - Returns: the exit status; what went wrong was printed to standard error.
    static func status(of arguments: [String]) async -> ExitStatus {
        do {
            var command = try DozoCommand.parseAsRoot(arguments)
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
            return .done
        } catch {
            return report(error, asDocument: arguments.contains("--json"))
        }
    }

    private static func report(_ error: any Error, asDocument: Bool) -> ExitStatus {
        if Interruption.wasRequested {
            let sentence =
                Interruption.wasBackup.load(ordering: .relaxed)
                ? "interrupted; no restore point was made, and the next run goes on from what is stored" : "interrupted"
            fail(CommandFailure(.interrupted, sentence), asDocument: asDocument)
            return .interrupted
        }
        let code = DozoCommand.exitCode(for: error)
        let isOurs = error is CommandFailure
        if !isOurs, code == .success {
            Console.result(DozoCommand.fullMessage(for: error))
            return .done
        }
        if !isOurs, code == .validationFailure {
            Console.note(DozoCommand.fullMessage(for: error))
            return .usage
        }
        let failure = CommandFailure(error)
        fail(failure, asDocument: asDocument)
        return failure.status
    }

    /// The names are frozen at the first release. Bytes are there when a backup had begun to read.
    private struct FailureDocument: Encodable {
        let status: Int32
        let error: String
        var read_bytes: UInt64?
        var new_bytes: UInt64?
        var stored_bytes: UInt64?
    }

    /// Says what went wrong: a sentence, or with `--json` one line of JSON, on standard error.
    private static func fail(_ failure: CommandFailure, asDocument: Bool) {
        let volume = BackupTally.volume
        let document = FailureDocument(
            status: failure.status.rawValue, error: failure.sentence, read_bytes: volume?.read,
            new_bytes: volume?.new, stored_bytes: volume?.stored)
        guard asDocument, let line = try? Console.line(document) else {
            return Console.note("dozo: \(Console.printable(failure.sentence))")
        }
        Console.note(line)
    }
}

/// The three standard descriptors are open, so that no file or pipe of ours gets one of their numbers and is taken for
/// a terminal or an input.
enum StandardDescriptors {
    /// Puts what can neither be read from (0) nor written to (1) where nothing is open; messages (2) go nowhere.
    static func makeSure() {
        for (descriptor, direction) in [(STDIN_FILENO, O_WRONLY), (STDOUT_FILENO, O_RDONLY), (STDERR_FILENO, O_WRONLY)]
        where fcntl(descriptor, F_GETFD) < 0 {
            // Safety: the path lives through the call. The lowest free number is the one that was just asked for.
            NullDevice.open(direction)
        }
    }
}

/// SIGINT, SIGTERM and SIGHUP: the first cancels the command, which ends cleanly; the second ends the process at once,
/// and so does SIGQUIT. A backup that reads is first asked to finish what it has in hands, for some seconds.
///
/// A signal that was ignored when the process began stays ignored, as shells expect of what they run in the background;
/// only of a service SIGHUP asks for something else.
enum Interruption {
    private static let requested = Atomic(false)
    /// Whether the command was making a restore point.
    static let wasBackup = Atomic(false)

    /// Whether SIGHUP asks a service for its configuration and not the command to stop.
    private static let hangupReloads = Atomic(false)
    private static let reloadRequested = Atomic(false)
    /// Milliseconds that a backup gets for the regions in work, before it is cancelled: of a source that answers they
    /// are complete by then, and need not be read again.
    static let graceMilliseconds: Int32 = 3_000
    /// Called by the first signal, when there is something that can end by itself.
    private static let onRequest = Mutex<(@Sendable () -> Void)?>(nil)

    /// Whether a signal asked the process to stop.
    static var wasRequested: Bool { requested.load(ordering: .relaxed) }

    /// From now on SIGHUP asks for the configuration, also when it was ignored: a service that was begun behind `nohup`
    /// has no terminal to outlive, and people ask it all the same.
    static func reloadOnHangup() {
        hangupReloads.store(true, ordering: .relaxed)
        SignalThread.install(SIGHUP, evenIfIgnored: true)
    }

    /// Whether a signal asked for the configuration since the last call.
    static func takeReload() -> Bool { reloadRequested.exchange(false, ordering: .relaxed) }

    /// Whether the first signal only asks, from now on, and cancels after a grace: `body` is called by the signals'
    /// thread. `nil` ends that.
    static func asksFirst(_ body: (@Sendable () -> Void)?) { onRequest.withLock { $0 = body } }

    /// Runs `body` in a task that the signals cancel.
    ///
    /// The signals' own thread cancels it: every thread of the pool may be waiting for a server that does not answer.
    static func cancelling(_ body: @escaping @Sendable () async -> ExitStatus) async -> ExitStatus {
        let task = Task { await body() }
        SignalThread.start { number in
            if number == SIGHUP, hangupReloads.load(ordering: .relaxed) {
                reloadRequested.store(true, ordering: .relaxed)
                return -1
            }
            if requested.exchange(true, ordering: .relaxed) { _exit(ExitStatus.interrupted.rawValue) }
            guard let ask = onRequest.withLock({ $0 }) else { return 0 }
            ask()
            return graceMilliseconds
        } end: {
            task.cancel()
        }
        return await task.value
    }
}

/// Signals reach some thread, in the middle of anything: the handler writes its number as a byte, which a thread of its
/// own reads.
private enum SignalThread {
    /// The writing end of the pipe; set once, before the handler can run.
    private static let writingEnd = Atomic<Int32>(-1)

    private final class Context {
        let readingEnd: Int32
        let request: @Sendable (Int32) -> Int32
        let end: @Sendable () -> Void
        init(
            readingEnd: Int32, request: @escaping @Sendable (Int32) -> Int32, end: @escaping @Sendable () -> Void
        ) {
            self.readingEnd = readingEnd
            self.request = request
            self.end = end
        }
    }

    /// - Parameters:
    ///   - request: called for each signal with its number; gives the milliseconds after which `end` is called, unless
    ///     another signal comes before; negative for never.
    ///   - end: called once the time is over.
    static func start(request: @escaping @Sendable (Int32) -> Int32, end: @escaping @Sendable () -> Void) {
        var ends: [Int32] = [-1, -1]
        // Safety: the array has the two places that the call fills.
        guard unsafe pipe(&ends) == 0 else { return }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        writingEnd.store(ends[1], ordering: .releasing)
        // Safety: the context is retained for the thread, which never ends.
        let context = unsafe Unmanaged.passRetained(Context(readingEnd: ends[0], request: request, end: end)).toOpaque()
        var thread = pthread_t()
        let status = unsafe pthread_create(
            &thread, nil,
            { pointer in
                guard let pointer = unsafe pointer else { return nil }
                let context = unsafe Unmanaged<Context>.fromOpaque(pointer).takeUnretainedValue()
                var byte: UInt8 = 0
                // Safety: one byte of the stack is filled.
                while unsafe read(context.readingEnd, &byte, 1) != 0 {
                    let grace = context.request(Int32(byte))
                    guard grace >= 0 else { continue }
                    var next = pollfd(fd: context.readingEnd, events: Int16(POLLIN), revents: 0)
                    // Safety: one entry, as the count says. Whatever it answers but another signal, the time is over.
                    if unsafe poll(&next, 1, grace) <= 0 { context.end() }
                }
                return nil
            }, context)
        guard status == 0 else { return }
        pthread_detach(thread)
        for number in [SIGINT, SIGTERM, SIGHUP] { install(number) }
        endsAtOnce(SIGQUIT)
    }

    /// The language's own handler would print the program's memory addresses, and the system's leave its memory in a
    /// file, keys included.
    private static func endsAtOnce(_ number: Int32) {
        guard !isIgnored(number) else { return }
        var action = sigaction()
        // Safety: the structure lives through the call; the handler makes one call that handlers may make.
        unsafe action.__sigaction_handler.sa_handler = { number in _exit(128 + number) }
        unsafe sigaction(number, &action, nil)
    }

    private static func isIgnored(_ number: Int32) -> Bool {
        var old = sigaction()
        // Safety: the structure lives through the call.
        unsafe sigaction(number, nil, &old)
        // SIG_IGN is the address 1, which is no function: it can only be compared as a number.
        return unsafe unsafeBitCast(old.__sigaction_handler.sa_handler, to: Int.self) == 1
    }

    static func install(_ number: Int32, evenIfIgnored: Bool = false) {
        guard evenIfIgnored || !isIgnored(number) else { return }
        var new = sigaction()
        // Safety: the structure lives through the call; the handler does nothing but write one byte.
        unsafe new.__sigaction_handler.sa_handler = { number in
            var byte = UInt8(truncatingIfNeeded: number)
            let kept = errno
            _ = unsafe write(SignalThread.writingEnd.load(ordering: .acquiring), &byte, 1)
            errno = kept
        }
        new.sa_flags = SA_RESTART
        unsafe sigaction(number, &new, nil)
    }
}
