import Hypervisors
import Testing

@Suite("a guest of libvirt on its way back")
struct DomainReturnTests {
    /// What a host has on which the modern sample finds everything, and none of its disks.
    private static func whole() -> ReturnFacts {
        var facts = ReturnFacts()
        facts.processorModes = ["custom", "host-model"]
        facts.processorModels = ["Skylake-Client": true, "EPYC": false]
        for folder in ["/srv/vm", "/srv/iso", "/var/lib/libvirt/qemu/nvram", "/back"] { facts.paths[folder] = .folder }
        for file in [
            "/usr/bin/qemu-system-x86_64", "/usr/share/OVMF/OVMF_CODE_4M.ms.fd", "/srv/iso/debian.iso",
        ] {
            facts.paths[file] = .file
        }
        // The channel's socket.
        facts.paths["/run/libvirt/qemu/channel/7-mail"] = .folder
        return facts
    }

    private static func guest(
        _ xml: String = DomainSample.modern, images: Set<String> = ["vda"], folder: String? = nil,
        identity: (name: String, uuid: String)? = nil
    ) throws -> DomainReturn {
        try DomainReturn(xml: xml, images: images, folder: folder, identity: identity)
    }

    /// The one thing that is in the way.
    private static func only(_ change: (inout ReturnFacts) -> Void, _ xml: String = DomainSample.modern) throws
        -> String
    {
        var facts = whole()
        change(&facts)
        let missing = facts.missing(for: try guest(xml), taking: .nothing, writesVariables: true)
        return missing.count == 1 ? missing[0] : "\(missing)"
    }

    @Test("where everything is there nothing is in the way, and only the backing chain goes from the XML")
    func fits() throws {
        let guest = try Self.guest()
        #expect(Self.whole().missing(for: guest, taking: .nothing, writesVariables: true).isEmpty)
        #expect(Self.whole().missingMedia(guest).isEmpty)
        let before = DomainSample.modern
        let start = try #require(before.firstRange(of: "\n      <backingStore"))
        let end = try #require(before.firstRange(of: "</backingStore>"))
        let xml = guest.xml()
        #expect(!xml.contains("backingStore") && xml.contains("<!-- Edited with virsh edit. -->"))
        #expect(xml.utf8.count == before.utf8.count - before[start.lowerBound..<end.upperBound].utf8.count)
    }

    @Test("into another folder disks, variables and nothing else move")
    func moves() throws {
        let guest = try Self.guest(folder: "/back")
        let xml = guest.xml()
        #expect(guest.disks.first?.place == .file("/back/vda.qcow2") && guest.variables == "/back/nvram.fd")
        #expect(xml.contains("<source file='/back/vda.qcow2' index='2'/>"))
        #expect(xml.contains("template='/usr/share/OVMF/OVMF_VARS_4M.ms.fd'>/back/nvram.fd</nvram>"))
        #expect(xml.contains("/srv/iso/debian.iso") && !xml.contains("/srv/vm/"))
        #expect(xml.contains("<qemu:arg value='-foo'/>") && xml.contains("mail &amp; web"))
        // What will not be written there stays where it is.
        let stays = try DomainReturn(
            xml: DomainSample.modern, images: ["vda"], folder: "/back", variablesMove: false, tpmMoves: false)
        #expect(stays.variables == "/var/lib/libvirt/qemu/nvram/mail_VARS.fd")
        #expect(stays.xml().contains("/var/lib/libvirt/qemu/nvram/mail_VARS.fd</nvram>"))
        let again = try DomainDefinition(xml: xml)
        #expect(again.disks.first?.location == "/back/vda.qcow2" && again.variables == "/back/nvram.fd")
    }

    @Test("disks that are no files become files in another folder, and are in the way otherwise")
    func network() throws {
        let names = Set(try DomainDefinition(xml: DomainSample.network).disks.map(\.name))
        let moved = try DomainReturn(xml: DomainSample.network, images: names, folder: "/back")
        let again = try DomainDefinition(xml: moved.xml())
        for disk in moved.disks where disk.isRestored && disk.obstacle == nil {
            #expect(disk.place == .file("/back/\(disk.name).\(disk.format)"))
            #expect(again.disks.first { $0.name == disk.name }?.location == "/back/\(disk.name).\(disk.format)")
        }
        let stays = try DomainReturn(xml: DomainSample.network, images: names)
        let missing = ReturnFacts().missing(for: stays, taking: .nothing)
        #expect(missing.contains { $0.contains("lies where nothing is written (rbd:") })
    }

    @Test("another name comes with another UUID, and with another place of the TPM's state")
    func renames() throws {
        let uuid = "00000000-0000-4000-8000-000000000001"
        let guest = try Self.guest(folder: "/back", identity: ("tes't", uuid))
        let again = try DomainDefinition(xml: guest.xml())
        #expect(again.name == "tes't" && again.uuid == uuid && guest.tpmState == "/var/lib/libvirt/swtpm/\(uuid)")
    }

    @Test("variables whose place libvirt chose itself get one in the definition, and only they")
    func chosenFirmware() throws {
        let start = try #require(DomainSample.modern.firstRange(of: "<nvram"))
        let end = try #require(DomainSample.modern.firstRange(of: "</nvram>"))
        var xml = DomainSample.modern
        xml.removeSubrange(start.lowerBound..<end.upperBound)
        // A firmware that is named, and a definition without variables: nothing is added.
        let named = xml.replacing("<os firmware='efi'>", with: "<os>")
        #expect(named != xml)
        #expect(try Self.guest(named, folder: "/back").variables == nil)
        let moved = try Self.guest(xml, folder: "/b&ck")
        #expect(moved.variables == "/b&ck/nvram.fd")
        #expect(try DomainDefinition(xml: moved.xml()).variables == "/b&ck/nvram.fd")
        #expect(moved.xml().contains("<nvram>/b&amp;ck/nvram.fd</nvram></os>"))
        let stays = try DomainReturn(xml: xml, images: ["vda"], variablesPlace: "/run/vars")
        #expect(stays.variables == "/run/vars")
        #expect(try DomainDefinition(xml: stays.xml()).variables == "/run/vars")
        #expect(try Self.guest(xml).variables == nil)
        let none = try DomainReturn(
            xml: xml, images: ["vda"], folder: "/back", variablesMove: false, variablesPlace: "/run/vars")
        #expect(none.variables == nil && !none.xml().contains("nvram"))
    }

    @Test("the state of a TPM is where the daemon keeps it, which is another place for a user's")
    func tpmPlaces() throws {
        func place(_ uri: String, root: Bool = false, _ folder: String? = "/u/.config") -> String {
            LibvirtHost.tpmStates(of: uri, isRoot: root, configuration: folder)
        }
        let (system, user) = ("/var/lib/libvirt/swtpm", "/u/.config/libvirt/qemu/swtpm")
        for uri in ["qemu:///session", "qemu+unix:///session?socket=/x", "qemu+ssh://host/session"] {
            #expect(place(uri) == user, "\(uri)")
        }
        for uri in ["qemu:///system", "qemu:///system?socket=/session", "xen:///", "", "qemu:///sessions", "/session"] {
            #expect(place(uri) == system, "\(uri)")
        }
        #expect(place("qemu:///session", nil) == system)
        // Root's daemon is the system's, unless another one's socket is named.
        #expect(place("qemu:///session", root: true) == system)
        #expect(place("qemu+unix:///session?socket=/x", root: true) == user)
        let guest = try DomainReturn(xml: DomainSample.modern, images: ["vda"], tpmStates: "/t")
        #expect(guest.tpmState?.hasPrefix("/t/8c6a2f0e") == true)
    }

    @Test("what is missing is named: machine type, CPU, files, folders")
    func missingParts() throws {
        #expect(
            try Self.only { $0.machineProblem = "words" }
                == "machine type pc-q35-7.2 is not known here: words")
        #expect(try Self.only { $0.kindProblem = "no KVM" }.contains("type kvm for x86_64 cannot run here: no KVM"))
        #expect(try Self.only { $0.processorModels = [:] } == "CPU model Skylake-Client is not known here")
        #expect(
            try Self.only { $0.processorModels?["Skylake-Client"] = false }
                == "CPU model Skylake-Client cannot be had on this host")
        #expect(
            try Self.only { $0.processorProblem = "lacks avx2" }.hasSuffix("cannot be had on this host: lacks avx2"))
        #expect(try Self.only { $0.processorModes = [] } == "a processor of mode custom cannot be had here")
        #expect(
            try Self.only { $0.paths["/usr/share/OVMF/OVMF_CODE_4M.ms.fd"] = nil }
                == "/usr/share/OVMF/OVMF_CODE_4M.ms.fd is not there: it is the guest's firmware")
        #expect(try Self.only { $0.paths["/srv/vm"] = nil }.hasPrefix("the folder of /srv/vm/mail's.qcow2"))
        #expect(try Self.only { $0.paths["/srv/vm/mail's.qcow2"] = .file }.hasPrefix("path in use: /srv/vm/mail's"))
        #expect(
            try Self.only { $0.paths["/var/lib/libvirt/qemu/nvram/mail_VARS.fd"] = .file }
                .hasPrefix("path in use: the firmware's variables"))
    }

    @Test("networks, bridges and storage pools are named when they are missing or not started")
    func missingNetworks() throws {
        let devices = """
            <interface type='network'><source network='lan'/></interface>
            <interface type='bridge'><source bridge='br7'/></interface>
            <disk type='volume' device='disk'><driver type='raw'/><source pool='fast' volume='v.raw'/>
              <target dev='vdb'/></disk></devices>
            """
        let xml = DomainSample.modern.replacing("</devices>", with: devices)
        let guest = try Self.guest(xml, images: ["vda", "vdb"])
        func missing(_ change: (inout ReturnFacts) -> Void = { _ in }) -> [String] {
            var facts = Self.whole()
            facts.networks["lan"] = .active
            facts.hostInterfaces = ["br7"]
            facts.pools[.volume(pool: "fast", name: "v.raw")] = ReturnFacts.Pool(presence: .active, folder: "/srv/vm")
            change(&facts)
            return facts.missing(for: guest, taking: .nothing)
        }
        #expect(missing().isEmpty)
        #expect(missing { $0.networks = [:] } == ["network lan is not there"])
        #expect(missing { $0.networks["lan"] = .inactive }.first?.contains("virsh net-start lan") == true)
        #expect(missing { $0.hostInterfaces = [] } == ["bridge or network device br7 is not there"])
        #expect(missing { $0.pools = [:] } == ["storage pool fast of disk vdb is not there"])
        #expect(missing { $0.paths["/srv/vm/v.raw"] = .file }.first?.contains("path in use: /srv/vm/v.raw") == true)
        // All in one go.
        #expect(missing { ($0.networks, $0.hostInterfaces, $0.pools, $0.paths) = ([:], [], [:], [:]) }.count > 5)
    }

    @Test("a guest that is there: running, shut off, renamed, with memory of old disks, or another one of the name")
    func existing() throws {
        let guest = try Self.guest()
        func missing(
            _ known: ReturnFacts.Known, name: Bool = true, taking: ReturnFacts.Taking = .nothing
        ) -> String {
            var facts = Self.whole()
            facts.sameUUID = known.uuid == guest.uuid ? known : nil
            facts.sameName = name ? known : nil
            return facts.missing(for: guest, taking: taking).joined(separator: "|")
        }
        let off = ReturnFacts.Known(name: guest.name, uuid: guest.uuid, isActive: false)
        var running = off
        running.isActive = true
        var remembered = off
        remembered.hasSavedMemory = true
        #expect(missing(running, taking: .overwritten).hasPrefix("guest still running: mail & web"))
        #expect(missing(off).contains("say --overwrite or --in-place"))
        #expect(missing(off, taking: .overwritten) == "")
        #expect(missing(remembered, taking: .overwritten).contains("virsh managedsave-remove"))
        let other = ReturnFacts.Known(name: guest.name, uuid: "other", isActive: false)
        #expect(missing(other, taking: .overwritten).hasPrefix("another guest (UUID other)"))
        let renamed = ReturnFacts.Known(name: "new", uuid: guest.uuid, isActive: false)
        #expect(missing(renamed, name: false, taking: .overwritten).contains("under the name new"))
    }

    @Test("a medium that is gone is taken out, one that is there and an empty drive stay (S71)")
    func media() throws {
        let guest = try Self.guest()
        var facts = Self.whole()
        facts.paths["/srv/iso/debian.iso"] = nil
        #expect(facts.missingMedia(guest) == ["sda"] && facts.missing(for: guest, taking: .nothing).isEmpty)
        let again = try DomainDefinition(xml: guest.xml(withoutMedia: ["sda"]))
        #expect(again.disks.map(\.name) == ["vda", "sda", "sdb"] && again.disks[1].location == nil)
    }

    @Test("disks that the point lacks must be there, and disks that the definition lacks are told")
    func otherDisks() throws {
        let guest = try Self.guest(images: ["vdz"])
        #expect(guest.homeless == ["vdz"])
        #expect(
            Self.whole().missing(for: guest, taking: .nothing)
                == ["disk vda is not in the point, and its image /srv/vm/mail's.qcow2 is not there"])
    }

    @Test("only raw disks are changed in place, and formats that cannot be made are named")
    func formats() throws {
        let guest = try Self.guest()
        var facts = Self.whole()
        facts.paths["/srv/vm/mail's.qcow2"] = .file
        #expect(facts.missing(for: guest, taking: .inPlace).first?.contains("qcow2 image, and only raw") == true)
        #expect(facts.missing(for: guest, taking: .overwritten).isEmpty)
        #expect(
            Self.whole().missing(for: guest, taking: .nothing, formats: ["raw"])
                == ["disk vda: images of the format qcow2 cannot be made"])
    }
}
