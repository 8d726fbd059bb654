import Glibc

/// An open connection to a libvirt.
// Safety: the pointer is valid from the initialiser's end to the deinitialiser; libvirt locks its objects itself.
@safe final class LibvirtConnection: @unchecked Sendable {
    let calls: LibvirtLibrary
    @unsafe let pointer: OpaquePointer

    /// Connects. - Parameter uri: such as `qemu:///system`. - Throws: `missing`; `unreachable`.
    init(uri: String) throws(GuestError) {
        calls = try LibvirtLibrary.shared.get()
        // Safety: the text lives through the call, and a null answer is handled, here and below.
        guard let pointer = unsafe calls.open(uri) else {
            throw GuestError(
                .unreachable,
                "libvirt at \(uri) cannot be reached: \(calls.failure().message); is its daemon running, and may "
                    + "this user talk to it?")
        }
        unsafe self.pointer = pointer
    }

    deinit { _ = unsafe calls.close(pointer) }

    /// Whether the daemon at the other end is still there.
    ///
    /// It is asked: libvirt itself notices that a daemon went only at the next question, which then fails.
    var isAlive: Bool {
        var number: CUnsignedLong = 0
        // Safety: the call writes one number.
        return unsafe calls.isAlive(pointer) == 1 && calls.ownVersion(pointer, &number) == 0
    }

    /// Name of the driver: `QEMU`, `TEST`, `Xen`.
    var driver: String { unsafe calls.type(pointer).map { unsafe String(cString: $0) } ?? "" }

    /// libvirt's version at the other end, and that of the hypervisor, as libvirt says it; `nil` when it does not.
    var versions: (libvirt: String?, hypervisor: String?) {
        var number: CUnsignedLong = 0
        // Safety: both write one number.
        let libvirt = unsafe calls.ownVersion(pointer, &number) == 0 ? LibvirtConnection.version(number) : nil
        let other = unsafe calls.hypervisorVersion(pointer, &number) == 0 ? LibvirtConnection.version(number) : nil
        return (libvirt, other)
    }

    private static func version(_ number: CUnsignedLong) -> String {
        "\(number / 1_000_000).\(number / 1000 % 1000).\(number % 1000)"
    }

    /// What guests of one kind can do here, as XML.
    func capabilities(emulator: String?, architecture: String?, machine: String?, kind: String?)
        throws(LibvirtFailure) -> String
    {
        try unsafe calls.text { unsafe calls.capabilities(pointer, emulator, architecture, machine, kind, 0) }
    }

    /// All domains, running or not, by name.
    func domains() throws(LibvirtFailure) -> [LibvirtDomain] {
        let found = try unsafe calls.list { list in unsafe calls.listDomains(pointer, list, 0) }
        // Safety: each was given out by the call above and is owned by its object from here on.
        return unsafe found.map { unsafe LibvirtDomain(self, $0) }.sorted { $0.name < $1.name }
    }

    /// The domain of that name or UUID.
    func domain(named name: String) throws(LibvirtFailure) -> LibvirtDomain {
        if let found = unsafe calls.domainByName(pointer, name) { return unsafe LibvirtDomain(self, found) }
        let failure = calls.failure()
        if let found = unsafe calls.domainByUUID(pointer, name) { return unsafe LibvirtDomain(self, found) }
        throw failure
    }

    /// The domain of that UUID.
    func domain(uuid: String) throws(LibvirtFailure) -> LibvirtDomain {
        guard let found = unsafe calls.domainByUUID(pointer, uuid) else { throw calls.failure() }
        return unsafe LibvirtDomain(self, found)
    }
}

/// A guest, as libvirt knows it.
// Safety: the pointer is owned, and valid until the deinitialiser; libvirt locks its objects itself.
@safe final class LibvirtDomain: @unchecked Sendable {
    /// How `virDomainGetState` counts.
    enum State: CInt, Sendable {
        case none, running, blocked, paused, shuttingDown, shutOff, crashed, suspended
    }
    /// Which description.
    enum Description: CUnsignedInt, Sendable {
        /// As it runs, or as it would be started.
        case current = 0
        /// As it would be started, with passwords.
        case persistent = 3
        /// As it runs, with passwords.
        case currentWithSecrets = 1
    }

    private let connection: LibvirtConnection
    private let pointer: OpaquePointer
    /// Name on the host.
    let name: String
    private var calls: LibvirtLibrary { connection.calls }

    @unsafe init(_ connection: LibvirtConnection, _ pointer: OpaquePointer) {
        self.connection = connection
        // Safety: the caller gives the pointer away. The name belongs to the domain and is copied.
        unsafe self.pointer = pointer
        name = unsafe connection.calls.domainName(pointer).map { unsafe String(cString: $0) } ?? ""
    }

    deinit { _ = unsafe calls.freeDomain(pointer) }

    private func check(_ status: CInt) throws(LibvirtFailure) {
        if status < 0 { throw calls.failure() }
    }

    /// Lower case, `8-4-4-4-12`.
    func uuid() throws(LibvirtFailure) -> String {
        var text = [CChar](repeating: 0, count: LibvirtLibrary.uuidByteCount)
        // Safety: the call writes 37 bytes with the end.
        try check(unsafe calls.domainUUID(pointer, &text))
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// What it does.
    func state() throws(LibvirtFailure) -> State {
        var state: CInt = 0
        // Safety: one number is written.
        try check(unsafe calls.domainState(pointer, &state, nil, 0))
        return State(rawValue: state) ?? .none
    }

    /// Whether QEMU stopped it because a disk could not be written.
    func isStoppedByDisk() throws(LibvirtFailure) -> Bool {
        var (state, reason): (CInt, CInt) = (0, 0)
        // Safety: two numbers are written.
        try check(unsafe calls.domainState(pointer, &state, &reason, 0))
        // 5: an error of input or output.
        return State(rawValue: state) == .paused && reason == 5
    }

    /// Starts it.
    func start() throws(LibvirtFailure) { try check(unsafe calls.start(pointer)) }

    /// Whether libvirt keeps memory of it, from which its next start would go on.
    func hasSavedMemory() throws(LibvirtFailure) -> Bool {
        let answer = unsafe calls.hasSavedMemory(pointer, 0)
        try check(answer)
        return answer == 1
    }

    /// Stops its processors.
    func suspend() throws(LibvirtFailure) { try check(unsafe calls.suspend(pointer)) }

    /// Lets its processors run.
    func resume() throws(LibvirtFailure) { try check(unsafe calls.resume(pointer)) }

    /// Its description.
    func xml(_ description: Description) throws(LibvirtFailure) -> String {
        try unsafe calls.text { unsafe calls.domainXML(pointer, description.rawValue) }
    }

    /// Size of a disk as the guest sees it, in bytes.
    func byteCount(disk: String) throws(LibvirtFailure) -> UInt64 { try room(disk: disk).byteCount }

    /// Size of a disk as the guest sees it, and what it takes up on the host, in bytes.
    func room(disk: String) throws(LibvirtFailure) -> (byteCount: UInt64, taken: UInt64) {
        var info = [UInt64](repeating: 0, count: LibvirtLibrary.blockInfoCount)
        // Safety: three numbers are written.
        try check(unsafe calls.blockInfo(pointer, disk, &info, 0))
        return (info[0], info[1])
    }

    /// Its memory and processors; nothing of its disks and of whether it runs.
    func resources() throws(LibvirtFailure) -> GuestResources {
        var info = [UInt64](repeating: 0, count: LibvirtLibrary.domainInfoByteCount / 8)
        // Safety: as many bytes are written as `virDomainInfo` has.
        try check(unsafe calls.domainInfo(pointer, &info))
        // Memory in KiB behind the state, then the number of processors in 16 bits, then their time.
        return GuestResources(
            isRunning: false, largestMemory: info[1] << 10, memory: info[2] << 10,
            processorCount: Int(UInt16(truncatingIfNeeded: info[3])), processorTime: info[4])
    }

    /// Brings all file systems to rest. - Returns: how many.
    func freeze() throws(LibvirtFailure) -> Int {
        let count = unsafe calls.freeze(pointer, nil, 0, 0)
        try check(count)
        return Int(count)
    }

    /// Lets them go on. - Returns: how many were at rest.
    func thaw() throws(LibvirtFailure) -> Int {
        let count = unsafe calls.thaw(pointer, nil, 0, 0)
        try check(count)
        return Int(count)
    }

    /// Takes a snapshot of which libvirt remembers nothing; returns when it is complete.
    func takeSnapshot(_ xml: String) throws(LibvirtFailure) {
        // 4: no metadata. Safety: the text lives through the call, and a null answer is handled.
        guard let found = unsafe calls.createSnapshot(pointer, xml, 4) else { throw calls.failure() }
        _ = unsafe calls.freeSnapshot(found)
    }

    /// Runs a command of the agent in it; a line of JSON each way. libvirt's log and `virsh dominfo` say from then on
    /// that it was used by another program.
    func agentCommand(_ line: String) throws(LibvirtFailure) -> String {
        guard let command = unsafe calls.agentCommand else {
            throw LibvirtFailure(code: LibvirtFailure.Code.notSupported, message: "libvirt-qemu.so.0 was not found")
        }
        // Safety: the texts live through the call.
        return try unsafe calls.text { unsafe command(pointer, line, LibvirtLibrary.agentSeconds, 0) }
    }

    /// Begins a backup job, and a checkpoint at its instant.
    func beginBackup(_ backup: String, checkpoint: String?) throws(LibvirtFailure) {
        try check(unsafe calls.beginBackup(pointer, backup, checkpoint, 0))
    }

    /// The backup job that runs, as XML; `nil` when none does.
    func backup() throws(LibvirtFailure) -> String? {
        // Safety: the pointer is valid as long as this object.
        do throws(LibvirtFailure) { return try unsafe calls.text { unsafe calls.backupXML(pointer, 0) } } catch {
            if error.code == LibvirtFailure.Code.noBackup { return nil }
            throw error
        }
    }

    /// Ends the job that runs; returns before it has ended.
    func abortJob() throws(LibvirtFailure) { try check(unsafe calls.abortJob(pointer)) }

    /// Whether any job runs: a migration, a save, a backup.
    func hasJob() throws(LibvirtFailure) -> Bool {
        let room = UnsafeMutableRawPointer.allocate(byteCount: LibvirtLibrary.jobInfoByteCount, alignment: 8)
        // Safety: the room is as large as the structure that is written, initialised first, and freed here.
        defer { unsafe room.deallocate() }
        unsafe room.initializeMemory(as: UInt8.self, repeating: 0, count: LibvirtLibrary.jobInfoByteCount)
        try check(unsafe calls.jobInfo(pointer, room))
        let kind = unsafe room.load(as: CInt.self)
        // 1 and 2 are jobs that run, with and without a known end.
        return kind == 1 || kind == 2
    }

    /// All checkpoints, by name.
    func checkpoints() throws(LibvirtFailure) -> [LibvirtCheckpoint] {
        let found = try unsafe calls.list { list in unsafe calls.listCheckpoints(pointer, list, 0) }
        // Safety: each was given out by the call above and is owned by its object from here on.
        return unsafe found.map { unsafe LibvirtCheckpoint(calls, self, $0) }.sorted { $0.name < $1.name }
    }

    /// The checkpoint of that name; `nil` when there is none.
    func checkpoint(_ name: String) throws(LibvirtFailure) -> LibvirtCheckpoint? {
        guard let found = unsafe calls.checkpointByName(pointer, name, 0) else {
            let failure = calls.failure()
            if failure.code == LibvirtFailure.Code.noCheckpoint { return nil }
            throw failure
        }
        return unsafe LibvirtCheckpoint(calls, self, found)
    }

    /// Describes a checkpoint anew that is there, without touching any image.
    func redefineCheckpoint(_ xml: String) throws(LibvirtFailure) {
        // 1: redefine. Safety: the text lives through the call, and a null answer is handled.
        guard let found = unsafe calls.createCheckpoint(pointer, xml, 1) else { throw calls.failure() }
        _ = unsafe calls.freeCheckpoint(found)
    }
}

/// A checkpoint of a guest: the beginning of a list of changes.
// Safety: the pointer is owned, and valid until the deinitialiser; libvirt locks its objects itself.
@safe final class LibvirtCheckpoint: @unchecked Sendable {
    private let calls: LibvirtLibrary
    private let domain: LibvirtDomain
    private let pointer: OpaquePointer
    let name: String

    @unsafe fileprivate init(_ calls: LibvirtLibrary, _ domain: LibvirtDomain, _ pointer: OpaquePointer) {
        self.calls = calls
        self.domain = domain
        // Safety: the caller gives the pointer away. The name belongs to the checkpoint and is copied.
        unsafe self.pointer = pointer
        name = unsafe calls.checkpointName(pointer).map { unsafe String(cString: $0) } ?? ""
    }

    deinit { _ = unsafe calls.freeCheckpoint(pointer) }

    /// Its description; with sizes it says how much changed of each disk whose list can be relied on.
    func xml(withSizes: Bool) throws(LibvirtFailure) -> String {
        // 4: sizes. 2: without the guest's own description. 1: with its passwords.
        try unsafe calls.text { unsafe calls.checkpointXML(pointer, withSizes ? 6 : 1) }
    }

    /// Removes it with its lists of changes; or only libvirt's knowledge of it.
    func remove(onlyDescription: Bool = false) throws(LibvirtFailure) {
        if unsafe calls.removeCheckpoint(pointer, onlyDescription ? 2 : 0) < 0 { throw calls.failure() }
    }
}

extension LibvirtLibrary {
    /// What went wrong last on this thread; to be asked for before anything else is called.
    func failure() -> LibvirtFailure {
        // Safety: the text belongs to the thread until its next call, and is copied.
        let message = unsafe lastErrorMessage().map { unsafe String(cString: $0) } ?? "libvirt does not say why"
        return LibvirtFailure(code: lastErrorCode(), message: message)
    }

    /// Copies a text that libvirt gives away, and frees it.
    func text(_ call: () -> UnsafeMutablePointer<CChar>?) throws(LibvirtFailure) -> String {
        // Safety: terminated and from malloc, as libvirt says of every text that it gives away.
        guard let text = unsafe call() else { throw failure() }
        defer { unsafe free(text) }
        return unsafe String(cString: text)
    }

    /// Takes over the objects of a list that libvirt gives away, and frees the list.
    fileprivate func list(_ call: (UnsafeMutablePointer<List?>) -> CInt) throws(LibvirtFailure) -> [OpaquePointer] {
        var list: List?
        // Safety: the call fills the list with as many objects as it says, each owned by the caller.
        let count = unsafe call(&list)
        guard count >= 0 else { throw failure() }
        defer { unsafe free(list) }
        guard let list = unsafe list else { return unsafe [] }
        return unsafe (0..<Int(count)).compactMap { index in unsafe list[index] }
    }
}
