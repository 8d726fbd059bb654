extension Notice {
    /// A run that ended without a point.
    ///
    /// - Parameters:
    ///   - reason: the error's own sentence.
    ///   - isGone: whether nothing of the guest is protected by it now, as of a first backup.
    package static func failed(
        _ subject: NoticeSubject, run: String, at now: UInt64, because reason: String, remedy: String?,
        isGone: Bool = false
    ) -> Notice {
        Notice(
            .failed, isGone ? .critical : .error, subject, at: now, run: run,
            "the backup of guest \(subject.guest ?? "?") failed: \(reason)"
                + (isGone ? "; it has no other point" : "; its earlier points are as they were"), remedy: remedy)
    }

    /// A run that made a point which lacks something.
    ///
    /// - Parameter missing: what it lacks, a phrase each.
    package static func partial(
        _ subject: NoticeSubject, run: String, at now: UInt64, missing: [String], remedy: String? = nil
    ) -> Notice {
        Notice(
            .partial, .warning, subject, at: now, run: run,
            "the point of guest \(subject.guest ?? "?") is there and lacks "
                + missing.prefix(mostDetails).map { PlainText.line($0, limit: 120) }.joined(separator: "; "),
            remedy: remedy)
    }

    /// A verification that found something damaged or missing.
    ///
    /// - Parameter finding: what it said of it.
    package static func damaged(repository: String, at now: UInt64, finding: String) -> Notice {
        Notice(
            .damaged, .critical, NoticeSubject(repository: repository), at: now,
            "something in repository \(PlainText.line(repository)) is damaged or missing: \(finding)",
            remedy: "see what it is and what it costs (dozo verify), repair what can be (dozo verify --repair), and "
                + "look at the disk")
    }

    /// A list of changes that did not name what had changed.
    package static func lyingChangeList(
        _ subject: NoticeSubject, run: String, at now: UInt64, disk: String, ranges: [Range<UInt64>]
    ) -> Notice {
        Notice(
            .lyingChangeList, .error, subject, at: now, run: run,
            "the list of changes of disk \(PlainText.line(disk)) of guest \(subject.guest ?? "?") did not name "
                + "blocks that had changed; the disk was read whole, and this point is right",
            remedy:
                "read this guest's disks whole until you know why: points since the last whole reading may be wrong",
            details: [NoticeDetail("disk", disk)] + rangeDetails(ranges))
    }

    /// A guest that has begun to write what looks encrypted.
    ///
    /// - Parameters:
    ///   - ranges: bytes of the disk.
    ///   - lastClean: the last point before that, with its instant; `nil` when there is none.
    ///   - isHeld: whether that point is held.
    package static func encryptionLike(
        _ subject: NoticeSubject, run: String, at now: UInt64, disk: String, ranges: [Range<UInt64>],
        lastClean: (point: String, instant: UInt64)?, isHeld: Bool = true
    ) -> Notice {
        let bytes = ranges.reduce(UInt64(0)) { later($0, by: $1.upperBound - $1.lowerBound) }
        let clean =
            lastClean.map {
                "the last clean point is \(PlainText.line($0.point)) of \(CivilTime($0.instant).readable), "
                    + (isHeld ? "which is held" : "which is not held: dozo hold \(PlainText.line($0.point)) does it")
            } ?? "there is no clean point"
        return Notice(
            .encryptionLike, .critical, subject, at: now, run: run,
            "guest \(subject.guest ?? "?") has written \(PlainText.size(bytes)) to disk \(PlainText.line(disk)) "
                + "that look encrypted, as it never did before; \(clean)",
            remedy: "look at the guest now; cut it off the network when nobody encrypted it on purpose",
            details: [
                NoticeDetail("disk", disk), NoticeDetail("last-clean-point", lastClean?.point ?? "none"),
                NoticeDetail("bytes", "\(bytes)"),
            ] + rangeDetails(ranges))
    }

    /// Requests that wait for the approval of persons: information at first, and a warning once one waits for more than
    /// a day.
    ///
    /// - Parameters:
    ///   - kinds: how many of which kind; at least one.
    ///   - since: of the oldest, nanoseconds since 1970.
    ///   - location: of the repository, for whoever is to look.
    package static func approvalWaiting(
        repository: String, kinds: [(word: String, count: Int)], since: UInt64, location: String, at now: UInt64
    ) -> Notice {
        let count = kinds.reduce(0) { $0 + $1.count }
        let waits = passed(since, now)
        let list = kinds.map { "\($0.count) \(PlainText.line($0.word, limit: 40))" }.joined(separator: ", ")
        return Notice(
            .approvalWaiting, waits > approvalPatience ? .warning : .information, NoticeSubject(repository: repository),
            at: now, since: since,
            "\(count) \(count == 1 ? "request waits" : "requests wait") for the approval of persons in repository "
                + "\(PlainText.line(repository)) (\(list)), \(count == 1 ? "" : "the oldest ")since "
                + "\(CivilTime(since).readable)",
            remedy: "see what it is and who is missing with dozo approve -r \(PlainText.line(location)); nothing goes "
                + "meanwhile",
            details: [NoticeDetail("requests", "\(count)")] + kinds.map { NoticeDetail($0.word, "\($0.count)") })
    }

    /// How long requests may wait before that is a warning: a day, in nanoseconds.
    package static let approvalPatience: UInt64 = 86_400 * 1_000_000_000

    /// A guest that stands still or frozen, with nobody to let it go on.
    package static func leftFrozen(
        _ subject: NoticeSubject, run: String?, at now: UInt64, since: UInt64, reason: String
    ) -> Notice {
        Notice(
            .leftFrozen, .critical, subject, at: now, since: since, run: run,
            "guest \(subject.guest ?? "?") stands still since \(CivilTime(since).readable) and could not be let go on: "
                + reason,
            remedy: "let it go on by hand (virsh domfsthaw, virsh resume); it is tried again and again meanwhile")
    }

    /// A clock that jumped.
    ///
    /// - Parameters:
    ///   - nanoseconds: how far.
    ///   - reason: how it was noticed, a phrase.
    package static func clockJumped(
        by nanoseconds: UInt64, isBackward: Bool, host: String, at now: UInt64, because reason: String
    ) -> Notice {
        Notice(
            .clockJumped, .error, NoticeSubject(object: host), at: now,
            "the clock of \(host) jumped \(isBackward ? "back" : "forward") by \(PlainText.duration(nanoseconds)): "
                + reason,
            remedy: "set the clock and look at NTP; until then nothing is deleted or unlocked by age",
            details: [NoticeDetail("seconds", "\(nanoseconds / 1_000_000_000)")])
    }

    /// An agent that has begun to work.
    package static func agentStarted(host: String, at now: UInt64, version: String) -> Notice {
        Notice(
            .agentStarted, .information, NoticeSubject(object: host), at: now,
            "the agent of \(host) has started (\(version))")
    }

    /// An agent that was stopped.
    ///
    /// - Parameter reason: a phrase: by whom, or by what.
    package static func agentStopped(host: String, at now: UInt64, because reason: String) -> Notice {
        Notice(
            .agentStopped, .warning, NoticeSubject(object: host), at: now,
            "the agent of \(host) was stopped (\(reason)): nothing is backed up there until it is started again",
            remedy: "start it again (systemctl start dozo-agent)")
    }

    /// A target that notices do not reach.
    package static func targetFailed(_ target: String, at now: UInt64, because reason: String, waiting: Int) -> Notice {
        Notice(
            .targetFailed, .error, NoticeSubject(object: target), at: now,
            "notices do not reach the target \(PlainText.line(target)): \(reason); \(waiting) wait to be sent again",
            remedy: "look at the target, then let it be tried: it is tried again by itself",
            details: [NoticeDetail("waiting", "\(waiting)")])
    }

    /// More to tell than is kept.
    static func tooMany(_ count: Int, _ what: String, at now: UInt64) -> Notice {
        Notice(
            .tooMany, .error, NoticeSubject(object: what), at: now,
            "\(count) more notices are not told one by one: \(what)",
            remedy: "see all of them with dozo status")
    }

    private static func rangeDetails(_ ranges: [Range<UInt64>]) -> [NoticeDetail] {
        var details = ranges.prefix(mostRanges).enumerated().map { index, range in
            NoticeDetail("range-\(index + 1)", "\(range.lowerBound)-\(range.upperBound)")
        }
        if ranges.count > mostRanges { details.append(NoticeDetail("more-ranges", "\(ranges.count - mostRanges)")) }
        return details
    }

    /// Ranges of a disk that are named.
    private static let mostRanges = 16
}
