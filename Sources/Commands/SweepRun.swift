import BackupModel
import Effects
import Repository
import RepositoryFormat

/// One sweep from the command line: the same for `dozo sweep` and `dozo prune`.
struct SweepRun {
    let options: RepositoryOptions
    let repository: OpenRepository

    /// How a sweep came out, as JSON.
    struct Document: Encodable {
        let dropped_points: [String]
        let deleted_objects: Int
        let freed_bytes: UInt64
        let left: [String]
        let waits_for_sessions: [String]
        let ended_sessions: [String]
        let closed: Bool
        /// Maps that were read, and those of which an earlier sweep of this host had kept what they lean on.
        let maps_read: Int
        let maps_known: Int
        /// Packs of which what is needed was copied, bytes of the new ones, and packs that were damaged instead.
        let rewritten_packs: Int
        let copied_bytes: UInt64
        let damaged_packs: [String]
        /// Index runs that a merged one takes the place of.
        let merged_runs: Int
        /// Packs of locked points that carry the immutable flag, those that do not, and those from which it was taken;
        /// absent where nobody has locked anything, and when backups are waited for.
        let protected_files: Int?
        let unprotected_files: Int?
        let released_files: Int?
        /// Why a flag could not be set or taken off.
        let protection_trouble: String?

        init(_ report: Sweep.Report) {
            dropped_points = report.dropped.map(\.hexadecimal)
            deleted_objects = report.deleted
            freed_bytes = report.freedByteCount
            left = report.left
            waits_for_sessions = report.waitsFor.map(\.hexadecimal)
            ended_sessions = report.fenced.map(\.hexadecimal)
            closed = report.hasClosed
            maps_read = report.readMaps
            maps_known = report.keptMaps
            rewritten_packs = report.rewritten
            copied_bytes = report.copiedByteCount
            damaged_packs = report.damaged
            merged_runs = report.mergedRuns
            protected_files = report.protection?.protected
            unprotected_files = report.protection?.open
            released_files = report.protection?.released
            protection_trouble = report.protection?.trouble
        }
    }

    /// Sweeps that are begun in one run when somebody comes in between.
    private static let mostAttempts = 4

    /// Sweeps once, and keeps what the host is to remember of it.
    func run(_ settings: Sweep.Settings) async throws -> Sweep.Report {
        let host = try HostContext(repository.chain.repository)
        var memory = try host.state.sweepMemory()
        let outcome: Result<Sweep.Report, any Error>
        let line = ProgressLine(isQuiet: options.quiet)
        defer { line.clear() }
        do {
            var (repository, attempts) = (repository, 0)
            while true {
                do {
                    outcome = .success(
                        try await Sweep.run(
                            repository, store: try options.store(), state: host.state, memory: &memory,
                            settings: settings, randomness: .system,
                            progress: { line.show("copying", passed: $0, total: $1, more: "") }))
                    break
                } catch let error as RepositoryError
                    where error.sentence == Sweep.ownerHasStated.sentence && attempts < SweepRun.mostAttempts - 1
                {
                    attempts += 1
                    try await repository.readOn()
                }
            }
        } catch { outcome = .failure(error) }
        // Also of a run that failed: it may have met a session for the first time.
        try host.state.keep(sweepMemory: memory)
        return try outcome.get()
    }

    /// Says what a sweep did.
    static func show(_ report: Sweep.Report, _ options: RepositoryOptions) {
        for point in report.dropped { Console.result("point \(point.hexadecimal.prefix(12)) is gone") }
        for session in report.fenced { options.note("note: session \(session) was silent and was ended") }
        for name in report.damaged {
            options.note("note: \(name) is mostly dead and was not copied from: it is damaged; run `dozo verify`")
        }
        if report.rewritten > 0 {
            Console.result(
                "\(Console.count(report.rewritten, "pack")) rewritten, \(Console.size(report.copiedByteCount)) copied "
                    + "of " + (report.rewritten == 1 ? "it" : "them"))
        }
        if let protection = report.protection { show(protection, options) }
        Console.result(
            "\(Console.count(report.deleted, "object")) deleted, \(Console.size(report.freedByteCount)) freed")
    }

    /// Says what the file system guards.
    private static func show(_ protection: Sweep.Protection, _ options: RepositoryOptions) {
        if protection.protected > 0 {
            Console.result(
                "\(Console.count(protection.protected, "file")) of locked points protected from `rm` in the file system"
            )
        }
        if protection.released > 0 {
            Console.result(
                "\(Console.count(protection.released, "file")) protected no more: no locked point needs them")
        }
        guard let trouble = protection.trouble else { return }
        options.note(
            protection.open > 0
                ? "note: \(Console.count(protection.open, "file")) of locked points not protected from `rm`: "
                    + "\(trouble); "
                    + "it takes root (CAP_LINUX_IMMUTABLE) and a file system with the immutable flag; the locks hold"
                : "note: not every file that could be was released: \(trouble); the next sweep tries again")
    }

    /// Why a sweep did not do all that there is to do; `nil` when it did.
    func remainder(_ report: Sweep.Report) -> CommandFailure? {
        if !report.waitsFor.isEmpty {
            return CommandFailure(
                .partial,
                "\(Console.count(report.waitsFor.count, "backup")) not ended: "
                    + (report.condemned > 0
                        ? "\(Console.count(report.condemned, "dead object")) kept until then"
                        : "what it leaves dead is known then") + "; sweep again later: one that runs "
                    + "gives way within two hours, one that was killed when its host backs up again or after --patience"
            )
        }
        guard !report.left.isEmpty else { return nil }
        return CommandFailure(
            .partial,
            "\(Console.count(report.left.count, "object")) could not be deleted, the first because: "
                + "\(report.left[0]); sweep again")
    }
}
