import Hypervisors
import TestKit
import Testing

/// Whatever libvirt's XML says, it is read or refused, and what is taken has a name that leads nowhere.
@Suite("seeded mutations of libvirt's XML")
struct LibvirtFuzzTests {
    @Test("domains")
    func domains() {
        Mutator.run("libvirt domains", DomainSample.all.map { Array($0.utf8) }, refusedBy: GuestError.self) { bytes in
            let domain = try DomainDefinition(xml: String(decoding: bytes, as: UTF8.self))
            for disk in domain.disks where disk.omission == nil {
                guard !disk.name.contains("/"), !disk.name.isEmpty, disk.name.utf8.count <= 32, disk.location != nil
                else { return "\(disk) is taken" }
            }
            if let path = domain.variables, !path.hasPrefix("/") || path.contains("/../") { return path }
            return domain.uuid.utf8.count == 36 ? nil : "the UUID \(domain.uuid)"
        }
    }

    @Test("domains on their way back into a folder: what is written stays in it, and the XML says the same")
    func returns() {
        let samples = DomainSample.all.map { Array($0.utf8) }
        Mutator.run("libvirt domains that come back", samples, refusedBy: GuestError.self) { bytes in
            let xml = String(decoding: bytes, as: UTF8.self)
            let images = Set(try DomainDefinition(xml: xml).disks.map(\.name))
            let guest = try DomainReturn(xml: xml, images: images, folder: "/back", fileName: { _, _ in "disk" })
            _ = ReturnFacts().missing(for: guest, taking: .nothing, writesVariables: true, writesTPM: true)
            let media = Set(ReturnFacts().missingMedia(guest))
            let again = try DomainReturn(xml: guest.xml(withoutMedia: media), images: images, fileName: { _, _ in "" })
            for (disk, moved) in zip(guest.disks, again.disks) where disk.isRestored && disk.obstacle == nil {
                guard disk.place == .file("/back/disk"), moved.place == disk.place, moved.name == disk.name
                else { return "\(disk) became \(moved)" }
            }
            if let path = guest.variables, path != "/back/nvram.fd" || again.variables != path { return path }
            guard guest.disks.count == again.disks.count, again.name == guest.name, again.uuid == guest.uuid else {
                return "another guest came out"
            }
            return nil
        }
    }

    @Test("checkpoints and jobs")
    func checkpoints() {
        let samples = [
            "<domaincheckpoint><name>dozo-1</name><disks><disk name='vda' checkpoint='bitmap' bitmap='dozo-1' "
                + "size='9'/>"
                + "</disks></domaincheckpoint>",
            "<domainbackup mode='pull'><server transport='unix' socket='/a/nbd'/><disks><disk name='vda'>"
                + "<scratch file='/a/vda.scratch'/></disk></disks></domainbackup>",
        ]
        Mutator.run("libvirt checkpoints", samples.map { Array($0.utf8) }, refusedBy: GuestError.self) { bytes in
            let text = String(decoding: bytes, as: UTF8.self)
            _ = CheckpointFacts(xml: text)
            _ = RunningBackup(xml: text)
            return nil
        }
    }
}
