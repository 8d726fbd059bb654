import Effects
import Glibc
import Synchronization

/// Files in memory that nothing is asked of: the host's own notes, whose durability is not what is measured here.
final class MemoryFiles: DurableFiles {
    private let files = Mutex<[String: [UInt8]]>([:])
    private let folders = Mutex<Set<String>>([])

    func makeFolder(_ path: String) -> Bool { folders.withLock { $0.insert(path).inserted } }
    func writeNew(_ path: String, _ bytes: [UInt8]) { files.withLock { $0[path] = bytes } }
    func syncFile(_ path: String) {}
    /// Nobody else is there.
    func lock(_ path: String) -> (any HeldLock)? { Alone() }
    private final class Alone: HeldLock {}
    func syncFolder(_ path: String) {}
    func isFolder(_ path: String) -> Bool { false }
    func remove(_ path: String) { files.withLock { _ = $0.removeValue(forKey: path) } }
    func byteCount(_ path: String) -> UInt64? { files.withLock { $0[path].map { UInt64($0.count) } } }

    func link(_ existing: String, to new: String) -> Bool {
        files.withLock { files in
            guard files[new] == nil, let bytes = files[existing] else { return false }
            files[new] = bytes
            return true
        }
    }

    func read(_ path: String, offset: UInt64, count: Int) -> [UInt8]? {
        files.withLock { $0[path].map { Array($0.dropFirst(Int(offset)).prefix(count)) } }
    }

    func names(in path: String) -> [String] {
        let front = path + "/"
        let all = folders.withLock { Array($0) } + files.withLock { Array($0.keys) }
        return all.filter { $0.hasPrefix(front) }.map { String($0.dropFirst(front.count)) }.filter { !$0.contains("/") }
    }
}
