import ArgumentParser
import Hypervisors

/// `dozo guests`: the guests of a libvirt, and what can be captured of each.
struct GuestsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "guests", abstract: "List guests of this host's libvirt and what can be captured of them.",
        discussion: """
            Examples:
              dozo guests
              dozo guests --connect qemu:///session --json
              dozo guests --forget-changes --domain web01 --dry-run
              dozo guests --forget-changes --qmp /run/web01.qmp --all-repositories

            CAN says what works now: live (an instant of all disks while it runs), bitmap (what changed since the \
            last point is known), quiesce (its agent brings file systems to rest).

            --forget-changes takes Dozo's lists of changes away from guests that run, those of one repository or of \
            all: what was in their way works again, and the next points read their disks whole.
            """)

    @OptionGroup var options: RepositoryOptions

    @Option(
        help: ArgumentHelp("The libvirt that is asked; by default \(LibvirtHost.systemURI).", valueName: "uri"))
    var connect = LibvirtHost.systemURI
    @Flag(help: "Take Dozo's lists of changes away from the guests named with --domain or --qmp.")
    var forgetChanges = false
    @Option(help: ArgumentHelp("With --forget-changes: a guest of libvirt, by name or UUID.", valueName: "name"))
    var domain: [String] = []
    @Option(help: ArgumentHelp("With --forget-changes: the monitor of a QEMU of its own.", valueName: "socket"))
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

        let name: String
        let uuid: String
        let state: String
        let can: [String]
        let disks: [Disk]
        let left_out: [LeftOut]
    }

    func run() async throws {
        if forgetChanges { return try await ForgottenChanges(self).run() }
        let host = try LibvirtHost(uri: connect)
        var documents: [Document] = []
        var failures = 0
        for guest in try host.guests() {
            do throws(GuestError) { documents.append(try GuestsCommand.document(guest)) } catch {
                // One that was undefined meanwhile is none.
                guard error.code != .noGuest else { continue }
                failures += 1
                Console.note("error: \(Console.printable(error.sentence))")
            }
        }
        if options.json {
            try Console.json(documents)
        } else if documents.isEmpty, failures == 0 {
            Console.note("\(Console.printable(connect)) has no guests")
        } else {
            show(documents)
        }
        guard failures == 0 else {
            throw CommandFailure(.partial, "the list lacks \(Console.count(failures, "guest")); see above")
        }
    }

    private static func document(_ guest: LibvirtGuest) throws(GuestError) -> Document {
        let domain = try guest.domainDefinition()
        let state = try guest.state
        let disks = try guest.disks(of: domain)
        return Document(
            name: guest.name, uuid: guest.uuid, state: state.rawValue,
            can: try guest.capabilities(of: domain, state: state).names,
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
            ["NAME", "UUID", "STATE", "CAN", "DISKS"],
            documents.map { document in
                let disks = document.disks.map { disk in
                    let size = disk.size_bytes.map { " " + Console.size($0) } ?? ""
                    return "\(Console.printable(disk.name))\(size)"
                }
                return [
                    Console.printable(document.name), document.uuid, document.state,
                    document.can.isEmpty ? "-" : document.can.joined(separator: ","),
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
    }
}
