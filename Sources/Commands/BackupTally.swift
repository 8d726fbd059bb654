import Capture
import Synchronization

/// What the backups of this process came to so far, for the line that says why one failed.
enum BackupTally {
    /// Bytes, as a point's record has them.
    struct Volume: Sendable {
        var read: UInt64 = 0
        var new: UInt64 = 0
        var stored: UInt64 = 0
    }

    private struct State {
        var isBegun = false
        /// Of guests whose run has ended.
        var ended = Volume()
        var current = Volume()
    }

    private static let state = Mutex(State())

    /// Of all guests; `nil` before the first was begun to be read.
    static var volume: Volume? {
        state.withLock { state in
            guard state.isBegun else { return nil }
            return Volume(
                read: state.ended.read + state.current.read, new: state.ended.new + state.current.new,
                stored: state.ended.stored + state.current.stored)
        }
    }

    /// The next guest is read.
    static func begin() {
        let sum = volume ?? Volume()
        state.withLock { $0 = State(isBegun: true, ended: sum) }
    }

    /// How far it is.
    static func show(_ progress: BackupProgress) {
        state.withLock {
            $0.current = Volume(read: progress.read, new: progress.new, stored: progress.stored)
        }
    }
}
