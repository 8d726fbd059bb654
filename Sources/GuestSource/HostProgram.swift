import Glibc

/// Programs of the host, run without a shell.
package enum HostProgram {
    // More than any message; less than what would matter.
    private static let longestMessage = 4096

    /// The absolute name of the program `name` on PATH, or where the system keeps its own; `nil` when it is in neither.
    package static func find(_ name: String) -> String? {
        // Safety: the environment's text is copied at once; nothing here changes the environment.
        let list = unsafe getenv("PATH").map { unsafe String(cString: $0) } ?? ""
        let folders = list.split(separator: ":").map(String.init) + ["/usr/bin", "/usr/sbin", "/sbin"]
        for folder in folders where folder.hasPrefix("/") {
            let path = "\(folder)/\(name)"
            // Safety: the path is a terminated copy for the call.
            if unsafe access(path, X_OK) == 0 { return path }
        }
        return nil
    }

    /// Runs `command` to its end with nothing on standard input; its output goes nowhere, its messages are returned.
    static func run(_ command: [String]) -> (status: CInt, errorText: String) {
        var ends: [CInt] = [-1, -1]
        // A socket pair, because it can be born closed-on-exec. Safety: socketpair fills two numbers.
        let kind = CInt(bitPattern: SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        guard unsafe socketpair(AF_UNIX, kind, 0, &ends) == 0 else { return (-1, "") }
        defer { Glibc.close(ends[0]) }
        var actions = unsafe posix_spawn_file_actions_t()
        // Safety: the actions are initialised, used and destroyed here.
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        unsafe posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        unsafe posix_spawn_file_actions_adddup2(&actions, ends[1], 2)
        // Safety: the words are copied for the call and freed after it.
        var words: [UnsafeMutablePointer<CChar>?] = unsafe command.map { word in unsafe strdup(word) }
        unsafe words.append(nil)
        defer { unsafe words.forEach { word in unsafe free(word) } }
        var child: pid_t = 0
        let failure = unsafe posix_spawn(&child, command[0], &actions, nil, words, environ)
        Glibc.close(ends[1])
        guard failure == 0 else { return (-1, "") }
        let text = collect(ends[0])
        var status: CInt = 0
        // Safety: waitpid writes one number.
        while unsafe waitpid(child, &status, 0) < 0, errno == EINTR {}
        return (status, text)
    }

    private static func collect(_ descriptor: CInt) -> String {
        var text: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: longestMessage)
        while true {
            // Safety: read writes at most the array's count.
            let count = unsafe Glibc.read(descriptor, &piece, piece.count)
            if count < 0, errno == EINTR { continue }
            if count <= 0 { return String(decoding: text, as: UTF8.self) }
            // Read to the end, so that the writer never waits, but kept only so far.
            text += piece[..<count].prefix(longestMessage - text.count)
        }
    }
}
