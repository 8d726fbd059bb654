import Effects
import GuestSource

/// A guest of Xen's toolstack.
///
/// How its disks are taken at one instant (`docs/design/0010-xen-through-xl.md`): its processors are paused, and while
/// they are, a frozen view of each disk is made that shares its blocks: files on file systems that can share them, and
/// snapshots of logical volumes. Then it goes on. Xen keeps no list of what changes; every disk is read whole.
package struct XenGuest: Guest {
    let host: XenHost
    /// As it was described when it was looked up. Before an instant it is asked for anew.
    let described: XenDomain
    /// Name on the host.
    package var name: String { described.name }
    /// Lower case, `8-4-4-4-12`; empty when it has none.
    package var uuid: String { described.uuid }
    /// Xen's number of it, until it is started anew.
    var number: Int { described.number }

    /// The argument of xl that means this guest.
    var argument: String { "\(number)" }

    /// What it is now.
    ///
    /// - Throws: ``GuestError``, `noGuest` when it is gone or was started anew.
    package func domain() throws(GuestError) -> XenDomain {
        guard let domain = try host.domains().first(where: { $0.number == number && $0.uuid == uuid }) else {
            throw GuestError(.noGuest, "the guest \(name) is gone, or was started anew")
        }
        return domain
    }

    /// What it does now. - Throws: ``GuestError``, `noGuest`.
    func state() throws(GuestError) -> XenDomain.State {
        let states = XenDomain.states(try host.ask(["list"], "asking for the state of the guest \(name)"))
        guard let state = states[number] else { throw GuestError(.noGuest, "the guest \(name) is gone") }
        return state
    }

    /// What can be done with a guest in that state.
    package static func capabilities(of domain: XenDomain) -> GuestCapabilities {
        guard domain.state == .running || domain.state == .paused,
            domain.disks.contains(where: { $0.omission == nil })
        else { return [] }
        return domain.state == .running ? [.live, .memory, .group] : [.live, .group]
    }

    package var capabilities: GuestCapabilities {
        get async throws {
            let found = XenGuest.capabilities(of: described)
            // Of a paused one the preparation says why not, and what to do.
            return described.state == .paused ? found.union(.memory) : found
        }
    }

    package func definition() async throws -> GuestDefinition {
        let domain = described
        var definition = GuestDefinition(hypervisor: "xen", name: name, uuid: uuid)
        if let version = host.version { definition.versions["xen"] = version }
        if !domain.kind.isEmpty { definition.machine = domain.kind }
        for disk in domain.disks where disk.omission == .removable {
            if let location = disk.location { definition.media[disk.name] = location }
        }
        definition.files["xl.json"] = domain.document.encoded
        let configuration = XenConfiguration(domain)
        definition.files["xl.cfg"] = Array(configuration.text.utf8)
        return definition
    }

    package func disks() async throws -> [GuestDisk] { XenGuest.sized(described.disks) }

    /// The disks, with the sizes that their files and devices have.
    package static func sized(_ disks: [GuestDisk]) -> [GuestDisk] {
        disks.map { disk in
            guard disk.omission == nil, let path = disk.location, let file = try? WrittenDisk(opening: path) else {
                return disk
            }
            return GuestDisk(
                name: disk.name, location: disk.location, format: disk.format, byteCount: file.byteCount,
                identity: disk.identity, omission: nil)
        }
    }

    package func prepare(_ request: CaptureRequest) async throws -> any CapturePreparation {
        try XenPreparation(self, request)
    }

    package func freeze() async throws -> Int {
        throw GuestError(.agent, "a guest of Xen has no agent that could bring its file systems to rest")
    }

    package func thaw() async throws -> Int { 0 }

    package func applications() async throws -> ApplicationReport {
        throw GuestError(.refused, "there is no agent in guests of Xen")
    }

    // Xen keeps none.
    package func changeLists() async throws -> [KeptChangeList] { [] }
    package func forget(_: KeptChangeList) async throws -> [String] { [] }
}
