import Effects
import Hypervisors

/// What this host can do with running guests, as `dozo doctor` says it. Nothing of it is needed for images, so what is
/// not there is not proven, and only what is there and does not work has failed.
enum GuestChecks {
    /// One line of the doctor.
    struct Check {
        let name: String
        let verdict: String
        let detail: String
    }

    static func all() -> [Check] {
        [virtualization(), libvirt(), memory(), scratch()]
    }

    private static func proven(_ name: String, _ detail: String) -> Check {
        Check(name: name, verdict: "proven", detail: detail)
    }
    private static func unproven(_ name: String, _ detail: String) -> Check {
        Check(name: name, verdict: "not proven", detail: detail)
    }

    private static func virtualization() -> Check {
        let name = "KVM"
        switch HostVirtualization.kvm() {
        case .usable: return proven(name, "guests of type kvm run here")
        case .absent: return unproven(name, "this kernel has none: guests run emulated (TCG) or under Xen")
        case .unusable(let reason):
            return unproven(name, "not usable: \(reason); guests run emulated (TCG)")
        }
    }

    private static func libvirt() -> Check {
        let name = "libvirt"
        do throws(GuestError) {
            let host = try LibvirtHost()
            let versions = try host.versions.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
            return proven(
                name,
                "\(host.uri): \(versions.joined(separator: ", ")), \(Console.count(try host.guests().count, "guest"))")
        } catch { return unproven(name, error.sentence) }
    }

    private static func memory() -> Check {
        let name = "memory of running guests"
        guard let refusal = HostVirtualization.memoryRefusal() else {
            return proven(name, "QEMU as this user can give it while the guest goes on")
        }
        return unproven(name, "QEMU as this user cannot give it while the guest goes on: \(refusal)")
    }

    private static func scratch() -> Check {
        let name = "scratch space"
        do {
            let folder = try HostContext.stateFolder()
            try HostPaths.makeFolders(folder)
            let file = try PassedDescriptor(scratchIn: folder, byteCount: 0)
            try file.reserve(probe)
            let free = HostPaths.freeBytes(folder).map { ", \(Console.size($0)) free" } ?? ""
            return proven(name, "\(folder)\(free)")
        } catch {
            return Check(name: name, verdict: "failed", detail: CommandFailure(error).sentence)
        }
    }
    /// Bytes that are asked for, to see whether room can be promised.
    private static let probe: UInt64 = 1 << 20
}
