extension NightReport {
    /// A page of HTML that needs nothing else: no script, no picture from elsewhere, and it says so to the browser.
    /// All text of foreign origin is escaped.
    package var page: String {
        var parts = [
            "<h1>Night of \(ReportPage.escaped(host))</h1>",
            "<p>\(CivilTime(night.lowerBound).readable) to \(CivilTime(night.upperBound).readable)</p>",
            "<p class=\"headline\">\(ReportPage.escaped(headline))</p>",
            "<p>read \(PlainText.size(sizes.read)), changed \(PlainText.size(sizes.changed)), new "
                + "\(PlainText.size(sizes.new)), stored \(PlainText.size(sizes.stored))"
                + (sizes.readAgain > 0 ? ", read again after a stop \(PlainText.size(sizes.readAgain))" : "") + "</p>",
        ]
        if !problems.isEmpty {
            parts.append("<h2>What goes on</h2><ul>")
            parts += problems.map { problem in
                let remedy = problem.remedy.map { "<br><small>\(ReportPage.escaped($0))</small>" } ?? ""
                let word = problem.severity.word
                return "<li class=\"\(word)\"><b>\(word)</b> \(ReportPage.escaped(problem.sentence))\(remedy)</li>"
            }
            parts.append("</ul>")
        }
        if !runs.isEmpty { parts += ["<h2>When (UTC)</h2>", picture, legend] }
        if !standings.isEmpty {
            parts.append("<h2>Promises</h2>")
            parts.append(
                ReportPage.table(
                    ["guest", "policy", "last point", "age", "promised", "class"],
                    standings.map { (NightReport.cells($0), $0.grade?.severity?.word ?? "kept") }))
        }
        if !runs.isEmpty {
            parts.append("<h2>Runs</h2>")
            parts.append(
                ReportPage.table(
                    NightReport.runHeader + ["why"],
                    runs.map { (cells($0) + [$0.outcome.reasons.joined(separator: "; ")], $0.outcome.word) }))
            if unlisted > 0 { parts.append("<p>and \(unlisted) more runs</p>") }
        }
        return ReportPage.whole(title: "Night of \(host), \(CivilTime(night.lowerBound).date)", parts, made: made)
    }

    // MARK: The picture

    /// Guests whose runs are drawn; the rest is in the table.
    private static let mostRows = 60
    private static let rowHeight = 18
    private static let labelWidth = 180
    private static let chartWidth = 720
    private static let head = 24

    private static let colours = [
        "failed": "#a0303a", "skipped": "#c9a227", "stopped": "#c9a227", "partial": "#d08030", "running": "#7a8aa0",
        "complete": "#3f7f58",
    ]

    /// Place of an instant on the axis, in units of the picture; the ends for what lies outside of the night.
    private func place(_ instant: UInt64) -> Int {
        let length = max(1, night.upperBound - night.lowerBound)
        let passed = min(passed(night.lowerBound, instant), length)
        // In thousandths first: the product of nanoseconds and pixels would not fit.
        let parts = length / 1_000_000 > 0 ? passed / (length / 1_000_000) : passed * 1_000_000 / length
        return NightReport.labelWidth + Int(min(parts, 1_000_000)) * NightReport.chartWidth / 1_000_000
    }

    /// Hours between two lines of the axis.
    private var hours: UInt64 {
        let all = (night.upperBound - night.lowerBound) / NightReport.hour
        return [1, 2, 3, 6, 12, 24, 48, 168].first { all / $0 <= 12 } ?? max(1, all / 12)
    }

    private static let hour: UInt64 = 3600 * 1_000_000_000

    /// Which guest was backed up when: a row for each guest, a bar for each run, coloured by its outcome.
    package var picture: String {
        var order: [String] = []
        var rows: [String: [RunRecord]] = [:]
        for run in runs {
            let name = run.subject.guest ?? "?"
            if rows[name] == nil { order.append(name) }
            rows[name, default: []].append(run)
        }
        let shown = order.prefix(NightReport.mostRows)
        let height = NightReport.head + shown.count * NightReport.rowHeight + 8
        let width = NightReport.labelWidth + NightReport.chartWidth + 20
        var out = [
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 \(width) \(height)\" width=\"\(width)\" "
                + "height=\"\(height)\" role=\"img\" aria-label=\"When each guest was backed up\">"
        ]
        out += axis(height: height)
        for (index, name) in shown.enumerated() {
            let top = NightReport.head + index * NightReport.rowHeight
            let label = ReportPage.escaped(PlainText.line(name, limit: 24))
            out.append("<text x=\"0\" y=\"\(top + 12)\">\(label)</text>")
            for run in rows[name] ?? [] { out.append(bar(run, top: top)) }
        }
        out.append("</svg>")
        if order.count > shown.count { out.append("<p>and \(order.count - shown.count) more guests in the table</p>") }
        return out.joined(separator: "\n")
    }

    /// What the colours say, with the numbers, for whoever cannot tell them apart.
    private var legend: String {
        let parts = NightReport.words.compactMap { word -> String? in
            guard let count = counts[word], let colour = NightReport.colours[word] else { return nil }
            return "<span style=\"color:\(colour)\">&#9632;</span> \(count) \(word)"
        }
        return "<p>\(parts.joined(separator: ", "))</p>"
    }

    private func bar(_ run: RunRecord, top: Int) -> String {
        let left = place(run.began)
        let isMoment = if case .skipped = run.outcome { true } else { false }
        let right = isMoment ? left : place(run.ended ?? made)
        let colour = NightReport.colours[run.outcome.word] ?? "#888"
        let facts = [
            run.subject.guest ?? "?", run.outcome.word, CivilTime(run.began).readable,
            PlainText.duration(run.duration(at: made)),
        ]
        let title = ReportPage.escaped((facts + run.outcome.reasons).joined(separator: ", "))
        return "<rect x=\"\(left)\" y=\"\(top + 2)\" width=\"\(max(3, right - left))\" height=\"13\" rx=\"2\" "
            + "fill=\"\(colour)\"><title>\(title)</title></rect>"
    }

    private func axis(height: Int) -> [String] {
        let step = hours * NightReport.hour
        let first = night.lowerBound / step
        var out: [String] = []
        // At most thirteen lines, whatever the night.
        for number in 0..<14 {
            let (instant, overflows) = (first + UInt64(number)).multipliedReportingOverflow(by: step)
            guard !overflows, instant < night.upperBound else { break }
            guard instant >= night.lowerBound else { continue }
            let place = place(instant)
            let time = CivilTime(instant)
            let label = hours >= 24 ? String(time.date.dropFirst(5)) : String(time.readable.dropFirst(11).prefix(5))
            out.append("<line x1=\"\(place)\" y1=\"18\" x2=\"\(place)\" y2=\"\(height)\" stroke=\"#ddd\"/>")
            out.append("<text x=\"\(place)\" y=\"12\" text-anchor=\"middle\">\(label)</text>")
        }
        return out
    }
}
