import BackupModel
import Capture
import Catalog
import Effects
import ObjectStorage
import Repository
import RepositoryFormat

/// Where a backup goes: the repository, opened and locked against other runs of this host, and the key it writes with.
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
        lock = try host.lock()
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

    func run(
        _ disks: [BackupDisk], plan: BackupPlan, recorder: (any MapRecorder)? = nil
    ) async throws -> BackupDocument {
        let told = Set(session.view.notes + session.index.notes)
        let line = ProgressLine(isQuiet: options.quiet)
        defer { line.clear() }
        let watch = ChurnWatch(target: target, session: session, known: known)
        var churn: [DiskChurn] = []
        let run = try BackupRun(session, plan: plan, recorder: recorder) { progress in
            churn = progress.churn
            line.show(
                "backing up \(Console.printable(progress.disk))", passed: progress.passed, total: progress.total,
                more: ", \(Console.size(progress.new)) new, \(Console.size(progress.stored)) stored")
        }
        let record: RestorePointRecord
        do { record = try await run.run(disks) } catch {
            watch.keepUnfinished(churn)
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
        let judged = await watch.judge(churn, of: record)
        let point = RestorePoint(
            record: record, writer: session.writer, session: session.session, entry: 0, slot: session.slot.slot)
        return BackupDocument(
            point: PointDocument(point, said: session.view.said), read_bytes: record.volume.read,
            changed_bytes: record.volume.changed,
            new_bytes: record.volume.new, stored_bytes: record.volume.stored, seconds: line.elapsed, churn: judged)
    }
}

/// What a backup came to, as JSON. The names are frozen at the first release.
struct BackupDocument: Encodable {
    let point: PointDocument
    let read_bytes: UInt64
    let changed_bytes: UInt64
    let new_bytes: UInt64
    let stored_bytes: UInt64
    let seconds: Double
    /// What was met of the disks and what is thought of it; absent for a point without disks.
    let churn: ChurnDocument?

    func show(_ options: RepositoryOptions) throws {
        if options.json { return try Console.json(self) }
        Console.result("point \(point.id)")
        let size = point.disks.reduce(0) { $0 + $1.size_bytes }
        var what: [String] = []
        if !point.disks.isEmpty || !point.memory {
            what.append("\(Console.count(point.disks.count, "disk")), \(Console.size(size))")
        }
        if let format = point.memory_format { what.append("memory as \(format)") }
        options.note(
            "\(Console.printable(point.guest)): \(what.joined(separator: ", and ")); read "
                + "\(Console.size(read_bytes)), new \(Console.size(new_bytes)), stored "
                + "\(Console.size(stored_bytes)) in \(Console.duration(seconds))"
        )
    }
}
