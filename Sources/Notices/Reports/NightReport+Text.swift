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
            lines += ReportTable.lines(
                ["guest", "policy", "last point", "age", "promised", "class"], standings.map(NightReport.cells))
            lines.append("")
        }
        if !runs.isEmpty {
            lines += ReportTable.lines(NightReport.runHeader, runs.map { cells($0) })
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
}
