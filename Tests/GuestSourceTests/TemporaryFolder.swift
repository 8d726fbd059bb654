import Glibc
import Testing

/// A folder of a test's own, removed with everything in it.
final class TemporaryFolder: Sendable {
    let path: String

    /// - Parameter parent: a folder to make it in; by default `TMPDIR`, or `/tmp`.
    init(on parent: String? = nil) throws {
        // Safety: the environment's text is copied at once, and no test changes it.
        let parent = unsafe parent ?? getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/tmp"
        var template = Array("\(parent)/dozo-source-XXXXXX".utf8CString)
        // Safety: mkdtemp rewrites the terminated template in place.
        let made = unsafe template.withUnsafeMutableBufferPointer { unsafe mkdtemp($0.baseAddress!) != nil }
        try #require(made)
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { _ = Tool.run(["/bin/rm", "-rf", "--", path]) }

    func file(_ name: String) -> String { path + "/" + name }

    func write(_ bytes: [UInt8], to name: String) throws -> String {
        try TestFile.write(bytes, to: file(name))
        return file(name)
    }
}

enum TestFile {
    /// Creates or cuts the file and writes `bytes`; the file's times are then set a year back.
    static func write(_ bytes: [UInt8], to path: String) throws {
        // Safety: terminated copies of the path; the array's own bytes and count.
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        try put(bytes, at: 0, descriptor)
    }

    static func overwrite(_ bytes: [UInt8], at offset: Int, in path: String) throws {
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        try put(bytes, at: offset, descriptor)
    }

    static func resize(_ path: String, to size: Int) -> Bool { unsafe truncate(path, size) == 0 }

    static func read(_ path: String) throws -> [UInt8] {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: lseek(descriptor, 0, SEEK_END))
        let count = unsafe pread(descriptor, &bytes, bytes.count, 0)
        try #require(count == bytes.count)
        return bytes
    }

    private static func put(_ bytes: [UInt8], at offset: Int, _ descriptor: CInt) throws {
        let count = unsafe pwrite(descriptor, bytes, bytes.count, offset)
        try #require(count == bytes.count)
    }
}

/// Programs the tests use.
enum Tool {
    /// Whether container formats can be tested at all.
    static var hasQEMU: Bool {
        unsafe access("/usr/bin/qemu-img", X_OK) == 0 && access("/usr/bin/qemu-nbd", X_OK) == 0
    }

    @discardableResult
    static func run(_ command: [String]) -> CInt {
        var words: [UnsafeMutablePointer<CChar>?] = unsafe command.map { unsafe strdup($0) }
        unsafe words.append(nil)
        defer { unsafe words.forEach { word in unsafe free(word) } }
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        var child: pid_t = 0
        guard unsafe posix_spawn(&child, command[0], &actions, nil, words, environ) == 0 else { return -1 }
        var status: CInt = 0
        while unsafe waitpid(child, &status, 0) < 0, errno == EINTR {}
        return status
    }

    static func image(_ arguments: String...) throws {
        try #require(run(["/usr/bin/qemu-img"] + arguments) == 0, "qemu-img \(arguments)")
    }

    /// Process ids of living `qemu-nbd`s whose arguments contain `text`; a zombie has no arguments.
    static func servers(naming text: String) -> [pid_t] {
        var found: [pid_t] = []
        guard let folder = unsafe opendir("/proc") else { return [] }
        defer { unsafe closedir(folder) }
        while let entry = unsafe readdir(folder) {
            let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard let id = pid_t(name) else { continue }
            let descriptor = unsafe open("/proc/\(name)/cmdline", O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { continue }
            defer { close(descriptor) }
            var bytes = [UInt8](repeating: 0, count: 8192)
            let count = unsafe read(descriptor, &bytes, bytes.count)
            guard count > 0 else { continue }
            let line = String(decoding: bytes[..<count], as: UTF8.self)
            if line.contains("qemu-nbd"), line.contains(text) { found.append(id) }
        }
        return found
    }
}

/// Small seeded generator; the seed comes from SOURCE_SEED or is fixed.
struct Seeded: RandomNumberGenerator {
    static var seed: UInt64 {
        unsafe getenv("SOURCE_SEED").flatMap { UInt64(unsafe String(cString: $0)) } ?? 20_261_124
    }
    var state: UInt64 = Seeded.seed

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = (state ^ state >> 30) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
        return value ^ value >> 31
    }

    mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }
}
