import BackupModel
import Effects
import Jobs
import Notices
import Repository
import RepositoryFormat

/// Looks at what a run met of a guest's disks, by the guest's own history on this host: says when it looks encrypted,
/// and holds the last clean point (`docs/design/0018-churn-watch.md`).
struct ChurnWatch {
    private let archive: ChurnArchive
    private let known: KnownGuest
    private var guest: String { known.guest.hexadecimal }

    init(target: BackupTarget, known: KnownGuest) {
        archive = ChurnArchive(
            folder: "\(target.host.folder)/repositories/\(target.repository.chain.repository)/churn")
        self.known = known
    }

    /// Keeps what a run met that made no point, for the next one to count: what was stored is not new any more. That it
    /// cannot be kept is not told: something worse is told then.
    func keepUnfinished(_ churn: [DiskChurn]) {
        guard churn.contains(where: { $0.new.count > 0 }) else { return }
        let now = SystemClock.system.wall()
        try? archive.keep(ChurnSample(guest: guest, instant: now, point: nil, disks: churn), at: now)
    }

    /// Judges a run that has made its point, holds the last clean one if there is a reason to, and keeps what was met.
    ///
    /// - Returns: what is to be told; `nil` when the point has no disks, or the history cannot be read, which is noted.
    func judge(
        _ churn: [DiskChurn], of record: RestorePointRecord, in session: WritingSession
    ) async -> ChurnDocument? {
        guard !churn.isEmpty else { return nil }
        do {
            let history = try archive.samples(of: guest)
            var sample = ChurnSample(
                guest: guest, instant: record.takenAt, point: record.identifier.hexadecimal,
                commit: commit(of: session),
                disks: churn
            ).adding(ChurnJudge.unfinished(history))
            let verdict = ChurnJudge(sample, history: history).verdict
            sample.judgement = verdict.judgement
            if case .encryptionLike(_, let clean?) = verdict {
                sample.isCleanPointHeld = await hold(clean, history, session)
            }
            tell(verdict, sample, record)
            try archive.keep(sample, at: SystemClock.system.wall())
            return ChurnDocument(sample, verdict)
        } catch {
            Console.note(
                "note: \(CommandFailure(error).sentence); whether this guest writes what looks encrypted is not watched"
            )
            return nil
        }
    }

    /// The entry that has committed a session's point, as this host remembers it.
    private func commit(of session: WritingSession) -> String? {
        guard let heads = try? session.state.memory()?.sessions else { return nil }
        return heads.last { $0.session == session.session && $0.writer == session.writer }?.text
    }

    /// Holds the last clean point, once. - Returns: whether it is held.
    private func hold(_ clean: ChurnSample, _ history: [ChurnSample], _ session: WritingSession) async -> Bool {
        // Whoever has released it since knows why.
        let isHeld = history.contains {
            $0.instant > clean.instant && $0.judgement == .suspect && $0.isCleanPointHeld
        }
        guard !isHeld else { return true }
        guard let point = clean.point.flatMap({ PointID(hexadecimal: $0) }),
            let commit = clean.commit.flatMap({ SessionHead(text: $0) })
        else { return false }
        do {
            _ = try await session.hold(point, committedBy: commit)
            return true
        } catch {
            Console.note("note: the last clean point could not be held: \(CommandFailure(error).sentence)")
            return false
        }
    }

    private func tell(_ verdict: ChurnJudge.Verdict, _ sample: ChurnSample, _ record: RestorePointRecord) {
        let notices = verdict.notices(
            NoticeSubject(guest: known.label), run: record.identifier.hexadecimal, isHeld: sample.isCleanPointHeld,
            at: record.takenAt)
        for notice in notices {
            Console.note("warning: \(Console.printable(notice.sentence))")
            for (name, value) in notice.details.map({ ($0.name, $0.value) }) where name.hasPrefix("range-") {
                Console.note("  bytes \(Console.printable(value))")
            }
            if let remedy = notice.remedy { Console.note("  \(Console.printable(remedy))") }
        }
    }
}

extension SessionHead {
    /// As a host writes it down.
    fileprivate var text: String { "\(writer.hexadecimal)/\(session.hexadecimal)/\(number)/\(hash.hexadecimal)" }

    fileprivate init?(text: String) {
        let parts = text.split(separator: "/")
        guard parts.count == 4, let writer = WriterID(hexadecimal: String(parts[0])),
            let session = SessionID(hexadecimal: String(parts[1])), let number = UInt32(parts[2]),
            let hash = Hash256(hexadecimal: String(parts[3]))
        else { return nil }
        self.init(writer: writer, session: session, number: number, hash: hash)
    }
}

/// What a run met of the disks, and what was thought of it, as JSON. The names are frozen at the first release.
struct ChurnDocument: Encodable {
    struct Disk: Encodable {
        let name: String
        let read_bytes: UInt64
        let changed_bytes: UInt64
        let new_chunks: UInt64
        let new_bytes: UInt64
        /// Compressed, not yet sealed.
        let packed_bytes: UInt64
        let incompressible_chunks: UInt64
        let incompressible_bytes: UInt64
    }
    struct Finding: Encodable {
        let disk: String
        /// `sudden`, `slow` or `whole`.
        let manner: String
        let bytes: UInt64
        let usual_bytes: UInt64
        /// First byte and number of bytes of each stretch.
        let ranges: [[UInt64]]
    }

    /// `usual`, `learning` or `encryption-like`.
    let verdict: String
    /// Runs that are known, while it is learnt; absent otherwise.
    let known_runs: Int?
    let disks: [Disk]
    /// Absent unless it looks encrypted.
    let findings: [Finding]?
    /// The last point before it began; absent without one.
    let last_clean_point: String?
    let last_clean_at: String?
    /// Whether that was held because of this; absent without one. Whether somebody has released it since, a writer's
    /// key does not show.
    let last_clean_held: Bool?

    init(_ sample: ChurnSample, _ verdict: ChurnJudge.Verdict) {
        disks = sample.disks.map { churn in
            Disk(
                name: churn.disk, read_bytes: churn.read, changed_bytes: churn.changed, new_chunks: churn.new.count,
                new_bytes: churn.new.byteCount, packed_bytes: churn.new.packedByteCount,
                incompressible_chunks: churn.new.incompressibleCount,
                incompressible_bytes: churn.new.incompressibleByteCount)
        }
        var (known, found, clean): (Int?, [ChurnJudge.Finding]?, ChurnSample?) = (nil, nil, nil)
        switch verdict {
        case .usual: self.verdict = "usual"
        case .learning(let count): (self.verdict, known) = ("learning", count)
        case .encryptionLike(let findings, let last): (self.verdict, found, clean) = ("encryption-like", findings, last)
        }
        known_runs = known
        findings = found?.map { finding in
            Finding(
                disk: finding.disk, manner: finding.manner.rawValue, bytes: finding.byteCount,
                usual_bytes: finding.usualByteCount, ranges: finding.ranges.map { [$0.start, $0.length] })
        }
        last_clean_point = clean?.point
        last_clean_at = clean.map { TimeText.utc($0.instant) }
        last_clean_held = clean == nil ? nil : sample.isCleanPointHeld
    }
}
