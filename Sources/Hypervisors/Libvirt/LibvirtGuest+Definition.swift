import Effects

extension LibvirtGuest {
    /// Most bytes of a firmware's variables; OVMF's have 528 KiB.
    private static let mostVariables = 16 << 20
    /// Most bytes of one file of a TPM's state.
    private static let mostTPMFile = 4 << 20
    /// Most files of a TPM's state.
    private static let mostTPMFiles = 64

    package func definition() async throws -> GuestDefinition {
        let current = try ask("asking for its description") { domain throws(LibvirtFailure) in
            try domain.xml(.currentWithSecrets)
        }
        let domain = try DomainDefinition(xml: current, tpmStates: host.tpmStates)
        var definition = GuestDefinition(
            hypervisor: domain.kind == "xen" ? "libvirt-xen" : "libvirt-qemu", name: domain.name, uuid: domain.uuid)
        definition.versions = try host.versions
        definition.machine = domain.machine
        definition.processor = domain.processor
        for disk in domain.disks where disk.omission == .removable {
            if let location = disk.location { definition.media[disk.name] = location }
        }
        // What it would be started with is what a restore defines; how it ran is kept beside it.
        let persistent = try? ask("asking for its description") { domain throws(LibvirtFailure) in
            try domain.xml(.persistent)
        }
        definition.files["domain.xml"] = Array((persistent ?? current).utf8)
        if let persistent, persistent != current { definition.files["domain-running.xml"] = Array(current.utf8) }
        if let path = domain.variables {
            definition.files["nvram"] = read(path, limit: LibvirtGuest.mostVariables, notes: &definition.notes)
        }
        if let folder = domain.tpmState {
            addTPM(folder, to: &definition)
        }
        return definition
    }

    private func read(_ path: String, limit: Int, notes: inout [String]) -> [UInt8]? {
        do throws(FileError) { return try HostPaths.read(path, limit: limit) } catch {
            notes.append("guest \(name): \(error.sentence); it is not part of the point")
            return nil
        }
    }

    /// The state of an emulated TPM: small files in folders of one level.
    private func addTPM(_ folder: String, to definition: inout GuestDefinition) {
        let files = HostFiles(root: folder)
        do throws(FileError) {
            var count = 0
            for name in try files.names(in: "").sorted() {
                let isFolder = try files.isFolder(name)
                let inside = isFolder ? try files.names(in: name).sorted().map { "\(name)/\($0)" } : [name]
                for path in inside where !path.hasSuffix("lock") {
                    count += 1
                    guard count <= LibvirtGuest.mostTPMFiles else { return }
                    definition.files["tpm/\(path)"] = read(
                        "\(folder)/\(path)", limit: LibvirtGuest.mostTPMFile, notes: &definition.notes)
                }
            }
            if count == 0 {
                definition.notes.append(
                    "guest \(name): no state of its TPM was found in \(folder); it is not part of the point")
            }
        } catch {
            definition.notes.append(
                "guest \(name): the state of its TPM could not be read (\(error.sentence)); it is not part of the "
                    + "point")
        }
    }
}
