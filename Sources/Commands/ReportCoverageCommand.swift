import ArgumentParser
import Effects
import Hypervisors
import Jobs
import Notices

/// `dozo report coverage`: which guests a policy covers, and which nobody backs up (S39).
struct ReportCoverageCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "coverage", abstract: "Report which guests the policies cover, and which are unprotected.",
        discussion: """
            Examples:
              dozo report coverage
              dozo report coverage --connect qemu:///session --json

            Asked are all connections of the agent's file, and this host's libvirt and Xen where they are. Guests that \
            no policy covers come first; policies without a guest, and guests that are named and not there, are told \
            behind. Without an agent's file nothing is covered.

            Exit status: 0 every guest is covered; 3 one is not, may not be, or a connection could not be asked.
            """)

    @OptionGroup var report: ReportOptions
    @Option(
        help: ArgumentHelp(
            "A libvirt that is asked besides, or \(XenHost.uri); in place of this host's own. May be repeated.",
            valueName: "uri"))
    var connect: [String] = []

    func run() async throws {
        let coverage = try PolicyCoverage.read(report.config)
        let found = HostGuests(coverage?.configuration, others: connect)
        let last = try ReportCoverageCommand.lastPoints()
        let document = CoverageReport(
            host: HostPaths.hostName,
            guests: found.guests.map { guest in
                CoverageReport.Guest(
                    name: guest.name, connection: guest.connection.words, state: guest.state,
                    covers: coverage?.covers(of: guest) ?? [], mayBeTagged: guest.tags == nil,
                    lastPoint: last[guest.name])
            },
            policies: coverage?.standings(found) ?? [],
            silences: found.silences.map { CoverageReport.Silence(connection: $0.connection.words, reason: $0.reason) },
            at: SystemClock.system.wall())
        report.show(text: document.text, page: document.page, document: document.document)
        guard document.isWhole else {
            throw CommandFailure(.partial, "not every guest is covered: \(document.headline)")
        }
    }

    /// When the newest point of each guest was begun, by name.
    private static func lastPoints() throws -> [String: UInt64] {
        var last: [String: UInt64] = [:]
        for (subject, record) in try HostArchives.usual().runs.newest(where: \.hasPoint) {
            guard let guest = subject.guest else { continue }
            last[guest] = max(last[guest] ?? 0, record.began)
        }
        return last
    }
}

extension PolicyCoverage {
    /// The policies that cover a guest, with what they promise.
    fileprivate func covers(of guest: HostGuests.Found) -> [CoverageReport.Cover] {
        policies(of: guest.name, guest.connection, tags: guest.tags ?? []).compactMap { name in
            configuration.policies[name].map { policy in
                CoverageReport.Cover(
                    policy: name, repository: policy.repository, tier: policy.tier, objective: policy.rpo)
            }
        }
    }

    /// What the policies come to.
    fileprivate func standings(_ found: HostGuests) -> [CoverageReport.Policy] {
        configuration.policies.map { name, policy in
            let sets = policy.guests.compactMap { configuration.guests[$0] }
            let missing = sets.filter { !found.isSilent($0.connection) }.flatMap { chosen in
                chosen.names.filter { name in
                    !found.guests.contains { $0.name == name && $0.connection == chosen.connection }
                }
            }
            return CoverageReport.Policy(
                name: name,
                guestCount: found.guests.count {
                    policies(of: $0.name, $0.connection, tags: $0.tags ?? []).contains(name)
                },
                missing: Array(Set(missing)),
                isUnknown: sets.contains { found.isSilent($0.connection) })
        }
    }
}
