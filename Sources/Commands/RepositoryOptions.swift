import ArgumentParser
import ChunkEncryption
import Effects
import Foundation
import Glibc
import ObjectStorage
import Repository
import RepositoryFormat

/// Options of every command that opens a repository.
struct RepositoryOptions: ParsableArguments {
    @Option(
        name: [.customShort("r"), .long],
        help: ArgumentHelp("Folder that holds the repository; or DOZO_REPOSITORY.", valueName: "path"),
        completion: .directory)
    var repository: String?

    @Option(
        help: ArgumentHelp("File with the passphrase; or DOZO_PASSPHRASE_FILE, or a prompt.", valueName: "file"),
        completion: .file())
    var passphraseFile: String?

    @Option(
        help: ArgumentHelp(
            "Credential file of a role, in place of the passphrase; or DOZO_KEY_FILE.", valueName: "file"),
        completion: .file())
    var keyFile: String?

    @Option(
        help: ArgumentHelp(
            "File with the recovery key from the recovery sheet, in place of the passphrase.", valueName: "file"),
        completion: .file())
    var recoveryKeyFile: String?

    @Flag(help: "Take the repository at this path although another one lay there before.")
    var otherRepository = false

    @Flag(help: "Print one JSON document on standard output.")
    var json = false

    @Flag(name: [.short, .long], help: "No progress and no notes, only results and errors.")
    var quiet = false

    /// Most bytes of a passphrase file.
    private static let secretLimit = 64 << 10

    /// The absolute path of the repository's folder.
    func path() throws -> String {
        guard let text = repository ?? Environment["DOZO_REPOSITORY"], !text.isEmpty else {
            throw CommandFailure(.usage, "which repository? give -r PATH or set DOZO_REPOSITORY")
        }
        if let scheme = text.range(of: "://") {
            throw CommandFailure(
                .usage,
                "repositories over \(text[..<scheme.lowerBound]) are not available in this release; give the "
                    + "path of a folder"
            )
        }
        return HostPaths.absolute(text)
    }

    /// The store in the repository's folder, which must exist.
    func store() throws -> DirectoryStore {
        let path = try path()
        guard HostPaths.isFolder(path) else {
            throw CommandFailure(
                .notFound,
                "\(HostPaths.whyNoFolder(path)); check the path, mount the disk, or make a repository with `dozo init`")
        }
        return DirectoryStore(files: HostFiles(root: path), randomness: .system)
    }

    /// What was given to open the repository; `nil` when nothing was.
    ///
    /// - Throws: ``CommandFailure``, `usage`, for more than one.
    func givenKey() throws -> RepositoryAccessKey? {
        guard [keyFile, recoveryKeyFile, passphraseFile].compactMap(\.self).count <= 1 else {
            throw CommandFailure(
                .usage,
                "give one of --passphrase-file, --recovery-key-file and --key-file, so that it is plain which "
                    + "is used")
        }
        if let file = keyFile ?? (passphraseFile == nil && recoveryKeyFile == nil ? Environment["DOZO_KEY_FILE"] : nil)
        {
            warnOfReaders(file)
            let bytes = try HostPaths.read(file, limit: CredentialFile.largestByteCount)
            return .credential(try CredentialFile.credential(parsing: bytes, of: file))
        }
        if let file = recoveryKeyFile {
            warnOfReaders(file)
            let bytes = try HostPaths.read(file, limit: RepositoryOptions.secretLimit)
            return .secret(.recovery(try RecoveryKey(parsing: String(decoding: bytes, as: UTF8.self))))
        }
        if let file = passphraseFile ?? Environment["DOZO_PASSPHRASE_FILE"] {
            warnOfReaders(file)
            return .secret(.passphrase(try RepositoryOptions.passphrase(file: file)))
        }
        return nil
    }

    private func warnOfReaders(_ file: String) {
        guard HostPaths.isOpenToOthers(file) else { return }
        note("note: \(Console.printable(file)) opens the repository and can be read by others; chmod 600 it")
    }

    /// What was given, or a passphrase asked for on the terminal.
    func key() throws -> RepositoryAccessKey {
        if let key = try givenKey() { return key }
        return .secret(.passphrase(try PassphrasePrompt.ask("Passphrase: ")))
    }

    /// Reads a passphrase file: its bytes without one trailing newline.
    static func passphrase(file: String) throws -> SecretBytes {
        try Passphrase.secretBytes(try HostPaths.read(file, limit: secretLimit))
    }

    /// Opens the repository with what was given.
    func open(rates: Rates = Rates()) async throws -> OpenRepository { try await opened(with: try key(), rates: rates) }

    /// Opens the repository, and refuses another one than this host has seen at the path.
    func opened(with key: RepositoryAccessKey, rates: Rates = Rates()) async throws -> OpenRepository {
        var repository = try await OpenRepository.open(store: rates.paced(try store()), key: key)
        HostMemory.giveBack()
        try remember(repository.chain.repository)
        try await checkChain(&repository)
        return repository
    }

    /// Refuses an owner chain that lacks what this host has seen of it: whoever states, reads or writes on the shorter
    /// one undoes what the owner has said.
    private func checkChain(_ repository: inout OpenRepository) async throws {
        let memory: HostState.Memory?
        do { memory = try HostContext(repository.chain.repository).state.memory() } catch {
            return note(
                "note: \(CommandFailure(error).sentence); whether the owner chain went back to an earlier state was "
                    + "not checked")
        }
        guard let memory else { return }
        // Another process of this host may have stated or seen more since this one has read the chain.
        try await repository.readOn(to: memory.owner)
        if let refusal = repository.chain.refusal(remembering: memory.owner) { throw RepositoryError.format(refusal) }
    }

    /// Keeps what the owner has said last, as this host has seen or stated it.
    func rememberStatement(_ repository: OpenRepository) {
        do { try HostContext(repository.chain.repository).remember(repository) } catch {
            note("note: \(CommandFailure(error).sentence); this host will not notice when the statement is lost")
        }
    }

    /// Keeps which repository lies at the path.
    ///
    /// - Throws: ``CommandFailure``, `refused`, when others were seen there and not this one.
    func remember(_ repository: RepositoryID, isNew: Bool = false) throws {
        let path = HostPaths.resolved(try path())
        do {
            let folder = try HostContext.stateFolder()
            try HostPaths.makeFolders(folder)
            let places = KnownPlaces(files: HostFiles(root: folder), randomness: .system)
            let known = try places.repositories(at: path)
            guard known.isEmpty || known.contains(repository) || otherRepository || isNew else {
                throw CommandFailure(
                    .refused,
                    "another repository lies in \(path) than this host has seen there: \(repository), not "
                        + "\(known.map(\.description).joined(separator: ", ")); is another disk mounted? Nothing was "
                        + "done; if it is meant, say --other-repository once")
            }
            try places.add(repository, at: path)
        } catch let error as CommandFailure { throw error } catch {
            note(
                "note: \(CommandFailure(error).sentence); whether this is the repository that lay here was not checked")
        }
    }

    /// Notes of one kind that are shown one by one.
    private static let noteLimit = 8

    /// Prints what was found, the first few one by one.
    func notes(_ lines: [String]) {
        for line in lines.prefix(RepositoryOptions.noteLimit) { note("note: \(Console.printable(line))") }
        let more = lines.count - RepositoryOptions.noteLimit
        if more > 0 { note("note: and \(more) more like these; `dozo verify` lists them all") }
    }

    /// Prints a note unless there should be none.
    func note(_ line: String) {
        if !quiet { Console.note(line) }
    }
}

/// Variables that were set when the program began.
enum Environment {
    /// The value, or `nil` when there is none or it is empty.
    static subscript(_ name: String) -> String? {
        // Safety: nobody changes the environment while commands run; the value is copied at once.
        guard let value = unsafe getenv(name) else { return nil }
        let text = unsafe String(cString: value)
        return text.isEmpty ? nil : text
    }
}

/// Asks for a passphrase on the terminal without showing it.
enum PassphrasePrompt {
    static func ask(_ prompt: String) throws -> SecretBytes {
        guard isatty(STDIN_FILENO) == 1 else {
            throw CommandFailure(
                .usage,
                "no passphrase: give --passphrase-file FILE or set DOZO_PASSPHRASE_FILE (there is no terminal "
                    + "to ask on)"
            )
        }
        Console.write(prompt, to: STDERR_FILENO)
        var settings = termios()
        // Safety: `settings` lives through the calls.
        unsafe tcgetattr(STDIN_FILENO, &settings)
        var silent = settings
        silent.c_lflag &= ~tcflag_t(ECHO)
        unsafe tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent)
        defer {
            unsafe tcsetattr(STDIN_FILENO, TCSAFLUSH, &settings)
            Console.write("\n", to: STDERR_FILENO)
        }
        guard let line = readLine() else { throw CommandFailure(.usage, "no passphrase was typed") }
        return try Passphrase.secretBytes(Array(line.utf8))
    }
}
