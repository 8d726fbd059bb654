/// Which guests a host's policies cover, and which nobody backs up: one model, as text, as JSON and as a page (S39).
package struct CoverageReport: Hashable, Sendable {
    /// A policy that covers a guest.
    package struct Cover: Hashable, Sendable {
        /// Its name.
        package let policy: String
        /// The name of the repository that points go to.
        package let repository: String
        /// The tier's number.
        package let tier: Int
        /// How old the newest point may become, seconds.
        package let objective: Int

        /// - Parameters: see the properties.
        package init(policy: String, repository: String, tier: Int, objective: Int) {
            self.policy = PlainText.line(policy)
            self.repository = PlainText.line(repository)
            self.tier = tier
            self.objective = objective
        }
    }

    /// How well a guest is covered.
    package enum Protection: String, Hashable, Sendable, Comparable {
        /// By no policy.
        case unprotected
        /// By no policy that is known to; its tags, by which one may choose it, could not be read.
        case doubtful
        /// By a policy at least.
        case covered

        private var rank: Int { self == .unprotected ? 0 : self == .doubtful ? 1 : 2 }

        package static func < (left: Protection, right: Protection) -> Bool { left.rank < right.rank }
    }

    /// A guest that was found.
    package struct Guest: Hashable, Sendable {
        /// Its name.
        package let name: String
        /// By what it is reached: a URI of libvirt, `xl:`, the socket of a monitor.
        package let connection: String
        /// What it does, in the hypervisor's words.
        package let state: String
        /// Policies that cover it, by name.
        package let covers: [Cover]
        /// How well it is covered.
        package let protection: Protection
        /// Its newest point that the records of runs know of, nanoseconds since 1970.
        package let lastPoint: UInt64?

        /// - Parameters:
        ///   - mayBeTagged: whether its tags could not be read.
        ///   - others: see the properties.
        package init(
            name: String, connection: String, state: String, covers: [Cover], mayBeTagged: Bool, lastPoint: UInt64?
        ) {
            self.name = PlainText.line(name)
            self.connection = PlainText.line(connection)
            self.state = PlainText.line(state)
            self.covers = covers.sorted { $0.policy < $1.policy }
            protection = !covers.isEmpty ? .covered : mayBeTagged ? .doubtful : .unprotected
            self.lastPoint = lastPoint
        }
    }

    /// A policy and what it comes to on this host.
    package struct Policy: Hashable, Sendable {
        /// Its name.
        package let name: String
        /// How many guests it covers.
        package let guestCount: Int
        /// Names of guests that it names and that were not found.
        package let missing: [String]
        /// Whether a connection of its guests could not be asked, so that nothing can be said.
        package let isUnknown: Bool

        /// - Parameters: see the properties.
        package init(name: String, guestCount: Int, missing: [String], isUnknown: Bool) {
            self.name = PlainText.line(name)
            self.guestCount = guestCount
            self.missing = missing.map { PlainText.line($0) }.sorted()
            self.isUnknown = isUnknown
        }
    }

    /// A connection that could not be asked.
    package struct Silence: Hashable, Sendable {
        /// The connection.
        package let connection: String
        /// Why, a sentence.
        package let reason: String

        /// - Parameters: see the properties.
        package init(connection: String, reason: String) {
            self.connection = PlainText.line(connection)
            self.reason = PlainText.line(reason, limit: PlainText.longestSentence)
        }
    }

    /// Name of the host.
    package let host: String
    /// Guests, the worst covered first, then by name.
    package let guests: [Guest]
    /// Policies by name.
    package let policies: [Policy]
    /// Connections that could not be asked.
    package let silences: [Silence]
    /// When it was made, nanoseconds since 1970.
    package let made: UInt64

    /// - Parameters: see the properties; in any order.
    package init(host: String, guests: [Guest], policies: [Policy], silences: [Silence], at now: UInt64) {
        self.host = PlainText.line(host, limit: 64)
        self.guests = guests.sorted {
            ($0.protection, $0.name, $0.connection) < ($1.protection, $1.name, $1.connection)
        }
        self.policies = policies.sorted { $0.name < $1.name }
        self.silences = silences.sorted { $0.connection < $1.connection }
        made = now
    }

    /// Guests that no policy covers.
    package var unprotected: [Guest] { guests.filter { $0.protection == .unprotected } }
    /// Guests of which nobody knows.
    package var doubtful: [Guest] { guests.filter { $0.protection == .doubtful } }
    /// Policies that cover no guest although their connections were asked.
    package var idle: [Policy] { policies.filter { $0.guestCount == 0 && !$0.isUnknown } }

    /// Whether every guest is known to be covered, of every connection.
    package var isWhole: Bool { guests.allSatisfy { $0.protection == .covered } && silences.isEmpty }

    /// One line: how it is.
    package var headline: String {
        var parts = [
            unprotected.isEmpty
                ? (guests.isEmpty ? "no guest was found" : "no guest is known to be unprotected")
                : "\(unprotected.count) of \(guests.count) guests unprotected"
        ]
        if isWhole, !guests.isEmpty {
            parts = [guests.count == 1 ? "the only guest is covered" : "all \(guests.count) guests are covered"]
        }
        if !doubtful.isEmpty { parts.append("\(doubtful.count) covered by tag or not at all") }
        if !silences.isEmpty {
            parts.append("\(silences.count) connection\(silences.count == 1 ? "" : "s") not asked")
        }
        if !idle.isEmpty { parts.append("\(idle.count) polic\(idle.count == 1 ? "y" : "ies") without a guest") }
        return parts.joined(separator: "; ")
    }

    /// What is to be said of policies and connections, a sentence each.
    private var remarks: [String] {
        silences.map { "\($0.connection) could not be asked: \($0.reason)" }
            + policies.flatMap { policy -> [String] in
                var lines: [String] = []
                if policy.isUnknown {
                    lines.append("policy \(policy.name): not all of its guests could be looked for")
                } else if policy.guestCount == 0 {
                    lines.append("policy \(policy.name) covers no guest that is there")
                }
                let named = policy.missing.prefix(8).joined(separator: ", ")
                let more = policy.missing.count > 8 ? " and \(policy.missing.count - 8) more" : ""
                if !policy.missing.isEmpty {
                    lines.append("policy \(policy.name) names guests that are not there: \(named)\(more)")
                }
                return lines
            }
            + (doubtful.isEmpty
                ? [] : ["the tags of a guest could not be read: \"or by tag\" may be covered"])
    }

    private static let header = ["guest", "policies", "tier", "promised", "last point", "state", "connection"]

    private func cells(_ guest: Guest) -> [String] {
        let covers = guest.covers
        let words: String =
            switch guest.protection {
            case .covered: covers.map(\.policy).joined(separator: ",")
            case .doubtful: "none, or by tag"
            case .unprotected: "unprotected"
            }
        return [
            guest.name, words, covers.map(\.tier).min().map { "\($0)" } ?? "–",
            covers.map(\.objective).min().map { PlainText.duration(UInt64(clamping: $0) * 1_000_000_000) } ?? "–",
            guest.lastPoint.map { CivilTime($0).readable } ?? "none known", guest.state, guest.connection,
        ]
    }

    /// For a terminal or the body of a mail.
    package var text: String {
        var lines = ["Guests of \(host) and their policies", headline, ""]
        if !guests.isEmpty { lines += ReportTable.lines(CoverageReport.header, guests.map(cells)) + [""] }
        if !remarks.isEmpty { lines += remarks + [""] }
        lines.append("Made \(CivilTime(made).readable).")
        return lines.joined(separator: "\n") + "\n"
    }

    /// A page of HTML.
    package var page: String {
        var parts = [
            "<h1>Guests of \(ReportPage.escaped(host)) and their policies</h1>",
            "<p class=\"headline\">\(ReportPage.escaped(headline))</p>",
        ]
        if !guests.isEmpty {
            parts.append(ReportPage.table(CoverageReport.header, guests.map { (cells($0), $0.protection.rawValue) }))
        }
        return ReportPage.whole(
            title: "Coverage of \(host), \(CivilTime(made).date)", parts + ReportPage.list(remarks), made: made)
    }

    /// For machines.
    package var document: JSONDocument {
        .members(
            ("format", .text("dozo-coverage-1")), ("host", .text(host)), ("made", .count(made)),
            ("headline", .text(headline)), ("unprotected", .number(Int64(unprotected.count))),
            ("doubtful", .number(Int64(doubtful.count))),
            (
                "guests",
                .list(
                    guests.map { guest in
                        .members(
                            ("guest", .text(guest.name)), ("connection", .text(guest.connection)),
                            ("state", .text(guest.state)), ("protection", .text(guest.protection.rawValue)),
                            (
                                "policies",
                                .list(
                                    guest.covers.map { cover in
                                        .members(
                                            ("policy", .text(cover.policy)), ("repository", .text(cover.repository)),
                                            ("tier", .number(Int64(cover.tier))),
                                            ("objective", .number(Int64(cover.objective))))
                                    })
                            ), ("last-point", guest.lastPoint.map { .count($0) }))
                    })
            ),
            (
                "policies",
                .list(
                    policies.map { policy in
                        .members(
                            ("policy", .text(policy.name)), ("guests", .number(Int64(policy.guestCount))),
                            ("missing", .list(policy.missing.map { .text($0) })),
                            ("unknown", .truth(policy.isUnknown)))
                    })
            ),
            (
                "silent-connections",
                .list(
                    silences.map { .members(("connection", .text($0.connection)), ("reason", .text($0.reason))) })
            ))
    }
}
