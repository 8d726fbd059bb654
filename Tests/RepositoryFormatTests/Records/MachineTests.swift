import RepositoryFormat
import Testing

@Suite("the machine of a restore point (format page §11)")
struct MachineTests {
    static var point: RestorePointRecord {
        var machine = RestorePointRecord.Machine(hypervisor: "libvirt-qemu", name: "web01", uuid: "u")
        machine.versions = ["qemu": "7.2.22"]
        machine.media = ["sda": "/disc.iso"]
        machine.leftOut = [.init(name: "vdz", why: "somebody said so")]
        machine.hooks = [
            .init(name: "10-mariadb", outcome: "ok", took: .max), .init(name: "20-redis", outcome: "idle", took: 0),
        ]
        machine.group = [UInt8](repeating: 7, count: 16)
        var point = Sample.point
        point.machine = machine
        return point
    }

    private func read(_ point: RestorePointRecord, _ change: (RecordValue) -> RecordValue) throws -> RestorePointRecord
    {
        let body = point.record.body
        let machine = try #require(body.member("machine"))
        let record = Record(kind: 1, isCritical: true, body: body.setting("machine", change(machine)))
        return try RestorePointRecord(record, name: "s/x")
    }

    @Test("comes back with its hooks, and without them as it was before there were any")
    func roundTrip() throws {
        var point = Self.point
        #expect(try RestorePointRecord(point.record, name: "s/x") == point)
        #expect(point.record.body.member("machine")?.names.contains("hooks") == true)
        point.machine?.hooks = []
        #expect(try RestorePointRecord(point.record, name: "s/x") == point)
        #expect(point.record.body.member("machine")?.names.contains("hooks") == false)
    }

    @Test("members that nobody knows are passed over; what is missing is refused, but for what may be absent")
    func members() throws {
        #expect(try read(Self.point) { $0.setting("later", .unsigned(1)) } == Self.point)
        for name in try #require(Self.point.record.body.member("machine")?.names) {
            let isOptional = name == "hooks" || name == "group"
            let refusal = refusalCode { _ = try read(Self.point) { $0.setting(name, nil) } }
            #expect(refusal == (isOptional ? nil : .malformed), "without \(name)")
        }
    }

    @Test("hooks that are none are refused")
    func noHooks() throws {
        for value: RecordValue in [
            .unsigned(1), .array([.unsigned(1)]), .array([.map(["name": .text("a"), "outcome": .text("ok")])]),
            .array([.map(["name": .unsigned(1), "outcome": .text("ok"), "took": .unsigned(1)])]),
        ] {
            #expect(refusalCode { _ = try read(Self.point) { $0.setting("hooks", value) } } == .malformed)
        }
    }
}

extension RecordValue {
    /// A member of a map; `nil` when there is none.
    fileprivate func member(_ name: String) -> RecordValue? {
        if case .map(let members) = self { members[name] } else { nil }
    }
}
