package import BackupModel
package import Notices

/// What one run met of a guest's disks, and what was thought of it.
package struct ChurnSample: Hashable, Sendable {
    /// What was thought of a run.
    package enum Judgement: String, Hashable, Sendable {
        /// As this guest does.
        case usual
        /// Too little was known of the guest to say.
        case learning
        /// As no run before it, and as encryption looks.
        case suspect
    }

    /// The guest, by its id in hexadecimal.
    package var guest: String
    /// The instant of the point, or when a run without one ended; nanoseconds since 1970.
    package var instant: UInt64
    /// The point that was made, by its id in hexadecimal; `nil` of a run that was stopped or failed.
    package var point: String?
    /// The entry that committed it, as its writer wrote it down; `nil` where that is not known.
    package var commit: String?
    /// What was met, disk by disk.
    package var disks: [DiskChurn]
    /// What was thought of it.
    package var judgement: Judgement
    /// Whether the last clean point before it is held because of it.
    package var isCleanPointHeld: Bool

    /// - Parameters: see the properties.
    package init(
        guest: String, instant: UInt64, point: String?, commit: String? = nil, disks: [DiskChurn],
        judgement: Judgement = .learning, isCleanPointHeld: Bool = false
    ) {
        self.guest = guest
        self.instant = instant
        self.point = point
        self.commit = commit
        self.disks = disks
        self.judgement = judgement
        self.isCleanPointHeld = isCleanPointHeld
    }

    /// What was met of a disk; `nil` when it was not among them.
    package func churn(of disk: String) -> DiskChurn? { disks.first { $0.disk == disk } }

    /// This run, and what runs had stored that were stopped before it: what they put is not new to it.
    package func adding(_ unfinished: [ChurnSample]) -> ChurnSample {
        var sum = self
        for churn in unfinished.flatMap(\.disks) {
            guard let index = sum.disks.firstIndex(where: { $0.disk == churn.disk }) else { continue }
            sum.disks[index].new += churn.new
        }
        return sum
    }
}

extension ChurnSample {
    /// Most disks of a guest that are kept.
    private static let mostDisks = 256
    /// Most stretches of a disk that are kept.
    package static let mostRanges = 32

    /// For the state folder.
    package var document: JSONDocument {
        .members(
            ("guest", .text(guest)), ("at", .count(instant)), ("point", point.map { .text($0) }),
            ("commit", commit.map { .text($0) }), ("judgement", .text(judgement.rawValue)),
            ("held", isCleanPointHeld ? .truth(true) : nil),
            ("disks", .list(disks.prefix(ChurnSample.mostDisks).map(\.document))))
    }

    /// A sample from its document; `nil` when something needed is missing or unknown.
    package init?(document: JSONDocument) {
        guard let guest = document["guest"]?.text, let instant = document["at"]?.count,
            let judgement = document["judgement"]?.text.flatMap({ Judgement(rawValue: $0) }),
            let disks = document["disks"]?.elements
        else { return nil }
        self.init(
            guest: guest, instant: instant, point: document["point"]?.text, commit: document["commit"]?.text,
            disks: disks.prefix(ChurnSample.mostDisks).compactMap { DiskChurn(document: $0) },
            judgement: judgement, isCleanPointHeld: document["held"]?.truth ?? false)
    }
}

extension DiskChurn {
    /// For the state folder; stretches as pairs of their first byte and their length.
    var document: JSONDocument {
        .members(
            ("disk", .text(disk)), ("read", .count(read)), ("changed", .count(changed)),
            ("new-chunks", .count(new.count)), ("new", .count(new.byteCount)), ("packed", .count(new.packedByteCount)),
            ("incompressible-chunks", .count(new.incompressibleCount)),
            ("incompressible", .count(new.incompressibleByteCount)),
            (
                "ranges",
                .list(
                    NewChunks.bounded(new.ranges, ChurnSample.mostRanges).map {
                        .list([.count($0.start), .count($0.length)])
                    })
            ))
    }

    init?(document: JSONDocument) {
        guard let disk = document["disk"]?.text else { return nil }
        func count(_ name: String) -> UInt64 { document[name]?.count ?? 0 }
        let ranges = (document["ranges"]?.elements ?? []).prefix(NewChunks.mostRanges).compactMap { pair -> Extent? in
            guard let parts = pair.elements, parts.count == 2, let start = parts[0].count, let length = parts[1].count
            else { return nil }
            // Numbers of a document have 63 bits, so that no sum of two overflows.
            return Extent(start: start, length: length)
        }
        self.init(disk: disk)
        read = count("read")
        changed = count("changed")
        new = NewChunks(
            count: count("new-chunks"), byteCount: count("new"), packedByteCount: count("packed"),
            incompressibleCount: count("incompressible-chunks"), incompressibleByteCount: count("incompressible"),
            ranges: ranges)
    }
}
