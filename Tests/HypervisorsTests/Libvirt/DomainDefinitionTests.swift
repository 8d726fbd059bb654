import Effects
import Hypervisors
import Testing

@Suite("what a libvirt domain's description says")
struct DomainDefinitionTests {
    @Test("a machine with secure boot, a TPM and an agent is read whole")
    func modern() throws {
        let domain = try DomainDefinition(xml: DomainSample.modern)
        #expect(domain.kind == "kvm")
        #expect(domain.name == "mail & web")
        #expect(domain.uuid == "8c6a2f0e-47b5-4d0b-9c55-1d2c0f6e7a11")
        #expect(domain.machine == "pc-q35-7.2" && domain.architecture == "x86_64")
        #expect(domain.processor == "Skylake-Client")
        #expect(domain.memory == 4 << 30 && domain.currentMemory == 2 << 30)
        #expect(domain.firmware == "/usr/share/OVMF/OVMF_CODE_4M.ms.fd")
        #expect(domain.variables == "/var/lib/libvirt/qemu/nvram/mail_VARS.fd")
        #expect(domain.tpmState == "/var/lib/libvirt/swtpm/8c6a2f0e-47b5-4d0b-9c55-1d2c0f6e7a11")
        #expect(domain.hasAgent)
        #expect(domain.owner == PathOwner(user: 64055, group: 64056))
        #expect(domain.disks.map(\.name) == ["vda", "sda", "sdb"])
        #expect(domain.disks[0].location == "/srv/vm/mail's.qcow2" && domain.disks[0].format == "qcow2")
        #expect(domain.disks[0].identity == "qcow2:/srv/vm/mail's.qcow2 on raw:/srv/vm/base.raw")
        #expect(domain.disks[0].omission == nil)
        #expect(domain.disks[1].omission == .removable && domain.disks[1].location == "/srv/iso/debian.iso")
        #expect(domain.disks[2].omission == .removable && domain.disks[2].location == nil)
    }

    @Test("words that people gave it are read from our own metadata and from no other (S39)")
    func tags() throws {
        func tags(_ metadata: String) throws -> [String] {
            try DomainDefinition(
                xml: "<domain><name>a</name><uuid>8c6a2f0e-47b5-4d0b-9c55-1d2c0f6e7a11</uuid>\(metadata)</domain>"
            ).tags
        }
        #expect(try tags("").isEmpty)
        #expect(
            try tags("<metadata><d:tags xmlns:d='urn:dozo:tags'>shop, red\n shop</d:tags></metadata>")
                == ["red", "shop"])
        #expect(try tags("<metadata><tags xmlns='urn:dozo:tags'>shop</tags></metadata>") == ["shop"])
        #expect(try tags("<metadata><d:tags xmlns:d='urn:other'>shop</d:tags><tags>a</tags></metadata>").isEmpty)
        let many = (0..<500).map { "t\($0)" }.joined(separator: " ")
        #expect(try tags("<metadata><tags xmlns='urn:dozo:tags'>\(many)</tags></metadata>").count == 64)
        let long = String(repeating: "x", count: 65)
        #expect(try tags("<metadata><tags xmlns='urn:dozo:tags'>\(long)</tags></metadata>").isEmpty)
    }

    @Test("disks of networks, devices and pools are taken; what another program serves is not")
    func network() throws {
        let domain = try DomainDefinition(xml: DomainSample.network)
        #expect(domain.processor == "host-passthrough" && domain.memory == 1 << 30)
        #expect(domain.variables == "/var/lib/libvirt/qemu/nvram/ceph.qcow2")
        #expect(!domain.hasAgent && domain.owner == nil && domain.tpmState == nil)
        #expect(
            domain.disks.map(\.location) == [
                "rbd://mon1:6789/pool/image", "iscsi://10.0.0.5/iqn.2013-07.com.example:iscsi/2", "/dev/vg/ceph",
                "default/ceph.qcow2", "/run/spdk.sock", "nvme 0x0000:0x01:0x00:0x0 namespace 1",
            ])
        let taken = domain.disks.filter { $0.omission == nil }.map(\.name)
        #expect(taken == ["vda", "vdb", "vdc", "vdd", "vdf"])
    }

    @Test("disks with I/O threads of their own or of their controller are told from others")
    func threads() throws {
        let domain = try DomainDefinition(
            xml: """
                <domain type='kvm'><name>t</name><uuid>8c6a2f0e-47b5-4d0b-9c55-1d2c0f6e7a11</uuid><devices>
                <disk type='file'><driver type='raw' iothread='1'/>
                <source file='/a'/><target dev='vda' bus='virtio'/></disk>
                <disk type='file'><driver type='raw'><iothreads><iothread id='2'/></iothreads></driver>
                <source file='/b'/><target dev='vdb' bus='virtio'/></disk>
                <disk type='file'><driver type='raw'/><source file='/c'/><target dev='vdc' bus='virtio'/></disk>
                <disk type='file'><driver type='raw'/><source file='/d'/><target dev='sda' bus='scsi'/></disk>
                <controller type='scsi'><driver iothread='1'/></controller></devices></domain>
                """)
        #expect(domain.disks.filter(\.isOnThread).map(\.name) == ["vda", "vdb", "sda"])
    }

    @Test("each reason to leave a disk out is told from the others")
    func omissions() throws {
        let domain = try DomainDefinition(xml: DomainSample.old)
        let reasons = Dictionary(uniqueKeysWithValues: domain.disks.map { ($0.name, $0.omission) })
        #expect(reasons["fda"] == .removable)
        #expect(reasons["hda"] == .some(nil))
        #expect(reasons["hdb"] == .shareable)
        #expect(reasons["hdc"] == .readOnly)
        #expect(reasons["hdd"] == .transient)
        #expect(reasons["sda"] == .passedThrough)
        #expect(reasons["sdb"] == .empty)
        #expect(reasons["hostdev0"] == .passedThrough)
        guard case .some(.unsupported) = reasons["../x"] else {
            Issue.record("a disk whose name could leave a folder is taken")
            return
        }
        #expect(domain.disks.count == 9)
    }

    @Test("what cannot be read is unknown: units, names of users, paths that lead upwards")
    func unknown() throws {
        let domain = try DomainDefinition(xml: DomainSample.old)
        #expect(domain.memory == nil && domain.owner == nil && domain.variables == nil)
    }

    @Test("a libvirt of another host is told from one of this host")
    func localHosts() {
        for uri in [
            "qemu:///system", "qemu+unix:///session?socket=/a/b", "test:///default", "qemu", "qemu://localhost/x",
        ] {
            #expect(LibvirtHost.isLocal(uri), "\(uri)")
        }
        for uri in ["qemu+ssh://root@other/system", "qemu+tls://other", "xen+ssh://10.0.0.1:22/?no_tty=1"] {
            #expect(!LibvirtHost.isLocal(uri), "\(uri)")
        }
    }

    @Test("a guest of Xen is read")
    func xen() throws {
        let domain = try DomainDefinition(xml: DomainSample.xen)
        #expect(domain.kind == "xen" && domain.machine == "xenpv" && domain.memory == 512 << 20)
        #expect(domain.disks[0].location == "/dev/vg/pv" && domain.disks[0].format == "raw")
    }

    @Test(
        "what is no domain, or has no name or UUID, is refused",
        arguments: [
            "", "<domain/>", "<network><name>a</name></network>", "<domain><name>a</name><uuid>1</uuid></domain>",
            "<domain><uuid>f81d4fae-7dec-11d0-a765-00a0c91e6bf6</uuid></domain>",
            "<domain><name>a</name><uuid>f81d4fae-7dec-11d0-a765-00a0c91e6bgg</uuid></domain>",
            "<domain><name>a</name><uuid>f81d4fae-7dec-11d0-a765-00a0c91e6bf6</uuid></domain> more",
        ])
    func refused(xml: String) {
        #expect(throws: GuestError.self) { try DomainDefinition(xml: xml) }
    }
}
