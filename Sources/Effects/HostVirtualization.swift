import CLinux
import Glibc

/// What this host's kernel and processor do for hypervisors.
package enum HostVirtualization {
    /// Whether guests of type `kvm` run here.
    package enum KVM: Hashable, Sendable {
        /// A guest can be made, and the processor runs it.
        case usable
        /// It is there, and cannot be used, for the reason, part of a sentence.
        case unusable(String)
        /// This kernel has none.
        case absent
    }

    // Constants of the Linux ABI (linux/kvm.h).
    private static let askVersion: UInt = 0xAE00
    private static let makeGuest: UInt = 0xAE01
    private static let version: Int32 = 12
    // Many processors of a large host.
    private static let longestProcessorList = 16 << 20

    /// Looks at KVM. That its device opens is not believed: some kernels answer for it on processors that run no guest.
    package static func kvm() -> KVM {
        let device = "/dev/kvm"
        // Safety: the path is a terminated copy for the call.
        let file = unsafe open(device, O_RDWR | O_CLOEXEC)
        guard file >= 0 else {
            if errno == ENOENT { return .absent }
            return .unusable(HostFiles.failure(errno, "cannot open", device).sentence)
        }
        defer { close(file) }
        guard ioctl(file, askVersion, 0 as Int32) == version else {
            return .unusable("\(device) opens, and does not speak the version that QEMU speaks")
        }
        let guest = ioctl(file, makeGuest, 0 as Int32)
        guard guest >= 0 else { return .unusable("\(device) opens, and no guest can be made") }
        close(guest)
        let words =
            (try? HostPaths.read("/proc/cpuinfo", limit: longestProcessorList))
            .map { String(decoding: $0, as: UTF8.self) } ?? ""
        // Processors of other makes have no such flags.
        if let flags = words.split(separator: "\n").first(where: { $0.hasPrefix("flags") }),
            !flags.split(separator: " ").contains(where: { $0 == "vmx" || $0 == "svm" })
        {
            return .unusable("\(device) opens, and this processor offers neither vmx nor svm")
        }
        return .usable
    }

    /// Whether this user may take the memory of running guests by background snapshots; the reason when not, part of a
    /// sentence.
    package static func memoryRefusal() -> String? {
        let refusal = write_reports_refusal()
        guard refusal != 0 else { return nil }
        switch refusal {
        case EPERM: return "this user may not (sysctl vm.unprivileged_userfaultfd=1 allows it to everybody)"
        case EINVAL, ENOSYS: return "this kernel does not report writes to memory (userfaultfd)"
        default: return HostFiles.failure(refusal, "cannot use", "userfaultfd").sentence
        }
    }
}
