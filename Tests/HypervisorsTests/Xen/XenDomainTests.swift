import Hypervisors
import Testing

@Suite("guests of xl, as its words describe them")
struct XenDomainTests {
    private func domains() throws -> [XenDomain] {
        try XenDomain.list(Array(XenSample.list.utf8), states: Array(XenSample.table.utf8))
    }

    @Test("Domain-0 is no guest, and a guest has its name, UUID, kind, memory and state")
    func facts() throws {
        let all = try domains()
        #expect(all.map(\.name) == ["web01"])
        let guest = try #require(all.first)
        #expect(guest.number == 2)
        #expect(guest.uuid == "6ad3c0aa-1d2f-4d0e-9f0a-000000000001")
        #expect(guest.kind == "pv")
        #expect(guest.memoryByteCount == 128 << 20)
        #expect(guest.state == .paused)
    }

    @Test("raw disks that can be written are taken, all others are left out with a reason")
    func disks() throws {
        let disks = try #require(try domains().first).disks
        #expect(disks.filter { $0.omission == nil }.map(\.name) == ["xvda", "xvdb"])
        #expect(disks.first { $0.name == "xvdc" }?.omission == .removable)
        #expect(disks.first { $0.name == "xvdd" }?.omission == .removable)
        #expect(disks.first { $0.name == "xvde" }?.omission == .readOnly)
        for name in ["xvdf", "xvdg", "xvdh", "xvdi", "disk-9"] {
            guard case .unsupported = disks.first(where: { $0.name == name })?.omission else {
                Issue.record("\(name) is taken")
                continue
            }
        }
    }

    @Test("states are read from the right, whatever a name looks like")
    func states() {
        let states = XenDomain.states(Array(XenSample.table.utf8))
        #expect(states == [0: .running, 2: .paused, 3: .running, 4: .suspended, 5: .shutOff, 6: .crashed, 7: .shutOff])
    }

    @Test("a paused guest gives its disks and not its memory, one that is off nothing")
    func capabilities() throws {
        let paused = try #require(try domains().first)
        #expect(XenGuest.capabilities(of: paused) == [.live, .group])
        let running = XenSample.table.replacing("--p---", with: "r-----")
        let runs = try XenDomain.list(Array(XenSample.list.utf8), states: Array(running.utf8))
        #expect(XenGuest.capabilities(of: try #require(runs.first)) == [.live, .memory, .group])
        let off = XenSample.table.replacing("--p---", with: "---s--")
        let ended = try XenDomain.list(Array(XenSample.list.utf8), states: Array(off.utf8))
        #expect(XenGuest.capabilities(of: try #require(ended.first)).isEmpty)
    }

    @Test("what is no list is refused, and a guest that the table does not have is none")
    func refusals() throws {
        for text in ["", "{}", "[", "nothing", "[[[["] {
            #expect(throws: GuestError.self) { try XenDomain.list(Array(text.utf8), states: []) }
        }
        #expect(try XenDomain.list(Array(XenSample.list.utf8), states: []).isEmpty)
        #expect(try XenDomain.list(Array("[1, {}, null, {\"domid\": 2}]".utf8), states: []).isEmpty)
    }

    @Test("settings for xl name what the guest is made of")
    func configuration() throws {
        let text = XenConfiguration(try #require(try domains().first)).text
        for line in [
            "name = \"web01\"", "uuid = \"6ad3c0aa-1d2f-4d0e-9f0a-000000000001\"", "type = \"pv\"",
            "kernel = \"/guest/kernel\"", "cmdline = \"console=hvc0 quiet\"", "memory = 128", "maxvcpus = 2",
            "vcpus = 2", "on_reboot = \"restart\"",
            "vif = [ \"mac=00:16:3e:01:02:03,bridge=xenbr0,script=vif-bridge\" ]",
        ] { #expect(text.split(separator: "\n").map(String.init).contains(line), "\(line)") }
        #expect(text.contains("\"vdev=xvda,access=rw,format=raw,target=/x/a.raw\""))
        #expect(text.contains("\"vdev=xvdc,access=ro,format=raw,devtype=cdrom,target=/iso/cd.iso\""))
    }
}

@Suite("logical volumes, as lvs describes them")
struct LogicalVolumeTests {
    @Test("volumes, snapshots and full ones are told apart; names that could be options are none")
    func volumes() throws {
        let all = try LogicalVolume.list(Array(XenSample.volumes.utf8))
        #expect(all.map(\.name) == ["b", "dozo-1", "full", "t"])
        #expect(all.map(\.canBeSnapshotted) == [true, false, false, false])
        #expect(all.map(\.isInvalid) == [false, false, true, false])
        #expect(all.map(\.device) == ["253:0", "253:3", "253:4", nil])
        #expect(all[1].origin == "b")
        #expect(all[0].groupFree == 436_207_616)
        #expect(throws: GuestError.self) { try LogicalVolume.list(Array("[]".utf8)) }
    }
}
