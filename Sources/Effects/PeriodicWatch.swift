import Glibc
import Synchronization

/// Looks at something again and again, on a thread of its own: also while every task waits for something far away.
package final class PeriodicWatch: Sendable {
    /// What the thread needs; it outlives the watch by no more than one look.
    private final class Job: Sendable {
        let milliseconds: Int
        let look: @Sendable () -> Bool
        let isOver = Atomic(false)

        init(milliseconds: Int, look: @escaping @Sendable () -> Bool) {
            self.milliseconds = milliseconds
            self.look = look
        }

        func run() {
            while !isOver.load(ordering: .acquiring), look() { ThreadPause.take(milliseconds: milliseconds) }
        }
    }

    private let job: Job
    private let thread: Mutex<pthread_t?>

    /// Begins.
    ///
    /// - Parameters:
    ///   - milliseconds: between two looks, 1 to 999.
    ///   - look: called on the watch's thread, never twice at once; says whether to go on.
    package init(milliseconds: Int, look: @escaping @Sendable () -> Bool) {
        let job = Job(milliseconds: milliseconds, look: look)
        self.job = job
        var new = pthread_t()
        // Safety: the context is retained for the thread, which releases it at its end.
        let context = unsafe Unmanaged.passRetained(job)
        let status = unsafe pthread_create(
            &new, nil,
            { pointer in
                guard let pointer = unsafe pointer else { return nil }
                unsafe Unmanaged<Job>.fromOpaque(pointer).takeRetainedValue().run()
                return nil
            }, context.toOpaque())
        if status != 0 { unsafe context.release() }
        thread = Mutex(status == 0 ? new : nil)
    }

    deinit { end() }

    /// Ends it, and waits until no look is under way any more. May be called twice, but not from a look.
    package func end() {
        job.isOver.store(true, ordering: .releasing)
        guard
            let thread = thread.withLock({ thread in
                defer { thread = nil }
                return thread
            })
        else { return }
        pthread_join(thread, nil)
    }
}
