import ArgumentParser
import BackupModel
import Effects
import ObjectStorage
import Repository
import RepositoryFormat

/// `dozo init`: a new repository in an empty folder.
struct InitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init", abstract: "Make a new repository in an empty folder.",
        discussion: """
            Example: dozo init -r /backup/dozo --passphrase-file dozo.pass

            Whoever has the passphrase can read everything; who loses it and the recovery key can read nothing, ever. \
            Print a recovery sheet next: dozo key sheet -r /backup/dozo
            """)

    @OptionGroup var options: RepositoryOptions

    private struct Document: Encodable {
        let repository: String
        let path: String
        let owner: String
    }

    func run() async throws {
        let path = try options.path()
        guard options.keyFile == nil, options.recoveryKeyFile == nil else {
            throw CommandFailure(
                .usage, "a repository is made with a passphrase; more keys are added with `dozo key add`")
        }
        let secret: SlotSecret
        if case .secret(let given)? = try options.givenKey() {
            secret = given
        } else {
            let first = try PassphrasePrompt.ask("New passphrase: ")
            guard try PassphrasePrompt.ask("Once more: ") == first else {
                throw CommandFailure(.usage, "the two passphrases differ; nothing was made")
            }
            secret = .passphrase(first)
        }
        try HostPaths.makeFolders(path)
        let files = HostFiles(root: path)
        let known: Set<String> = [
            "owner", "keys", "store", "spare", "log", "ledger", "s", "packs", "runs", "tmp", "lost+found",
        ]
        if let foreign = try files.names(in: "").sorted().first(where: { !known.contains($0) }) {
            throw CommandFailure(
                .refused, "\(path) is not empty (\(Console.printable(foreign))); choose an empty folder")
        }
        let store = DirectoryStore(files: files, randomness: .system)
        let credential = try await RepositoryCreation.create(
            in: store, secret: secret, label: "passphrase of \(HostPaths.hostName)",
            createdAt: SystemClock.system.wall() / 1_000_000_000, randomness: .system)
        try options.remember(credential.repository, isNew: true)
        let fingerprint = credential.owner.hexadecimal
        if options.json {
            try Console.json(
                Document(repository: credential.repository.description, path: path, owner: fingerprint))
        } else {
            Console.result("repository \(credential.repository) made in \(path)")
            Console.result("owner key \(fingerprint)")
            options.note(
                "Without the passphrase nothing can be read. Print a recovery sheet and keep it elsewhere: "
                    + "dozo key sheet"
            )
        }
    }
}
