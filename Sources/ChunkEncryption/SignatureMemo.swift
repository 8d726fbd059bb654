import BackupModel
import Synchronization

/// Signatures that this process has found valid, so that what a command reads again, such as the control log before and
/// after it claims a slot, is not checked again: a check costs about as much as hashing 200 KiB.
///
/// Only valid ones are kept, by the SHA-256 of key, signature and message, so that the answer is what a new check would
/// give. Memory: at most ``limit`` hashes, about 3 MiB.
enum SignatureMemo {
    /// Entries kept; half of them are forgotten when there are so many.
    static let limit = 1 << 16

    private struct State {
        var current = Set<Hash256>()
        var older = Set<Hash256>()
    }

    private static let state = Mutex(State())

    /// Whether the signature was found valid before; else asks `check` and keeps a yes.
    static func isValid(key: [UInt8], signature: [UInt8], message: [UInt8], check: () -> Bool) -> Bool {
        // Key and signature have fixed sizes, so no two triples have one concatenation.
        let name = SecureHash.sha256(key + signature + message)
        if state.withLock({ $0.current.contains(name) || $0.older.contains(name) }) { return true }
        guard check() else { return false }
        state.withLock { state in
            if state.current.count >= limit / 2 {
                state.older = state.current
                state.current = []
            }
            state.current.insert(name)
        }
        return true
    }
}
