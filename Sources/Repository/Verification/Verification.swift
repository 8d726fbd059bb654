import BackupModel
import ChunkEncryption
import RepositoryFormat

// What a verification proves
// --------------------------
// It asks for everything that outcomes which count have named, and so notices what is missing, which looking through a
// listing never does; and it looks through a listing for what nothing leads to, which shows that something that led
// there is gone. Every finding names its object. Keyless it proves that every object is the one that was stored; with
// the structure key also that every point's map leads to chunks that exist; with the content key that every chunk
// opens; with `content` that every chunk is what its id says. What was not checked is said and never counts as a pass.
//
// It may take days, and a sweep lets go meanwhile what the view still names. So whatever is wrong is looked at once
// more when an epoch was closed meanwhile, or the owner enrolled somebody, by a view of then: what that one does not
// name any more is no damage. Packs that were found whole are not read again, only asked for.

/// Checks a repository.
package struct Verification: Sendable {
    private let repository: OpenRepository
    private let view: RepositoryView
    private let level: VerificationLevel
    private let workers: Int
    private let filters: IndexFilterFolder?

    /// - Parameters:
    ///   - workers: packs in work at once; memory is one pack each.
    ///   - filters: this host's filters of index runs; they spare reads and decide nothing.
    package init(
        _ repository: OpenRepository, view: RepositoryView, level: VerificationLevel, workers: Int,
        filters: IndexFilterFolder? = nil
    ) {
        self.filters = filters
        self.repository = repository
        self.view = view
        self.level = level
        self.workers = workers
    }

    /// Views that are looked at in one run, when an epoch is closed during each.
    static let lookLimit = 16

    /// Looks at everything.
    ///
    /// - Parameter report: called after each pack, by the task that runs the verification; begins anew when what was
    ///   let go meanwhile has to be told from damage.
    /// - Throws: ``RepositoryError``, `storage`, when the store cannot be read; damage is a finding and not thrown.
    package func run(report: (VerificationProgress) -> Void = { _ in }) async throws -> VerificationReport {
        var whole: [ObjectKey: PackResult] = [:]
        var current = self
        for _ in 1..<Verification.lookLimit {
            let outcome: Result<VerificationReport, RepositoryError>
            do { outcome = .success(try await current.look(&whole, report: report)) } catch let error as RepositoryError
                where error.isAboutBytes
            { outcome = .failure(error) }
            if case .success(let result) = outcome, result.isSound, !result.lacksNames { return result }
            // Of whom the owner has enrolled since the chain was read, slots look like somebody's.
            var repository = current.repository
            try await repository.readOn()
            let later = try await repository.view()
            guard
                later.log.lastClose != current.view.log.lastClose
                    || repository.chain.head != current.repository.chain.head
            else { return try outcome.get() }
            current = Verification(repository, view: later, level: level, workers: workers, filters: filters)
        }
        return try await current.look(&whole, report: report)
    }

    /// - Parameter whole: packs that were found whole before; takes more.
    private func look(
        _ whole: inout [ObjectKey: PackResult], report: (VerificationProgress) -> Void
    ) async throws -> VerificationReport {
        var result = VerificationReport(level: level)
        result.points = view.points
        result.findings = view.findings
        // What opening and looking have read and checked already.
        result.objectCount =
            2 * repository.chain.statements.count + 2 + view.log.slots.count
            + view.sessions.reduce(0) { $0 + Int($1.next) }
        result.add(try await UnreachedSearch(repository: repository, view: view).findings())
        try await checkKeySlots(into: &result)
        do { result.strays = try await repository.access.names(under: "").filter { !ObjectPaths.isName($0) } } catch let
            error as RepositoryError where error.isUnreadable
        {
            result.notProven.append("what else lies in the store: \(error.sentence)")
        }
        let reader =
            level == .keyless || repository.credential.domains.isEmpty
            ? nil : try await RepositoryReader(repository, view: view, filters: filters)
        var damage = BlobDamage()
        try await checkPacks(reader, known: &whole, into: &result, damage: &damage, report: report)
        try await checkRuns(reader, into: &result)
        if let reader, reader.keys.opensStructure {
            try await PointCheck(reader: reader, damage: damage).run(into: &result)
            try await noteReplaced(reader, in: &result)
        } else {
            result.notProven.append("whether the points' maps lead to chunks that exist: that needs the structure key")
        }
        if reader.map({ !$0.keys.opensContent }) ?? true {
            result.notProven.append("whether guest data opens: that needs the content key")
        }
        if level != .content {
            result.notProven.append(
                "whether chunks have the content they are named after: that needs --content and a key")
        } else if !(reader?.keys.opensContent ?? false) {
            result.notProven.append("whether chunks have the content they are named after: that needs the content key")
        }
        return result
    }

    /// Key slots are found by a listing alone, so one that is gone with its spare cannot be missed.
    private func checkKeySlots(into result: inout VerificationReport) async throws {
        let chain = repository.chain
        let listing = try await KeySlots.listed(repository.access, owners: [chain.owner])
        if let unread = listing.unread { throw unread }
        result.add(listing.findings)
        for name in repository.lacking + listing.lacking {
            result.notProven.append(
                "whether \(name) outlives the loss of a file: it has no spare; `dozo verify --repair` makes one")
        }
        for slot in listing.all {
            result.objectCount += 1
            result.byteCount += UInt64(slot.object.bytes.count)
            guard slot.object.header.signer != chain.owner.fingerprint else { continue }
            if slot.object.header.repository != chain.repository {
                result.notProven.append(
                    "whether \(slot.objectName) opens anything: it belongs to another repository, as an interrupted "
                        + "`dozo init` leaves one behind; `dozo key remove` takes it away")
            } else {
                let object = slot.objectName
                result.add([RepositoryFinding(object: object, sentence: "\(object) is not as the owner signed it")])
            }
        }
    }

    private func checkPacks(
        _ reader: RepositoryReader?, known whole: inout [ObjectKey: PackResult], into result: inout VerificationReport,
        damage: inout BlobDamage, report: (VerificationProgress) -> Void
    ) async throws {
        let (packs, mayGo) = try await packsToCheck(reader, into: &result)
        var (unread, found): ([Inventory.Pack], [PackResult]) = ([], [])
        for pack in packs {
            if let known = whole[pack.key], try await isThere(pack) { found.append(known) } else { unread.append(pack) }
        }
        for one in try await check(unread, reader: reader, report: report) {
            // A condemned pack is deleted at any time.
            if one.sentence != nil, mayGo.contains(one.pack.key), try await !isThere(one.pack) { continue }
            if one.sentence == nil { whole[one.pack.key] = one }
            found.append(one)
        }
        for one in found {
            result.objectCount += 1
            result.byteCount += one.pack.byteCount
            result.tagCount += one.tagCount
            result.contentCount += one.contentCount
            damage.note(one)
        }
        var losses: [ObjectKey: [Hash256]] = [:]
        if let reader { losses = try await damage.losses(reader.index) }
        for one in found.sorted(by: { $0.pack.key < $1.pack.key }) {
            guard let sentence = one.sentence else { continue }
            result.damagedPacks.append(one.pack.key)
            result.add([
                RepositoryFinding(object: one.pack.key.packName, sentence: sentence, lost: losses[one.pack.key] ?? [])
            ])
        }
    }

    private func isThere(_ pack: Inventory.Pack) async throws -> Bool {
        try await repository.access.byteCount(pack.key.packName) != nil
    }

    /// Every pack that counts, each once: those of outcomes; of sessions that a ledger has taken over those that a run
    /// names; and condemned ones that are still there, for what stands in them alone is read from them.
    ///
    /// - Returns: the packs, and which of them may be deleted at any time.
    private func packsToCheck(
        _ reader: RepositoryReader?, into result: inout VerificationReport
    ) async throws -> ([Inventory.Pack], mayGo: Set<ObjectKey>) {
        var seen = Set<ObjectKey>()
        var packs = (view.packs + (reader?.salvaged ?? [])).filter { seen.insert($0.key).inserted }
        // Those have to be there; of all others some were deleted, as is right.
        var named = Set<ObjectKey>()
        if let index = reader?.index {
            if let all = try await index.namedPacks() {
                named = all
            } else {
                named = index.listedPacks
                result.lacksNames = true
                result.notProven.append(
                    "whether packs are there that only a run names which was merged: one of those cannot be read")
            }
        }
        for pack in view.takenOver where named.contains(pack.key) && seen.insert(pack.key).inserted {
            packs.append(pack)
        }
        var absent = 0
        var mayGo = Set<ObjectKey>()
        for pack in view.takenOver + view.condemnedPacks where seen.insert(pack.key).inserted {
            if try await isThere(pack) {
                packs.append(pack)
                mayGo.insert(pack.key)
            } else {
                absent += 1
            }
        }
        // With the index it is known which of them nothing names any more.
        if reader == nil, absent > 0 {
            result.notProven.append(
                "whether sweeps have deleted \(absent) packs that are not there any more: that needs a key that opens "
                    + "the index")
        }
        return (packs, mayGo)
    }

    /// Marks packs that nothing needs any more. What the index cannot say the content of is not among them.
    private func noteReplaced(_ reader: RepositoryReader, in result: inout VerificationReport) async throws {
        guard !result.damagedPacks.isEmpty, result.wholePoints.count == result.pointCount else { return }
        let listed = try await reader.index.identifiers(in: Set(result.damagedPacks))
        let names = Set(result.damagedPacks.filter { listed[$0] != nil }.map(\.packName))
        for index in result.findings.indices {
            let finding = result.findings[index]
            result.findings[index].isReplaced =
                names.contains(finding.object) && finding.lost.isEmpty && finding.points.isEmpty
        }
    }

    private func check(
        _ packs: [Inventory.Pack], reader: RepositoryReader?, report: (VerificationProgress) -> Void
    ) async throws -> [PackResult] {
        var progress = VerificationProgress()
        progress.total = packs.reduce(0) { $0 + $1.byteCount }
        var found: [PackResult] = []
        try await withThrowingTaskGroup(of: (PackChecker, PackResult).self) { group in
            var idle = (0..<workers).map { _ in
                PackChecker(
                    repository.access, chain: repository.chain, level: level,
                    reader: reader.map { ($0.shelf, $0.blobs(), $0.keys) })
            }
            func collect(_ checker: PackChecker, _ one: PackResult) {
                idle.append(checker)
                found.append(one)
                progress.passed += one.pack.byteCount
                report(progress)
            }
            for pack in packs {
                if idle.isEmpty, let (checker, one) = try await group.next() { collect(checker, one) }
                let checker = idle.removeLast()
                group.addTask { (checker, try await checker.check(pack)) }
            }
            while let (checker, one) = try await group.next() { collect(checker, one) }
        }
        return found
    }

    private func checkRuns(_ reader: RepositoryReader?, into result: inout VerificationReport) async throws {
        var seen = Set<ObjectKey>()
        // What a sound run has taken the place of is asked by nobody any more.
        let passedOver = Set(reader?.index.passedOver ?? [])
        for run in view.runs where seen.insert(run.key).inserted && !passedOver.contains(run.key) {
            result.objectCount += 1
            result.byteCount += run.byteCount
            guard let sentence = try await RunCheck.damage(of: run, in: repository) else { continue }
            result.damagedRuns.append(run.key)
            result.findings.append(RepositoryFinding(object: run.key.runName, sentence: sentence))
        }
        result.add(reader?.index.findings ?? [])
    }
}
