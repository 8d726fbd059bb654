import ArgumentParser
import BackupModel
import Effects
import GuestSource
import Hypervisors

/// How a backup reaches a running guest, and what it may do with it.
struct LiveOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Back up the running QEMU whose monitor listens there (-qmp unix:PATH,server=on,wait=off).",
            valueName: "socket"), completion: .file())
    var qmp: [String] = []
    @Option(
        help: ArgumentHelp(
            "Back up a guest of libvirt while it runs: its name or UUID; several guests are taken at one barrier.",
            valueName: "name"))
    var domain: [String] = []
    @Option(
        help: ArgumentHelp(
            "The libvirt that has the guest; by default \(LibvirtHost.systemURI).", valueName: "uri"))
    var connect: String?
    @Option(
        help: ArgumentHelp(
            "Back up a guest of Xen's toolstack while it runs: its name or UUID for xl.", valueName: "name"))
    var xl: [String] = []
    @Flag(help: "Keep a guest paused while disks are read of which no frozen view can be made (--xl).")
    var whilePaused = false
    @Option(
        help: ArgumentHelp(
            "Room for what is overwritten of a logical volume, such as 2G; by default a tenth of it (--xl).",
            valueName: "size"))
    var snapshotSize: String?
    @Option(
        help: ArgumentHelp(
            "Socket of the guest agent of that QEMU; of several in their order.", valueName: "socket"),
        completion: .file())
    var agent: [String] = []
    @Option(help: ArgumentHelp("A disk of the guest that is left out; may be repeated.", valueName: "name"))
    var exclude: [String] = []
    // A text, for what is no choice would be passed over: only validation can refuse it.
    @Option(
        name: .customLong("with-memory"), defaultAsFlag: MemoryChoice.auto.rawValue, parsing: .next,
        help: ArgumentHelp(
            "Take memory and device state at the same instant, to go on from there: live (while the guest runs), "
                + "stopped (it stands still until its memory is written), or auto: live where that works.",
            valueName: "how"),
        completion: .list(MemoryChoice.allCases.map(\.rawValue)))
    var memoryWish: String?
    var withMemory: MemoryChoice? { memoryWish.flatMap(MemoryChoice.init) }
    @Option(
        help: ArgumentHelp(
            "Folder on a local disk for what the guest overwrites meanwhile; by default this host's state folder.",
            valueName: "folder"), completion: .directory)
    var scratch: String?
    @Option(
        help: ArgumentHelp(
            "At rest for the instant: file systems when the agent answers, and not with memory (auto), or else no "
                + "point (require); applications too or else no point (application); nothing (never).",
            valueName: "when"))
    var quiesce = Quiesce.auto
    @Option(
        help: ArgumentHelp(
            "Of what the list of changes calls unchanged, read and compare so much, in percent.", valueName: "percent"))
    var sample = 2
    @Option(
        help: ArgumentHelp(
            "Read everything again after so many points made from changes; 0 for never.", valueName: "n"))
    var fullReadEvery = 30

    @Option(
        help: ArgumentHelp("File systems are at rest for so many seconds at most, whatever happens.", valueName: "s"))
    var freezeLimit = Int(StillnessKeeper.usualLimit)

    /// When file systems are brought to rest, and what is required of it.
    enum Quiesce: String, ExpressibleByArgument, CaseIterable {
        case auto
        case require
        case application
        case never
    }

    func validate() throws {
        guard (0...100).contains(sample) else { throw ValidationError("--sample is 0 to 100") }
        guard (0...10_000).contains(fullReadEvery) else { throw ValidationError("--full-read-every is 0 to 10000") }
        guard (1...600).contains(freezeLimit) else { throw ValidationError("--freeze-limit is 1 to 600 seconds") }
        guard agent.isEmpty || agent.count == qmp.count else {
            throw ValidationError("--agent goes with --qmp, one for each")
        }
        guard !addresses.isEmpty || exclude.isEmpty && scratch == nil else {
            throw ValidationError("--exclude and --scratch go with a running guest (--domain, --qmp, --xl)")
        }
        guard memoryWish == nil || withMemory != nil else {
            let choices = MemoryChoice.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("--with-memory alone, or with one of \(choices)")
        }
        guard withMemory == nil || !addresses.isEmpty else {
            throw ValidationError("--with-memory goes with a running guest; for a file say --memory FILE")
        }
        guard !xl.isEmpty || !whilePaused && snapshotSize == nil else {
            throw ValidationError("--while-paused and --snapshot-size go with --xl")
        }
        if let snapshotSize, (SizeText.parse(snapshotSize) ?? 0) == 0 {
            throw ValidationError("--snapshot-size is a size such as 512M or 2G")
        }
        guard connect == nil || !domain.isEmpty else { throw ValidationError("--connect goes with --domain") }
        guard Set(addresses).count == addresses.count else { throw ValidationError("a guest is named twice") }
    }

    /// The guests; none when images are to be read.
    var addresses: [GuestAddress] {
        domain.map { .libvirt(uri: connect ?? LibvirtHost.systemURI, domain: $0) }
            + qmp.enumerated().map { number, socket in
                .monitor(
                    socket: HostPaths.absolute(socket),
                    agent: agent.isEmpty ? nil : HostPaths.absolute(agent[number]))
            } + xl.map { .xen(domain: $0) }
    }
}
