import ArgumentParser
import BackupModel
import Effects
import Repository
import RepositoryFormat

/// `dozo key revoke`: believe a writer's or maintainer's key no longer.
struct KeyRevokeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke", abstract: "Believe an enrolled key no longer.",
        discussion: """
            Examples:
              dozo key revoke -r /backup/dozo 1f2e3d4c --yes                        a host that is gone
              dozo key revoke -r /backup/dozo 1f2e3d4c --last-point 9a8b7c6d --yes  stolen after that point
              dozo key revoke -r /backup/dozo 1f2e3d4c --nothing --yes              nothing of it is believed

            Points that the key made until now stay, unless you say otherwise; no byte is removed. What was \
            stored can still be read by whoever holds the key's credential and a copy of the repository only as far \
            as its role allows: a writer opens nothing. A revocation can be narrowed, and a host that is still yours \
            gets a new key with `dozo key enroll --renew`. It cannot be taken back, but where persons are asked for, \
            as long as they have not approved it: until then its points are listed as waiting and restore, no sweep \
            lets them go, and --withdraw brings them back. The key itself stays revoked from then on.
            """)

    @OptionGroup var options: RepositoryOptions
    @Argument(
        help: ArgumentHelp(
            "The key's fingerprint or the beginning of it; `dozo key list` shows them.", valueName: "key"))
    var key: String
    @Option(help: ArgumentHelp("The last point of this key that is believed.", valueName: "point"))
    var lastPoint: String?
    @Flag(help: "Believe nothing of this key: all its points are void.")
    var nothing = false
    @Flag(help: "Take back a revocation that waits for the approval of persons.")
    var withdraw = false
    @Flag(help: "Also when fewer persons than are asked for are left to approve anything.")
    var leaveTooFew = false
    @Flag(help: "Do it; without this the command only says what it would do.")
    var yes = false

    func validate() throws {
        guard key.count >= KeyRevokeCommand.shortestPrefix else {
            throw ValidationError("give at least \(KeyRevokeCommand.shortestPrefix) digits of the key's fingerprint")
        }
        guard [lastPoint != nil, nothing, withdraw].count(where: { $0 }) <= 1 else {
            throw ValidationError("give one of --last-point, --nothing and --withdraw")
        }
    }

    private static let shortestPrefix = 4
    /// Void points that are shown by name.
    private static let shownLimit = 10

    private struct Document: Encodable {
        let key: String
        let label: String
        let role: String
        let done: Bool
        let statement: UInt32?
        let points_kept: [String]
        let points_void: [String]
        /// Whether it takes a revocation back that waits.
        let withdraws: Bool
    }

    func run() async throws {
        var (repository, strict) = try await options.openAndLook()
        guard repository.credential.role == .owner else {
            throw CommandFailure(.wrongKey, "only the owner revokes; open the repository with the passphrase")
        }
        let (fingerprint, enrolment) = try find(in: repository.chain)
        var plans: [KeyRevocation] = []
        if withdraw {
            let view = try await repository.showing(strict)
            plans = try withdrawn(fingerprint, repository.chain, strict).map {
                try KeyRevocation(of: fingerprint, extent: .untilNow, withdraws: $0, view: view)
            }
        } else {
            try refuseTooFew(without: fingerprint, strict.said.approvals)
            plans = [try KeyRevocation(of: fingerprint, extent: try extent(fingerprint, strict), view: strict)]
        }
        guard let plan = plans.last else { return }
        if yes {
            for plan in plans {
                try await repository.revoke(plan.revocation, createdAt: SystemClock.system.wall() / 1_000_000_000)
            }
            options.rememberStatement(repository)
        }
        let document = Document(
            key: fingerprint.hexadecimal, label: enrolment.label, role: KeyListCommand.role(of: enrolment), done: yes,
            statement: yes ? repository.chain.head.number : nil,
            points_kept: plan.kept.map(\.record.identifier.hexadecimal),
            points_void: plan.void.map(\.record.identifier.hexadecimal), withdraws: withdraw)
        if options.json { try Console.json(document) } else { show(document, plan: plan) }
        if yes, withdraw {
            options.note(
                "note: the key itself stays revoked from here on: `dozo key enroll` makes another"
                    + (enrolment.approves ? ", and its person approves nothing with this one" : ""))
        } else if yes, let words = try await ApprovalWords.waits(repository) {
            options.note("\(words); until then no sweep lets go what it makes void, and --withdraw takes it back")
        }
        guard yes else { throw CommandFailure(.refused, "nothing was changed; say --yes to do it") }
    }

    /// Revocations of the key that wait, but for those that withdraw others.
    private func withdrawn(_ key: Hash256, _ chain: OwnerChain, _ view: RepositoryView) throws -> [Hash256] {
        guard view.showsPoints else { return [] }
        let waiting = view.said.approvals.waiting.map(\.statement.hash).filter { statement in
            guard view.said.approvals.doubted.contains(statement), let revocation = chain.revocation(statement) else {
                return false
            }
            return revocation.key == key && revocation.withdraws == nil
        }
        guard !waiting.isEmpty else {
            throw CommandFailure(
                .refused,
                "no revocation of this key waits for approval: what persons have approved, and what was said where "
                    + "none were asked for, is not taken back")
        }
        return waiting
    }

    /// Nobody could approve anything any more, and nobody could change that.
    private func refuseTooFew(without key: Hash256, _ approvals: Approvals) throws {
        let left = approvals.approvers(without: key).count
        guard let required = approvals.required, left < required, approvals.mayApprove(key), !leaveTooFew else {
            return
        }
        throw CommandFailure(
            .refused,
            "\(Console.count(left, "person")) would be left who may approve, and \(required) are asked for: "
                + "nothing could be let go any more, and nobody could change that; enrol another person first "
                + "(`dozo key enroll --role approver --person NAME`) and have that approved, or say --leave-too-few")
    }

    private func find(in chain: OwnerChain) throws -> (Hash256, Enrolment) {
        let prefix = key.lowercased()
        let found = chain.enrolments.filter { $0.key.hexadecimal.hasPrefix(prefix) }
        guard let only = found.first, found.count == 1 else {
            throw CommandFailure(
                .failed,
                "\(found.isEmpty ? "no" : "\(found.count)") enrolled keys begin with \(Console.printable(key)); "
                    + "`dozo key list` shows them")
        }
        return (only.key, only.value)
    }

    private func extent(_ key: Hash256, _ view: RepositoryView) throws -> KeyRevocation.Extent {
        if nothing { return .nothing }
        guard let lastPoint else { return .untilNow }
        let point = try PointArgument.find(lastPoint, in: view)
        guard point.writer == WriterID(fingerprint: key) else {
            throw CommandFailure(.failed, "point \(point.record.identifier) was made by another key than this one")
        }
        return .until(point)
    }

    private func show(_ document: Document, plan: KeyRevocation) {
        let what = "\(document.role) \(Console.printable(document.label)) (key \(document.key.prefix(12)))"
        let verb =
            withdraw ? ("withdrew the revocation of", "would withdraw the revocation of") : ("revoked", "would revoke")
        Console.result("\(yes ? verb.0 : verb.1) \(what)")
        Console.result("  points that stay: \(plan.kept.count)")
        Console.result("  points that are void: \(plan.void.count)")
        for point in plan.void.prefix(KeyRevokeCommand.shownLimit) {
            Console.result("    \(PointArgument.describe(point))")
        }
        if plan.void.count > KeyRevokeCommand.shownLimit {
            Console.result("    and \(plan.void.count - KeyRevokeCommand.shownLimit) more")
        }
    }
}
