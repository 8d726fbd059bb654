/// What a host has of what a guest that comes back asks for, collected before anything is written.
package struct ReturnFacts: Sendable {
    /// A guest that libvirt knows already.
    package struct Known: Hashable, Sendable {
        /// Name on the host.
        package var name: String
        /// Lower case.
        package var uuid: String
        /// Whether it exists in memory: runs, or is paused.
        package var isActive: Bool
        /// Whether libvirt keeps memory of it that its next start would go on from.
        package var hasSavedMemory: Bool

        /// A guest from its fields.
        package init(name: String, uuid: String, isActive: Bool, hasSavedMemory: Bool = false) {
            self.name = name
            self.uuid = uuid
            self.isActive = isActive
            self.hasSavedMemory = hasSavedMemory
        }
    }

    /// Whether something of libvirt is there, and in use.
    package enum Presence: Hashable, Sendable {
        /// There and in use.
        case active
        /// There, not started.
        case inactive
        /// Not there.
        case missing
        /// libvirt could not say, in its words.
        case unknown(String)
    }

    /// A storage pool, and the volume that was asked for in it.
    package struct Pool: Hashable, Sendable {
        /// Whether it is there.
        package var presence: Presence
        /// Folder of its volumes; `nil` when they are no files of one.
        package var folder: String?
        /// Path of the volume; `nil` when that is not there.
        package var volume: String?

        /// A pool from its fields.
        package init(presence: Presence, folder: String? = nil, volume: String? = nil) {
            self.presence = presence
            self.folder = folder
            self.volume = volume
        }
    }

    /// What is at a path.
    package enum PathKind: Hashable, Sendable {
        /// A folder.
        case folder
        /// A block device.
        case device
        /// Anything else.
        case file
    }

    /// What may happen to what is there already.
    package enum Taking: Hashable, Sendable {
        /// Nothing: it is in the way.
        case nothing
        /// Raw files and devices are changed where they are.
        case inPlace
        /// It is replaced.
        case overwritten
    }

    /// The guest of that name.
    package var sameName: Known?
    /// The guest of that UUID.
    package var sameUUID: Known?
    /// Why guests of this kind cannot run here at all, in libvirt's words; `nil` when they can.
    package var kindProblem: String?
    /// Why its machine type cannot, in libvirt's words.
    package var machineProblem: String?
    /// Ways to choose a processor that work; `nil` when libvirt does not list them.
    package var processorModes: Set<String>?
    /// Models of a `custom` processor, and whether each can be had; `nil` when libvirt does not list them.
    package var processorModels: [String: Bool]?
    /// Why the processor cannot be had, in libvirt's words.
    package var processorProblem: String?
    /// By name.
    package var networks: [String: Presence] = [:]
    /// Names of the host's own devices of the network that are there.
    package var hostInterfaces: Set<String> = []
    /// By pool and volume.
    package var pools: [DomainReturn.Place: Pool] = [:]
    /// What is at each path that was looked at; paths of nothing are not in it.
    package var paths: [String: PathKind] = [:]

    /// Nothing known yet.
    package init() {}

    // MARK: What follows

    /// Path that a place comes to on this host; `nil` when it is none.
    package func path(of place: DomainReturn.Place) -> String? {
        switch place {
        case .file(let path), .device(let path): return path
        case .volume(_, let name):
            guard let pool = pools[place] else { return nil }
            if let volume = pool.volume { return volume }
            guard let folder = pool.folder, !name.contains("/"), name != ".", name != ".." else { return nil }
            return "\(folder)/\(name)"
        case .elsewhere: return nil
        }
    }

    /// Names of removable drives whose medium is not there any more, sorted; the guest comes back without it.
    package func missingMedia(_ guest: DomainReturn) -> [String] {
        guest.disks.filter(\.isRemovable).filter { disk in
            guard let place = disk.place else { return false }
            if case .elsewhere = place { return false }
            return path(of: place).flatMap { paths[$0] } == nil
        }.map(\.name).sorted()
    }

    /// Everything that stands in the way, one sentence each, with the missing item named; empty when nothing does.
    ///
    /// - Parameters:
    ///   - taking: what may happen to what is there already.
    ///   - writesVariables: whether the point holds the firmware's variables.
    ///   - writesTPM: whether it holds the state of the TPM.
    ///   - formats: containers that can be written.
    package func missing(
        for guest: DomainReturn, taking: Taking, writesVariables: Bool = false, writesTPM: Bool = false,
        formats: Set<String> = ["raw", "qcow2"]
    ) -> [String] {
        existingGuest(guest, taking) + machine(guest) + processor(guest) + network(guest)
            + guest.disks.flatMap { self.disk($0, guest, taking, formats) }
            + ownFiles(guest, taking, writesVariables: writesVariables, writesTPM: writesTPM)
            + guest.needs.compactMap { need in
                paths[need.path] == nil ? "\(need.path) is not there: it is \(need.what)" : nil
            }
    }

    private func existingGuest(_ guest: DomainReturn, _ taking: Taking) -> [String] {
        if let known = sameName, known.uuid != guest.uuid {
            return [
                "another guest (UUID \(known.uuid)) is called \(known.name) here: choose another name with --name"
            ]
        }
        guard let known = sameUUID else { return [] }
        if known.isActive {
            return [
                "guest still running: \(known.name); shut it down first, or bring it back beside itself with --name "
                    + "and --to-directory"
            ]
        }
        if known.name != guest.name {
            return ["the guest is defined here under the name \(known.name); undefine it or rename it back first"]
        }
        if known.hasSavedMemory {
            return [
                "libvirt keeps memory of \(known.name) that belongs to its old disks; throw it away first: virsh "
                    + "managedsave-remove \(known.name)"
            ]
        }
        guard taking == .nothing else { return [] }
        return [
            "the guest \(known.name) is defined here already, shut off: say --overwrite or --in-place to take its "
                + "place, or bring it back beside itself with --name and --to-directory"
        ]
    }

    private func machine(_ guest: DomainReturn) -> [String] {
        let definition = guest.definition
        if let kindProblem {
            return [
                "guests of type \(definition.kind) for \(definition.architecture ?? "this architecture") cannot run "
                    + "here: \(kindProblem)"
            ]
        }
        guard let machineProblem else { return [] }
        return ["machine type \(definition.machine ?? "") is not known here: \(machineProblem)"]
    }

    private func processor(_ guest: DomainReturn) -> [String] {
        guard kindProblem == nil, machineProblem == nil, let mode = guest.processorMode, !mode.isEmpty else {
            return []
        }
        if let processorModes, !processorModes.contains(mode) {
            return ["a processor of mode \(mode) cannot be had here"]
        }
        if mode == "custom", let model = guest.processorModel, let processorModels {
            guard let isUsable = processorModels[model] else { return ["CPU model \(model) is not known here"] }
            if !isUsable, processorProblem == nil { return ["CPU model \(model) cannot be had on this host"] }
        }
        return processorProblem.map { ["the guest's CPU cannot be had on this host: \($0)"] } ?? []
    }

    private func network(_ guest: DomainReturn) -> [String] {
        guest.networks.compactMap { name in
            switch networks[name] ?? .missing {
            case .active: nil
            case .inactive: "network \(name) is there and not started: virsh net-start \(name)"
            case .missing: "network \(name) is not there"
            case .unknown(let words): "network \(name) could not be looked up: \(words)"
            }
        }
            + guest.hostInterfaces.compactMap { name in
                hostInterfaces.contains(name)
                    ? nil : "bridge or network device \(name) is not there"
            }
    }

    private func disk(
        _ disk: DomainReturn.Disk, _ guest: DomainReturn, _ taking: Taking, _ formats: Set<String>
    ) -> [String] {
        guard !disk.isRemovable, let place = disk.place else {
            return disk.isRestored ? ["disk \(disk.name): its description names no image"] : []
        }
        var found: [String] = []
        if case .volume(let pool, _) = place {
            switch pools[place]?.presence ?? .missing {
            case .active: break
            case .inactive:
                return ["storage pool \(pool) of disk \(disk.name) is not started: virsh pool-start \(pool)"]
            case .missing: return ["storage pool \(pool) of disk \(disk.name) is not there"]
            case .unknown(let words):
                return ["storage pool \(pool) of disk \(disk.name) could not be looked up: \(words)"]
            }
        }
        let path = path(of: place)
        guard disk.isRestored else {
            if case .elsewhere = place { return [] }
            return path.flatMap { paths[$0] } == nil
                ? ["disk \(disk.name) is not in the point, and its image \(path ?? "") is not there"] : []
        }
        if let obstacle = disk.obstacle { found.append("disk \(disk.name): \(obstacle)") }
        if !formats.contains(disk.format) {
            found.append("disk \(disk.name): images of the format \(disk.format) cannot be made")
        }
        guard let path else {
            if case .elsewhere(let words) = place {
                return found + ["disk \(disk.name) lies where nothing is written (\(words)); say --to-directory FOLDER"]
            }
            return found + ["disk \(disk.name): its volume is not there, and its pool has no folder for a new one"]
        }
        return found + target(path, of: "disk \(disk.name)", place: place, format: disk.format, taking)
    }

    /// What is wrong with a path that a disk is written to.
    private func target(
        _ path: String, of what: String, place: DomainReturn.Place, format: String, _ taking: Taking
    ) -> [String] {
        if case .device = place {
            guard paths[path] == .device else { return ["device \(path) of \(what) is not there"] }
            guard format == "raw" else {
                return ["\(what): a device holds a raw disk here and no \(format) image; say --to-directory FOLDER"]
            }
        }
        guard let kind = paths[path] else {
            guard let folder = DomainReturn.folder(of: path), paths[folder] == .folder else {
                return ["the folder of \(path) for \(what) is not there"]
            }
            return []
        }
        if kind == .folder { return ["\(path) of \(what) is a folder"] }
        switch taking {
        case .nothing:
            return ["path in use: \(path) of \(what) is there already; say --overwrite, or --to-directory FOLDER"]
        case .inPlace where kind == .file && format != "raw":
            return ["\(path) of \(what) is a \(format) image, and only raw disks are changed in place; say --overwrite"]
        case .inPlace, .overwritten: return []
        }
    }

    private func ownFiles(
        _ guest: DomainReturn, _ taking: Taking, writesVariables: Bool, writesTPM: Bool
    ) -> [String] {
        var found: [String] = []
        if writesVariables, let path = guest.variables {
            if paths[path] != nil, taking == .nothing {
                found.append("path in use: the firmware's variables are there already, \(path); say --overwrite")
            } else if DomainReturn.folder(of: path).flatMap({ paths[$0] }) != .folder {
                found.append("the folder of the firmware's variables, \(path), is not there")
            }
        }
        if writesTPM, let folder = guest.tpmState, paths[folder] != nil, taking == .nothing {
            found.append("path in use: a state of the TPM is there already, \(folder); say --overwrite")
        }
        return found
    }
}
