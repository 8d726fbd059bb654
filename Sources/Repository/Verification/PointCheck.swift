import BackupModel
import RepositoryFormat

/// Walks every point's maps and asks for a whole copy of every blob that they lead to.
struct PointCheck {
    let reader: RepositoryReader
    let damage: BlobDamage

    /// What a point lacks.
    private struct Lack {
        var blobs: [Hash256] = []
        var reasons: [String] = []
    }

    /// Chunks and leaves of which it is remembered what they came to, about 90 and 110 bytes each.
    static let verdictLimit = 1 << 18
    static let leafLimit = 1 << 17

    /// What earlier points have shown lately: a leaf or chunk that many points share is mostly looked at once.
    private final class Known {
        let verdicts: RecentMap<Hash256, Bool>
        /// What leaves lack.
        let leaves: RecentMap<Hash256, [Hash256]>

        init(verdictLimit: Int, leafLimit: Int) {
            verdicts = RecentMap(limit: verdictLimit)
            leaves = RecentMap(limit: leafLimit)
        }
    }

    /// Sorts the points of the view into whole ones and ones that suffer, and names the latter in the findings.
    func run(into result: inout VerificationReport) async throws {
        let known = Known(verdictLimit: PointCheck.verdictLimit, leafLimit: PointCheck.leafLimit)
        let walker = MapWalker(reader.blobs())
        for point in reader.view.points {
            result.pointCount += 1
            var lack = Lack()
            for image in point.record.images {
                try await check(image, walker: walker, known: known, lack: &lack)
            }
            if lack.blobs.isEmpty && lack.reasons.isEmpty {
                result.wholePoints.append(point.record.identifier)
            } else {
                PointCheck.blame(point.record.identifier, lack: lack, in: &result)
            }
        }
    }

    private func check(
        _ image: RestorePointRecord.Image, walker: MapWalker, known: Known, lack: inout Lack
    ) async throws {
        let root: ImageRoot
        do { root = try await walker.root(of: image) } catch let error as RepositoryError where error.isAboutBytes {
            lack.blobs.append(image.root)
            lack.reasons.append(error.sentence)
            return
        }
        var missing = lack
        try await walker.leaves(
            of: root, title: image.title,
            failed: { lost in
                missing.blobs.append(lost.identifier)
                missing.reasons.append(lost.error.sentence)
            }
        ) { place in
            try Task.checkCancellation()
            if let lost = known.leaves[place.identifier] {
                missing.blobs += lost
                return
            }
            do {
                var lost: [Hash256] = []
                for slice in try await walker.leaf(place, title: image.title).slices {
                    guard let chunk = slice.chunk, try await !isWhole(chunk, known: known) else { continue }
                    lost.append(chunk)
                }
                known.leaves[place.identifier] = lost
                missing.blobs += lost
            } catch let error as RepositoryError where error.isAboutBytes {
                missing.blobs.append(place.identifier)
                missing.reasons.append(error.sentence)
            }
        }
        lack = missing
    }

    private func isWhole(_ chunk: Hash256, known: Known) async throws -> Bool {
        if let verdict = known.verdicts[chunk] { return verdict }
        let whole = try await reader.index.places(of: chunk).contains { damage.isWhole(chunk, at: $0) }
        known.verdicts[chunk] = whole
        return whole
    }

    /// Names the point in every finding that makes it suffer, and adds one when none explains it.
    private static func blame(_ point: PointID, lack: Lack, in result: inout VerificationReport) {
        let lost = Set(lack.blobs)
        var isExplained = false
        for index in result.findings.indices where !lost.isDisjoint(with: result.findings[index].lost) {
            if !result.findings[index].points.contains(point) { result.findings[index].points.append(point) }
            isExplained = true
        }
        guard !isExplained else { return }
        let first = lack.reasons.first ?? "\(lost.count) of its chunks stand in no pack of this repository"
        result.findings.append(
            RepositoryFinding(object: "point \(point)", sentence: first, lost: lost.sorted(), points: [point]))
    }
}
