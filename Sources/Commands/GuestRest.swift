import Hypervisors

/// How a guest comes to rest for its instant, and goes on: file systems by its agent, applications by the hooks that
/// the agent calls; and what its point may promise of it.
struct GuestRest {
    /// What a point promises; the names stand in records (format page §11).
    enum Level: String, Comparable {
        case crash
        case fileSystem = "file-system"
        case application

        static func < (one: Level, other: Level) -> Bool { one.rank < other.rank }
        private var rank: Int {
            switch self {
            case .crash: 0
            case .fileSystem: 1
            case .application: 2
            }
        }
    }

    private let guest: any Guest
    private let label: String
    private let keeper: StillnessKeeper
    private let options: RepositoryOptions
    private let live: LiveOptions
    private var wanted: LiveOptions.Quiesce { live.quiesce }

    /// Whether its file systems may be brought to rest at all.
    private var canRest = false
    /// What its hooks had done before; `nil` when the agent does not tell.
    private var before: ApplicationReport?
    private var isFrozen = false
    /// File systems that came to rest.
    private var count = 0
    /// What was achieved; certain after ``settle()``.
    private(set) var level = Level.crash
    /// Why it is no more than that, for who required more.
    private var reason = "its file systems were not brought to rest"
    /// Nanoseconds its file systems were at rest; 0 when they were not, or nothing can be said of it.
    private(set) var frozen: UInt64 = 0
    /// The hooks that were called for it.
    private(set) var hooks: [ApplicationState.Hook] = []

    init(_ guest: LiveGuest, keeper: StillnessKeeper, command: BackupCommand) {
        self.guest = guest.guest
        self.keeper = keeper
        label = guest.label
        options = command.options
        live = command.live
    }

    // MARK: Before the instant

    /// Asks what its hooks did last, before any guest of the barrier is at rest.
    mutating func look() async throws {
        // Who goes on from memory with file systems at rest would find them so, with nobody to let them go on.
        guard wanted != .never, wanted != .auto || live.withMemory == nil else { return }
        guard try await guest.capabilities.contains(.quiesce) else {
            guard wanted == .auto else {
                throw CommandFailure(
                    .refused, "\(label) has no agent that could bring its file systems to rest; nothing was made")
            }
            return
        }
        guard wanted == .application || !guest.isMarkedByQuestions else {
            canRest = true
            return
        }
        do {
            before = try await guest.applications()
        } catch let error as GuestError where error.code == .refused {
            guard wanted != .application else {
                throw CommandFailure(
                    .refused,
                    "whether the applications of \(label) come to rest cannot be known: "
                        + "\(error.sentence); nothing was made")
            }
        } catch let error as GuestError where error.code == .agent && wanted == .auto {
            // It would not answer to a freeze either.
            return tell("were not at rest: \(error.sentence)")
        }
        canRest = true
    }

    private func tell(_ what: String) {
        options.note("note: the file systems of \(label) \(Console.printable(what))")
    }

    /// Brings it to rest.
    mutating func freeze() async throws {
        guard canRest else { return }
        do throws(GuestError) {
            // Also without any at rest the thaw is owed to the hooks.
            count = try keeper.freeze()
            isFrozen = true
            if count == 0 {
                reason = "none of its file systems can be brought to rest"
                tell("were not at rest: none of them can be")
            }
        } catch {
            _ = try? keeper.thaw()
            guard error.code != .interrupted else { throw error }
            let sentence = error.sentence + (await culprit())
            guard wanted == .auto else { throw GuestError(error.code, sentence) }
            tell("were not at rest: \(sentence)")
        }
    }

    /// Which hook was in the way, behind the agent's own words.
    private func culprit() async -> String {
        guard let before, let hook = try? await guest.applications().culprit(since: before) else { return "" }
        let what = hook.outcome == .late ? "took too long" : "failed"
        return "; the hook \(hook.name) in it \(what) after \(hook.milliseconds) ms"
    }

    // MARK: Behind it

    /// Lets it go on.
    mutating func thaw() {
        guard isFrozen else { return }
        isFrozen = false
        do throws(GuestError) {
            switch try keeper.thaw() {
            case .nanoseconds(let time):
                guard count > 0 else { break }
                frozen = time
                level = .fileSystem
            case .timeRanOut:
                reason = "its file systems were let go on after \(live.freezeLimit) s, maybe before the instant"
                tell("were let go on after \(live.freezeLimit) s, maybe before the instant")
            case .others:
                reason = "somebody else let its file systems go on, maybe before the instant"
                tell("were let go on by somebody else, maybe before the instant")
            }
        } catch {
            reason = "its agent died while it was at rest"
            Console.note(
                "alert: the file systems of \(label) are at rest and its agent does not answer; it is "
                    + "tried until it does: \(Console.printable(error.sentence))")
        }
    }

    /// After the thaw of all guests: finds out what was achieved.
    ///
    /// - Throws: ``CommandFailure``, `refused`, when it is less than what was required.
    mutating func settle() async throws {
        if level == .fileSystem, let before { try await settleApplications(since: before) }
        let required: Level =
            switch wanted {
            case .auto, .never: .crash
            case .require: .fileSystem
            case .application: .application
            }
        guard level >= required else {
            let what = required == .fileSystem ? "its file systems" : "its applications"
            throw CommandFailure(
                .refused,
                "\(label) was taken, but not with \(what) at rest: \(Console.printable(reason)); no point was made")
        }
    }

    private mutating func settleApplications(since before: ApplicationReport) async throws {
        let after: ApplicationReport
        do {
            after = try await guest.applications()
        } catch let error as GuestError where error.code != .interrupted {
            reason = error.sentence
            return
        }
        hooks = after.hooks(since: before)
        for hook in hooks where !hook.wasAtRest {
            Console.note(
                "alert: the hook \(hook.name) in \(label) says '\(hook.thaw?.rawValue ?? "nothing")' after the thaw: "
                    + "look whether its application goes on")
        }
        guard let shortfall = after.shortfall(before: before) else {
            level = .application
            return
        }
        reason = shortfall.words
        if case .told = shortfall, wanted != .application {
            options.note("note: the applications of \(label) were not at rest: \(Console.printable(reason))")
        }
    }

    /// Whatever happens, it goes on.
    func letGo() { if isFrozen { _ = try? keeper.thaw() } }
}
