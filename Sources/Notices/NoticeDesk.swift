/// Where all notices come together: it tells what is news, by the rules, and keeps trying.
///
/// It is a value and touches nothing: it is given the time, and a function that delivers. One task uses it; after each
/// call its state is worth writing down (``NoticeStateFile``), *before* anything is delivered too: then a crash tells
/// something twice and never not at all.
package struct NoticeDesk: Sendable {
    /// How a delivery ended.
    package enum Outcome: Hashable, Sendable {
        /// The target has it.
        case delivered
        /// Not now; a sentence without secrets.
        case failed(String)
        /// Never, this very message; a sentence without secrets.
        case refused(String)
    }

    /// Messages that one call of ``deliver(at:through:)`` tries at most; the rest waits for the next call.
    package static let mostDeliveries = 64

    /// Where notices go. May be exchanged at any time: what waits for targets that are gone is dropped.
    package var settings: NoticeSettings
    /// What is remembered.
    package private(set) var state: NoticeState

    /// - Parameters: see the properties.
    package init(settings: NoticeSettings, state: NoticeState = NoticeState()) {
        self.settings = settings
        self.state = state
    }

    // MARK: What is told

    /// Tells what is amiss by somebody who looks at all of it, and what is over; see
    /// ``NoticeLedger/observe(_:of:at:_:)``.
    package mutating func observe(_ problems: [Notice], of kinds: Set<NoticeKind>, at now: UInt64) {
        route(state.ledger.observe(problems, of: kinds, at: now, settings.manners), at: now)
    }

    /// Tells what did not happen, and what is over of it.
    package mutating func observe(_ absence: Absence, at now: UInt64) {
        observe(absence.problems(at: now), of: absence.kinds, at: now)
    }

    /// Tells what somebody reports.
    package mutating func report(_ notices: [Notice], at now: UInt64) {
        route(state.ledger.note(notices, at: now, settings.manners), at: now)
    }

    /// Tells that problems are over.
    package mutating func end(at now: UInt64, where isOver: (NoticeKey) -> Bool) {
        route(state.ledger.end(at: now, where: isOver), at: now)
    }

    /// Tells that a guest has a good point again: its failed runs are over, and the incomplete one when this one is
    /// not.
    package mutating func succeeded(_ subject: NoticeSubject, isComplete: Bool, at now: UInt64) {
        end(at: now) { key in
            key.subject.guest == subject.guest && key.subject.policy == subject.policy
                && key.subject.repository == subject.repository
                && (key.kind == .failed || key.kind == .partial && isComplete)
        }
    }

    /// Tells again what goes on.
    package mutating func remind(at now: UInt64) {
        route(state.ledger.remind(at: now, settings.manners), at: now)
    }

    /// Sends what was held for the digest of the night: called when the night's runs are done.
    package mutating func closeDigests(at now: UInt64) { state.outbox.closeDigests(at: now) }

    private mutating func route(_ notices: [Notice], at now: UInt64) {
        guard !notices.isEmpty else { return }
        for target in settings.targets.map(\.name) {
            let rules = settings.rules.filter { $0.targets.contains(target) }
            var atOnce: [Notice] = []
            var digest: [Notice] = []
            for notice in notices {
                let matching = rules.filter { $0.matches(notice) }
                guard !matching.isEmpty else { continue }
                if matching.allSatisfy(\.isDigest) { digest.append(notice) } else { atOnce.append(notice) }
            }
            if !atOnce.isEmpty { state.outbox.put(atOnce, for: target, at: now) }
            if !digest.isEmpty { state.outbox.hold(digest, for: target) }
        }
    }

    // MARK: How it is sent

    /// Targets that people look at.
    private var paced: Set<String> {
        Set(
            settings.targets.filter { target in
                switch target.way {
                case .mail, .webhook: true
                case .journal, .systemLog, .command: false
                }
            }.map(\.name))
    }

    /// Tries what is due, and tells through the other targets when one does not take anything, and when it does again.
    ///
    /// - Parameter send: delivers one message, and waits until it knows.
    /// - Returns: how many were delivered.
    @discardableResult
    package mutating func deliver(
        at now: UInt64, through send: (NoticeMessage, NoticeTarget) -> Outcome
    ) -> Int {
        state.outbox.tidy(targets: Set(settings.targets.map(\.name)), at: now)
        var delivered = 0
        var attempts = 0
        var failed: Set<String> = []
        // Again, for a target's failure puts a message to others here.
        while attempts < NoticeDesk.mostDeliveries {
            let next = state.outbox.due(at: now, paced: paced).first { !failed.contains($0.target) }
            guard let parcel = next, let target = settings.targets.first(where: { $0.name == parcel.target }) else {
                break
            }
            attempts += 1
            state.outbox.trying(parcel)
            let message = NoticeMessage(
                parcel.notices, isDigest: parcel.isDigest, lost: state.outbox.lost[parcel.target] ?? 0)
            switch send(message, target) {
            case .delivered:
                delivered += 1
                state.outbox.delivered(parcel, at: now)
                tellRecovery(of: target.name, at: now)
            case .failed(let sentence):
                failed.insert(target.name)
                state.outbox.refused(parcel, isRefusal: false, at: now)
                tellFailure(of: target.name, sentence, at: now)
            case .refused(let sentence):
                failed.insert(target.name)
                state.outbox.refused(parcel, isRefusal: true, at: now)
                tellFailure(of: target.name, sentence, at: now)
            }
        }
        return delivered
    }

    private mutating func tellFailure(of name: String, _ sentence: String, at now: UInt64) {
        let notice = Notice.targetFailed(name, at: now, because: sentence, waiting: state.outbox.waiting(for: name))
        tellOthers(state.ledger.note([notice], at: now, settings.manners), about: name, at: now)
    }

    private mutating func tellRecovery(of name: String, at now: UInt64) {
        let news = state.ledger.end(at: now) { key in
            key.kind == .targetFailed && key.subject.object == PlainText.line(name)
        }
        tellOthers(news, about: name, at: now)
    }

    /// Through the other targets: those that the rules name for it, else all others.
    private mutating func tellOthers(_ notices: [Notice], about name: String, at now: UInt64) {
        for notice in notices {
            let others = settings.targets.map(\.name).filter { $0 != name }
            let named = Set(settings.rules.filter { $0.matches(notice) }.flatMap(\.targets))
            let chosen = others.filter { named.contains($0) }
            for target in chosen.isEmpty ? others : chosen { state.outbox.put([notice], for: target, at: now) }
        }
    }

    /// When something is to be done at the earliest: a message to be tried again; `nil` when nothing waits.
    package func nextAttempt(at now: UInt64) -> UInt64? {
        let outbox = state.outbox
        return outbox.parcels.map { max(now, outbox.earliest($0.target, at: now, isPaced: paced.contains($0.target))) }
            .min()
    }
}

extension NoticeCourier {
    /// Delivers as ``NoticeDesk`` wants it.
    package func send(_ message: NoticeMessage, to target: NoticeTarget) -> NoticeDesk.Outcome {
        do throws(NoticeError) {
            try deliver(message, to: target)
            return .delivered
        } catch {
            return error.code == .refused ? .refused(error.sentence) : .failed(error.sentence)
        }
    }
}
