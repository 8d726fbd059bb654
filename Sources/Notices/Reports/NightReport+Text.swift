extension NightReport {
    /// For a terminal or the body of a mail, lines between LF.
    package var text: String {
        var lines = [
            "Night of \(host), \(CivilTime(night.lowerBound).readable) to \(CivilTime(night.upperBound).readable)",
            headline,
            "read \(PlainText.size(sizes.read)), changed \(PlainText.size(sizes.changed)), new "
                + "\(PlainText.size(sizes.new)), stored \(PlainText.size(sizes.stored))"
                + (sizes.readAgain > 0 ? "; \(PlainText.size(sizes.readAgain)) read again after a stop" : ""), "",
        ]
        if !problems.isEmpty {
            lines.append("What goes on:")
            for problem in problems {
                lines.append("  [\(problem.severity.word)] \(problem.sentence)")
                if let remedy = problem.remedy { lines.append("      do: \(remedy)") }
            }
            lines.append("")
        }
        if !standings.isEmpty {
            lines += NightReport.table(
                ["guest", "policy", "last point", "age", "promised", "class"], standings.map(NightReport.cells))
            lines.append("")
        }
        if !runs.isEmpty {
            lines += NightReport.table(NightReport.runHeader, runs.map { cells($0) })
            for run in runs where !run.outcome.reasons.isEmpty {
                let why = run.outcome.reasons.joined(separator: "; ")
                lines.append("  \(run.subject.guest ?? "?"), run \(run.run): \(run.outcome.word): \(why)")
            }
            if unlisted > 0 { lines.append("  and \(unlisted) more runs") }
            lines.append("")
        }
        lines.append("Made \(CivilTime(made).readable).")
        return lines.joined(separator: "\n") + "\n"
    }

    static let runHeader = [
        "guest", "outcome", "began", "took", "read", "changed", "new", "stored", "trust", "consistency", "policy",
        "started by",
    ]

    func cells(_ run: RunRecord) -> [String] {
        let hasRun = if case .skipped = run.outcome { false } else { true }
        return [
            run.subject.guest ?? "?", run.outcome.word, CivilTime(run.began).readable,
            hasRun ? PlainText.duration(run.duration(at: made)) : "–", PlainText.size(run.sizes.read),
            PlainText.size(run.sizes.changed), PlainText.size(run.sizes.new), PlainText.size(run.sizes.stored),
            run.trust ?? "–", run.consistency ?? "–",
            [run.subject.policy, run.policyRevision.isEmpty ? nil : "(\(run.policyRevision))"].compactMap(\.self)
                .joined(separator: " "), run.startedBy,
        ]
    }

    static func cells(_ standing: Standing) -> [String] {
        [
            standing.subject.guest ?? "?", standing.subject.policy ?? "–",
            standing.lastPoint.map { CivilTime($0).readable } ?? "none", PlainText.duration(standing.age),
            standing.objective.map { PlainText.duration($0) } ?? "–", standing.grade?.rawValue ?? "–",
        ]
    }

    /// Most scalars of a cell of a table of text.
    private static let widestCell = 40

    private static func table(_ header: [String], _ rows: [[String]]) -> [String] {
        let rows = ([header] + rows).map { $0.map { PlainText.line($0, limit: widestCell) } }
        let widths = header.indices.map { column in rows.map { width($0[column]) }.max() ?? 0 }
        return rows.map { row in
            var line = ""
            for (column, cell) in row.enumerated() {
                line += cell
                if column < row.count - 1 { line += String(repeating: " ", count: widths[column] - width(cell) + 2) }
            }
            return line
        }
    }

    /// Columns that a terminal needs for it: two for most letters of East Asia.
    private static func width(_ text: String) -> Int {
        text.unicodeScalars.reduce(0) { sum, scalar in
            if scalar.properties.canonicalCombiningClass.rawValue != 0 || scalar.properties.generalCategory == .format {
                return sum
            }
            switch scalar.value {
            case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F,
                0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x1F300...0x1FAFF, 0x20000...0x3FFFD:
                return sum + 2
            default: return sum + 1
            }
        }
    }
}
