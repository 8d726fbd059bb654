import BackupModel
import Capture
import Catalog
import Effects
import MapCache
import ObjectStorage
import Repository
import RepositoryFormat
import Synchronization

/// Where a backup goes: the repository, opened, and the key it writes with. Other backups of this host may go there at
/// the same time, of other guests (``GuestLock``).
struct BackupTarget {
    let repository: OpenRepository
    let host: HostContext
    let writer: Credential
    private let lock: FileLock

    init(_ options: RepositoryOptions, rates: Rates) async throws {
        let store = try options.store()
        var repository = try await options.opened(
            with: try await BackupTarget.accessKey(options, store), rates: rates)
        host = try HostContext(repository.chain.repository)
        lock = try host.shareLock()
        writer = try await host.writer(&repository, label: HostPaths.hostName) { options.note($0) }
        self.repository = repository
    }

    /// What was given; else the key that this host keeps for the repository; else a question.
    private static func accessKey(
        _ options: RepositoryOptions, _ store: DirectoryStore
    ) async throws -> RepositoryAccessKey {
        if let given = try options.givenKey() { return given }
        if let kept = try await HostContext.keptCredential(for: store) { return .credential(kept) }
        return try options.key()
    }

    /// Begins the session that the point is made in.
    func begin(basedOn base: PointID?, _ options: RepositoryOptions) async throws -> WritingSession {
        let session = try await WritingSession.begin(
            repository.acting(as: writer), state: host.state, randomness: .system,
            bases: { _ in base.map { [$0] } ?? [] })
        options.notes(session.view.notes + session.index.notes)
        return session
    }

    /// The maps that this host keeps; `nil` when it can keep none: then everything is read.
    ///
    /// - Parameters:
    ///   - point: the id of the point that is made.
    ///   - keepsMaps: whether somebody knows what changes from now on.
    func mapKeeper(
        _ known: KnownGuest, point: PointID, keepsMaps: Bool = true, _ options: RepositoryOptions
    ) -> MapKeeper? {
        guard let seed = writer.signingSeed else { return nil }
        do throws(MapCacheError) {
            let keeper = MapKeeper(
                try KeptMaps(folder: host.repositoryFolder, guest: known.guest, seed: seed), guest: known.guest,
                point: point,
                now: SystemClock.system.monotonic, keepsMaps: keepsMaps)
            guard known.base == nil else { return keeper }
            // Else the next run would take it for a new guest, and find nothing of this one.
            keeper.onFirstProgress = { [host] in
                let guest = HostState.Guest(
                    identifier: known.guest, base: nil, formats: known.formats, uuid: known.uuid)
                try? host.state.keep(guest: guest, named: known.label)
            }
            return keeper
        } catch {
            if keepsMaps { options.note("note: \(error.sentence); everything is read") }
            return nil
        }
    }

    /// The catalog follows when the credential opens points; it can always be made anew, so failing is a note.
    func updateCatalog(_ options: RepositoryOptions) async {
        guard repository.credential.role == .owner else {
            return options.note(
                "note: the catalog was not brought up to date: a writer's key opens no restore points; `dozo catalog "
                    + "rebuild` with the passphrase does it")
        }
        do {
            let database = try CatalogDatabase(stateFolder: try HostContext.stateFolder())
            try CatalogProjection(database).project(view: try await repository.view(), chain: repository.chain)
        } catch {
            options.note("note: the catalog was not brought up to date: \(CommandFailure(error).sentence)")
        }
    }
}

/// One run of a backup, from opened disks to a point.
struct BackupJob {
    let target: BackupTarget
    let session: WritingSession
    let known: KnownGuest
    let options: RepositoryOptions
    let watch: Stopwatch
    let rates: Rates

    func run(
        _ disks: [BackupDisk], plan: BackupPlan, recorder: (any MapRecorder)? = nil
    ) async throws -> BackupDocument {
        watch.begin(.read)
        var plan = plan
        plan.confirm = { [confirm = plan.confirm, watch] in
            watch.begin(.commit)
            try await confirm()
        }
        let stop = StopRequest(rates: rates)
        plan.isToStop = { stop.isMade }
        plan.hurry = { stop.rates.lift() }
        BackupTally.begin()
        if !disks.contains(where: \.isInput) { Interruption.asksFirst(stop.make) }
        defer { Interruption.asksFirst(nil) }
        let told = Set(session.view.notes + session.index.notes)
        let line = ProgressLine(isQuiet: options.quiet)
        defer { line.clear() }
        var readAgain: UInt64 = 0
        let churnWatch = ChurnWatch(target: target, known: known)
        var churn: [DiskChurn] = []
        let run = try BackupRun(session, plan: plan, recorder: recorder) { progress in
            BackupTally.show(progress)
            readAgain = progress.readAgain
            churn = progress.churn
            line.show(
                "backing up \(Console.printable(progress.disk))", passed: progress.passed, total: progress.total,
                more: ", \(Console.size(progress.new)) new, \(Console.size(progress.stored)) stored")
        }
        // A backup that outlives an epoch ends in another session than it began in.
        let (record, session): (RestorePointRecord, WritingSession)
        do { (record, session) = try await run.runInSessions(disks) } catch {
            churnWatch.keepUnfinished(churn)
            throw error
        }
        var formats = known.formats
        for image in record.disks { formats[image.name] = image.format }
        // The point is made; what this host cannot keep about it is told and is no failure.
        do {
            try target.host.state.keep(
                guest: HostState.Guest(
                    identifier: known.guest, base: record.identifier, formats: formats, uuid: known.uuid),
                named: known.label)
        } catch {
            line.clear()
            Console.note("note: \(CommandFailure(error).sentence)")
        }
        for line in session.index.notes where !told.contains(line) { Console.note("note: \(Console.printable(line))") }
        for late in session.lateNotes { Console.note("note: \(Console.printable(late))") }
        line.clear()
        let judged = await churnWatch.judge(churn, of: record, in: session)
        let point = RestorePoint(
            record: record, writer: session.writer, session: session.session, entry: 0, slot: session.slot.slot)
        return BackupDocument(
            point: PointDocument(
                point, in: session.view, at: DecisionTimes(lock: 0, approval: record.endedAt)),
            read_bytes: record.volume.read,
            read_again_bytes: readAgain, changed_bytes: record.volume.changed,
            new_bytes: record.volume.new, stored_bytes: record.volume.stored, seconds: line.elapsed,
            phases: watch.phases, churn: judged)
    }
}

/// A wish that a backup begins no further region.
private final class StopRequest: Sendable {
    let rates: Rates
    private let made = Atomic(false)

    init(rates: Rates) { self.rates = rates }

    var isMade: Bool { made.load(ordering: .relaxed) }

    /// Makes it, and lets the regions in work be read as fast as they can be.
    func make() {
        made.store(true, ordering: .relaxed)
        rates.lift()
    }
}

/// What a backup came to, as JSON. The names are frozen at the first release.
struct BackupDocument: Encodable {
    let point: PointDocument
    let read_bytes: UInt64
    /// Of them those in regions that a run which was stopped since the last point had read.
    let read_again_bytes: UInt64
    let changed_bytes: UInt64
    let new_bytes: UInt64
    let stored_bytes: UInt64
    let seconds: Double
    let phases: [Stopwatch.Phase]
    /// What was met of the disks and what is thought of it; absent for a point without disks.
    let churn: ChurnDocument?
    /// Disks that are not in the point although nobody wanted them left out; absent when there are none.
    var left_out: [LeftOut]?

    struct LeftOut: Encodable {
        let name: String
        let why: String
    }

    func show(_ options: RepositoryOptions) throws {
        if options.json { return try Console.json(self) }
        Console.result("point \(point.id)")
        let size = point.disks.reduce(0) { $0 + $1.size_bytes }
        var what: [String] = []
        if !point.disks.isEmpty || !point.memory {
            what.append("\(Console.count(point.disks.count, "disk")), \(Console.size(size))")
        }
        if let format = point.memory_format { what.append("memory as \(format)") }
        let again =
            read_again_bytes == 0
            ? "" : " (\(Console.size(read_again_bytes)) again, because an earlier run was stopped)"
        options.note(
            "\(Console.printable(point.guest)): \(what.joined(separator: ", and ")); read "
                + "\(Console.size(read_bytes))\(again), new \(Console.size(new_bytes)), stored "
                + "\(Console.size(stored_bytes)) in \(Console.duration(seconds))"
        )
    }
}
