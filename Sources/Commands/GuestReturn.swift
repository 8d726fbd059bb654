import ArgumentParser
import BackupModel
import Effects
import GuestMemory
import GuestSource
import Hypervisors
import Recovery
import Repository
import RepositoryFormat

/// Brings a guest of libvirt back: disks, firmware variables and TPM state to where its definition says, then the
/// definition, then the guest itself.
///
/// Everything that is missing is found before anything is written. Later failures leave what was written where it is
/// and say so; nothing that existed is removed, and only what --overwrite and --in-place allow is changed.
struct GuestReturn {
    let command: RestoreCommand
    private var options: RepositoryOptions { command.options }
    private var returning: ReturnOptions { command.returning }
    private var uri: String { returning.connect ?? LibvirtHost.systemURI }
    private var folder: String? { command.toDirectory.map(HostPaths.absolute) }
    private var taking: ReturnFacts.Taking {
        command.overwrite ? .overwritten : command.inPlace ? .inPlace : .nothing
    }

    /// Containers that can be made, by libvirt's names for them.
    private static let formats: [String: ImageFormat] = [
        "raw": .raw, "qcow2": .qcow2, "vmdk": .vmdk, "vpc": .vhd, "vhdx": .vhdx, "vdi": .vdi,
    ]

    private struct Document: Encodable {
        let point: String
        let guest: String
        let uuid: String
        let missing: [String]
        var disks: [RestoredDisk] = []
        var files: [String] = []
        var detached: [String] = []
        var defined = false
        var started = false
        var resumed = false
    }

    /// What is written besides disks, and with which disks.
    private struct Plan {
        let guest: DomainReturn
        let facts: ReturnFacts
        let files: StoredDefinition?
        /// Each disk of the point that the definition has, with its place on this host.
        let disks: [(image: RestorePointRecord.Image, goal: RestoreCommand.DiskGoal)]
        /// Names of drives that come back empty.
        let detached: [String]
        /// The file that memory is written to; `nil` without --resume.
        let memory: String?
        /// The definition that the guest goes on with; `nil` without --resume.
        let saved: DomainReturn?
        /// Whether file systems are at rest in that memory.
        let isAtRest: Bool
    }

    init(_ command: RestoreCommand) { self.command = command }

    func run(_ point: RestorePoint, looked: LookedAt, rates: Rates) async throws {
        let reader = try await command.contentReader(looked.repository, view: looked.view)
        let host = try LibvirtHost(uri: uri)
        let (plan, missing) = try await plan(point.record, host: host, reader: reader)
        var document = Document(
            point: point.record.identifier.hexadecimal, guest: plan.guest.name, uuid: plan.guest.uuid, missing: missing)
        let label = Console.printable(plan.guest.name)
        guard missing.isEmpty else {
            if options.json { try Console.json(document) }
            for item in missing { Console.note("missing: \(Console.printable(item))") }
            throw CommandFailure(
                .refused,
                "\(label) cannot come back at \(uri): \(Console.count(missing.count, "thing")) in the way, see above; "
                    + "nothing was written")
        }
        for name in plan.guest.homeless {
            Console.note(
                "note: disk \(Console.printable(name)) is in the point and not in the definition; it is not written: "
                    + "--disk NAME --to FILE restores it")
        }
        for name in plan.detached {
            Console.note("note: drive \(Console.printable(name)) comes back empty: its medium is not there any more")
        }
        document.detached = plan.detached
        tellWhatIsNew(plan)
        options.note(
            "bringing \(label) back as of \(TimeText.local(point.record.takenAt)), point \(point.record.identifier)")
        do {
            document.disks = try await writeDisks(plan, reader: reader, rates: rates)
            document.files = try writeFiles(plan)
            if let memory = plan.memory {
                _ = try await command.restoreMemory(of: point, to: memory, reader: reader, writes: rates.writes)
                try own(memory)
            }
            try command.requireNothingLost(document.disks)
            for line in host.refreshPools(of: plan.guest) { options.note("note: \(Console.printable(line))") }
            try host.define(plan.guest.xml(withoutMedia: Set(plan.detached)), name: plan.guest.name)
            document.defined = true
            try await go(plan, host: host, &document)
        } catch {
            tellWhatIsThere(plan, isDefined: document.defined)
            throw error
        }
        try show(document)
        if command.point.contains("@") {
            try looked.requireWhole("restored; a newer point of this guest may be missing")
        }
    }

    // MARK: Before anything is written

    private func plan(
        _ record: RestorePointRecord, host: LibvirtHost, reader: RepositoryReader
    ) async throws -> (Plan, missing: [String]) {
        let files = try await StoredDefinition(record, reader: reader)
        let saved = try await savedDescription(record, reader: reader)
        guard saved != nil || !returning.resume else {
            throw CommandFailure(
                .refused,
                "the memory of point \(record.identifier) holds no description of a guest that could be read; "
                    + "--memory-to FILE writes it as it came, for virsh restore")
        }
        guard let xml = files?.domain ?? saved else {
            throw CommandFailure(
                .failed,
                "point \(record.identifier) has no definition of a guest of libvirt; --to-directory FOLDER writes its "
                    + "disks, and --definition-to FOLDER what else is known of it, such as a QEMU's command line")
        }
        let guest = try moved(xml, record, files)
        var facts = try host.facts(for: guest)
        // A folder that was asked for is made, where there is one around it.
        if let folder, !HostPaths.exists(folder), let above = DomainReturn.folder(of: folder),
            HostPaths.isFolder(above)
        {
            facts.paths[folder] = .folder
        }
        var missing = facts.missing(
            for: guest, taking: taking, writesVariables: files?.hasVariables ?? false,
            writesTPM: files?.hasTPM ?? false,
            formats: Set(GuestReturn.formats.keys))
        var disks: [(image: RestorePointRecord.Image, goal: RestoreCommand.DiskGoal)] = []
        for disk in guest.disks where disk.isRestored {
            guard let place = disk.place, let path = facts.path(of: place),
                let image = record.disks.first(where: { $0.name == disk.name }),
                let format = GuestReturn.formats[disk.format]
            else { continue }
            if disks.contains(where: { $0.goal.path == path }) {
                missing.append("path in use: \(path) is named by two disks of the guest")
            }
            let isThere = HostPaths.exists(path)
            if isThere, taking != .nothing, let problem = problem(with: path, image) { missing.append(problem) }
            let existing: RestorePlan.Existing =
                !isThere ? .refused : command.overwrite ? .overwritten : .changedInPlace
            disks.append((image, RestoreCommand.DiskGoal(path: path, format: format, existing: existing)))
        }
        if let name = files?.unfitName { missing.append("the definition's file \(name) is no name below a folder") }
        var memory: String?
        if returning.resume {
            memory = memoryPath(guest, disks: disks.map(\.goal.path))
            if let memory, HostPaths.exists(memory) {
                missing.append("path in use: \(memory), where the memory would be written")
            }
            if memory == nil { missing.append("a folder for the memory: say --to-directory FOLDER") }
        }
        let plan = Plan(
            guest: guest, facts: facts, files: files, disks: disks, detached: facts.missingMedia(guest), memory: memory,
            saved: try saved.map { try moved($0, record, files) }, isAtRest: record.hasMemoryAtRest)
        return (plan, missing)
    }

    private func moved(
        _ xml: String, _ record: RestorePointRecord, _ files: StoredDefinition?
    ) throws -> DomainReturn {
        try DomainReturn(
            xml: xml, images: Set(record.disks.map(\.name)), folder: folder,
            fileName: { "\(RestoreCommand.fileName(for: $0)).\(RestoreCommand.fileName(for: $1))" },
            variablesMove: files?.hasVariables ?? false, variablesPlace: files?.variablesPlace,
            tpmMoves: files?.hasTPM ?? false,
            tpmStates: LibvirtHost.tpmStates(of: uri, isRoot: HostPaths.isRoot),
            identity: returning.name.map { ($0, GuestReturn.newUUID()) })
    }

    /// A random UUID, version 4.
    private static func newUUID() -> String {
        var bytes = Randomness.system.bytes(16)
        bytes[6] = bytes[6] & 0x0F | 0x40
        bytes[8] = bytes[8] & 0x3F | 0x80
        let text = bytes.hexadecimal
        var parts: [Substring] = []
        var rest = text[...]
        for count in [8, 4, 4, 4, 12] {
            parts.append(rest.prefix(count))
            rest = rest.dropFirst(count)
        }
        return parts.joined(separator: "-")
    }

    /// What speaks against writing over what is there.
    private func problem(with path: String, _ image: RestorePointRecord.Image) -> String? {
        do throws(FileError) {
            let disk = try ExistingDisk(path: HostPaths.resolved(path), ignoresUse: command.force)
            guard disk.isBlockDevice, disk.byteCount < image.byteCount else { return nil }
            return "\(path) has \(disk.byteCount) bytes and disk \(image.name) needs \(image.byteCount)"
        } catch { return error.sentence }
    }

    /// The description inside of the point's memory; `nil` when nobody wants to go on from it and the point has none
    /// that could be read.
    ///
    /// - Throws: ``CommandFailure`` when the guest is to go on and cannot.
    private func savedDescription(_ record: RestorePointRecord, reader: RepositoryReader) async throws -> String? {
        guard let memory = record.memory else {
            guard returning.resume else { return nil }
            throw CommandFailure(.failed, "point \(record.identifier) has no memory to go on from; --start boots it")
        }
        guard memory.format == MemoryFormat.libvirtSave.name else {
            guard returning.resume else { return nil }
            throw CommandFailure(
                .refused,
                "the memory of point \(record.identifier) is of the format \(memory.format), from which libvirt cannot "
                    + "go on; write it with --memory-to FILE, and let a QEMU with the same command line "
                    + "(--definition-to) go on with -incoming \"exec:cat FILE\"")
        }
        let stream = try MemoryRestore(reader, point: record)
        let header = try await stream.front(LibvirtSaveImage.headerByteCount)
        guard let count = LibvirtSaveImage.descriptionByteCount(header: header) else { return nil }
        let front = try await stream.front(LibvirtSaveImage.headerByteCount + count)
        return LibvirtSaveImage.description(front.dropFirst(LibvirtSaveImage.headerByteCount))
    }

    /// Beside the disks, where the user that runs the guest may look.
    private func memoryPath(_ guest: DomainReturn, disks: [String]) -> String? {
        let folder = folder ?? disks.first.flatMap { DomainReturn.folder(of: $0) }
        return folder.map { "\($0)/\(RestoreCommand.fileName(for: guest.name)).save" }
    }

    /// Says what the guest will find empty because the point does not have it.
    private func tellWhatIsNew(_ plan: Plan) {
        if let path = plan.guest.variables, plan.files?.hasVariables != true, !HostPaths.exists(path) {
            Console.note(
                "note: the point has no variables of the firmware; libvirt makes new ones when the guest starts")
        }
        if plan.guest.variables == nil, plan.files?.hasVariables == true {
            Console.note(
                "note: the point has variables of the firmware and its definition no place for them; --definition-to "
                    + "FOLDER writes them")
        }
        if let folder = plan.guest.tpmState, plan.files?.hasTPM != true, !HostPaths.exists(folder) {
            Console.note(
                "note: the point has no state of the TPM; the guest gets a new one, which opens nothing that the old "
                    + "one had sealed")
        }
    }

    // MARK: Writing

    private func writeDisks(_ plan: Plan, reader: RepositoryReader, rates: Rates) async throws -> [RestoredDisk] {
        if let folder, !HostPaths.exists(folder) {
            try HostPaths.makeFolders(folder)
            try own(folder)
            // Guests run as another user then, who has to come to the disks.
            if HostPaths.isRoot { try HostPaths.letPass(folder) }
        }
        var done: [RestoredDisk] = []
        for (image, goal) in plan.disks {
            done.append(try await command.restore(image, to: goal, reader: reader, writes: rates.writes))
            // What was there keeps its owner.
            if goal.existing == .refused { try own(goal.path) }
        }
        return done
    }

    /// Gives something new to whom the folder around it belongs, as root: whoever runs guests from there may read it.
    private func own(_ path: String) throws {
        guard HostPaths.isRoot, let folder = DomainReturn.folder(of: path), let owner = PathOwner(of: folder) else {
            return
        }
        try owner.take(path)
    }

    /// The firmware's variables and the TPM's state. - Returns: paths.
    private func writeFiles(_ plan: Plan) throws -> [String] {
        guard let files = plan.files?.files else { return [] }
        var written: [String] = []
        if let path = plan.guest.variables, let content = files[StoredDefinition.variablesName] {
            try write(content, to: path)
            written.append(path)
        }
        let tpm = files.filter { $0.key.hasPrefix(StoredDefinition.tpmPrefix) }
        guard let folder = plan.guest.tpmState, !tpm.isEmpty else { return written }
        for (name, content) in tpm.sorted(by: { $0.key < $1.key }) {
            let path = "\(folder)/\(name.dropFirst(StoredDefinition.tpmPrefix.count))"
            if let parent = DomainReturn.folder(of: path), !HostPaths.exists(parent) {
                // The TPM's program may be another user, who has to pass as he does where libvirt makes these.
                for part in [DomainReturn.folder(of: folder), folder].compactMap(\.self)
                where !HostPaths.exists(part) {
                    try HostPaths.makeFolders(part)
                    try own(part)
                    if HostPaths.isRoot { try HostPaths.letPass(part) }
                }
                if !HostPaths.exists(parent) {
                    try HostPaths.makeFolders(parent)
                    try own(parent)
                }
            }
            try write(content, to: path)
            written.append(path)
        }
        return written
    }

    private func write(_ content: [UInt8], to path: String) throws {
        let isThere = HostPaths.exists(path)
        let partial = path + OutputFile.suffix
        try HostPaths.writeNew(partial, content)
        if isThere { PathOwner.adoptRights(of: path, for: partial) } else { try own(partial) }
        try FileNaming.publish(partial, as: path, replaces: isThere && taking != .nothing)
    }

    // MARK: Behind it

    private func go(_ plan: Plan, host: LibvirtHost, _ document: inout Document) async throws {
        if let memory = plan.memory, let saved = plan.saved {
            let media = Set(plan.facts.missingMedia(saved))
            try host.resume(memory, xml: saved.xml(withoutMedia: media), name: plan.guest.name)
            document.resumed = true
            // It was made here for this only, and the point still has it.
            try FileNaming.remove(memory)
            if plan.isAtRest { await letGoOn(plan, host: host) }
        } else if returning.start {
            try host.start(uuid: plan.guest.uuid, name: plan.guest.name)
            document.started = true
        }
    }

    /// Its file systems were brought to rest for the instant, and nobody in it knows that it has passed.
    private func letGoOn(_ plan: Plan, host: LibvirtHost) async {
        do {
            try await host.thaw(uuid: plan.guest.uuid, name: plan.guest.name)
            options.note("its file systems, at rest since the instant, go on")
        } catch {
            Console.note(
                "alert: the file systems of \(Console.printable(plan.guest.name)) are at rest since the instant and "
                    + "its agent does not let them go on (virsh domfsthaw): \(Console.printable("\(error)"))")
        }
    }

    private func tellWhatIsThere(_ plan: Plan, isDefined: Bool) {
        let paths = plan.disks.map(\.goal.path).filter { HostPaths.exists($0) }
        guard !paths.isEmpty else { return }
        Console.note(
            "what is there now and stays: \(paths.map { Console.printable($0) }.joined(separator: ", "))"
                + (plan.memory.map { HostPaths.exists($0) ? ", the memory in \(Console.printable($0))" : "" } ?? "")
                + (isDefined ? "; the guest is defined" : "; the guest was not defined"))
    }

    private func show(_ document: Document) throws {
        if options.json { return try Console.json(document) }
        for disk in document.disks { disk.show() }
        for path in document.files { Console.result("\(Console.printable(path)): written") }
        let what = document.resumed ? "goes on from its memory" : document.started ? "is started" : "is defined"
        Console.result("\(Console.printable(document.guest)) (\(document.uuid)) \(what) at \(uri)")
    }
}

extension RestoreCommand {
    /// Options that go with --define, and those that do not.
    func validateReturn() throws {
        guard returning.define else {
            let others = [
                ("--connect", returning.connect != nil), ("--name", returning.name != nil),
                ("--start", returning.start), ("--resume", returning.resume),
            ]
            if let other = others.first(where: { $0.1 }) { throw ValidationError("\(other.0) goes with --define") }
            return
        }
        let others = [
            ("--to", to != nil), ("--memory-to", memoryTo != nil), ("--definition-to", returning.definitionTo != nil),
            ("--disk", disk != nil), ("--format", format != nil), ("--size", size != nil),
        ]
        if let other = others.first(where: { $0.1 }) {
            throw ValidationError("\(other.0) does not go with --define, which brings back the whole guest")
        }
        guard !(returning.start && returning.resume) else { throw ValidationError("--start or --resume, not both") }
        guard !(returning.name != nil && returning.resume) else {
            throw ValidationError("a guest that goes on from its memory keeps its name and its UUID")
        }
        if let name = returning.name, !NameCheck.isFit(name) || name.contains("/") || name.utf8.count > 255 {
            throw ValidationError("\(Console.printable(name)) is no name for a guest")
        }
    }
}

extension StoredDefinition {
    /// Where the firmware's variables were while the guest ran.
    fileprivate var variablesPlace: String? {
        files["domain-running.xml"].flatMap { String(validating: $0, as: UTF8.self) }
            .flatMap { try? DomainDefinition(xml: $0) }?.variables
    }
}
