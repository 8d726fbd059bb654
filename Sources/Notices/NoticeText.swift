/// How notices read: for people, for machines, for the journal and for the environment of a program.
package enum NoticeText {
    /// Most scalars of the subject of a message.
    private static let longestSubject = 160
    /// Notices of a message whose details are told; the others have their sentences.
    private static let mostWithDetails = 64

    /// One line about a message: how bad, and what.
    package static func subject(_ notices: [Notice], host: String, isDigest: Bool) -> String {
        let worst = mostUrgent(notices)
        let bad = notices.filter { $0.phase != .over }.count
        let text: String
        if let only = notices.first, notices.count == 1 {
            text = "\(mark(only)) \(only.sentence)"
        } else if bad == 0 {
            text = "[over] \(notices.count) problems are over"
        } else {
            let good = notices.count - bad
            text =
                "[\(worst?.severity.word ?? "notice")] \(bad) notice\(bad == 1 ? "" : "s")"
                + (good > 0 ? ", \(good) over" : "") + (worst.map { ": \($0.sentence)" } ?? "")
        }
        return PlainText.line(
            "dozo \(PlainText.line(host, limit: 64))\(isDigest ? " (digest)" : ""): \(text)", limit: longestSubject)
    }

    /// The notice to look at first: what goes on before what is over, then the most severe, then the earliest given.
    package static func mostUrgent(_ notices: [Notice]) -> Notice? {
        notices.enumerated().max {
            let (left, right) = ($0.element, $1.element)
            return (left.phase == .over ? 0 : 1, left.severity, -$0.offset)
                < (right.phase == .over ? 0 : 1, right.severity, -$1.offset)
        }?.element
    }

    private static func mark(_ notice: Notice) -> String {
        switch notice.phase {
        case .new: "[\(notice.severity.word)]"
        case .worse: "[\(notice.severity.word), worse]"
        case .reminder: "[\(notice.severity.word), still]"
        case .over: "[over]"
        }
    }

    /// A message for people, lines between LF.
    ///
    /// - Parameter lost: notices that were given up before this message.
    package static func body(_ notices: [Notice], host: String, lost: Int) -> String {
        var lines: [String] = []
        for (index, notice) in notices.enumerated() {
            lines.append("\(mark(notice)) \(notice.sentence)")
            guard index < mostWithDetails else { continue }
            if let remedy = notice.remedy, notice.phase != .over { lines.append("    do: \(remedy)") }
            var facts = ["kind \(notice.kind.rawValue)", "at \(CivilTime(notice.instant).stamp)"]
            if notice.since != notice.instant { facts.append("since \(CivilTime(notice.since).stamp)") }
            let names = [
                ("guest", notice.subject.guest), ("repository", notice.subject.repository),
                ("policy", notice.subject.policy), ("run", notice.run),
            ]
            facts += names.compactMap { name, value in value.map { "\(name) \($0)" } }
            lines.append("    \(facts.joined(separator: ", "))")
            lines += notice.details.map { "    \($0.name): \($0.value)" }
            lines.append("")
        }
        if lost > 0 { lines += [lostLine(lost), ""] }
        lines.append("-- ")
        lines.append("Sent by Dozo on \(PlainText.line(host)). What each kind means: docs/operating/notices.md")
        return lines.joined(separator: "\n")
    }

    private static func lostLine(_ count: Int) -> String {
        "\(count) earlier notice\(count == 1 ? " was" : "s were") given up because this target did not take them."
    }

    /// A message for machines.
    package static func document(
        _ notices: [Notice], host: String, isDigest: Bool, lost: Int, at now: UInt64
    ) -> JSONDocument {
        .members(
            ("format", .text("dozo-notices-1")), ("host", .text(PlainText.line(host))), ("sent", .count(now)),
            ("digest", .truth(isDigest)), ("lost", .number(Int64(lost))),
            ("summary", .text(subject(notices, host: host, isDigest: isDigest))),
            ("notices", .list(notices.map(\.document))))
    }

    /// Variables for a program: about the most urgent notice, and how many there are.
    package static func environment(_ notices: [Notice], host: String, isDigest: Bool, path: String) -> [String] {
        var pairs = [
            ("PATH", path), ("LC_ALL", "C.UTF-8"), ("DOZO_HOST", PlainText.line(host)),
            ("DOZO_NOTICE_COUNT", "\(notices.count)"), ("DOZO_DIGEST", isDigest ? "1" : "0"),
            ("DOZO_SUMMARY", subject(notices, host: host, isDigest: isDigest)),
        ]
        if let notice = mostUrgent(notices) {
            pairs += fields(notice).map { ("DOZO_\($0.name)", $0.value) }
            pairs += [("DOZO_SENTENCE", notice.sentence), ("DOZO_REMEDY", notice.remedy ?? "")]
        }
        return pairs.map { "\($0.0)=\($0.1)" }
    }

    private static func fields(_ notice: Notice) -> [(name: String, value: String)] {
        [
            ("KIND", notice.kind.rawValue), ("SEVERITY", notice.severity.word), ("PHASE", notice.phase.word),
            ("KEY", notice.key.line), ("GUEST", notice.subject.guest ?? ""),
            ("REPOSITORY", notice.subject.repository ?? ""), ("POLICY", notice.subject.policy ?? ""),
            ("OBJECT", notice.subject.object ?? ""), ("RUN", notice.run ?? ""),
            ("TIME", CivilTime(notice.instant).stamp), ("SINCE", CivilTime(notice.since).stamp),
        ]
    }

    /// A notice as an entry in the native protocol of systemd's journal: each field with its length, so that no value
    /// can make another field.
    package static func journalEntry(_ notice: Notice) -> [UInt8] {
        var fields = [
            ("MESSAGE", "\(mark(notice)) \(notice.sentence)" + (notice.remedy.map { " -- \($0)" } ?? "")),
            ("PRIORITY", "\(level(notice))"), ("SYSLOG_IDENTIFIER", "dozo"), ("SYSLOG_FACILITY", "3"),
        ]
        fields += self.fields(notice).filter { !$0.value.isEmpty }.map { ("DOZO_\($0.name)", $0.value) }
        fields += notice.details.map { detail in
            ("DOZO_DETAIL_\(detail.name.uppercased().replacing("-", with: "_"))", detail.value)
        }
        return fields.flatMap { name, value -> [UInt8] in
            let bytes = Array(value.utf8)
            let length = (0..<8).map { UInt8(truncatingIfNeeded: UInt64(bytes.count) >> UInt64(8 * $0)) }
            return Array(name.utf8) + [0x0A] + length + bytes + [0x0A]
        }
    }

    /// How urgent a notice is for the journal: 2 critical, 3 error, 4 warning, 5 notice, 6 information; what is over
    /// is 5.
    package static func level(_ notice: Notice) -> Int32 {
        if notice.phase == .over { return 5 }
        return switch notice.severity {
        case .critical: 2
        case .error: 3
        case .warning: 4
        case .notice: 5
        case .information: 6
        }
    }
}
