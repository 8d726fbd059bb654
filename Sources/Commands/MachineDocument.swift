import BackupModel
import RepositoryFormat

/// The machine of a point, as JSON. The names are frozen at the first release.
struct MachineDocument: Encodable {
    struct LeftOut: Encodable {
        let name: String
        let why: String
    }

    struct Hook: Encodable {
        let name: String
        let outcome: String
        let milliseconds: UInt64
    }

    let hypervisor: String
    let name: String
    let uuid: String?
    let versions: [String: String]
    let machine_type: String?
    let cpu: String?
    let media: [String: String]
    let left_out: [LeftOut]
    let pause_ms: Double
    let at_rest_ms: Double
    /// Hooks in the guest that were called for its applications; absent without any.
    let hooks: [Hook]?
    let uncertainty_ms: Double
    /// Shared by points of one barrier.
    let group: String?
    let spread_ms: Double

    init(_ machine: RestorePointRecord.Machine) {
        func known(_ text: String) -> String? { text.isEmpty ? nil : text }
        func milliseconds(_ nanoseconds: UInt64) -> Double { Double(nanoseconds / 1_000) / 1_000 }
        hypervisor = machine.hypervisor
        name = machine.name
        uuid = known(machine.uuid)
        versions = machine.versions
        machine_type = known(machine.type)
        cpu = known(machine.cpu)
        media = machine.media
        left_out = machine.leftOut.map { LeftOut(name: $0.name, why: $0.why) }
        pause_ms = milliseconds(machine.pause)
        at_rest_ms = milliseconds(machine.frozen)
        let called = machine.hooks.map {
            Hook(name: $0.name, outcome: $0.outcome, milliseconds: $0.took / 1_000_000)
        }
        hooks = called.isEmpty ? nil : called
        uncertainty_ms = milliseconds(machine.uncertainty)
        group = machine.group?.hexadecimal
        spread_ms = milliseconds(machine.spread)
    }
}
