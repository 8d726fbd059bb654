import Effects

extension LibvirtHost {
    /// Looks at everything that a guest asks of this host; writes nothing.
    ///
    /// - Throws: ``GuestError``: `unreachable`; `refused` when libvirt is on another host.
    package func facts(for guest: DomainReturn) throws(GuestError) -> ReturnFacts {
        guard isLocal else {
            throw GuestError(
                .refused, "\(uri) is a libvirt on another host, where this program writes no disks; run it there")
        }
        let connection = try connected()
        var facts = ReturnFacts()
        facts.sameName = try known(guest.name, connection)
        facts.sameUUID = try known(guest.uuid, connection)
        addMachine(guest, connection, to: &facts)
        for name in guest.networks { facts.networks[name] = connection.network(name) }
        facts.hostInterfaces = Set(
            guest.hostInterfaces.filter { !$0.contains("/") && HostPaths.exists("/sys/class/net/\($0)") })
        for disk in guest.disks {
            if case .volume(let pool, let volume)? = disk.place, let place = disk.place {
                facts.pools[place] = connection.pool(pool, volume: volume)
            }
        }
        var paths = guest.needs.map(\.path)
        paths += guest.disks.compactMap { $0.place.flatMap { facts.path(of: $0) } }
        paths += [guest.variables, guest.tpmState].compactMap(\.self)
        for path in paths {
            look(at: path, &facts)
            if let folder = DomainReturn.folder(of: path) { look(at: folder, &facts) }
        }
        return facts
    }

    private func look(at path: String, _ facts: inout ReturnFacts) {
        guard HostPaths.exists(path) else { return }
        facts.paths[path] =
            HostPaths.isFolder(path) ? .folder : HostPaths.isBlockDevice(path) ? .device : .file
    }

    private func known(_ name: String, _ connection: LibvirtConnection) throws(GuestError) -> ReturnFacts.Known? {
        do throws(LibvirtFailure) {
            let domain = try connection.domain(named: name)
            let state = try domain.state()
            return ReturnFacts.Known(
                name: domain.name, uuid: try domain.uuid(),
                isActive: ![.shutOff, .crashed, .none].contains(state),
                hasSavedMemory: (try? domain.hasSavedMemory()) ?? false)
        } catch {
            if error.code == LibvirtFailure.Code.noDomain { return nil }
            throw error.guestError("the guest \(name) could not be looked up at \(uri)")
        }
    }

    /// Machine type and processor.
    private func addMachine(_ guest: DomainReturn, _ connection: LibvirtConnection, to facts: inout ReturnFacts) {
        let definition = guest.definition
        func capabilities(_ machine: String?) -> Result<String, LibvirtFailure> {
            Result { () throws(LibvirtFailure) in
                try connection.capabilities(
                    emulator: definition.emulator, architecture: definition.architecture, machine: machine,
                    kind: definition.kind)
            }
        }
        let document: XMLElement?
        switch capabilities(definition.machine) {
        case .success(let xml): document = try? XMLElement(parsing: xml)
        case .failure(let failure):
            if case .failure(let general) = capabilities(nil) {
                // Without its program nothing can be asked; that it is missing is said elsewhere.
                if definition.emulator.map(HostPaths.exists) ?? true { facts.kindProblem = general.message }
            } else {
                facts.machineProblem = failure.message
            }
            return
        }
        guard let processor = document?.child("cpu") else { return }
        let modes = processor.children("mode")
        facts.processorModes = Set(modes.filter { $0["supported"] == "yes" }.compactMap { $0["name"] })
        if let custom = modes.first(where: { $0["name"] == "custom" }) {
            facts.processorModels = Dictionary(
                custom.children("model").map { ($0.text, $0["usable"] != "no") }
            ) { first, _ in first }
        }
        if guest.processorMode == "custom", let xml = guest.processorXML {
            facts.processorProblem = connection.processorProblem(
                xml, emulator: definition.emulator, architecture: definition.architecture,
                machine: definition.machine, kind: definition.kind)
        }
    }

    // MARK: Bringing it back

    /// Lets pools of a guest's disks see what was written into them. - Returns: what could not be done, in sentences.
    package func refreshPools(of guest: DomainReturn) -> [String] {
        var names: Set<String> = []
        for disk in guest.disks where disk.isRestored {
            if case .volume(let pool, _)? = disk.place { names.insert(pool) }
        }
        return names.sorted().compactMap { name in
            do {
                try connected().refreshPool(name)
                return nil
            } catch let failure as LibvirtFailure {
                return "the storage pool \(name) could not be looked through anew: \(failure.message)"
            } catch { return "\(error)" }
        }
    }

    /// Defines a guest, or defines it anew. - Throws: ``GuestError``.
    package func define(_ xml: String, name: String) throws(GuestError) {
        let connection = try connected()
        do throws(LibvirtFailure) { _ = try connection.define(xml) } catch {
            throw error.guestError("guest \(name): libvirt at \(uri) does not take its definition")
        }
    }

    /// Starts a guest. - Throws: ``GuestError``.
    package func start(uuid: String, name: String) throws(GuestError) {
        let connection = try connected()
        do throws(LibvirtFailure) { try connection.domain(uuid: uuid).start() } catch {
            throw error.guestError("guest \(name) could not be started")
        }
    }

    /// Looks at most whether the agent of a guest that came back answers, half a second apart.
    private static let agentLooks = 60
    private static let agentPause = 500

    /// Lets the file systems go on of a guest that came back from memory in which they were at rest; waits for its
    /// agent, for half a minute.
    ///
    /// - Throws: ``GuestError``, `agent` when none answers.
    package func thaw(uuid: String, name: String) async throws {
        let guest = LibvirtGuest(self, name: name, uuid: uuid)
        for look in 1...LibvirtHost.agentLooks {
            do {
                _ = try await guest.thaw()
                return
            } catch {
                if look == LibvirtHost.agentLooks { throw error }
                try Task.checkCancellation()
            }
            ThreadPause.take(milliseconds: LibvirtHost.agentPause)
        }
    }

    /// Lets a guest go on from a file of `virsh save`. - Throws: ``GuestError``.
    package func resume(_ path: String, xml: String, name: String) throws(GuestError) {
        let connection = try connected()
        do throws(LibvirtFailure) { try connection.restore(path, xml: xml) } catch {
            throw error.guestError("guest \(name) could not go on from its memory")
        }
    }
}
