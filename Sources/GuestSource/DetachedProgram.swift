package import Effects
import Glibc

/// A program that works on by itself, whatever becomes of the process that started it: its output goes to files, and it
/// can be found again by whoever comes after.
package struct DetachedProgram: Sendable {
    /// The process's number.
    package let process: Int32
    /// When the kernel says that it began, in its ticks since the host started: tells it from another process that gets
    /// the same number later.
    package let startTicks: UInt64
    /// The start of the host that it belongs to.
    package let hostStart: String
    /// Its status once it has ended, as shells count it; `nil` before, and always for one that was not started here.
    package private(set) var status: CInt?

    /// One that was noted down.
    package init(process: Int32, startTicks: UInt64, hostStart: String) {
        self.process = process
        self.startTicks = startTicks
        self.hostStart = hostStart
    }

    /// Starts a program in a session of its own, with nothing on standard input.
    ///
    /// - Parameters:
    ///   - command: the program's absolute path, and its arguments.
    ///   - environment: `NAME=value` each; `nil` for that of this process.
    ///   - output: the file that gets its standard output; must not be there yet.
    ///   - messages: the file that gets its standard error; must not be there yet.
    /// - Throws: ``FileError`` when a file cannot be made or the program not be started.
    package init(
        starting command: [String], environment: [String]? = nil, output: String, messages: String
    ) throws(FileError) {
        let out = try PassedDescriptor(newFile: output)
        let err = try PassedDescriptor(newFile: messages)
        let (outCopy, errCopy) = (try out.duplicate(), try err.duplicate())
        defer { for copy in [outCopy, errCopy] { PassedDescriptor.giveBack(copy) } }
        var conditions = HostProgram.StartConditions(passing: [])
        conditions.environment = environment
        guard let child = HostProgram.start(command, output: outCopy, messages: errCopy, conditions) else {
            throw FileError(
                number: 0, sentence: "cannot start \(command.first ?? "a program without a name")", remedy: .permit)
        }
        process = child
        // A child that was not waited for has its entry, so that this is the child's and nobody else's.
        startTicks = DetachedProgram.ticks(of: child) ?? 0
        hostStart = DetachedProgram.currentHostStart
    }

    /// Whether it goes on, as of the last ``look()``, or as the kernel says of one that was not started here.
    package var isRunning: Bool {
        guard status == nil, hostStart == DetachedProgram.currentHostStart else { return false }
        return DetachedProgram.ticks(of: process) == startTicks
    }

    /// Takes note of its end, if it was started here.
    package mutating func look() {
        guard status == nil else { return }
        var word: CInt = 0
        // Safety: waitpid writes one number. Of a process that is not our child it knows nothing (-1).
        guard unsafe waitpid(process, &word, WNOHANG) == process else { return }
        status = HostProgram.shellStatus(word)
    }

    /// Sends it a signal. - Returns: whether it was there.
    @discardableResult
    package func send(_ signal: Int32) -> Bool {
        guard isRunning else { return false }
        return kill(process, signal) == 0
    }

    /// Ends it and all of its session that still belongs to it.
    package func end() {
        guard isRunning else { return }
        kill(-process, SIGKILL)
        kill(process, SIGKILL)
    }

    /// Bytes of a line of /proc that are read.
    private static let longestLine = 4096
    /// Field 22 of proc(5)'s `stat` is the start; the name in field 2 may hold anything, and ends with the last ")".
    private static let fieldsBehindName = 19
    /// A process that has ended and was not waited for.
    private static let ended: [String] = ["Z", "X"]

    private static func ticks(of process: Int32) -> UInt64? {
        guard let bytes = HostPaths.beginning("/proc/\(process)/stat", count: longestLine),
            let end = bytes.lastIndex(of: UInt8(ascii: ")"))
        else { return nil }
        let fields = String(decoding: bytes[(end + 1)...], as: UTF8.self).split(separator: " ")
        guard fields.count > fieldsBehindName, !ended.contains(String(fields[0])) else { return nil }
        return UInt64(fields[fieldsBehindName])
    }

    /// The kernel's name for the time since the host started.
    package static var currentHostStart: String {
        let bytes = HostPaths.beginning("/proc/sys/kernel/random/boot_id", count: 64) ?? []
        return String(decoding: bytes.prefix { $0 > 0x20 }, as: UTF8.self)
    }
}
