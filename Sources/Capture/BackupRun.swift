package import BackupModel
package import GuestSource
package import Repository
package import RepositoryFormat

// One backup run
// --------------
// source → region → chunks → packs, region by region: each of a fixed number of workbenches holds one region, and
// whoever finishes takes the next. Regions come back in any order and go into the map in theirs. Nothing is visible
// before the commit; what was put before an interruption is found again by the next run.

/// A disk to be backed up.
package enum BackupDisk {
    /// An image that was opened; closed by whoever opened it. With an earlier image only what changed since is read.
    case image(name: String, source: any ImageSource, since: EarlierImage? = nil)
    /// The files that describe the guest, in memory.
    case definition(any ImageSource)
    /// A disk that arrives on standard input; one without a byte is mostly what a writer leaves that failed.
    case standardInput(name: String, mayBeEmpty: Bool = false)
    /// The guest's memory, or what is left of the stream that it came as.
    case memory(MemoryPart)

    var name: String {
        switch self {
        case .image(let name, _, _): name
        case .standardInput(let name, _): name
        case .definition: BackupDisk.definitionName
        case .memory(let part): part.name
        }
    }

    /// Whether it is a disk, and neither memory nor what describes the guest.
    var isGuestDisk: Bool {
        switch self {
        case .image, .standardInput: true
        case .definition, .memory: false
        }
    }

    /// What the image that describes the guest is called.
    package static let definitionName = "definition"
}

/// How far a run is.
package struct BackupProgress: Sendable {
    /// Disk being read.
    package var disk = ""
    /// Bytes of all disks passed so far, holes included.
    package var passed: UInt64 = 0
    /// Bytes of all disks; `nil` while one of unknown size is read.
    package var total: UInt64?
    /// Bytes read.
    package var read: UInt64 = 0
    /// Bytes of chunks that the repository did not have.
    package var new: UInt64 = 0
    /// Bytes of packs put.
    package var stored: UInt64 = 0
    /// Bytes read in regions that a run which was stopped had read.
    package var readAgain: UInt64 = 0
    /// What was met of each disk so far, in the order they are read.
    package internal(set) var churn: [DiskChurn] = []

    /// Nothing yet.
    package init() {}

    /// The place of the disk that is read in ``churn``; a disk that is read again goes on where it was.
    fileprivate mutating func churnIndex() -> Int {
        if let index = churn.firstIndex(where: { $0.disk == disk }) { return index }
        churn.append(DiskChurn(disk: disk))
        return churn.count - 1
    }
}

/// What a run is told.
package struct BackupPlan: Sendable {
    /// The guest.
    package var guest: GuestID
    /// Its name.
    package var label: String
    /// The instant the disks were taken: nanoseconds since 1970, UTC.
    package var takenAt: UInt64
    /// Name of this host.
    package var host: String
    /// Program and version.
    package var tool: String
    /// The point it builds on.
    package var base: PointID?
    /// Id of the point that is made; `nil` for a new one.
    package var point: PointID?
    /// What was achieved: `crash`, `file-system`, `application`.
    package var consistency = "crash"
    /// Words by which the point is found again; see ``RestorePointRecord/tags``.
    package var tags: [String] = []
    /// What asked for the run; `nil` when nobody said.
    package var origin: RestorePointRecord.Origin?
    /// The machine that the disks are of; `nil` when image files are read.
    package var machine: RestorePointRecord.Machine?
    /// Called after the last read and before the commit: throws when what was read may not be trusted.
    package var confirm: @Sendable () async throws -> Void = {}
    /// As ``confirm``, at any time: whether what was read until now may be kept for a later run.
    package var vouch: @Sendable () async throws -> Void = {}
    /// What runs that were stopped had read since the last point, by disk; ascending and apart.
    package var readBefore: [String: [Extent]] = [:]
    /// Nanoseconds that the guest stood still in all, asked behind ``confirm``; `nil` for what the machine says.
    package var pause: @Sendable () -> UInt64? = { nil }
    /// Whether no further region is to be begun: those in work are completed, and the run ends as an interrupted one.
    package var isToStop: @Sendable () -> Bool = { false }
    /// Called before the last words of a run that makes no point: what slows it down ends then.
    package var hurry: @Sendable () -> Void = {}
    /// The clock that says when a sign of life is due.
    package var pulse = Pulse.system
    /// Workers when nobody says how many, at most: with as many, and an index of 100 million chunks, a backup comes to
    /// about 250 MiB, by adding up what each was measured to take (docs/design/0005).
    package static let mostWorkers = 3

    /// Regions in work at once; memory is about 55 MiB each.
    package var workers: Int
    /// zstd level, 1 … 19.
    package var level: Int
    /// Gives the time: nanoseconds since 1970, UTC.
    package var now: @Sendable () -> UInt64

    /// A plan from its fields.
    package init(
        guest: GuestID, label: String, takenAt: UInt64, host: String, tool: String, base: PointID?, workers: Int,
        level: Int = 1, now: @escaping @Sendable () -> UInt64
    ) {
        self.guest = guest
        self.label = label
        self.takenAt = takenAt
        self.host = host
        self.tool = tool
        self.base = base
        self.workers = workers
        self.level = level
        self.now = now
    }
}

/// Backs up disks into a session and commits one restore point.
package struct BackupRun: ~Copyable {
    /// The session that is written in; of a backup that outlives an epoch it is another one later.
    private var session: WritingSession
    /// When the session was begun in which the backup went on; `nil` before the first time.
    private var continuedAt: UInt64?
    /// Whether the epoch that the session stands in was closed, so that a sweep waits for the session's end.
    private var isToMove = false
    /// What was captured to its end.
    private var images: [RestorePointRecord.Image] = []
    private let plan: BackupPlan
    private let parameters: ImageParameters
    private let structure: StructureWriter
    private var benches: [RegionWorkbench]
    private var chain: SessionChain
    private var progress = BackupProgress()
    /// Bytes that may differ from the earlier images; all that was read where there is none.
    private var changed: UInt64 = 0
    private var roots: [Hash256] = []
    private let report: (BackupProgress) -> Void
    private let recorder: (any MapRecorder)?
    /// Whether the recorder is told of what is being captured: disks with a source, that can be built on.
    private var isRecorded = false
    /// Bytes of the disk being captured, while it is.
    private var recordedByteCount: UInt64?
    /// Whether what is being captured is a disk of the guest.
    private var isGuestDisk = false
    /// Ids of the leaves of the disk being captured.
    private var leaves: [Hash256?] = []
    /// Whether a leaf of it uses parts of chunks.
    private var hasSlices = false
    /// Which pages the guest's disks have; `nil` where this host cannot keep that.
    private let pageLog: PageLog?
    /// When the session's last entry was put, or its slot claimed, by the clock of the pulse.
    private var lastEntryAt: UInt64

    /// - Parameters:
    ///   - recorder: is told the maps of the disks.
    ///   - report: called after each region, by the task that runs the backup.
    /// - Throws: ``RepositoryError`` when the credential cannot write, or not this guest.
    package init(
        _ session: WritingSession, plan: BackupPlan, recorder: (any MapRecorder)? = nil,
        report: @escaping (BackupProgress) -> Void = { _ in }
    ) throws {
        try session.requireRight(toWrite: plan.guest)
        let defaults = session.repository.chain.defaults
        var parameters = ImageParameters()
        parameters.leafByteCount = defaults.leaf
        parameters.regionByteCount = defaults.region
        parameters.fanOut = defaults.fanOut
        parameters.minimum = defaults.minimum
        parameters.maximum = defaults.maximum
        parameters.zeroRunMinimum = defaults.zeroRun
        parameters.threshold = defaults.threshold
        parameters.boundaryEpoch = session.keys.domain.epoch
        let sizes = parameters
        let structure = try StructureWriter(session, packByteCount: Int(defaults.pack))
        let benches = try (0..<plan.workers).map { _ in
            try RegionWorkbench(session, parameters: sizes, packByteCount: Int(defaults.pack), level: plan.level)
        }
        self.session = session
        self.plan = plan
        self.parameters = sizes
        self.structure = structure
        self.benches = benches
        chain = SessionChain(session)
        lastEntryAt = plan.pulse.now()
        self.report = report
        self.recorder = recorder
        pageLog = session.state.pageLog(of: plan.guest)
    }

    /// Reads all disks and commits.
    ///
    /// Interrupted or failed, it names what it has put in a checkpoint, so that the next run need not upload it again,
    /// and throws what went wrong.
    /// - Throws: ``SourceError`` when a source cannot be read or changed meanwhile: no point is made;
    ///   ``RepositoryError``; `CancellationError`.
    package consuming func run(_ disks: [BackupDisk]) async throws -> RestorePointRecord {
        try await runInSessions(disks).record
    }

    /// As ``run(_:)``. - Returns: also the session that the point was committed in.
    package consuming func runInSessions(
        _ disks: [BackupDisk]
    ) async throws -> (record: RestorePointRecord, session: WritingSession) {
        let started = plan.now()
        // Beside the work, and only as long as it takes.
        let (index, folder) = (session.index, session.state.filters)
        async let _: Void = index.buildFilters(folder)
        do {
            progress.total = BackupRun.total(disks)
            for disk in disks { images.append(try await captured(disk)) }
            for case .image(_, let source, _) in disks { try await source.confirmUnchanged() }
            for case .memory(let part) in disks { try await part.source.confirmUnchanged() }
            try await plan.confirm()
            try await flush()
            guard let identifier = plan.point ?? PointID(bytes: session.randomBytes(16)) else {
                preconditionFailure("16 bytes make an id")
            }
            var machine = plan.machine
            if let pause = plan.pause() { machine?.pause = pause }
            var point = RestorePointRecord(
                identifier: identifier, guest: plan.guest, label: plan.label, takenAt: plan.takenAt,
                consistency: plan.consistency, trust: BackupRun.trust(images), host: plan.host, tool: plan.tool,
                images: images, machine: machine, base: plan.base, startedAt: started, endedAt: plan.now(),
                volume: RestorePointRecord.Volume())
            point.tags = plan.tags
            point.continuedAt = continuedAt
            point.origin = plan.origin
            point.volume.read = progress.read
            point.volume.changed = changed
            point.volume.new = progress.new
            point.volume.stored = session.stored
            try await chain.commit(point)
            if let entry = chain.last { recorder?.committed(identifier, by: entry) }
            return (point, session)
        } catch {
            // Best effort: what cannot be named now is found through the host's own list by the next run.
            await keepWhatIsThere()
            throw error
        }
    }

    /// How the changes of a whole point were found.
    private static func trust(_ images: [RestorePointRecord.Image]) -> String {
        let levels = Set(images.filter { $0.kind == RestorePointRecord.Image.diskKind }.compactMap(\.trust))
        return levels.count > 1 ? mixedTrust : levels.first ?? scannedTrust
    }

    private static let scannedTrust = "scanned"
    private static let mixedTrust = "mixed"

    /// Captures a disk; reads it whole when what it was, or the list of its changes, turns out to be no good.
    private mutating func captured(_ disk: BackupDisk) async throws -> RestorePointRecord.Image {
        let passed = progress.passed
        do { return try await capture(disk, liedAbout: false) } catch let error as EarlierImageUnusable {
            progress.passed = passed
            guard case .image(let name, let source, .some) = disk else { throw error }
            recorder?.gaveUp(disk: name, isLie: error.isLie)
            session.addLateNote("disk \(name) was read whole: \(error.reason)")
            return try await capture(.image(name: name, source: source), liedAbout: error.isLie)
        }
    }

    private static func total(_ disks: [BackupDisk]) -> UInt64? {
        var total: UInt64 = 0
        for disk in disks {
            switch disk {
            case .image(_, let source, _), .definition(let source): total += source.byteCount
            case .memory(let part): total += part.source.byteCount
            case .standardInput: return nil
            }
        }
        return total
    }

    private mutating func keepWhatIsThere() async {
        // A cancelled task cancels what it calls; the last words are spoken all the same.
        plan.hurry()
        tellReached()
        do {
            try await flush()
            try await putCheckpoint()
        } catch { return }
        progress.stored = session.stored
        report(progress)
    }

    private mutating func putCheckpoint() async throws {
        try await chain.checkpoint(roots: roots)
        roots = []
        lastEntryAt = plan.pulse.now()
        if !isToMove { isToMove = await chain.isEpochClosed() }
    }

    /// Goes on in a session of the open epoch: a backup of days lets sweeps delete meanwhile.
    ///
    /// Between two regions, with nothing in work: what was captured is then what the assembler holds.
    private mutating func move(_ passage: inout Passage, _ assembler: borrowing MapAssembler) async throws {
        try await flush()
        let next = try await chain.move(roots: images.map(\.root) + assembler.openRoots) { [base = plan.base] _ in
            base.map { [$0] } ?? []
        }
        session = next
        chain = SessionChain(next)
        try structure.move(to: next)
        // One after the other, so that only one is there twice.
        passage.idle = []
        let packByteCount = Int(next.repository.chain.defaults.pack)
        for index in benches.indices {
            benches[index] = try benches[index].moved(
                to: next, sizes: parameters, packByteCount: packByteCount, level: plan.level)
        }
        passage.idle = benches
        // Behind the look: it may be said later than it was, never earlier.
        (roots, continuedAt, isToMove) = ([], plan.now(), false)
        lastEntryAt = plan.pulse.now()
        let isProven = isProven(passage.earlier)
        passage.regions?.trustsProofs = isProven
    }

    /// Whether what an earlier image says to be of a point that counts still is.
    private func isProven(_ earlier: EarlierImage?) -> Bool {
        guard continuedAt != nil else { return true }
        guard let proof = earlier?.provenBy else { return false }
        return session.view.shows(proof.point, committedBy: proof.commit)
    }

    /// Tells the recorder how far the disk is that is being captured.
    private func tellReached() {
        guard isRecorded, let byteCount = recordedByteCount else { return }
        let root = ImageRoot(byteCount: byteCount, parameters: parameters, top: nil, hasSlices: false).encoded
        recorder?.reached(disk: progress.disk, root: root, leaves: leaves)
    }

    /// Keeps the progress on the host now and then, should the run be killed.
    private func keepProgress() async throws {
        guard let recorder, recorder.isProgressDue else { return }
        try await plan.vouch()
        tellReached()
        recorder.keepProgress()
    }

    // MARK: Signs of life

    /// What comes out of a wait for `Work`.
    private enum Turn<Work: Sendable>: Sendable {
        case done(Work)
        /// A sign of life may be due.
        case beat
    }

    /// Adds a child task that ends when a sign of life is due, or when it is cancelled.
    private func listen<Work>(in group: inout ThrowingTaskGroup<Turn<Work>, any Error>) {
        let (pulse, last) = (plan.pulse, lastEntryAt)
        group.addTask {
            try? await pulse.wait(since: last)
            return .beat
        }
    }

    /// Puts a checkpoint when the session has said nothing for long: a sweep ends one that seems dead.
    private mutating func showLife() async throws {
        guard plan.pulse.isDue(since: lastEntryAt) else { return }
        try await putCheckpoint()
    }

    /// Waits for work that takes long, and puts signs of life meanwhile.
    private mutating func alive<Work: Sendable>(
        _ work: @escaping @Sendable () async throws -> Work
    ) async throws -> Work {
        try await withThrowingTaskGroup(of: Turn<Work>.self) { group in
            group.addTask { .done(try await work()) }
            listen(in: &group)
            while let turn = try await group.next() {
                switch turn {
                case .done(let answer):
                    group.cancelAll()
                    return answer
                case .beat:
                    guard !Task.isCancelled else { continue }
                    try await showLife()
                    listen(in: &group)
                }
            }
            preconditionFailure("work ends with an answer or an error")
        }
    }

    private func flush() async throws {
        for bench in benches { try await bench.flush() }
        try await structure.flush()
        pageLog?.flush()
    }

    private mutating func capture(
        _ disk: BackupDisk, liedAbout: Bool
    ) async throws -> RestorePointRecord.Image {
        progress.disk = disk.name
        leaves = []
        recordedByteCount = nil
        isGuestDisk = disk.isGuestDisk
        if case .image = disk { isRecorded = recorder != nil } else { isRecorded = false }
        let readBefore = progress.read
        hasSlices = false
        let parameters = disk.parameters(self.parameters)
        try await prepare(for: disk, parameters: parameters)
        var assembler = MapAssembler(parameters: parameters, writer: structure)
        let byteCount: UInt64
        let format: String
        switch disk {
        case .image(_, let source, let earlier):
            recordedByteCount = source.byteCount
            try await captureAll(of: source, since: earlier, parameters, into: &assembler)
            byteCount = source.byteCount
            format = source.summary.format.name
        case .definition(let source):
            try await captureAll(of: source, since: nil, parameters, into: &assembler)
            byteCount = source.byteCount
            format = source.summary.format.name
        case .standardInput(_, let mayBeEmpty):
            byteCount = try await captureInput(
                into: &assembler, disk: disk.name, mayBeEmpty: mayBeEmpty, parameters: parameters)
            format = ImageFormat.raw.name
        case .memory(let part):
            try await captureAll(of: part.source, since: nil, parameters, into: &assembler)
            byteCount = part.source.byteCount
            format = part.format
        }
        let changedOfDisk =
            if case .image(_, _, let earlier?) = disk {
                earlier.changedByteCount
            } else { progress.read - readBefore }
        changed += changedOfDisk
        if disk.isGuestDisk {
            progress.churn[progress.churnIndex()].changed += changedOfDisk
            report(progress)
        }
        let (identifier, root) = try await assembler.finish(byteCount: byteCount, hasSlices: hasSlices)
        var image = RestorePointRecord.Image(
            name: disk.name, kind: RestorePointRecord.Image.diskKind, byteCount: byteCount, format: format,
            root: identifier, domain: session.keys.domain.id)
        switch disk {
        case .image(_, _, let earlier):
            if plan.machine != nil { image.trust = earlier?.trust ?? BackupRun.scannedTrust }
            recorder?.finished(
                disk: disk.name, root: root, leaves: leaves, isWholeRead: earlier == nil, liedAbout: liedAbout)
            recordedByteCount = nil
        case .definition: image.kind = RestorePointRecord.Image.definitionKind
        case .memory(let part): image.kind = part.kind
        case .standardInput: break
        }
        return image
    }

    /// Captures what arrives on standard input. - Returns: its size in bytes.
    private mutating func captureInput(
        into assembler: inout MapAssembler, disk: String, mayBeEmpty: Bool, parameters: ImageParameters
    ) async throws -> UInt64 {
        let input = try InputFeed(regionByteCount: UInt64(parameters.regionByteCount))
        try await captureRegions(into: &assembler, source: nil, since: nil, regions: nil, input: input)
        guard input.byteCount > 0 || mayBeEmpty else {
            throw SourceError(
                .empty,
                "standard input ended without a byte, as it does when the program that writes it fails; no point "
                    + "was made: look at that program, or say --force when disk \(disk) is empty",
                .askOperator)
        }
        if let container = input.containerName {
            session.addLateNote(
                "standard input begins like a \(container) image and was stored as it came, as a raw disk; to back "
                    + "up the disk inside of it, give the image as a file")
        }
        return input.byteCount
    }

    /// Gets the workbenches ready; pages of memory are looked for among those of the guest's disks first.
    private mutating func prepare(for disk: BackupDisk, parameters: ImageParameters) async throws {
        var matches = PageMatches.none
        if case .memory(let part) = disk, part.isPaged, let pageLog, let bench = benches.first {
            try bench.use(parameters)
            matches = try await alive { [session, guest = plan.guest] in
                let cipher = try RegionWorkbench.pageCipher(session, guest: guest)
                return try await bench.matches(of: part.source, in: pageLog, by: cipher)
            }
            progress.new += matches.newByteCount
        }
        for bench in benches {
            let cipher = try RegionWorkbench.pageCipher(session, guest: plan.guest)
            try bench.use(
                parameters, logging: disk.isLogged ? pageLog.map { ($0, cipher) } : nil, matches: matches)
        }
    }

    /// Captures a source of known size from front to back.
    private mutating func captureAll(
        of source: any ImageSource, since earlier: EarlierImage?, _ parameters: ImageParameters,
        into assembler: inout MapAssembler
    ) async throws {
        var feed = ImageFeed(source, since: earlier, parameters: parameters)
        feed.trustsProofs = isProven(earlier)
        try await captureRegions(into: &assembler, source: source, since: earlier, regions: feed, input: nil)
    }

    /// What became of a region that was given out.
    private enum Outcome {
        /// All of it is zero; its length in bytes.
        case hole(UInt64)
        /// It is what it was; its length in bytes.
        case inherited(Extent, any EarlierMap)
        case captured(RegionResult)
    }

    /// What a child task of the workbenches brings.
    private enum Step: Sendable {
        /// The next region of the input, in the workbench; `nil` behind the last.
        case filled(RegionJob?, RegionWorkbench)
        case captured(RegionResult)
    }

    /// The regions of an image on their way through the workbenches.
    private struct Passage {
        let source: (any ImageSource)?
        let earlier: EarlierImage?
        /// Gives regions out ahead of their bytes; `nil` for an input.
        var regions: ImageFeed?
        /// Gives them out with their bytes, one after the other.
        let input: InputFeed?
        var idle: [RegionWorkbench]
        /// Workbenches in work; one that fails does not come back.
        var working = 0
        var isFilling = false
        /// Whether no further region is given out.
        var isAtEnd = false
        var isStopped = false
        var waiting: [Int: Outcome] = [:]
        /// The region whose leaves are the map's next.
        var expected = 0
        /// Why the earlier image is of no use after all. The regions in work are waited for, not cancelled: what a
        /// cancelled worker has claimed and not put would be taken for stored when the disk is read whole.
        var unusable: EarlierImageUnusable?

        mutating func stop() { (isStopped, isAtEnd) = (true, true) }

        /// Whether regions may be held back until nothing is in work.
        var mayWait: Bool { !isAtEnd && (idle.first?.mayMove ?? true) }
        /// Whether nothing is in work, and more is to come.
        var mayMove: Bool { working == 0 && mayWait }
    }

    private typealias Workers = ThrowingTaskGroup<Turn<Step>, any Error>

    /// Runs the workbenches over regions, and puts leaves into the map in order.
    private mutating func captureRegions(
        into assembler: inout MapAssembler, source: (any ImageSource)?, since earlier: EarlierImage?,
        regions: ImageFeed?, input: InputFeed?
    ) async throws {
        var passage = Passage(source: source, earlier: earlier, regions: regions, input: input, idle: benches)
        try await withThrowingTaskGroup(of: Turn<Step>.self) { group in
            listen(in: &group)
            while true {
                if plan.isToStop() { passage.stop() }
                do {
                    try await giveOut(&passage, to: &group, into: &assembler)
                    if isToMove, passage.mayMove {
                        try await move(&passage, assembler)
                        continue
                    }
                    guard !passage.isAtEnd || passage.working > 0 else { break }
                    try await take(&passage, from: &group, into: &assembler)
                } catch let error as EarlierImageUnusable { (passage.unusable, passage.isAtEnd) = (error, true) }
            }
            group.cancelAll()
        }
        if passage.isStopped { throw CancellationError() }
        if let unusable = passage.unusable { throw unusable }
    }

    /// Gives regions to idle workbenches, and passes over what need not be read.
    private mutating func giveOut(
        _ passage: inout Passage, to group: inout Workers, into assembler: inout MapAssembler
    ) async throws {
        while !passage.isAtEnd, !passage.isFilling, let bench = passage.idle.last {
            try Task.checkCancellation()
            if isToMove, passage.mayWait { return }
            if let input = passage.input {
                passage.idle.removeLast()
                passage.working += 1
                passage.isFilling = true
                group.addTask { .done(.filled(try await input.next(bench), bench)) }
                return
            }
            guard let job = try await passage.regions?.next() else {
                passage.isAtEnd = true
                return
            }
            if job.isHole {
                passage.waiting[job.number] = .hole(job.extent.length)
            } else if job.isInherited, let map = passage.earlier?.map {
                passage.waiting[job.number] = .inherited(job.extent, map)
            } else {
                passage.idle.removeLast()
                passage.working += 1
                if isRecorded { recorder?.begins(job.extent, disk: progress.disk) }
                group.addTask { [source = passage.source, earlier = passage.earlier] in
                    .done(.captured(try await bench.capture(job, from: source, since: earlier)))
                }
            }
            try await drain(&passage.expected, outcomes: &passage.waiting, into: &assembler)
            if plan.isToStop() { passage.stop() }
        }
    }

    /// Waits for one workbench, or for the time for a sign of life.
    private mutating func take(
        _ passage: inout Passage, from group: inout Workers, into assembler: inout MapAssembler
    ) async throws {
        let turn: Turn<Step>?
        do { turn = try await group.next() } catch {
            passage.working -= 1
            throw error
        }
        switch turn {
        case nil: preconditionFailure("a sign of life is always waited for")
        case .beat?:
            // Who is cancelled waits for the workers alone: each of them says so.
            guard !Task.isCancelled else { return }
            try await showLife()
            listen(in: &group)
        case .done(.filled(let job, let bench))?:
            passage.isFilling = false
            if let job {
                group.addTask { .done(.captured(try await bench.capture(job, from: nil, since: nil))) }
            } else {
                passage.working -= 1
                passage.isAtEnd = true
                passage.idle.append(bench)
            }
        case .done(.captured(let result))?:
            passage.working -= 1
            passage.idle.append(result.bench)
            if let region = result.inherited, let map = passage.earlier?.map {
                passage.waiting[result.number] = .inherited(region, map)
            } else {
                passage.waiting[result.number] = .captured(result)
            }
            if passage.unusable == nil {
                try await drain(&passage.expected, outcomes: &passage.waiting, into: &assembler)
            }
        }
    }

    private mutating func drain(
        _ expected: inout Int, outcomes: inout [Int: Outcome], into assembler: inout MapAssembler
    ) async throws {
        while let outcome = outcomes.removeValue(forKey: expected) {
            switch outcome {
            case .hole(let length):
                for _ in 0..<leafCount(of: length) { try await append(nil, to: &assembler) }
                progress.passed += length
            case .inherited(let region, let map):
                let first = region.start / UInt64(parameters.leafByteCount)
                for number in first..<first + leafCount(of: region.length) {
                    try await append(try await map.identifier(ofLeaf: number), to: &assembler)
                }
                progress.passed += region.length
            case .captured(let result):
                for leaf in result.leaves {
                    var identifier: Hash256?
                    if let leaf {
                        let stored = try await structure.store(leaf, kind: .mapLeaf)
                        roots.append(stored)
                        if isRecorded, let recorder, recorder.keepsMaps {
                            recorder.took(leaf: stored, bytes: leaf, disk: progress.disk)
                        }
                        identifier = stored
                    }
                    try await append(identifier, to: &assembler)
                }
                hasSlices = hasSlices || result.hasSlices
                progress.read += result.readByteCount
                if wasRead(region: result.number) { progress.readAgain += result.readByteCount }
                progress.new += result.newByteCount
                if isGuestDisk {
                    let index = progress.churnIndex()
                    progress.churn[index].read += result.readByteCount
                    progress.churn[index].new += result.newChunks
                }
                progress.passed += UInt64(parameters.regionByteCount)
            }
            expected += 1
            if let total = progress.total { progress.passed = min(progress.passed, total) }
            progress.stored = session.stored
            report(progress)
            guard chain.isCheckpointDue else {
                try await showLife()
                continue
            }
            try await putCheckpoint()
            try await keepProgress()
        }
    }

    /// Whether a run that was stopped had read in a region of the disk being captured.
    private func wasRead(region number: Int) -> Bool {
        let size = UInt64(parameters.regionByteCount)
        let region = Extent(start: UInt64(number) * size, length: size)
        return plan.readBefore[progress.disk]?.contains { $0.intersection(region) != nil } ?? false
    }

    private mutating func append(_ leaf: Hash256?, to assembler: inout MapAssembler) async throws {
        if isRecorded, let recorder, recorder.keepsMaps { leaves.append(leaf) }
        try await assembler.append(leaf: leaf)
    }

    private func leafCount(of byteCount: UInt64) -> UInt64 {
        (byteCount + UInt64(parameters.leafByteCount) - 1) / UInt64(parameters.leafByteCount)
    }
}
