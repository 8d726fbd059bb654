import ArgumentParser
import Hypervisors
import Jobs

/// `dozo guests`: the guests of libvirt and of Xen's toolstack, and what can be captured of each.
struct GuestsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "guests", abstract: "List guests of this host's libvirt and Xen and what can be captured of them.",
        discussion: """
            Examples:
              dozo guests
              dozo guests --connect qemu:///session --json
              dozo guests --connect xl:
              dozo guests --forget-changes --domain web01 --dry-run
              dozo guests --forget-changes --qmp /run/web01.qmp --all-repositories

            CAN says what works now: live (an instant of all disks while it runs), bitmap (what changed since the \
            last point is known), memory (its memory at the same instant), quiesce (its agent brings file systems to \
            rest), group (it can be taken at one barrier with others). Guests of Xen's toolstack are listed where xl \
            is, and those of QEMUs of their own when the agent's file names them: by name alone, for a monitor serves \
            one program at a time.

            POLICY names the policies of the agent's file that cover a guest; "none" is a guest that nobody backs up \
            by itself. The file is \(AgentCheckCommand.usualFile), where it is there, or that of --config.

            --forget-changes takes Dozo's lists of changes away from guests that run, those of one repository or of \
            all: what was in their way works again, and the next points read their disks whole.
            """)

    @OptionGroup var options: RepositoryOptions

    @Option(
        help: ArgumentHelp(
            "The libvirt that is asked, or \(XenHost.uri) for Xen's toolstack; by default \(LibvirtHost.systemURI) and "
                + "Xen, where they are.", valueName: "uri"))
    var connect: String?
    @Option(
        help: ArgumentHelp("The agent's file, whose policies are looked at.", valueName: "file"), completion: .file())
    var config: String?
    @Flag(help: "Take Dozo's lists of changes away from the guests named with --domain or --qmp.")
    var forgetChanges = false
    @Option(help: ArgumentHelp("With --forget-changes: a guest of libvirt, by name or UUID.", valueName: "name"))
    var domain: [String] = []
    @Option(
        help: ArgumentHelp("With --forget-changes: the monitor of a QEMU of its own.", valueName: "socket"),
        completion: .file())
    var qmp: [String] = []
    @Flag(help: "With --forget-changes: the lists of all repositories, not only of the one named with -r.")
    var allRepositories = false
    @Flag(help: "With --forget-changes: only say what would be taken away.")
    var dryRun = false

    func validate() throws {
        guard !forgetChanges || !domain.isEmpty || !qmp.isEmpty else {
            throw ValidationError("--forget-changes wants a guest: --domain NAME or --qmp SOCKET")
        }
        guard forgetChanges || domain.isEmpty && qmp.isEmpty && !allRepositories && !dryRun else {
            throw ValidationError("--domain, --qmp, --all-repositories and --dry-run go with --forget-changes")
        }
    }

    private struct Document: Encodable {
        struct Disk: Encodable {
            let name: String
            let location: String?
            let format: String?
            let size_bytes: UInt64?
        }
        struct LeftOut: Encodable {
            let name: String
            let location: String?
            let why: String
        }

        let connect: String
        let name: String
        let uuid: String
        let state: String
        let can: [String]
        /// Words that people gave it in libvirt, for policies to choose by.
        var tags: [String] = []
        let disks: [Disk]
        let left_out: [LeftOut]
        /// Policies that cover it; absent without an agent's file.
        var policies: [String]?
    }

    /// What was found, and how many guests were not.
    private struct Listing {
        var documents: [Document] = []
        var failures = 0
    }

    func run() async throws {
        if forgetChanges { return try await ForgottenChanges(self).run() }
        // First: a file that is wrong says nothing about any guest.
        let coverage: PolicyCoverage?
        do { coverage = try PolicyCoverage.read(config) } catch let error as CommandFailure where config == nil {
            options.note("note: \(error.sentence)")
            coverage = nil
        }
        var listing = Listing()
        switch connect {
        case nil:
            if let coverage { GuestsCommand.listMonitors(of: coverage.configuration, into: &listing) }
            let usual = GuestConnection.libvirt(uri: LibvirtHost.systemURI)
            let isNamed = coverage?.configuration.guests.values.contains { $0.connection == usual } ?? false
            try listAll(into: &listing, needsLibvirt: isNamed || listing.documents.isEmpty)
        case XenHost.uri: try GuestsCommand.listXen(try XenHost(), into: &listing)
        case let uri?: try GuestsCommand.listLibvirt(uri, into: &listing)
        }
        if let coverage { GuestsCommand.cover(&listing.documents, coverage) }
        if options.json {
            try Console.json(listing.documents)
        } else if listing.documents.isEmpty, listing.failures == 0 {
            Console.note("\(Console.printable(connect ?? LibvirtHost.systemURI)) has no guests")
        } else {
            show(listing.documents)
        }
        guard listing.failures == 0 else {
            throw CommandFailure(.partial, "the list lacks \(Console.count(listing.failures, "guest")); see above")
        }
    }

    private static func cover(_ documents: inout [Document], _ coverage: PolicyCoverage) {
        for index in documents.indices {
            let guest = documents[index]
            let named = coverage.configuration.guests.values.map(\.connection).first { $0.text == guest.connect }
            let connection = named ?? (guest.connect == XenHost.uri ? .xen : .libvirt(uri: guest.connect))
            documents[index].policies = coverage.policies(of: guest.name, connection, tags: Set(guest.tags))
        }
    }

    /// What the table says of it.
    private static func words(_ document: Document) -> String {
        guard let policies = document.policies else { return "-" }
        return policies.isEmpty ? "none" : policies.map(Console.printable).joined(separator: ",")
    }

    private static func listMonitors(of configuration: AgentConfiguration, into listing: inout Listing) {
        for (_, chosen) in configuration.guests.sorted(by: { $0.key < $1.key }) {
            listing.documents += HostGuests.monitored(chosen).map { found in
                document(
                    connect: found.connection.text, name: found.name, uuid: "-", state: found.state, can: [], disks: [])
            }
        }
    }

    /// Whoever is there is asked; that somebody is missing matters only when nobody else is there.
    private func listAll(into listing: inout Listing, needsLibvirt: Bool) throws {
        var isXenThere = false
        if let host = try? XenHost() {
            do throws(GuestError) {
                try GuestsCommand.listXen(host, into: &listing)
                isXenThere = true
            } catch {
                // The program alone is on many hosts that do not run under Xen.
                if XenHost.isControlDomain { throw error }
            }
        }
        do throws(GuestError) {
            try GuestsCommand.listLibvirt(LibvirtHost.systemURI, into: &listing)
        } catch {
            guard isXenThere || !needsLibvirt, error.code == .missing || error.code == .unreachable
            else { throw error }
            if !isXenThere { options.note("note: \(Console.printable(error.sentence))") }
        }
    }

    private static func listLibvirt(_ uri: String, into listing: inout Listing) throws(GuestError) {
        for guest in try LibvirtHost(uri: uri).guests() {
            do throws(GuestError) { listing.documents.append(try document(guest, uri)) } catch {
                // One that was undefined meanwhile is none.
                guard error.code != .noGuest else { continue }
                listing.failures += 1
                Console.note("error: \(Console.printable(error.sentence))")
            }
        }
    }

    private static func listXen(_ host: XenHost, into listing: inout Listing) throws(GuestError) {
        for domain in try host.domains() {
            listing.documents.append(
                document(
                    connect: XenHost.uri, name: domain.name, uuid: domain.uuid, state: domain.state.rawValue,
                    can: XenGuest.capabilities(of: domain), disks: XenGuest.sized(domain.disks)))
        }
    }

    private static func document(_ guest: LibvirtGuest, _ uri: String) throws(GuestError) -> Document {
        let domain = try guest.domainDefinition()
        let state = try guest.state
        let disks = try guest.disks(of: domain)
        var document = document(
            connect: uri, name: guest.name, uuid: guest.uuid, state: state.rawValue,
            can: try guest.capabilities(of: domain, state: state), disks: disks)
        document.tags = domain.tags
        return document
    }

    private static func document(
        connect: String, name: String, uuid: String, state: String, can: GuestCapabilities, disks: [GuestDisk]
    ) -> Document {
        Document(
            connect: connect, name: name, uuid: uuid, state: state, can: can.names,
            disks: disks.filter { $0.omission == nil }
                .map {
                    Document.Disk(
                        name: $0.name, location: $0.location, format: $0.format, size_bytes: $0.byteCount)
                },
            left_out: disks.compactMap { disk in
                disk.omission.map {
                    Document.LeftOut(name: disk.name, location: disk.location, why: $0.words)
                }
            })
    }

    private func show(_ documents: [Document]) {
        Console.table(
            ["NAME", "UUID", "STATE", "CAN", "POLICY", "DISKS"],
            documents.map { document in
                let disks = document.disks.map { disk in
                    let size = disk.size_bytes.map { " " + Console.size($0) } ?? ""
                    return "\(Console.printable(disk.name))\(size)"
                }
                return [
                    Console.printable(document.name), document.uuid, document.state,
                    document.can.isEmpty ? "-" : document.can.joined(separator: ","), GuestsCommand.words(document),
                    disks.isEmpty ? "-" : disks.joined(separator: ", "),
                ]
            })
        for document in documents {
            for disk in document.left_out {
                Console.note(
                    "note: \(Console.printable(document.name)): disk \(Console.printable(disk.name)) is left out: "
                        + Console.printable(disk.why))
            }
        }
        if documents.contains(where: { $0.connect == XenHost.uri && !$0.can.isEmpty }) {
            Console.note("note: guests of Xen's toolstack are backed up with --xl NAME")
        }
    }
}
