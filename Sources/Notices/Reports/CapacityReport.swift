/// How full the repositories are and when they will be full, and what the machines have and use: one model, as text, as
/// JSON and as a page (S6, S45).
package struct CapacityReport: Hashable, Sendable {
    /// A repository.
    package struct Repository: Hashable, Sendable {
        /// Its name in the agent's file, or its path.
        package let name: String
        /// Absolute path.
        package let location: String
        /// Bytes of its objects.
        package let size: UInt64
        /// Bytes in use on its file system, by whomever.
        package let used: UInt64
        /// Bytes that may still be written there.
        package let free: UInt64
        /// When it will be full.
        package let forecast: GrowthForecast
        /// Bytes a day that runs have stored in it over the last weeks, by the records of runs; `nil` when there are
        /// none.
        package let storedPerDay: UInt64?

        /// - Parameters: see the properties.
        package init(
            name: String, location: String, size: UInt64, used: UInt64, free: UInt64, forecast: GrowthForecast,
            storedPerDay: UInt64?
        ) {
            self.name = PlainText.line(name)
            self.location = PlainText.line(location)
            self.size = size
            self.used = used
            self.free = free
            self.forecast = forecast
            self.storedPerDay = storedPerDay
        }
    }

    /// Name of the host.
    package let host: String
    /// Repositories that could be looked at, the first to be full first.
    package let repositories: [Repository]
    /// The machines; `nil` when no hypervisor was asked.
    package let table: CapacityTable?
    /// What could not be looked at, a sentence each.
    package let problems: [String]
    /// When it was made, nanoseconds since 1970.
    package let made: UInt64

    /// - Parameters: see the properties; repositories in any order.
    package init(
        host: String, repositories: [Repository], table: CapacityTable?, problems: [String], at now: UInt64
    ) {
        self.host = PlainText.line(host, limit: 64)
        self.repositories = repositories.sorted {
            (CapacityReport.end($0), $0.name) < (CapacityReport.end($1), $1.name)
        }
        self.table = table
        self.problems = problems.map { PlainText.line($0, limit: PlainText.longestSentence) }
        made = now
    }

    private static func end(_ repository: Repository) -> UInt64 {
        if case .full(let instant, _, _) = repository.forecast.outcome { instant } else { .max }
    }

    private static let header = [
        "repository", "size", "used", "free", "grows a day", "runs store a day", "forecast", "location",
    ]

    /// Most scalars of a forecast's cell are more than a table shows: it stands in a line of its own there.
    private static func cells(_ repository: Repository, withForecast: Bool) -> [String] {
        let all = later(repository.used, by: repository.free)
        let share = CapacityTable.Amount(total: all, used: repository.used).percent
        let growth = repository.forecast.growth.map { growth in
            (growth.probable < 0 ? "-" : "") + PlainText.size(growth.probable.magnitude)
        }
        return [
            repository.name, PlainText.size(repository.size), "\(PlainText.size(repository.used)) (\(share))",
            PlainText.size(repository.free), growth ?? "–", repository.storedPerDay.map(PlainText.size) ?? "–",
        ] + (withForecast ? [repository.forecast.words] : []) + [repository.location]
    }

    private var note: String {
        "Used and free are of the repository's file system, with all that others keep there; so is the forecast."
    }

    /// For a terminal or the body of a mail.
    package var text: String {
        var lines = ["Capacity of \(host)", ""]
        if !repositories.isEmpty {
            let header = CapacityReport.header.filter { $0 != "forecast" }
            lines += ReportTable.lines(
                header, repositories.map { CapacityReport.cells($0, withForecast: false) })
            lines += repositories.map { "  \($0.name): \($0.forecast.words)" } + [note, ""]
        }
        if let table {
            lines += [table.headline] + ReportTable.lines(CapacityTable.header, table.rows) + [""]
        }
        if !problems.isEmpty { lines += problems + [""] }
        lines.append("Made \(CivilTime(made).readable).")
        return lines.joined(separator: "\n") + "\n"
    }

    /// A page of HTML.
    package var page: String {
        var parts = ["<h1>Capacity of \(ReportPage.escaped(host))</h1>"]
        if !repositories.isEmpty {
            parts.append("<h2>Repositories</h2>")
            parts.append(
                ReportPage.table(
                    CapacityReport.header,
                    repositories.map { (CapacityReport.cells($0, withForecast: true), "repository") }))
            parts.append("<p>\(note)</p>")
        }
        if let table {
            parts += ["<h2>Machines</h2>", "<p class=\"headline\">\(ReportPage.escaped(table.headline))</p>"]
            let last = table.rows.count - 1
            parts.append(
                ReportPage.table(
                    CapacityTable.header,
                    table.rows.enumerated().map { ($0.element, $0.offset == last ? "total" : "machine") }))
        }
        return ReportPage.whole(
            title: "Capacity of \(host), \(CivilTime(made).date)", parts + ReportPage.list(problems), made: made)
    }

    /// For machines.
    package var document: JSONDocument {
        .members(
            ("format", .text("dozo-capacity-1")), ("host", .text(host)), ("made", .count(made)),
            (
                "repositories",
                .list(
                    repositories.map { repository in
                        .members(
                            ("repository", .text(repository.name)), ("location", .text(repository.location)),
                            ("size", .count(repository.size)), ("used", .count(repository.used)),
                            ("free", .count(repository.free)), ("forecast", repository.forecast.document),
                            ("stored-per-day", repository.storedPerDay.map { .count($0) }))
                    })
            ), ("table", table?.document), ("problems", .list(problems.map { .text($0) })))
    }
}
