import Hypervisors
import TestKit
import Testing

/// Whatever xl and lvs say, it is read or refused, and what is taken has a name and a place that lead nowhere else.
@Suite("seeded mutations of what xl and lvs say")
struct XenFuzzTests {
    @Test("guests")
    func guests() {
        Mutator.run("guests of xl", [Array(XenSample.list.utf8)], refusedBy: GuestError.self) { bytes in
            for domain in try XenDomain.list(bytes, states: Array(XenSample.table.utf8)) {
                guard domain.number > 0, !domain.name.isEmpty else { return "guest \(domain.number)" }
                guard domain.uuid.isEmpty || domain.uuid.utf8.count == 36 else { return "the UUID \(domain.uuid)" }
                for disk in domain.disks where disk.omission == nil {
                    guard !disk.name.contains("/"), !disk.name.isEmpty, disk.name.utf8.count <= 32,
                        disk.location?.hasPrefix("/") == true
                    else { return "\(disk) is taken" }
                }
                let lines = XenConfiguration(domain).text.split(separator: "\n")
                guard lines.allSatisfy({ $0.hasPrefix("#") || $0.contains(" = ") }) else {
                    return "a value broke out of its line: \(lines)"
                }
            }
            return nil
        }
    }

    @Test("states")
    func states() {
        Mutator.run("states of xl", [Array(XenSample.table.utf8)], refusedBy: GuestError.self) { bytes in
            _ = XenDomain.states(bytes)
            return nil
        }
    }

    @Test("volumes")
    func volumes() {
        Mutator.run("volumes of lvs", [Array(XenSample.volumes.utf8)], refusedBy: GuestError.self) { bytes in
            for volume in try LogicalVolume.list(bytes) {
                guard volume.path == "/dev/\(volume.group)/\(volume.name)", !volume.name.contains("/"),
                    !volume.name.hasPrefix("-"), !volume.group.hasPrefix("-")
                else { return "\(volume) is one" }
            }
            return nil
        }
    }
}
