import ArgumentParser
import Hypervisors

/// How a restore brings the guest itself back, beside its disks.
struct ReturnOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Write the files that describe the guest below this new folder: domain.xml, nvram, tpm, command-line.",
            valueName: "folder"), completion: .directory)
    var definitionTo: String?
    @Flag(
        help: ArgumentHelp(
            "Bring the guest back to libvirt: disks where its definition says, or in --to-directory, then the guest."
        )
    )
    var define = false
    @Option(
        help: ArgumentHelp("The libvirt it comes back to; by default \(LibvirtHost.systemURI).", valueName: "uri"))
    var connect: String?
    @Option(
        help: ArgumentHelp("Call it otherwise, with a new UUID, beside the guest that it was.", valueName: "name"))
    var name: String?
    @Flag(help: "Start it.")
    var start = false
    @Flag(help: "Let it go on from the memory of the point (memory that virsh save wrote).")
    var resume = false
}
