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
        let arguments = Array(CommandLine.arguments.dropFirst())
        let status = await Interruption.cancelling { await DozoProcess.status(of: arguments) }
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
            return report(error)
        }
    }

    private static func report(_ error: any Error) -> ExitStatus {
        if Interruption.wasRequested {
            Console.note("dozo: interrupted; no restore point was made, and the next run goes on from what is stored")
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
        Console.note("dozo: \(Console.printable(failure.sentence))")
        return failure.status
    }
}

/// SIGINT and SIGTERM: the first cancels the command, which ends cleanly; the second ends the process at once.
enum Interruption {
    private static let requested = Atomic(false)

    /// Whether a signal asked the process to stop.
    static var wasRequested: Bool { requested.load(ordering: .relaxed) }

    /// Runs `body` in a task that the signals cancel.
    static func cancelling(_ body: @escaping @Sendable () async -> ExitStatus) async -> ExitStatus {
        var signals = sigset_t()
        // Safety: `signals` lives through the calls. Blocked here, so in every thread made later; one thread waits.
        unsafe sigemptyset(&signals)
        unsafe sigaddset(&signals, SIGINT)
        unsafe sigaddset(&signals, SIGTERM)
        unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
        return await withTaskGroup(of: ExitStatus.self) { group in
            let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
            SignalThread.start(signals) {
                if !requested.exchange(true, ordering: .relaxed) { continuation.finish() } else { _exit(130) }
            }
            group.addTask { await body() }
            group.addTask {
                for await _ in stream {}
                return .interrupted
            }
            let first = await group.next() ?? .failed
            group.cancelAll()
            guard wasRequested, first == .interrupted else { return first }
            return await group.next() ?? .interrupted
        }
    }
}

/// The thread that waits for signals.
private enum SignalThread {
    private final class Context {
        let signals: sigset_t
        let action: @Sendable () -> Void
        init(_ signals: sigset_t, _ action: @escaping @Sendable () -> Void) {
            self.signals = signals
            self.action = action
        }
    }

    static func start(_ signals: sigset_t, _ action: @escaping @Sendable () -> Void) {
        let context = unsafe Unmanaged.passRetained(Context(signals, action)).toOpaque()
        var thread = pthread_t()
        // Safety: the context is retained for the thread, which never ends.
        _ = unsafe pthread_create(
            &thread, nil,
            { pointer in
                guard let pointer = unsafe pointer else { return nil }
                let context = unsafe Unmanaged<Context>.fromOpaque(pointer).takeUnretainedValue()
                var signals = context.signals
                while true {
                    var number: Int32 = 0
                    if unsafe sigwait(&signals, &number) == 0 { context.action() }
                }
            }, context)
        pthread_detach(thread)
    }
}
