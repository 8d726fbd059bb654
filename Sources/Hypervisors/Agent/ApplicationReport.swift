import FoundationEssentials

/// What a guest says of its applications, asked through its agent before a freeze and after the thaw.
///
/// While file systems are at rest the agent opens no file. So nothing is seen of the instant itself, and what is
/// believed follows from both ends: see ``shortfall(before:)``.
package struct ApplicationReport: Hashable, Sendable {
    /// Which start of the guest it is of.
    package let boot: String
    /// What its hooks wrote; `nil` when there is no such file.
    package let state: ApplicationState?

    /// Where Linux names the start that it is.
    private static let bootPath = "/proc/sys/kernel/random/boot_id"
    /// Reads of one file, at most.
    private static let mostReads = 64

    /// A report from its parts.
    package init(boot: String, state: ApplicationState?) {
        self.boot = boot
        self.state = state
    }

    /// Asks the agent.
    ///
    /// - Parameter ask: runs one command of the agent and gives what it returned.
    /// - Throws: ``GuestError``, `refused`, when the agent does not let files be read, the guest is no Linux, or the
    ///   file makes no sense; and what `ask` throws for other reasons.
    package init(ask: Ask) throws(GuestError) {
        let name = try ApplicationReport.contents(
            of: try ApplicationReport.open(ApplicationReport.bootPath, ask), ApplicationReport.bootPath,
            limit: ApplicationState.longestBoot + 1, ask)
        boot = String(decoding: name.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
        guard ApplicationState.isBoot(boot) else {
            throw GuestError(.refused, "the guest does not say in \(ApplicationReport.bootPath) which start it is")
        }
        let handle: Int64
        do throws(GuestError) { handle = try ApplicationReport.open(ApplicationState.path, ask) } catch {
            // It opens files, and this one is not there.
            guard error.code == .refused else { throw error }
            state = nil
            return
        }
        state = try ApplicationState(
            parsing: try ApplicationReport.contents(
                of: handle, ApplicationState.path, limit: ApplicationState.mostBytes, ask))
    }

    /// Runs one command of the agent and gives what it returned.
    package typealias Ask = (_ command: String, _ arguments: JSONValue) throws(GuestError) -> JSONValue

    private static func open(_ path: String, _ ask: Ask) throws(GuestError) -> Int64 {
        guard let handle = try ask("guest-file-open", ["path": .text(path), "mode": "r"]).integer else {
            throw GuestError(.refused, "the guest agent opens \(path) and does not say as what")
        }
        return handle
    }

    /// An open file of the guest, whole; it is closed. - Parameter limit: bytes.
    private static func contents(
        of handle: Int64, _ path: String, limit: Int, _ ask: Ask
    ) throws(GuestError) -> [UInt8] {
        defer { _ = try? ask("guest-file-close", ["handle": .integer(handle)]) }
        var bytes: [UInt8] = []
        for _ in 0..<mostReads {
            let answer = try ask(
                "guest-file-read", ["handle": .integer(handle), "count": .integer(Int64(limit + 1 - bytes.count))])
            guard let piece = answer["buf-b64"]?.text.flatMap({ Data(base64Encoded: $0) }) else {
                throw GuestError(.refused, "the guest agent sends what is no content of \(path)")
            }
            guard piece.count <= limit - bytes.count else {
                throw GuestError(.refused, "\(path) in the guest is longer than \(limit) bytes")
            }
            bytes += piece
            if answer["eof"]?.bool == true || piece.isEmpty { return bytes }
        }
        throw GuestError(.refused, "the guest agent sends \(path) in crumbs")
    }

    /// The number of the last freeze of this start; 0 before the first.
    private var number: UInt64 { state.flatMap { $0.boot == boot ? $0.number : nil } ?? 0 }

    /// Whether the freeze that began behind `before` is the last one that was tried.
    private func isNext(after before: ApplicationReport) -> Bool {
        boot == before.boot && before.number < .max && number == before.number + 1
    }

    /// The hooks of the one freeze since `before`; none when there was none or several.
    package func hooks(since before: ApplicationReport) -> [ApplicationState.Hook] {
        isNext(after: before) ? state?.hooks ?? [] : []
    }

    /// Why the applications were not at rest from the freeze to the thaw; `nil` when they were.
    ///
    /// They were when the guest has not been started anew, there was one freeze and one thaw, and every hook says that
    /// its application was at rest until that thaw, one at least having had something to do.
    package func shortfall(before: ApplicationReport) -> Shortfall? {
        if boot != before.boot { return .told("it was started anew meanwhile") }
        if number == before.number { return .noHooks }
        guard isNext(after: before), let state else { return .told("somebody else brought it to rest meanwhile") }
        guard state.phase == .thawed else { return .told("its hooks say '\(state.phase.rawValue)' after the thaw") }
        guard state.thaws == 1 else { return .told("somebody else let it go on meanwhile") }
        if let hook = state.hooks.first(where: { !$0.wasAtRest }) {
            return .told("its hook \(hook.name) says '\(hook.thaw?.rawValue ?? "nothing")' after the thaw")
        }
        return state.hooks.contains { $0.outcome == .done } ? nil : .nothingToDo
    }

    /// The hook that failed at the freeze that was refused since `before`; `nil` when none did.
    package func culprit(since before: ApplicationReport) -> ApplicationState.Hook? {
        hooks(since: before).first { $0.outcome == .failed || $0.outcome == .late }
    }

    /// Why applications were not at rest.
    package enum Shortfall: Hashable, Sendable {
        /// Nothing in the guest is called for them.
        case noHooks
        /// No hook had anything to bring to rest.
        case nothingToDo
        /// Something went wrong, behind "the applications of NAME were not at rest: ".
        case told(String)

        /// In words, behind "the applications of NAME were not at rest: ".
        package var words: String {
            switch self {
            case .noHooks:
                "no hooks were called in it; install those of agent/hooks there, and let its agent call them "
                    + "(qemu-ga -F)"
            case .nothingToDo: "none of its hooks had anything to bring to rest"
            case .told(let words): words
            }
        }
    }
}
