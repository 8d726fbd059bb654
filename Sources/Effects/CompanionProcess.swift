import Glibc

/// A second process of this program that outlives the first one when that is killed, to put right what it left.
///
/// It belongs to a session of its own, so that what interrupts the first one on its terminal does not reach it, and is
/// connected to it by a socket, its descriptor 0. It learns of the first one's end by the end of the socket.
package final class CompanionProcess {
    /// The connection to it.
    package let link: LineSocket
    private let process: pid_t

    /// Starts this program again.
    ///
    /// - Parameter arguments: words behind the program's name.
    /// - Throws: ``FileError``.
    package init(arguments: [String]) throws(FileError) {
        let program = "/proc/self/exe"
        var ends: [Int32] = [-1, -1]
        let kind = Int32(bitPattern: SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        // Safety: socketpair fills two numbers.
        guard unsafe socketpair(AF_UNIX, kind, 0, &ends) == 0 else {
            throw HostFiles.failure(errno, "cannot make a socket for", program)
        }
        defer { close(ends[1]) }
        var actions = unsafe posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        // Safety: both are initialised, used and destroyed here; the words are copied for the call and freed after it.
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_adddup2(&actions, ends[1], 0)
        // Whoever reads what the first process says must not wait for the second.
        for descriptor in [STDOUT_FILENO, STDERR_FILENO] {
            unsafe posix_spawn_file_actions_addopen(&actions, descriptor, "/dev/null", O_WRONLY, 0)
        }
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        unsafe posix_spawnattr_setflags(&attributes, CompanionProcess.ownSession)
        var words: [UnsafeMutablePointer<CChar>?] = unsafe (["dozo"] + arguments).map { word in unsafe strdup(word) }
        unsafe words.append(nil)
        defer { unsafe words.forEach { word in unsafe free(word) } }
        var child: pid_t = 0
        let status = unsafe posix_spawn(&child, program, &actions, &attributes, words, environ)
        guard status == 0 else {
            close(ends[0])
            throw HostFiles.failure(status, "cannot start", program)
        }
        process = child
        link = LineSocket(inherited: ends[0])
    }

    // POSIX_SPAWN_SETSID of posix_spawn(3), which the C library hides behind a feature macro.
    private static let ownSession: Int16 = 0x80

    /// Waits until it has ended, when it was told to.
    package func join() {
        var status: Int32 = 0
        // Safety: waitpid writes one number.
        while unsafe waitpid(process, &status, 0) < 0, errno == EINTR {}
    }

    /// In the second process: signals that end the first one do not end this one.
    package static func outliveSignals() {
        for number in [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE] { signal(number, SIG_IGN) }
    }
}
