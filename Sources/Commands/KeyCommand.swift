import ArgumentParser
import BackupModel
import ChunkEncryption
import Effects
import Foundation
import Repository
import RepositoryFormat
import Synchronization

/// `dozo key`: who can open the repository.
struct KeyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key", abstract: "Key slots, credentials and the recovery sheet.",
        discussion: """
            Examples:
              dozo key list -r /backup/dozo
              dozo key sheet -r /backup/dozo > sheet.txt
              dozo key enroll -r /backup/dozo --role reader --to reader.key
              dozo key revoke -r /backup/dozo 1f2e3d4c --yes
            """,
        subcommands: [
            KeyListCommand.self, KeyAddCommand.self, KeyRemoveCommand.self, KeySheetCommand.self,
            KeyEnrollCommand.self, KeyRevokeCommand.self,
        ], defaultSubcommand: KeyListCommand.self)
}

/// `dozo key list`: key slots and enrolled keys.
struct KeyListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List key slots and enrolled keys.",
        discussion: "Example: dozo key list -r /backup/dozo")

    @OptionGroup var options: RepositoryOptions

    private struct Document: Encodable {
        struct Slot: Encodable {
            let id: String
            let kind: String
            let label: String
        }
        struct Enrolled: Encodable {
            let fingerprint: String
            let role: String
            let label: String
            /// Whose key the owner says it is; absent for nobody's.
            let person: String?
            /// Whether its approvals count now.
            let approves: Bool
            /// Whether the owner's word about the person waits for approval.
            let waits_for_approval: Bool
            let statement: UInt32
            let revoked: Bool
            /// Whether that waits for approval, and can be withdrawn.
            let revocation_waits: Bool
        }
        let slots: [Slot]
        let enrolled: [Enrolled]
    }

    func run() async throws {
        let (repository, view) = try await options.openAndLook()
        let approvals = view.said.approvals
        let waiting = Set(
            approvals.waiting.compactMap { decision in
                if case .person(let key) = decision.content { key } else { nil }
            })
        let listing = try await KeySlots.listed(repository.access, owners: [repository.chain.owner])
        for finding in listing.findings { options.note("note: \(finding.sentence)") }
        var seen = Set<String>()
        let slots = listing.all.filter { seen.insert($0.objectName).inserted }
        let chain = repository.chain
        let doubted = Set(
            approvals.doubted.compactMap { chain.revocation($0) }.filter { $0.withdraws == nil }.map(\.key))
        let document = Document(
            slots: slots.map { Document.Slot(id: $0.id.hexadecimal, kind: $0.kind.rawValue, label: $0.label) },
            enrolled: chain.enrolments.sorted { $0.value.statement < $1.value.statement }.map {
                fingerprint, enrolment in
                Document.Enrolled(
                    fingerprint: fingerprint.hexadecimal, role: KeyListCommand.role(of: enrolment),
                    label: enrolment.label,
                    person: enrolment.person, approves: approvals.mayApprove(fingerprint),
                    waits_for_approval: waiting.contains(fingerprint), statement: enrolment.statement,
                    revoked: chain.revocations[fingerprint] != nil, revocation_waits: doubted.contains(fingerprint))
            })
        if options.json { return try Console.json(document) }
        Console.table(
            ["KEY SLOT", "KIND", "LABEL"],
            document.slots.map { [String($0.id.prefix(12)), $0.kind, Console.printable($0.label)] })
        guard !document.enrolled.isEmpty else { return }
        Console.result("")
        Console.table(
            ["ENROLLED KEY", "ROLE", "STATE", "LABEL", "PERSON"],
            document.enrolled.map { key in
                let state =
                    key.revoked
                    ? key.revocation_waits ? "revoked, waits" : "revoked"
                    : key.waits_for_approval ? "active, person waits" : "active"
                let person = key.person.map { Console.printable($0) + (key.approves ? ", approves" : "") }
                return [
                    String(key.fingerprint.prefix(12)), key.role, state, Console.printable(key.label), person ?? "",
                ]
            })
    }

    /// What people call it: an approver's key is enrolled as a writer of no guest.
    static func role(of enrolment: Enrolment) -> String {
        let isApprover = enrolment.approves && enrolment.role == .writer && enrolment.guests?.isEmpty ?? false
        return (isApprover ? Role.approver : enrolment.role).rawValue
    }
}

/// `dozo key add`: one more passphrase.
struct KeyAddCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Add a passphrase that opens the repository.",
        discussion: "Example: dozo key add -r /backup/dozo --new-passphrase-file second.pass")

    @OptionGroup var options: RepositoryOptions
    @Option(help: ArgumentHelp("File with the new passphrase; else a prompt.", valueName: "file"), completion: .file())
    var newPassphraseFile: String?
    @Option(help: ArgumentHelp("A name for people.", valueName: "text"))
    var label = "passphrase"

    func run() async throws {
        let repository = try await options.open()
        let secret: SecretBytes
        if let file = newPassphraseFile {
            secret = try RepositoryOptions.passphrase(file: file)
        } else {
            secret = try PassphrasePrompt.ask("New passphrase: ")
            guard try PassphrasePrompt.ask("Once more: ") == secret else {
                throw CommandFailure(.usage, "the two passphrases differ; nothing was added")
            }
        }
        let name = try await KeySlots.add(.passphrase(secret), label: label, to: repository, randomness: .system)
        if options.json { return try Console.json(["slot": name]) }
        Console.result("added \(name)")
    }
}

/// `dozo key remove`: a key slot.
struct KeyRemoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Remove a key slot.",
        discussion: """
            Example: dozo key remove -r /backup/dozo 1f2e3d --yes

            Whoever copied the slot and knows its passphrase can still open what was stored until now.
            """)

    @OptionGroup var options: RepositoryOptions
    @Argument(help: ArgumentHelp("The slot's id or the beginning of it.", valueName: "slot"))
    var slot: String
    @Flag(help: "Do it; without this the command only says what it would do.")
    var yes = false

    func run() async throws {
        guard slot.count >= 4 else { throw CommandFailure(.usage, "give at least 4 digits of the slot's id") }
        let repository = try await options.open()
        guard repository.credential.role == .owner else {
            throw CommandFailure(.wrongKey, "only the owner removes key slots; open the repository with a passphrase")
        }
        guard yes else {
            throw CommandFailure(
                .refused,
                "would remove key slot \(slot): its secret no longer opens the repository, but copies of the "
                    + "slot still open "
                    + "what was stored until now; say --yes to do it")
        }
        let name = try await KeySlots.remove(
            slot.lowercased(), from: try options.store(), owner: repository.chain.owner)
        if options.json { return try Console.json(["removed": name]) }
        Console.result("removed \(name)")
        options.note(
            "Copies of this slot, in old replicas or with a thief, still open everything stored until now. If "
                + "its secret leaked, "
                + "begin a new repository and let this one expire; key rotation is not available in this release.")
    }
}

/// `dozo key sheet`: a recovery key on paper.
struct KeySheetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sheet", abstract: "Make a recovery key and print its sheet.",
        discussion: """
            Example: dozo key sheet -r /backup/dozo --to sheet.txt

            Print it, then destroy the file. Each sheet is a key slot of its own and opens everything.
            """)

    @OptionGroup var options: RepositoryOptions
    @Option(
        help: ArgumentHelp("Write the sheet to this new file, readable by you alone.", valueName: "file"),
        completion: .file())
    var to: String?

    private struct Document: Encodable {
        let recovery_key: String
        let repository: String
        let owner: String
        let owner_statement: UInt32
        let log_head: String
        let printed_at: String
        let slot: String
    }

    func run() async throws {
        let (repository, view) = try await options.openAndLook()
        if let to, HostPaths.exists(to) {
            throw CommandFailure(.refused, "\(to) exists already and is not overwritten; choose another name")
        }
        let key = RecoveryKey.generate(randomness: Randomness.system.bytes)
        let printed = SystemClock.system.wall()
        let name = try await KeySlots.add(
            .recovery(key), label: "recovery sheet of \(TimeText.utc(printed).prefix(10))", to: repository,
            randomness: .system)
        let document = Document(
            recovery_key: key.text, repository: repository.chain.repository.description,
            owner: repository.chain.owner.fingerprint.hexadecimal, owner_statement: repository.chain.head.number,
            log_head: view.log.head.map { "\($0.slot) \($0.hash)" } ?? "none", printed_at: TimeText.utc(printed),
            slot: name)
        let sheet = """
            DOZO RECOVERY SHEET
            Whoever holds this sheet and a copy of the repository can read everything in it.

            recovery key  \(document.recovery_key)

            repository    \(document.repository)
            owner key     \(document.owner)
            owner chain   statement \(document.owner_statement)
            control log   \(document.log_head)
            printed       \(document.printed_at)

            To restore: install dozo, write the recovery key into a file, then
              dozo points -r FOLDER --recovery-key-file FILE
              dozo restore -r FOLDER --recovery-key-file FILE POINT --to-directory FOLDER
            """
        if let to {
            try HostPaths.writeNew(to, Array((sheet + "\n").utf8))
            if !options.json { Console.result("recovery sheet written to \(to), readable by its owner alone") }
        } else if !options.json {
            Console.result(sheet)
        }
        if options.json { try Console.json(document) }
        guard Console.lostResults.withLock({ $0 == nil }) else {
            throw CommandFailure(
                .failed,
                "the sheet was not written; its key slot is there all the same: take it away with `dozo key remove "
                    + "\(name) --yes`, and try again")
        }
    }
}

/// `dozo key enroll`: a credential for a role.
struct KeyEnrollCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "enroll", abstract: "Make a credential file for a role.",
        discussion: """
            Example: dozo key enroll -r /backup/dozo --role writer --to host7.key

            writer      appends and dedups; opens nothing that is stored
            maintainer  lists, forgets, checks and sweeps; opens no guest data
            approver    lists and approves what others ask for; opens no guest data
            reader      restores; writes nothing
            verifier    holds no key; says whose repository to expect

            With --guest a writer may only write that guest: a name that the
            repository knows, or an id for a guest to come.

            --person says whose key it is, for `dozo approve`: two keys of one person count once. A label says nothing \
            of that kind. While approvals are asked for, a new person waits for approval too.

            With --renew this host gets a new writer key, after its state folder was lost, copied or put back.
            """)

    @OptionGroup var options: RepositoryOptions
    @Option(
        help: ArgumentHelp("writer, maintainer, approver, reader or verifier.", valueName: "role"),
        completion: .list(["writer", "maintainer", "approver", "reader", "verifier"]))
    var role: String?
    @Option(help: ArgumentHelp("A name for people.", valueName: "text"))
    var label: String?
    @Option(help: ArgumentHelp("The new file for the credential.", valueName: "file"), completion: .file())
    var to: String?
    @Option(help: ArgumentHelp("A guest that the writer may write; may be repeated.", valueName: "name"))
    var guest: [String] = []
    @Option(
        help: ArgumentHelp("Whose key it is; for an approver, and for a maintainer if you like.", valueName: "name"))
    var person: String?
    @Flag(help: "With --role maintainer and --person: approvals of this key count as well.")
    var approves = false
    @Flag(help: "Give this host a new writer key of its own.")
    var renew = false

    func validate() throws {
        guard renew ? role == nil && to == nil : role != nil && to != nil else {
            throw ValidationError("give --role and --to FILE, or --renew alone")
        }
        guard role.map({ Role(rawValue: $0).map { $0 != .owner } ?? false }) ?? true else {
            throw ValidationError("--role is writer, maintainer, approver, reader or verifier")
        }
        guard role != Role.approver.rawValue || person != nil else {
            throw ValidationError("an approver is a person: give --person NAME")
        }
        guard person == nil || role == Role.approver.rawValue || role == Role.maintainer.rawValue else {
            throw ValidationError("--person goes with --role approver or --role maintainer")
        }
        guard !approves || person != nil && role == Role.maintainer.rawValue else {
            throw ValidationError("--approves goes with --role maintainer and --person NAME")
        }
        guard person.map(Enrolment.isPerson) ?? true else {
            throw ValidationError("--person is 1 to \(Enrolment.personByteCount) bytes without control characters")
        }
        guard guest.isEmpty || role == Role.writer.rawValue else {
            throw ValidationError("--guest goes with --role writer")
        }
    }

    func run() async throws {
        var repository = try await options.open()
        guard repository.credential.role == .owner else {
            throw CommandFailure(.wrongKey, "only the owner enrols; open the repository with the passphrase")
        }
        if renew {
            let host = try HostContext(repository.chain.repository)
            let lock = try host.lock()
            defer { withExtendedLifetime(lock) {} }
            let old = try host.state.writerCredential()?.signingKey?.publicKey.fingerprint
            let fresh = try await host.renewWriter(&repository, label: label ?? HostPaths.hostName)
            if let old, repository.chain.revocations[old] == nil, repository.chain.signer(old) != nil {
                options.note(
                    "note: the old key \(old.abbreviated) stays enrolled, for a copy of this host that goes on with "
                        + "it; `dozo key revoke \(old.abbreviated)` ends it")
            }
            let key = fresh.signingKey?.publicKey.fingerprint.hexadecimal ?? ""
            return try done(
                "this host writes with a new key, \(key.prefix(12))",
                Document(renewed: true, role: Role.writer.rawValue, path: nil, key: key))
        }
        guard let role = role.flatMap(Role.init(rawValue:)), let to else { return }
        guard !HostPaths.exists(to) else {
            throw CommandFailure(.refused, "\(to) exists already and is not overwritten; choose another name")
        }
        // Nothing takes an enrolment back, and a key of which there is no file is nobody's.
        try HostPaths.requireRoomForNew(to)
        let guests = role == .approver ? [] : try await guests(in: repository)
        if let person { try PersonName(person).refuse(beside: repository.chain.enrolments.values.compactMap(\.person)) }
        var seed: SecretBytes?
        if role.signs {
            let fresh = SecretBytes(copying: Randomness.system.bytes(SigningKey.seedByteCount))
            seed = fresh
            try await repository.enrol(
                Enrolment(
                    key: SigningKey(seed: fresh).publicKey, role: role == .approver ? .writer : role, domain: 0,
                    guests: guests, label: label ?? person ?? role.rawValue, person: person,
                    approves: approves || role == .approver),
                createdAt: SystemClock.system.wall() / 1_000_000_000)
            options.rememberStatement(repository)
        }
        let credential = repository.credential.restricted(
            to: role, signingSeed: seed, ownerHead: repository.chain.head)
        try HostPaths.writeNew(to, CredentialFile.encoded(credential))
        let key = seed.map { SigningKey(seed: $0).publicKey.fingerprint.hexadecimal }
        try done(
            "\(role.rawValue) credential written to \(to)" + (key.map { ", key \($0.prefix(12))" } ?? ""),
            Document(renewed: false, role: role.rawValue, path: to, key: key))
        // Whoever gets the file must know that it approves nothing yet, so this is no mere remark.
        if person != nil, let words = try await ApprovalWords.waits(repository) { Console.note(words) }
    }

    /// Ids of the guests that were named; `nil` for all.
    private func guests(in repository: OpenRepository) async throws -> [GuestID]? {
        guard !guest.isEmpty else { return nil }
        let points = try await repository.view().points
        return try guest.map { text in
            if let identifier = GuestID(hexadecimal: text) { return identifier }
            guard let point = try PointArgument.ofGuest(text, in: points).first else {
                throw CommandFailure(.failed, "there is no guest \(Console.printable(text)) in this repository")
            }
            return point.record.guest
        }
    }

    private struct Document: Encodable {
        let renewed: Bool
        let role: String
        let path: String?
        let key: String?
    }

    private func done(_ sentence: String, _ document: Document) throws {
        if options.json { return try Console.json(document) }
        Console.result(sentence)
    }
}
