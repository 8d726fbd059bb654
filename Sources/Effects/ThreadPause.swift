import Glibc

/// A short wait of the calling thread, for looking again at what only the kernel knows.
package enum ThreadPause {
    /// Waits, or a little less when a signal comes.
    ///
    /// - Parameter milliseconds: 1 to 999.
    package static func take(milliseconds: Int) {
        precondition((1...999).contains(milliseconds), "a pause is shorter than a second")
        var pause = timespec(tv_sec: 0, tv_nsec: milliseconds * 1_000_000)
        // Safety: nanosleep reads one timespec.
        unsafe nanosleep(&pause, nil)
    }
}
