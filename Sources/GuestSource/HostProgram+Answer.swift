package import Effects
import Glibc

/// What a program of the host said.
package struct ProgramAnswer: Hashable, Sendable {
    /// Exit status; 128 and the signal's number when one ended it; -1 when it could not be started.
    package var status: CInt
    /// What it wrote on standard output, as much as was asked for.
    package var output: [UInt8]
    /// What it wrote on standard error, its beginning.
    package var errorText: String
    /// Whether its time was up: then it was ended, or left to itself.
    package var isLate = false
    /// Whether it wrote more than was asked for.
    package var isCut = false
}

/// What a program is given beside its arguments, which everybody on the host may read.
package struct ProgramInput: Hashable, Sendable {
    /// What stands on its standard input, in a file in memory; `nil` for nothing at all.
    package var standardInput: [UInt8]?
    /// What it can read from its descriptor 3 (`/dev/fd/3`), in a file in memory; `nil` when it gets none.
    package var attached: [UInt8]?
    /// Its environment, `NAME=value` each; `nil` for that of this process.
    package var environment: [String]?

    /// - Parameters: see the properties.
    package init(standardInput: [UInt8]? = nil, attached: [UInt8]? = nil, environment: [String]? = nil) {
        self.standardInput = standardInput
        self.attached = attached
        self.environment = environment
    }
}

/// How a program is run, and for how long.
package struct ProgramPatience: Hashable, Sendable {
    /// Nanoseconds; `nil` for as long as it takes.
    package let limit: UInt64?
    /// Whether it is ended when the time is up; else it is left to itself, for what must not be left half done, and
    /// goes on also when this process is killed.
    package let ends: Bool

    /// - Parameters: see the properties.
    package init(limit: UInt64?, ends: Bool) {
        self.limit = limit
        self.ends = ends
    }
}

extension HostProgram {
    /// Bytes of messages that are kept.
    private static let longestErrorText = 4096
    /// Descriptors that are passed on get these numbers in the program, the first one this.
    package static let firstPassed: CInt = 3
    /// Numbers of our own copies: above all that are passed on.
    private static let lowestCopy: CInt = 64
    /// Milliseconds between two looks at a program that says nothing.
    private static let glance: CInt = 20
    // Flags of posix_spawn(3): POSIX_SPAWN_SETSID, which the C library hides behind a feature macro, SETSIGMASK and
    // SETSIGDEF. A program that waits for children of its own, as xl does, must get the signals that we block.
    private static let startFlags: Int16 = 0x80 | 0x08 | 0x04

    /// Runs `command` with nothing on standard input; see
    /// ``ask(_:input:passing:outputLimit:patience:clock:)``.
    package static func ask(
        _ command: [String], passing: [CInt] = [], outputLimit: Int, patience: ProgramPatience,
        clock: SystemClock = .system
    ) -> ProgramAnswer {
        ask(
            command, StartConditions(passing: passing), outputLimit: outputLimit, patience: patience, clock: clock)
    }

    /// Runs `command` in a session of its own, to its end or to that of its time; then all that belongs to it is ended.
    ///
    /// - Parameters:
    ///   - command: the program's absolute path, and its arguments.
    ///   - input: what it is given.
    ///   - outputLimit: bytes of output that are kept; the rest is read and thrown away.
    ///   - limit: nanoseconds.
    /// - Throws: ``FileError`` when there is no memory for what it is given.
    package static func ask(
        _ command: [String], input: ProgramInput, outputLimit: Int, limit: UInt64, clock: SystemClock = .system
    ) throws(FileError) -> ProgramAnswer {
        let standardInput = try PassedDescriptor(inMemory: input.standardInput ?? [])
        let attached = try PassedDescriptor(inMemory: input.attached ?? [])
        var conditions = StartConditions(passing: [])
        let standardCopy = try standardInput.duplicate()
        defer { PassedDescriptor.giveBack(standardCopy) }
        let attachedCopy = try attached.duplicate()
        defer { PassedDescriptor.giveBack(attachedCopy) }
        if input.standardInput != nil { conditions.standardInput = standardCopy }
        if input.attached != nil { conditions.passing = [attachedCopy] }
        conditions.environment = input.environment
        return ask(
            command, conditions, outputLimit: outputLimit, patience: ProgramPatience(limit: limit, ends: true),
            clock: clock)
    }

    /// What a program starts with.
    struct StartConditions {
        var passing: [CInt]
        var standardInput: CInt?
        var environment: [String]?
    }

    /// Runs `command` in a session of its own: what interrupts us on a terminal does not reach it.
    ///
    /// - Parameters:
    ///   - command: the program's absolute path, and its arguments.
    ///   - passing: open descriptors that it gets as 3, 4, …; they stay the caller's.
    ///   - outputLimit: bytes of output that are kept; the rest is read and thrown away.
    private static func ask(
        _ command: [String], _ conditions: StartConditions, outputLimit: Int, patience: ProgramPatience,
        clock: SystemClock
    ) -> ProgramAnswer {
        guard patience.ends else {
            return askOutliving(command, conditions, outputLimit: outputLimit, limit: patience.limit, clock: clock)
        }
        var answer = ProgramAnswer(status: -1, output: [], errorText: "")
        guard let out = pair() else { return answer }
        defer { Glibc.close(out.ours) }
        guard let messages = pair() else {
            Glibc.close(out.theirs)
            return answer
        }
        defer { Glibc.close(messages.ours) }
        let child = start(command, output: out.theirs, messages: messages.theirs, conditions)
        Glibc.close(out.theirs)
        Glibc.close(messages.theirs)
        guard let child else { return answer }
        var text: [UInt8] = []
        let deadline = deadline(patience.limit, clock)
        while true {
            wait(for: [out.ours, messages.ours])
            let status = ended(child)
            answer.isCut = drain(out.ours, into: &answer.output, limit: outputLimit) || answer.isCut
            _ = drain(messages.ours, into: &text, limit: longestErrorText)
            if let status {
                answer.status = status
                break
            }
            guard let deadline, clock.monotonic() > deadline else { continue }
            answer.isLate = true
            // The whole session: what it started would go on, holding what it was given.
            Glibc.kill(-child, SIGKILL)
            var last: CInt = 0
            // Safety: waitpid writes one number.
            while unsafe waitpid(child, &last, 0) < 0, errno == EINTR {}
            break
        }
        answer.errorText = String(decoding: text, as: UTF8.self)
        return answer
    }

    private static func deadline(_ limit: UInt64?, _ clock: SystemClock) -> UInt64? {
        limit.map { clock.monotonic() &+ $0 }
    }

    /// Where what a program says is put aside when it must come to its end although nobody reads it any more: a write
    /// to a socket whose reader was killed would end it.
    private static let asideFolder = "/tmp"
    /// Milliseconds between two looks at such a program.
    private static let outlivingGlance = 5

    private static func askOutliving(
        _ command: [String], _ conditions: StartConditions, outputLimit: Int, limit: UInt64?, clock: SystemClock
    ) -> ProgramAnswer {
        var answer = ProgramAnswer(status: -1, output: [], errorText: "")
        guard let out = aside() else { return answer }
        defer { Glibc.close(out) }
        guard let messages = aside() else { return answer }
        defer { Glibc.close(messages) }
        guard let child = start(command, output: out, messages: messages, conditions) else { return answer }
        let deadline = deadline(limit, clock)
        while true {
            if let status = ended(child) {
                answer.status = status
                break
            }
            if let deadline, clock.monotonic() > deadline {
                answer.isLate = true
                break
            }
            ThreadPause.take(milliseconds: outlivingGlance)
        }
        let output = beginning(of: out, count: outputLimit + 1)
        answer.isCut = output.count > outputLimit
        answer.output = Array(output.prefix(outputLimit))
        // Its end: a program that tells how far it is says last why it failed.
        let end = max(0, Int(lseek(messages, 0, SEEK_END)) - longestErrorText)
        answer.errorText = String(
            decoding: beginning(of: messages, from: end, count: longestErrorText), as: UTF8.self)
        return answer
    }

    /// A file without a name; the caller closes it.
    private static func aside() -> CInt? {
        guard let file = try? PassedDescriptor(scratchIn: asideFolder, byteCount: 0) else { return nil }
        return try? file.duplicate()
    }

    private static func beginning(of file: CInt, from offset: Int = 0, count: Int) -> [UInt8] {
        let size = Int(lseek(file, 0, SEEK_END))
        var bytes = [UInt8](repeating: 0, count: min(max(0, size - offset), count))
        guard !bytes.isEmpty else { return [] }
        // Safety: pread writes at most the array's count.
        let got = unsafe pread(file, &bytes, bytes.count, off_t(offset))
        return Array(bytes.prefix(max(0, got)))
    }

    private static func pair() -> (ours: CInt, theirs: CInt)? {
        var ends: [CInt] = [-1, -1]
        // A socket pair, because it can be born closed-on-exec.
        // Safety: socketpair fills two numbers.
        let kind = CInt(bitPattern: SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        guard unsafe socketpair(AF_UNIX, kind, 0, &ends) == 0 else { return nil }
        return (ends[0], ends[1])
    }

    /// Starts it. - Returns: its number; `nil` when it cannot be.
    static func start(
        _ command: [String], output: CInt, messages: CInt, _ conditions: StartConditions
    ) -> pid_t? {
        // Copied out of the way first, for one that is passed on may have the number that another one gets.
        let copies = conditions.passing.map { fcntl($0, F_DUPFD_CLOEXEC, lowestCopy) }
        defer { for copy in copies where copy >= 0 { Glibc.close(copy) } }
        guard copies.allSatisfy({ $0 >= 0 }) else { return nil }
        var actions = unsafe posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        // Safety: both are initialised, used and destroyed here.
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        unsafe posix_spawnattr_setsigmask(&attributes, &signals)
        unsafe sigfillset(&signals)
        unsafe posix_spawnattr_setsigdefault(&attributes, &signals)
        unsafe posix_spawnattr_setflags(&attributes, startFlags)
        if let input = conditions.standardInput {
            unsafe posix_spawn_file_actions_adddup2(&actions, input, 0)
        } else {
            unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        }
        unsafe posix_spawn_file_actions_adddup2(&actions, output, 1)
        unsafe posix_spawn_file_actions_adddup2(&actions, messages, 2)
        for (index, copy) in copies.enumerated() {
            unsafe posix_spawn_file_actions_adddup2(&actions, copy, firstPassed + CInt(index))
        }
        // Safety: the words are copied for the call and freed after it.
        let words = unsafe terminated(command)
        defer { unsafe words.forEach { word in unsafe free(word) } }
        let variables = unsafe conditions.environment.map { list in unsafe terminated(list) }
        defer { unsafe variables?.forEach { word in unsafe free(word) } }
        var child: pid_t = 0
        let failure: CInt
        if let variables = unsafe variables {
            failure = unsafe posix_spawn(&child, command[0], &actions, &attributes, words, variables)
        } else {
            failure = unsafe posix_spawn(&child, command[0], &actions, &attributes, words, environ)
        }
        return failure == 0 ? child : nil
    }

    /// Copies that the caller frees, and the end of the list.
    private static func terminated(_ list: [String]) -> [UnsafeMutablePointer<CChar>?] {
        // Safety: strdup answers memory of its own.
        unsafe list.map { word in unsafe strdup(word) } + [nil]
    }

    private static func wait(for descriptors: [CInt]) {
        var waits = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        // Safety: the array lives through the call.
        let ready = unsafe poll(&waits, nfds_t(waits.count), glance)
        // Both closed and the program still there: poll returns at once, again and again.
        if ready > 0, waits.allSatisfy({ $0.revents & Int16(POLLIN) == 0 || $0.revents & Int16(POLLHUP) != 0 }) {
            ThreadPause.take(milliseconds: 1)
        }
    }

    /// Exit status as shells count it, once it has ended.
    private static func ended(_ child: pid_t) -> CInt? {
        var status: CInt = 0
        // Safety: waitpid writes one number.
        let found = unsafe waitpid(child, &status, WNOHANG)
        if found == 0 || found < 0 && errno == EINTR { return nil }
        return found > 0 ? shellStatus(status) : -1
    }

    /// What waitpid(2) answered, as shells count it.
    static func shellStatus(_ word: CInt) -> CInt {
        let signal = word & 0x7F
        return signal == 0 ? (word >> 8) & 0xFF : 128 + signal
    }

    /// Takes what is there. - Returns: whether something was thrown away.
    private static func drain(_ descriptor: CInt, into bytes: inout [UInt8], limit: Int) -> Bool {
        var piece = [UInt8](repeating: 0, count: 65536)
        var isCut = false
        while true {
            // Safety: recv writes at most the array's count.
            let count = unsafe recv(descriptor, &piece, piece.count, CInt(MSG_DONTWAIT))
            guard count > 0 else { return isCut }
            let room = max(0, limit - bytes.count)
            bytes += piece[..<min(count, room)]
            if count > room { isCut = true }
        }
    }
}
