import ArgumentParser
import BackupModel
import ChunkEncryption
import Effects
import Repository
import RepositoryFormat

/// `dozo approve`: what waits for persons, and one's word for it.
struct ApproveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "approve", abstract: "List what waits for the approval of persons, and approve it.",
        discussion: """
            Examples:
              dozo approve -r /backup/dozo
              dozo approve -r /backup/dozo 1f2e3d4c --yes
              dozo approve -r /backup/dozo 1f2e3d4c --rules --for 365 --yes
              dozo approve -r /backup/dozo --require 2 --yes

            Where the owner asks for two persons, what lets points go waits until two stand behind it: whose key has \
            asked for it, and whoever has approved it. One person's word counts once, whatever keys that person has. \
            Approving needs a credential made with `dozo key enroll --role approver --person NAME`. An approval is for \
            this very request and ends after --for days. With --rules it is for the rules by which a `dozo prune` has \
            forgotten, so that the same key may go on to forget by the same rules.

            --require is the owner's: from then on no sweep of a program that knows approvals lets points go without \
            them, and older programs refuse to sweep. Asking for fewer persons, new persons, and revoked keys whose \
            points would go wait for approval themselves. Whoever can delete the repository's files can delete them \
            all the same.
            """)

    @OptionGroup var options: RepositoryOptions
    @Argument(
        help: ArgumentHelp("What to approve: the beginning of its number in the list.", valueName: "request"))
    var request: String?
    @Flag(help: "Approve the rules by which the request was decided, for its key, not this one forgetting alone.")
    var rules = false
    @Option(
        name: .customLong("for"),
        help: ArgumentHelp("Days for which the approval counts, 1 to 3650; 30 unless given.", valueName: "days"))
    var days: Int?
    @Option(help: ArgumentHelp("Why, for whoever looks later.", valueName: "text"))
    var reason: String?
    @Option(
        help: ArgumentHelp("As the owner: ask for so many persons, 2 to 16, or none.", valueName: "number"))
    var require: String?
    @Flag(help: "Do it; without this the command only says what it would do.")
    var yes = false

    /// Fewest digits of a request.
    private static let shortestPrefix = 4
    private static let day: UInt64 = 86_400_000_000_000
    /// Days for which an approval counts unless said otherwise.
    private static let usualDays = 30

    private var persons: Int? { require.flatMap { Int($0) } }

    func validate() throws {
        guard (1...3650).contains(days ?? 1) else { throw ValidationError("--for is 1 to 3650 days") }
        guard require == nil || request == nil && !rules else {
            throw ValidationError("--require approves nothing; give it alone")
        }
        guard require.map({ $0 == "none" || OwnerStatement.personCounts.contains(Int($0) ?? 0) }) ?? true else {
            throw ValidationError("--require is a number of persons, 2 to 16, or none")
        }
        guard request.map({ $0.count >= ApproveCommand.shortestPrefix }) ?? !rules else {
            throw ValidationError("give at least \(ApproveCommand.shortestPrefix) digits of a request from the list")
        }
        guard request != nil || require != nil || !yes && days == nil && reason == nil else {
            throw ValidationError(
                "nothing is approved without a request: name one from the list that `dozo approve` shows")
        }
        guard (reason ?? "").utf8.count <= FormatLimits.textByteCount else {
            throw ValidationError("--reason has more than \(FormatLimits.textByteCount) bytes")
        }
    }

    func run() async throws {
        if require != nil { return try await ask() }
        let (repository, view) = try await options.openAndLook()
        guard view.showsPoints else {
            throw CommandFailure(
                .wrongKey, "this credential does not open what was asked for; use an approver's or a maintainer's")
        }
        let requests = view.requests(at: repository.decisionTimes(view))
        guard let request else { return try list(requests, repository, view) }
        let digits = request.lowercased()
        let found = requests.filter { $0.request.hash.hexadecimal.hasPrefix(digits) }
        guard let chosen = found.first, found.count == 1 else {
            throw CommandFailure(
                .failed,
                "\(found.isEmpty ? "nothing" : "more than one thing") that waits begins with "
                    + "\(Console.printable(request)); `dozo approve` lists what waits")
        }
        try await approve(chosen, repository, view)
    }

    // MARK: What waits

    struct RequestDocument: Encodable {
        let request: String
        /// forget, rules (forgetting by rules), unlock, requirement, person or revocation.
        let kind: String
        let what: String
        /// Label of the key that asked; absent for the owner.
        let by: String?
        let at: String?
        let reason: String?
        let forgets: [String]
        let unlocks: [String]
        let rules: String?
        let persons: [String]
        let persons_needed: Int
    }

    private struct Document: Encodable {
        /// How many persons the owner asks for; absent when none are.
        let required: Int?
        let may_approve: [String]
        let requests: [RequestDocument]
    }

    private func document(
        _ request: PendingRequest, _ repository: OpenRepository, _ view: RepositoryView
    ) -> RequestDocument {
        var (forgets, unlocks, reason): ([PointID], [PointID], String?) = ([], [], nil)
        if case .points(let forgotten, let unlocked, _, let why) = request.content {
            (forgets, unlocks, reason) = (forgotten, unlocked, why)
        }
        return RequestDocument(
            request: request.request.hash.hexadecimal, kind: ApproveCommand.kind(of: request),
            what: what(request, repository),
            by: repository.chain.signer(request.request.signer)?.label, at: request.at.map(TimeText.utc),
            reason: reason, forgets: forgets.map(\.hexadecimal), unlocks: unlocks.map(\.hexadecimal),
            rules: request.rules?.text, persons: request.behind, persons_needed: request.needed)
    }

    private static func kind(of request: PendingRequest) -> String {
        switch request.content {
        case .points(let forgets, _, _, _): forgets.isEmpty ? "unlock" : request.rules == nil ? "forget" : "rules"
        case .statement(.requirement): "requirement"
        case .statement(.person): "person"
        case .statement(.revocation): "revocation"
        }
    }

    /// What it would do, in a few words.
    private func what(_ request: PendingRequest, _ repository: OpenRepository) -> String {
        switch request.content {
        case .points(let forgets, let unlocks, let standing, _):
            var parts: [String] = []
            if !forgets.isEmpty {
                let how = request.rules == nil ? "" : " by rules"
                parts.append("let \(Console.count(forgets.count, "point")) go\(how)")
            }
            if !unlocks.isEmpty { parts.append("unlock \(Console.count(unlocks.count, "point"))") }
            if standing { parts.append("end the locks made for all points") }
            return parts.joined(separator: ", ")
        case .statement(.requirement(let persons)):
            return persons.map { "ask for \($0) persons from now on" } ?? "ask for no approvals any more"
        case .statement(.person(let key)):
            let enrolment = repository.chain.enrolments[key]
            let right = enrolment?.approves ?? false ? "a key that approves" : "a key"
            return "give \(Console.printable(enrolment?.person ?? "nobody")) \(right), \(key.abbreviated)"
        case .statement(.revocation(let key)):
            if repository.chain.revocation(request.request.hash)?.withdraws != nil {
                return "make void what key \(key.abbreviated) signed behind the withdrawal of its revocation"
            }
            return "make void what key \(key.abbreviated) signed behind its revocation"
        }
    }

    private func list(_ requests: [PendingRequest], _ repository: OpenRepository, _ view: RepositoryView) throws {
        let documents = requests.map { document($0, repository, view) }
        let approvals = view.said.approvals
        if options.json {
            return try Console.json(
                Document(
                    required: approvals.required, may_approve: approvals.approvers, requests: documents))
        }
        guard let required = approvals.required else {
            return options.note("the owner of this repository asks for no approvals")
        }
        guard !documents.isEmpty else {
            return options.note("nothing waits; the owner asks for \(required) persons")
        }
        Console.table(
            ["REQUEST", "WHAT", "BY", "SAID", "BEHIND IT", "OF"],
            zip(requests, documents).map { request, document in
                [
                    ApprovalWords.name(request.request.hash), document.what, Console.printable(document.by ?? ""),
                    request.at.map(TimeText.local) ?? "",
                    request.behind.isEmpty ? "nobody" : request.behind.map(Console.printable).joined(separator: ", "),
                    String(request.needed),
                ]
            })
    }

    // MARK: One's word

    private func approve(
        _ request: PendingRequest, _ repository: OpenRepository, _ view: RepositoryView
    ) async throws {
        guard !rules || request.rules != nil else {
            throw CommandFailure(.failed, "this request was not decided by rules; approve it without --rules")
        }
        let now = SystemClock.system.wall()
        let until = now + UInt64(days ?? ApproveCommand.usualDays) * ApproveCommand.day
        if yes {
            let session = try ApprovingSession(repository, view: view, randomness: .system)
            let target = rules ? request.rules?.request ?? request.request : request.request
            let own = repository.credential.signingKey.map(\.publicKey.fingerprint)
            guard target.signer != own else {
                throw CommandFailure(.refused, "this key has asked for it itself: another person approves it")
            }
            if let own, let person = view.said.approvals.person(of: own),
                view.said.approvals.isBehind(target, own, at: now)
            {
                throw CommandFailure(
                    .refused, "\(Console.printable(person)) stands behind it already, and counts once")
            }
            try await session.approve([target.hash], until: until, at: now, reason: reason ?? "")
        }
        if options.json {
            try Console.json(document(request, repository, view))
        } else {
            show(request, repository, view)
            if yes {
                let what = rules ? "the rules are" : "it is"
                Console.result("\(what) approved by this key until \(TimeText.local(until))")
            }
        }
        guard yes else { throw CommandFailure(.refused, "nothing was approved; say --yes to approve it") }
        let left = try await repository.view()
        let waiting = left.requests(at: repository.decisionTimes(left, now: now))
        if let still = waiting.first(where: { $0.request == request.request }) {
            options.note("note: \(still.behind.count) of \(still.needed) persons stand behind it; it waits on")
        }
    }

    private func show(_ request: PendingRequest, _ repository: OpenRepository, _ view: RepositoryView) {
        let asked = document(request, repository, view)
        Console.result("request    \(asked.request)")
        Console.result("would      \(asked.what)")
        if let by = asked.by {
            let person = view.said.approvals.person(of: request.request.signer).map { ", of \(Console.printable($0))" }
            Console.result("asked by   \(Console.printable(by))\(person ?? "")")
        }
        if let at = request.at { Console.result("on         \(TimeText.local(at))") }
        if let reason = asked.reason, !reason.isEmpty { Console.result("because    \(Console.printable(reason))") }
        let behind = request.behind.isEmpty ? "nobody" : request.behind.map(Console.printable).joined(separator: ", ")
        Console.result("behind it  \(behind); \(request.needed) persons are asked for")
        let known = Dictionary(view.points.map { ($0.record.identifier, $0) }) { first, _ in first }
        if case .points(let forgets, let unlocks, _, _) = request.content {
            for (word, points) in [("let go", forgets), ("unlock", unlocks)] {
                for point in points {
                    Console.result("  \(word) \(known[point].map(PointArgument.describe) ?? point.hexadecimal)")
                }
            }
        }
        guard let rules = request.rules else { return }
        Console.result("rules")
        for line in rules.text.split(separator: "\n") { Console.result("  \(Console.printable(String(line)))") }
    }

    // MARK: The owner's

    private struct RequireDocument: Encodable {
        let required: Int?
        let may_approve: [String]
        let done: Bool
        /// Whether it was said and holds only once persons stand behind it.
        let waits_for_approval: Bool
    }

    private func ask() async throws {
        var (repository, view) = try await options.openAndLook()
        guard repository.credential.role == .owner else {
            throw CommandFailure(
                .wrongKey, "only the owner asks for approvals; open the repository with the passphrase")
        }
        let approvers = view.said.approvals.approvers
        if let persons, approvers.count < persons {
            throw CommandFailure(
                .refused,
                "\(Console.count(approvers.count, "person")) may approve, and \(persons) would be asked for: "
                    + "what they then had to approve could never be; "
                    + "`dozo key enroll --role approver --person NAME` adds one"
            )
        }
        guard persons != view.said.approvals.required else {
            throw CommandFailure(
                .failed, persons.map { "\($0) persons are asked for already" } ?? "no approvals are asked for now")
        }
        if yes {
            try await repository.require(persons: persons, createdAt: SystemClock.system.wall() / 1_000_000_000)
            options.rememberStatement(repository)
        }
        // What weakens the requirement is said, and holds once persons stand behind it.
        let waits = yes ? try await ApprovalWords.waits(repository) : nil
        if options.json {
            try Console.json(
                RequireDocument(
                    required: persons, may_approve: approvers, done: yes && waits == nil,
                    waits_for_approval: waits != nil))
        } else {
            let names = approvers.map(Console.printable).joined(separator: ", ")
            let verb = !yes ? "would be" : waits == nil ? "are" : "will be"
            let condition = waits == nil ? "" : ", once it is approved"
            Console.result(
                persons.map { "\($0) persons \(verb) asked for\(condition); who may approve: \(names)" }
                    ?? "no approvals \(verb) asked for any more\(condition)")
        }
        guard yes else { throw CommandFailure(.refused, "nothing was changed; say --yes to do it") }
        if let waits { return options.note(waits) }
        if let persons, approvers.count == persons {
            options.note(
                "note: if one of them loses the key, nothing can be let go any more and nobody can change that; have "
                    + "one person more")
        }
    }
}
