import Glibc

/// A `qemu-nbd` that outlived the program that started it, and holds the image that it was to write: QEMU leaves with
/// its last connection, but not when that one was still being made.
enum OrphanedServer {
    private static let longestCommand = 16 << 10

    /// Kills every server that this user runs and that was started as this program starts one to write the image at
    /// `path`: signals that would let it close the image are blocked in it, as they were in the thread that started it.
    /// To be called only when no program of this kind can be using it, and it had time to close the image.
    static func end(writing path: String, format: ImageFormat) {
        let arguments = NBDServer.writingArguments(path, format)
        for process in processes() {
            let words = command(of: process)
            // The program, the number of connections, and these.
            guard words.count == arguments.count + 2, Array(words.dropFirst(2)) == arguments,
                words[0].split(separator: "/").last == "qemu-nbd", words[1].hasPrefix("--shared=")
            else { continue }
            kill(process, SIGKILL)
        }
    }

    /// Processes of this user.
    private static func processes() -> [pid_t] {
        // Safety: the stream is closed below and used by nobody else; a name is copied before the next call.
        guard let stream = unsafe opendir("/proc") else { return [] }
        defer { unsafe closedir(stream) }
        var found: [pid_t] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            var facts = stat()
            // Safety: `facts` and the path live through the call.
            guard let number = pid_t(name), unsafe stat("/proc/\(name)", &facts) == 0, facts.st_uid == geteuid() else {
                continue
            }
            found.append(number)
        }
        return found
    }

    private static func command(of process: pid_t) -> [String] {
        // Safety: the path lives through the call.
        let file = unsafe open("/proc/\(process)/cmdline", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return [] }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: longestCommand)
        // Safety: read writes at most the array's count.
        let count = unsafe read(file, &bytes, bytes.count)
        return bytes.prefix(max(0, count)).split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    }
}
