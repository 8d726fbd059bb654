import Effects
import Notices
import Synchronization

/// The agent's notices: kept in order, written down and delivered by a thread of their own, so that a mail server that
/// does not answer keeps no backup waiting.
final class NoticePost: Sendable {
    typealias Step = @Sendable (inout NoticeDesk, UInt64) -> Void

    private struct Box {
        var steps: [Step] = []
        var open: [Notice] = []
        var isIdle = true
    }

    private final class Worker: Sendable {
        let box = Mutex(Box())
        private let written = Mutex<NoticeState?>(nil)
        private let desk: Mutex<NoticeDesk>
        private let file: NoticeStateFile
        private let courier: NoticeCourier
        private let clock: SystemClock
        private let complain: @Sendable (String) -> Void

        init(
            _ desk: NoticeDesk, _ file: NoticeStateFile, _ courier: NoticeCourier, clock: SystemClock,
            complain: @escaping @Sendable (String) -> Void
        ) {
            self.desk = Mutex(desk)
            self.file = file
            self.courier = courier
            self.clock = clock
            self.complain = complain
        }

        /// Takes what there is, writes it down, and delivers what is due.
        func look() {
            let steps = box.withLock { box in
                defer { box.steps = [] }
                box.isIdle = false
                return box.steps
            }
            desk.withLock { desk in
                let now = clock.wall()
                for step in steps { step(&desk, now) }
                if !steps.isEmpty { keep(desk) }
                if let next = desk.nextAttempt(at: now), next <= now {
                    desk.deliver(at: now) { courier.send($0, to: $1) }
                    keep(desk)
                }
                let open = desk.state.ledger.open.values.map(\.notice)
                box.withLock { box in
                    box.open = open
                    box.isIdle = box.steps.isEmpty
                }
            }
        }

        private func keep(_ desk: NoticeDesk) {
            guard written.withLock({ $0 != desk.state }) else { return }
            do {
                try file.write(desk.state)
                written.withLock { $0 = desk.state }
            } catch { complain(error.sentence) }
        }
    }

    private static let lookMilliseconds = 200

    private let worker: Worker
    private let watch: PeriodicWatch

    /// Begins to deliver.
    ///
    /// - Parameter complain: is told when the state cannot be written; called on the thread.
    init(
        _ settings: NoticeSettings, folder: AgentFolder, clock: SystemClock,
        complain: @escaping @Sendable (String) -> Void
    ) throws {
        let (state, problem) = try folder.notices.read()
        if let problem { complain(problem.sentence) }
        let worker = Worker(
            NoticeDesk(settings: settings, state: state), folder.notices,
            NoticeCourier(host: HostPaths.hostName, clock: clock), clock: clock, complain: complain)
        self.worker = worker
        watch = PeriodicWatch(milliseconds: NoticePost.lookMilliseconds) {
            worker.look()
            return true
        }
    }

    /// Does something with the desk, soon.
    func post(_ step: @escaping Step) { worker.box.withLock { $0.steps.append(step) } }

    /// Problems that go on, as of the last look.
    var open: [Notice] { worker.box.withLock(\.open) }

    /// Whether all that was posted has been written down.
    var isIdle: Bool { worker.box.withLock { $0.isIdle && $0.steps.isEmpty } }
}
