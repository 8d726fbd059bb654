import Glibc
import Synchronization

/// A file that is open for reading as long as somebody uses it.
final class OpenFile: Sendable {
    let descriptor: Int32
    /// Bytes of the file when it was opened.
    let byteCount: UInt64

    init(descriptor: Int32, byteCount: UInt64) {
        self.descriptor = descriptor
        self.byteCount = byteCount
    }

    deinit { close(descriptor) }
}

/// Files from whose middle something was read lately: whoever reads one chunk of a pack or one block of an index reads
/// the next one soon, and looking the path up costs more than the read. For files that never change.
final class OpenFileCache: Sendable {
    /// Files kept open: half of what this process may have, 512 at most.
    private static let limit: Int = {
        var bound = rlimit()
        // Safety: the structure is ours.
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &bound) == 0 else { return 32 }
        return min(512, max(2, Int(clamping: bound.rlim_cur) / 2))
    }()

    private struct State {
        var files: [String: OpenFile] = [:]
        var order: [String] = []
    }

    private let state = Mutex(State())

    func file(_ path: String) -> OpenFile? { state.withLock { $0.files[path] } }

    func keep(_ file: OpenFile, as path: String) {
        state.withLock { state in
            guard state.files[path] == nil else { return }
            if state.order.count >= OpenFileCache.limit {
                for old in state.order.prefix(OpenFileCache.limit / 2) { state.files[old] = nil }
                state.order.removeFirst(OpenFileCache.limit / 2)
            }
            state.files[path] = file
            state.order.append(path)
        }
    }

    func forget(_ path: String) {
        state.withLock { state in
            guard state.files.removeValue(forKey: path) != nil else { return }
            state.order.removeAll { $0 == path }
        }
    }
}
