import Effects
import Glibc

/// Shows how far a command is: one line that is rewritten on a terminal, a line now and then elsewhere, nothing with
/// `--quiet`. Belongs to one task.
final class ProgressLine {
    /// Between two rewritings on a terminal.
    private static let terminalInterval: UInt64 = 200_000_000
    /// Between two lines elsewhere.
    private static let plainInterval: UInt64 = 30_000_000_000

    private let clock: SystemClock
    private let isTerminal: Bool
    private let isQuiet: Bool
    private let started: UInt64
    private var last: UInt64
    private var isShown = false

    init(clock: SystemClock = .system, isQuiet: Bool) {
        self.clock = clock
        self.isQuiet = isQuiet
        isTerminal = isatty(STDERR_FILENO) == 1
        started = clock.monotonic()
        last = started
    }

    /// Seconds since the beginning.
    var elapsed: Double { Double(clock.monotonic() - started) / 1e9 }

    /// Shows progress when it is time to.
    ///
    /// - Parameter total: bytes in all; `nil` when nobody knows.
    func show(_ what: String, passed: UInt64, total: UInt64?, more: @autoclosure () -> String) {
        let now = clock.monotonic()
        guard !isQuiet, now - last >= (isTerminal ? ProgressLine.terminalInterval : ProgressLine.plainInterval) else {
            return
        }
        last = now
        let seconds = max(elapsed, 0.001)
        let rate = Double(passed) / seconds
        var text = "\(what): \(Console.size(passed))"
        if let total, total > 0 {
            text += " of \(Console.size(total)) (\(min(100, passed * 100 / total)) %)"
        }
        text += ", \(Console.size(UInt64(rate)))/s\(more())"
        if let total, rate > 0, passed <= total { text += ", \(Console.duration(Double(total - passed) / rate)) left" }
        if isTerminal {
            Console.write("\r\u{1B}[K\(text)", to: STDERR_FILENO)
            isShown = true
        } else {
            Console.note(text)
        }
    }

    /// Takes the line away.
    func clear() {
        if isShown { Console.write("\r\u{1B}[K", to: STDERR_FILENO) }
        isShown = false
    }
}
