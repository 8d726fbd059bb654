import BackupModel
import RepositoryFormat

// What a verification proves
// --------------------------
// It asks for everything that outcomes which count have named, and so notices what is missing, which looking through a
// listing never does. Keyless it proves that every object is the one that was stored; with the structure key also that
// every point's map leads to chunks that exist; with the content key that every chunk opens; with `content` that every
// chunk is what its id says. What was not checked is said and never counts as a pass.

/// Checks a repository.
package struct Verification: Sendable {
    private let repository: OpenRepository
    private let view: RepositoryView
    private let level: VerificationLevel
    private let workers: Int

    /// - Parameter workers: packs in work at once; memory is one pack each.
    package init(_ repository: OpenRepository, view: RepositoryView, level: VerificationLevel, workers: Int) {
        self.repository = repository
        self.view = view
        self.level = level
        self.workers = workers
    }

    /// Looks at everything.
    ///
    /// - Parameter report: called after each pack, by the task that runs the verification.
    /// - Throws: ``RepositoryError``, `storage`, when the store cannot be read; damage is a finding and not thrown.
    package func run(report: (VerificationProgress) -> Void = { _ in }) async throws -> VerificationReport {
        var result = VerificationReport(level: level)
        for note in view.notes {
            result.findings.append(VerificationFinding(object: "control log and sessions", sentence: note))
        }
        let reader =
            level == .keyless || repository.credential.domains.isEmpty
            ? nil : try await RepositoryReader(repository, view: view)
        var badPlaces: [BlobPlace: Hash256] = [:]
        try await checkPacks(reader, into: &result, badPlaces: &badPlaces, report: report)
        try await checkRuns(reader, into: &result)
        if let reader, reader.keys.opensStructure {
            try await checkPoints(reader, badPlaces: badPlaces, into: &result)
        } else {
            result.notProven.append("whether the points' maps lead to chunks that exist: that needs the structure key")
        }
        if reader.map({ !$0.keys.opensContent }) ?? true {
            result.notProven.append("whether guest data opens: that needs the content key")
        }
        if level != .content {
            result.notProven.append("whether chunks have the content they are named after: that needs --content")
        }
        return result
    }

    private func checkPacks(
        _ reader: RepositoryReader?, into result: inout VerificationReport, badPlaces: inout [BlobPlace: Hash256],
        report: (VerificationProgress) -> Void
    ) async throws {
        var seen = Set<ObjectKey>()
        let packs = view.packs.filter { seen.insert($0.key).inserted }
        var progress = VerificationProgress()
        progress.total = packs.reduce(0) { $0 + $1.byteCount }
        var found: [PackResult] = []
        try await withThrowingTaskGroup(of: PackResult.self) { group in
            var idle = (0..<workers).map { _ in
                PackChecker(
                    repository.access, chain: repository.chain, level: level,
                    reader: reader.map { ($0.shelf, $0.blobs(), $0.keys) })
            }
            func collect(_ one: PackResult) {
                idle.append(one.checker)
                found.append(one)
                progress.passed += one.pack.byteCount
                report(progress)
            }
            for pack in packs {
                if idle.isEmpty, let one = try await group.next() { collect(one) }
                let checker = idle.removeLast()
                group.addTask { try await checker.check(pack) }
            }
            while let one = try await group.next() { collect(one) }
        }
        for one in found {
            result.objectCount += 1
            result.byteCount += one.pack.byteCount
            result.tagCount += one.tagCount
            result.contentCount += one.contentCount
            for bad in one.badBlobs {
                badPlaces[BlobPlace(pack: one.pack.key, ordinal: bad.ordinal)] = bad.identifier
            }
            guard let sentence = one.sentence else { continue }
            result.findings.append(
                VerificationFinding(
                    object: one.pack.key.packName, sentence: sentence, lost: one.badBlobs.map(\.identifier)))
        }
        result.findings.sort { $0.object < $1.object }
    }

    private func checkRuns(_ reader: RepositoryReader?, into result: inout VerificationReport) async throws {
        var seen = Set<ObjectKey>()
        for run in view.runs where seen.insert(run.key).inserted {
            let name = run.key.runName
            result.objectCount += 1
            result.byteCount += run.byteCount
            guard let bytes = try await repository.access.bytes(name) else {
                result.findings.append(VerificationFinding(object: name, sentence: "\(name) is missing"))
                continue
            }
            do throws(FormatError) {
                guard UInt64(bytes.count) == run.byteCount else {
                    throw .damaged("\(name) has \(bytes.count) bytes and was stored with \(run.byteCount)")
                }
                let header = try ObjectHeader(parsing: bytes[...], name: name)
                guard let enrolment = repository.chain.signer(header.signer), enrolment.role.signs else {
                    throw .damaged("\(name) names a signer that the owner never enrolled")
                }
                try ObjectSeal.check(
                    bytes, hash: run.key.hash, label: ObjectSeal.runLabel,
                    footerByteCount: IndexRunLayout.footerByteCount, signedBy: enrolment.key, name: name)
            } catch {
                result.findings.append(VerificationFinding(object: name, sentence: error.sentence))
            }
        }
        for note in reader?.index.notes ?? [] where !result.findings.contains(where: { $0.sentence == note }) {
            result.findings.append(VerificationFinding(object: "index", sentence: note))
        }
    }

    /// Walks every point's maps and asks for a whole copy of every chunk.
    private func checkPoints(
        _ reader: RepositoryReader, badPlaces: [BlobPlace: Hash256], into result: inout VerificationReport
    ) async throws {
        let walker = MapWalker(reader.blobs())
        let badPacks = Set(result.findings.filter { $0.lost.isEmpty }.map(\.object))
        var verdicts: [Hash256: Bool] = [:]
        func isWhole(_ chunk: Hash256) async throws -> Bool {
            if let known = verdicts[chunk] { return known }
            let places = try await reader.index.places(of: chunk)
            let whole = places.contains { badPlaces[$0] == nil && !badPacks.contains($0.pack.packName) }
            verdicts[chunk] = whole
            return whole
        }
        /// A leaf that many points share is walked once.
        var leaves: [Hash256: [Hash256]] = [:]
        for point in view.points {
            result.pointCount += 1
            var lost: [Hash256] = []
            var reasons: [String] = []
            for image in point.record.images {
                do {
                    let root = try await walker.root(of: image)
                    try await walker.leaves(of: root, disk: image.name, failed: { reasons.append($0.sentence) }) {
                        place in
                        try Task.checkCancellation()
                        if let known = leaves[place.identifier] {
                            lost += known
                            return
                        }
                        do {
                            var missing: [Hash256] = []
                            for slice in try await walker.leaf(place, disk: image.name).slices {
                                guard let chunk = slice.chunk, try await !isWhole(chunk) else { continue }
                                missing.append(chunk)
                            }
                            leaves[place.identifier] = missing
                            lost += missing
                        } catch let error as RepositoryError where error.code == .damaged {
                            reasons.append(error.sentence)
                        }
                    }
                } catch let error as RepositoryError where error.code == .damaged { reasons.append(error.sentence) }
            }
            if lost.isEmpty && reasons.isEmpty {
                result.wholePoints.append(point.record.identifier)
            } else {
                blame(point, lost: Set(lost), reasons: reasons, in: &result)
            }
        }
    }

    /// Names the point in every finding that makes it suffer, and adds one when none explains it.
    private func blame(
        _ point: RestorePoint, lost: Set<Hash256>, reasons: [String], in result: inout VerificationReport
    ) {
        var isExplained = false
        for index in result.findings.indices {
            let finding = result.findings[index]
            let explains =
                finding.lost.contains { lost.contains($0) }
                || (!reasons.isEmpty || !lost.isEmpty) && finding.object.hasPrefix("packs/") && finding.lost.isEmpty
            guard explains else { continue }
            result.findings[index].points.append(point.record.identifier)
            isExplained = true
        }
        guard !isExplained else { return }
        let first = reasons.first ?? "\(lost.count) of its chunks stand in no pack of this repository"
        result.findings.append(
            VerificationFinding(
                object: "point \(point.record.identifier)", sentence: first, lost: lost.sorted(),
                points: [point.record.identifier]))
    }
}
