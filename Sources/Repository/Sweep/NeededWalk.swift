import BackupModel
import RepositoryFormat

/// What decides which copies of a blob are needed: the one point where the verdict on a close and the composing of the
/// next differ.
protocol CopyChoice {
    /// The copies of a blob that are needed, of those that count: at least one. The first is the one that says whether
    /// the blob was met before.
    mutating func needed(_ places: Few<BlobPlace>) async throws -> Few<BlobPlace>
}

/// Walks from roots to all that they lean on, each blob once (format page §12).
///
/// It reads reference tables alone, so that it goes through kinds of structure that it does not know (design §4.12).
struct NeededWalk<Choice: CopyChoice> {
    private let index: ChunkIndex
    private let blobs: BlobReader
    /// Spares the reading of maps that were walked before.
    private let kept: KeptMarks?
    /// Marks for the next walk; `nil` when none are to be kept.
    private(set) var marks: MarksBuilder?
    /// See ``CopyChoice``.
    private(set) var choice: Choice
    private(set) var needed = NeededBlobs()
    /// Maps that were read, and those that marks were known of.
    private(set) var (readCount, keptCount) = (0, 0)

    init(
        index: ChunkIndex, blobs: BlobReader, choice: Choice, kept: KeptMarks? = nil, marks: MarksBuilder? = nil
    ) {
        self.index = index
        self.blobs = blobs
        self.choice = choice
        self.kept = kept
        self.marks = marks
    }

    /// Marks a structure blob and all below it.
    ///
    /// - Parameters:
    ///   - mayMiss: whether what is not found is passed over, as below the roots of checkpoints.
    ///   - name: whose it is, for errors.
    /// - Throws: ``RepositoryError``: `damaged` for what is needed and stands nowhere, or cannot be read.
    mutating func need(structure root: Hash256, mayMiss: Bool, name: String) async throws {
        var open = [root]
        while let identifier = open.popLast() {
            try Task.checkCancellation()
            if let record = kept?.record(of: identifier) {
                guard needed.mark(record.own) else { continue }
                for run in record.chunks { needed.mark(run) }
                keptCount += 1
                if !mayMiss { marks?.add(record, of: identifier) }
                open += record.structures
                continue
            }
            let own = try await met(identifier, mayMiss: mayMiss, name: name)
            guard own.isNew else { continue }
            let bytes: [UInt8]
            do {
                bytes = try await blobs.structureBytes(of: identifier, name: "the map of \(name)")
            } catch let error as RepositoryError where mayMiss && error.code == .damaged { continue }
            readCount += 1
            let blob = try await RepositoryError.translating {
                try StructureBlob(parsing: bytes, name: "the map of \(name)")
            }
            open += blob.structures
            var places: [BlobPlace] = []
            for chunk in blob.contents {
                if let place = try await met(chunk, mayMiss: mayMiss, name: name).only { places.append(place) }
            }
            guard !mayMiss, let place = own.only, places.count == blob.contents.count else { continue }
            marks?.add(
                KeptMarks.Record(own: place, structures: blob.structures, chunks: KeptMarks.Run.runs(of: places)),
                of: identifier)
        }
    }

    /// Marks a blob. - Returns: whether it was not met before, and its place when there is only one.
    private mutating func met(
        _ identifier: Hash256, mayMiss: Bool, name: String
    ) async throws -> (isNew: Bool, only: BlobPlace?) {
        let places = try await index.places(of: identifier, where: \.isLive)
        guard !places.isEmpty else {
            // A store that failed for a moment has not lost it.
            try SweepRefusal.requireWhole(index)
            if mayMiss { return (false, nil) }
            throw RepositoryError(
                .damaged,
                "\(name) leans on blob \(identifier.abbreviated), which no pack that counts holds: run `dozo verify` "
                    + "and mend what it says first; nothing was deleted", .repair)
        }
        var isNew = false
        var only: BlobPlace?
        for (position, place) in try await choice.needed(places).enumerated() {
            let wasNew = needed.mark(place)
            if position == 0 {
                isNew = wasNew
                only = places.count == 1 ? place : nil
            }
        }
        return (isNew, only)
    }
}
