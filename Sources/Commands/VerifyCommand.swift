import ArgumentParser
import BackupModel
import Effects
import Repository
import RepositoryFormat

/// `dozo verify`: is everything there, and undamaged?
struct VerifyCommand: AsyncParsableCommand, LoadingCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Check that everything is there and undamaged.",
        discussion: """
            Examples:
              dozo verify -r /backup/dozo             every object, every tag, every map
              dozo verify -r /backup/dozo --content   and every chunk against its id
              dozo verify -r /backup/dozo --no-key    every object, without any secret
              dozo verify -r /backup/dozo --repair    and put back what can be put back
              dozo verify -r /backup/dozo --record    and keep the result with each point

            Exit status 6 when something is damaged or missing, 3 when all of that was stored again meanwhile and \
            every point is whole; what could not be checked is said. Owner statements, key slots and the store's \
            identity stand twice; --repair puts back one that is lost or damaged from the other, and lists anew what \
            a lost index run listed. Chunks of damaged packs come back by the next backups on the host that \
            verified, as far as the guests still have them.

            With --record the repository keeps which points are whole and which are damaged: `dozo points` shows it, \
            and the rule `verified` of a policy's retention counts it. Only the passphrase or a maintainer's \
            credential can say this.
            """)

    @OptionGroup var options: RepositoryOptions
    @OptionGroup var load: LoadOptions
    var usualNice: Int { LoadOptions.backgroundNice }
    @Flag(help: "Also decompress every chunk and compare it with its id.")
    var content = false
    @Flag(help: "Use no key: check names, sizes, hashes and signatures.")
    var noKey = false
    @Option(
        help: ArgumentHelp(
            "With --no-key: fingerprint of the owner key, from the recovery "
                + "sheet.", valueName: "hex"))
    var owner: String?
    @Flag(help: "First put back what stands twice, and list lost index runs anew.")
    var repair = false
    @Flag(help: "Keep in the repository which points were found whole or damaged.")
    var record = false
    @Option(help: ArgumentHelp("Packs in work at once, 1 to 6; by default one a processor.", valueName: "n"))
    var jobs: Int?

    func validate() throws {
        guard !(content && noKey) else { throw ValidationError("--content needs a key, --no-key has none") }
        guard jobs.map({ (1...6).contains($0) }) ?? true else { throw ValidationError("--jobs is 1 to 6") }
        guard !noKey || options.keyFile == nil else {
            throw ValidationError("--no-key uses none; `dozo verify --key-file FILE` uses that of a verifier")
        }
        guard !(record && noKey) else { throw ValidationError("--record signs, which --no-key cannot") }
        guard owner == nil || noKey else { throw ValidationError("--owner goes with --no-key") }
    }

    private struct Document: Encodable {
        struct Finding: Encodable {
            let object: String
            let what: String
            let lost_chunks: [String]
            let points: [String]
            let revoked: Bool
            let replaced: Bool
        }
        let level: String
        let sound: Bool
        let objects: Int
        let bytes: UInt64
        let tags_checked: Int
        let chunks_compared: Int
        let points_checked: Int
        let points_whole: [String]
        let findings: [Finding]
        let recorded: Bool
        let not_proven: [String]
        let strays: [String]
        let repaired: [String]
    }

    func run() async throws {
        let rates = load.rates()
        var notProven: [String] = []
        var (repository, view) = try await noKey ? openKeyless(&notProven, rates) : options.openAndLook(rates: rates)
        if record, !repository.credential.role.closesEpochs {
            throw CommandFailure(
                .wrongKey,
                "what is found with this \(repository.credential.role.rawValue) credential cannot be recorded; use a "
                    + "maintainer's credential or the passphrase, or leave --record out")
        }
        var repaired: [String] = []
        if repair {
            let repair = try await SpareRepair(repository, in: options.store())
            repaired = repair.mended
            for name in repaired { options.note("put back: \(name)") }
            for line in repair.failures { Console.note("note: \(Console.printable(line))") }
            if !noKey { repaired += try await repairIndex(repository, view: view) }
            if !repaired.isEmpty {
                notProven = []
                (repository, view) =
                    try await noKey ? openKeyless(&notProven, rates) : options.openAndLook(rates: rates)
            }
        }
        let level: VerificationLevel = noKey ? .keyless : content ? .content : .tags
        let line = ProgressLine(isQuiet: options.quiet)
        let verification = Verification(
            repository, view: view, level: level, workers: jobs ?? min(4, HostPaths.processorCount),
            filters: noKey ? nil : HostContext.filters(of: repository))
        let damage = noKey ? nil : try? HostContext(repository.chain.repository).state.damage()
        var report = try await verification.run { progress in
            line.show("verifying", passed: progress.passed, total: progress.total, more: "")
        }
        line.clear()
        report.notProven = notProven + report.notProven
        if !noKey { remember(report, of: repository, insteadOf: damage) }
        var unrecorded: CommandFailure?
        if record {
            do { try await keep(report, in: repository) } catch { unrecorded = CommandFailure(error) }
        }
        try show(
            report, repaired: repaired, isRecorded: record && unrecorded == nil, seconds: line.elapsed,
            points: report.points)
        if let unrecorded { options.note("note: the result is not recorded: \(unrecorded.sentence)") }
        guard report.isSound else {
            let count = report.findings.count { !$0.isRevoked }
            if report.isReplaced {
                throw CommandFailure(
                    .partial,
                    "\(Console.count(count, "pack")) lost or damaged, and nothing needs them: what they held was "
                        + "stored again, and every point is whole")
            }
            throw CommandFailure(.damaged, "\(Console.count(count, "finding")): see above")
        }
        if unrecorded != nil {
            throw CommandFailure(.partial, "no damage was found, and that could not be recorded: see above")
        }
    }

    /// Says in the repository what was found of the points.
    private func keep(_ report: VerificationReport, in repository: OpenRepository) async throws {
        let level: AttestationRecord.Level =
            repository.credential.role != .owner ? .packs : report.level == .content ? .content : .tags
        try await MaintenanceSession(repository, randomness: .system).attest(
            whole: report.wholePoints,
            damaged: report.findings.filter { !$0.isReplaced && !$0.isRevoked }.flatMap(\.points),
            level: level, at: SystemClock.system.wall())
    }

    /// Lists anew what lost or damaged index runs listed. - Returns: names of those runs.
    private func repairIndex(_ repository: OpenRepository, view: RepositoryView) async throws -> [String] {
        let damaged = try await IndexRepair.damagedRuns(repository, view: view)
        guard !damaged.isEmpty else { return [] }
        let host = try HostContext(repository.chain.repository)
        let lock = try host.shareLock()
        defer { withExtendedLifetime(lock) {} }
        var repository = repository
        let writer: Credential
        if let kept = try host.state.writerCredential() {
            writer = kept
            options.note("index runs are listed anew with this host's own key")
        } else if repository.credential.role == .owner {
            writer = try await host.writer(&repository, label: HostPaths.hostName) { options.note($0) }
        } else {
            Console.note(
                "note: \(Console.count(damaged.count, "index run")) lost or damaged, and this host has no key to list "
                    + "their packs anew; the next backup of a host that verified does")
            return []
        }
        try await IndexRepair.run(damaged, repository.acting(as: writer), state: host.state, randomness: .system)
        let names = damaged.map(\.runName).sorted()
        for name in names { options.note("its packs are listed anew: \(name)") }
        return names
    }

    /// So that the next backup of this host leans on nothing damaged.
    private func remember(
        _ report: VerificationReport, of repository: OpenRepository, insteadOf earlier: HostState.Damage?
    ) {
        do {
            let state = try HostContext(repository.chain.repository).state
            try state.keep(
                damage: HostState.Damage(packs: Set(report.damagedPacks), runs: Set(report.damagedRuns)),
                insteadOf: earlier)
        } catch {
            Console.note("note: this host cannot remember what is damaged: \(CommandFailure(error).sentence)")
        }
        guard !report.damagedPacks.isEmpty, !report.isReplaced else { return }
        options.note(
            "\(Console.count(report.damagedPacks.count, "damaged pack")): the next backups on this host store again "
                + "what they meet of it; then `dozo verify` says which points are whole again")
    }

    private func openKeyless(
        _ notProven: inout [String], _ rates: Rates
    ) async throws -> (OpenRepository, RepositoryView) {
        let store = try options.store()
        let credential = try await OpenRepository.claimedVerifier(store)
        if let owner {
            guard credential.owner.hexadecimal == owner.lowercased() else {
                throw CommandFailure(
                    .refused,
                    "the store shows the owner key \(credential.owner), not \(owner): another "
                        + "repository, or an exchanged one")
            }
        } else {
            notProven.append(
                "whether this is the repository you mean: give --owner FINGERPRINT from the "
                    + "recovery sheet")
        }
        let repository = try await OpenRepository.open(
            store: rates.paced(store), key: .credential(credential))
        return (repository, try await repository.view())
    }

    private func show(
        _ report: VerificationReport, repaired: [String], isRecorded: Bool, seconds: Double, points: [RestorePoint]
    ) throws {
        if options.json {
            return try Console.json(
                Document(
                    level: report.level.rawValue, sound: report.isSound, objects: report.objectCount,
                    bytes: report.byteCount, tags_checked: report.tagCount, chunks_compared: report.contentCount,
                    points_checked: report.pointCount, points_whole: report.wholePoints.map(\.hexadecimal),
                    findings: report.findings.map {
                        Document.Finding(
                            object: $0.object, what: $0.sentence, lost_chunks: $0.lost.map(\.hexadecimal),
                            points: $0.points.map(\.hexadecimal), revoked: $0.isRevoked,
                            replaced: $0.isReplaced)
                    }, recorded: isRecorded,
                    not_proven: report.notProven, strays: report.strays,
                    repaired: repaired))
        }
        for finding in report.findings {
            let kind = finding.isRevoked ? "VOID" : finding.isReplaced ? "REPLACED" : "DAMAGED"
            Console.result("\(kind) \(Console.printable(finding.sentence))")
            for chunk in finding.lost.prefix(5) { Console.result("  chunk \(chunk.hexadecimal)") }
            if finding.lost.count > 5 { Console.result("  and \(finding.lost.count - 5) more chunks") }
            for identifier in finding.points {
                let record = points.first { $0.record.identifier == identifier }?.record
                let label = record.map { "\(Console.printable($0.label)) of \(TimeText.local($0.takenAt))" } ?? ""
                Console.result("  suffers: point \(identifier) \(label)")
            }
        }
        Console.result(
            "\(Console.count(report.objectCount, "object")), \(Console.size(report.byteCount)), "
                + "\(Console.count(report.tagCount, "tag")), \(Console.count(report.contentCount, "chunk")) compared, "
                + "\(report.wholePoints.count) of \(Console.count(report.pointCount, "point")) whole, "
                + "in \(Console.duration(seconds))")
        if let first = report.strays.first {
            let more = report.strays.count > 1 ? " and \(report.strays.count - 1) more" : ""
            Console.result(
                "strays: \(Console.printable(first))\(more); the format has no such name, nobody reads it")
        }
        for line in report.notProven { Console.result("not proven: \(line)") }
        Console.result(
            report.isSound ? "no damage found" : report.isReplaced ? "all damage was replaced" : "DAMAGE FOUND")
    }
}
