import ArgumentParser
import BackupModel
import ChunkEncryption
import Effects
import Repository
import RepositoryFormat

/// `dozo doctor`: is this host fit, and does it agree with the repository?
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Check this host, its state and the repository's log.",
        discussion: """
            Examples:
              dozo doctor                   checks what needs no repository
              dozo doctor -r /backup/dozo   also the repository and what is known of it
            """)

    @OptionGroup var options: RepositoryOptions

    private struct Document: Encodable {
        struct Check: Encodable {
            let name: String
            let verdict: String
            let detail: String
        }
        let checks: [Check]
    }

    func run() async throws {
        var checks: [Document.Check] = []
        func add(_ name: String, _ verdict: String, _ detail: String) {
            checks.append(Document.Check(name: name, verdict: verdict, detail: detail))
        }
        /// Three verdicts: a check that could not run is never a pass.
        func attempt(_ name: String, _ body: () async throws -> String) async {
            do { add(name, "proven", try await body()) } catch { add(name, "failed", CommandFailure(error).sentence) }
        }
        await attempt("cryptography") {
            try EncryptionSelfTest.run()
            return "every algorithm of the format gives the published answers"
        }
        await attempt("state folder") {
            let folder = try HostContext.stateFolder()
            try HostPaths.makeFolders(folder)
            let files = HostFiles(root: folder)
            let name = "doctor-\(Randomness.system.bytes(8).hexadecimal)"
            try files.writeNew(name, [1])
            try files.syncFile(name)
            try files.remove(name)
            return folder
        }
        await attempt("image formats") {
            guard let path = ["/usr/bin/qemu-nbd", "/usr/local/bin/qemu-nbd"].first(where: HostPaths.exists) else {
                throw CommandFailure(
                    .failed,
                    "qemu-nbd is missing: only raw images, devices and standard input can be read; "
                        + "install qemu-utils")
            }
            return path
        }
        checks += GuestChecks.all().map { Document.Check(name: $0.name, verdict: $0.verdict, detail: $0.detail) }
        if options.repository ?? Environment["DOZO_REPOSITORY"] != nil {
            await checkRepository(attempt)
        } else {
            add("repository", "not proven", "none was given")
        }
        try show(Document(checks: checks))
    }

    private func checkRepository(_ attempt: (String, () async throws -> String) async -> Void) async {
        var opened: OpenRepository?
        await attempt("repository") {
            let repository = try await options.open()
            opened = repository
            return "\(repository.chain.repository), owner \(repository.chain.owner.fingerprint.abbreviated), "
                + Console.count(repository.chain.enrolments.count, "enrolled key")
        }
        guard var repository = opened else { return }
        // Before the repository is looked at: other processes of this host may see more of it meanwhile.
        var remembered: Result<HostState.Memory?, any Error>
        do { remembered = .success(try await HostContext(repository.chain.repository).state.recall(&repository)) } catch
        {
            remembered = .failure(error)
        }
        var looked: RepositoryView?
        await attempt("control log and sessions") {
            let view = try await repository.view()
            looked = view
            let wrong = view.findings.filter { !$0.isRevoked }.map(\.sentence)
            guard wrong.isEmpty else { throw CommandFailure(.damaged, wrong.joined(separator: "; ")) }
            let counts = [
                Console.count(view.log.slots.count, "slot"), Console.count(view.sessions.count, "session"),
                Console.count(view.packs.count, "pack"), Console.count(view.runs.count, "index run"),
                view.showsPoints
                    ? Console.count(view.points.count, "point") : "points not looked at: that needs the structure key",
            ]
            return counts.joined(separator: ", ")
        }
        guard let view = looked else { return }
        await attempt("what this host remembers") {
            let host = try HostContext(repository.chain.repository)
            let memory = try remembered.get()
            try host.state.check(view, chain: repository.chain, remembering: memory)
            if let key = try host.state.writerCredential()?.signingKey?.publicKey.fingerprint {
                let foreign = try host.state.foreignSessions(in: view, writer: key)
                guard foreign.isEmpty else {
                    throw CommandFailure(
                        .refused,
                        "\(foreign.count) sessions were written with this host's key elsewhere: its "
                            + "state was copied; "
                            + "run `dozo key enroll --renew`")
                }
            }
            return memory == nil ? "nothing yet" : "all of it is there"
        }
    }

    private func show(_ document: Document) throws {
        if options.json {
            try Console.json(document)
        } else {
            Console.table(
                ["CHECK", "VERDICT", "DETAIL"],
                document.checks.map { [$0.name, $0.verdict, Console.printable($0.detail)] })
        }
        let failed = document.checks.filter { $0.verdict == "failed" }
        guard failed.isEmpty else {
            throw CommandFailure(.failed, "\(failed.count) of \(document.checks.count) checks failed")
        }
    }
}
