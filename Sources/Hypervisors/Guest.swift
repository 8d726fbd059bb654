// Running guests, as hypervisors show them: who they are, what can be captured of them, and the instant at which their
// disks are taken.
//
// What is guaranteed: a capture reads every disk as it was at one instant while the guest goes on writing; nothing that
// another program made (bitmaps, checkpoints, snapshots, jobs) is changed, for only names that begin with `dozo-` are
// ours; until `committed()` the change lists of the last committed point stay as they are, so that whatever fails or is
// killed, the next run finds a list that covers everything since that point, or none, and never a wrong one.
package import BackupModel
package import GuestSource

/// What a hypervisor can do with a guest.
package struct GuestCapabilities: OptionSet, Hashable, Sendable {
    /// The flags' bits.
    package let rawValue: UInt8
    /// Flags from their bits.
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Its disks can be taken at one instant while it runs.
    package static let live = GuestCapabilities(rawValue: 1)
    /// Which blocks changed since an earlier point is known.
    package static let changedBlocks = GuestCapabilities(rawValue: 2)
    /// Its memory and device state can be taken and resumed.
    package static let memory = GuestCapabilities(rawValue: 4)
    /// An agent in the guest can bring its file systems to rest.
    package static let quiesce = GuestCapabilities(rawValue: 8)
    /// It can be taken at one barrier with other guests.
    package static let group = GuestCapabilities(rawValue: 16)

    /// Words for people and documents, in the order above.
    package var names: [String] {
        let all: [(GuestCapabilities, String)] = [
            (.live, "live"), (.changedBlocks, "bitmap"), (.memory, "memory"), (.quiesce, "quiesce"), (.group, "group"),
        ]
        return all.filter { contains($0.0) }.map(\.1)
    }
}

/// A disk of a guest, as its hypervisor describes it.
package struct GuestDisk: Hashable, Sendable {
    /// Why a disk is not taken.
    package enum Omission: Hashable, Sendable {
        /// The operator said so.
        case excluded
        /// A CD-ROM or floppy drive: its medium is noted, not copied.
        case removable
        /// Several guests may write it at once, so that no instant of this one is one of it.
        case shareable
        /// Given through to the guest; the hypervisor does not see what is written.
        case passedThrough
        /// The guest cannot write it.
        case readOnly
        /// Its writes are thrown away when the guest stops.
        case transient
        /// Nothing is in it.
        case empty
        /// The hypervisor has no way to take it, with the reason.
        case unsupported(String)
    }

    /// What the operator calls it: libvirt's target (`vda`), or the device's id in QEMU.
    package let name: String
    /// File, device or network address of the image, for messages; `nil` when nothing is in it.
    package let location: String?
    /// The container the image is kept in, as the hypervisor says: `raw`, `qcow2`, …
    package let format: String?
    /// Size in bytes, when it is known before the capture.
    package let byteCount: UInt64?
    /// Names the images that it consists of, each with what it stands on: another text means another image, of which a
    /// list of changes says nothing. `nil` when the hypervisor does not tell.
    package let identity: String?
    /// Whether an I/O thread of its own serves it.
    package var isOnThread = false
    /// Why it is not taken; `nil` when it is.
    package var omission: Omission?

    /// A disk from its fields.
    package init(
        name: String, location: String?, format: String?, byteCount: UInt64?, identity: String? = nil,
        omission: Omission?
    ) {
        self.identity = identity
        self.name = name
        self.location = location
        self.format = format
        self.byteCount = byteCount
        self.omission = omission
    }
}

extension GuestDisk {
    /// Which disks are taken, and which are not, those that the operator leaves out among them.
    ///
    /// - Throws: ``GuestError``, `wrongState`, when none is.
    static func chosen(
        _ disks: [GuestDisk], excluded: Set<String>, guest: String
    ) throws(GuestError) -> (taken: [GuestDisk], omitted: [GuestDisk]) {
        let marked = disks.map { disk in
            var disk = disk
            if disk.omission == nil, excluded.contains(disk.name) { disk.omission = .excluded }
            return disk
        }
        let taken = marked.filter { $0.omission == nil }
        try requireSome(taken, guest: guest)
        return (taken, marked.filter { $0.omission != nil })
    }

    /// Refuses a guest of which no disk is taken.
    ///
    /// - Throws: ``GuestError``, `wrongState`.
    static func requireSome(_ taken: [GuestDisk], guest: String) throws(GuestError) {
        guard taken.isEmpty else { return }
        throw GuestError(.wrongState, "the guest \(guest) has no disk that can be taken; nothing was made")
    }

    /// Refuses disks that would cost the guest its life: QEMU 7.2 ends with a failed assertion
    /// (`nbd_blockdev_client_closed`) when a reader of a disk with an I/O thread goes, however it goes; seen on
    /// 2026-11-27 with QEMU alone and under libvirt. Which version mends that was not tried.
    ///
    /// - Throws: ``GuestError``, `wrongState`, naming them.
    static func requireSafe(_ disks: [GuestDisk], guest: String) throws(GuestError) {
        let names = disks.filter(\.isOnThread).map(\.name)
        guard !names.isEmpty else { return }
        throw GuestError(
            .wrongState,
            "\(names.joined(separator: ", ")) of the guest \(guest) has an I/O thread of its own, and QEMU ends with a "
                + "failed assertion when such a disk was read while it runs: attach it without one (iothread), leave "
                + "it out with --exclude, or back its image up while the guest is off")
    }
}

/// A guest and everything a restore needs to know besides its disks and memory.
package struct GuestDefinition: Hashable, Sendable {
    /// `qemu`, `libvirt-qemu`, `libvirt-xen`, `xen` (by xl).
    package var hypervisor: String
    /// Name on the host.
    package var name: String
    /// The hypervisor's own identity of the guest, lower case, `8-4-4-4-12`; stays when the guest is renamed.
    package var uuid: String
    /// Versions by name: `qemu`, `libvirt`, `xen`, `dozo`.
    package var versions: [String: String]
    /// Machine type, such as `pc-q35-7.2`; `nil` when it is not known.
    package var machine: String?
    /// Processor model; `nil` when it is not known.
    package var processor: String?
    /// Media of removable drives, noted and not copied: location by drive.
    package var media: [String: String]
    /// Files that belong to the definition and are kept whole: contents by name. The domain XML is `domain.xml`; NVRAM
    /// is `nvram`; the TPM's state is `tpm/…`; what xl says of a guest is `xl.json`, and as settings `xl.cfg`.
    package var files: [String: [UInt8]]
    /// What belongs to it and could not be read, in sentences for the operator.
    package var notes: [String] = []

    /// A definition from its fields.
    package init(
        hypervisor: String, name: String, uuid: String, versions: [String: String] = [:], machine: String? = nil,
        processor: String? = nil, media: [String: String] = [:], files: [String: [UInt8]] = [:]
    ) {
        self.hypervisor = hypervisor
        self.name = name
        self.uuid = uuid
        self.versions = versions
        self.machine = machine
        self.processor = processor
        self.media = media
        self.files = files
    }
}

/// What is known about a disk's changes since an earlier point.
package enum DiskChanges: Hashable, Sendable {
    /// Every byte outside of these extents is what it was at the base; ascending, in bytes.
    case since(PointID, [Extent])
    /// Nothing that can be relied on, with the reason in words for the operator; the disk is read whole.
    case unknown(String)
}

/// A disk at the instant of a capture.
package struct CapturedDisk: Sendable {
    /// The disk.
    package let disk: GuestDisk
    /// Its bytes at the instant; closed by the capture.
    package let source: any ImageSource
    /// What changed.
    package let changes: DiskChanges

    /// A disk from its fields.
    package init(disk: GuestDisk, source: any ImageSource, changes: DiskChanges) {
        self.disk = disk
        self.source = source
        self.changes = changes
    }
}

/// What a capture is asked for.
package struct CaptureRequest: Sendable {
    /// The point that will be made; names the change list that begins at its instant.
    package var point: PointID
    /// The repository the point goes to, by its id in hexadecimal: each repository has change lists of its own.
    package var repository: String
    /// The last committed point of the guest that maps are at hand for, by disk; disks without one are read whole.
    package var bases: [String: PointID]
    /// The last committed point of each disk that is known of, also where it is not built on: its list of changes stays
    /// until the new point is committed.
    package var last: [String: PointID] = [:]
    /// Points that were not made, because the run was stopped, by disk: what it had read is kept on the host, and the
    /// list of changes that began at its instant is preferred to that of the last point.
    package var unfinished: [String: PointID] = [:]
    /// Names of disks that are left out.
    package var excluded: Set<String>
    /// How memory and device state are taken at the same instant; `nil` when they are not.
    package var memory: MemoryChoice?
    /// Whether the guest may stand still while a disk is read that cannot be taken otherwise.
    package var mayStayPaused = false
    /// Bytes of room for what is overwritten of a disk, where that is set aside before; `nil` for what is usual.
    package var snapshotByteCount: UInt64?
    /// Absolute path of an existing private folder on local storage for what the guest overwrites meanwhile.
    package var scratchFolder: String

    /// A request from its fields.
    package init(
        point: PointID, repository: String, bases: [String: PointID], excluded: Set<String>, scratchFolder: String
    ) {
        self.point = point
        self.repository = repository
        self.bases = bases
        self.excluded = excluded
        self.scratchFolder = scratchFolder
    }

    /// Prefix of every name that this program gives to something in a hypervisor; nothing else is ever touched.
    package static let ownPrefix = "dozo-"
    /// Prefix of the names of this repository's change lists.
    package var listPrefix: String { "\(CaptureRequest.ownPrefix)\(repository.prefix(8))-" }
    /// Name of the change list that begins at a point's instant.
    package func listName(_ point: PointID) -> String { listPrefix + point.hexadecimal }
    /// As ``listName(_:)``, for one disk: an image takes its lists along, and may come back as another disk.
    ///
    /// The disk stands in it as a hash of its name (FNV-1a of 64 bits, Fowler, Noll and Vo).
    package func listName(_ point: PointID, disk: String) -> String {
        let hash = disk.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return "\(listName(point))-\(String(hash, radix: 16))"
    }
}

/// A guest that a hypervisor shows.
package protocol Guest: Sendable {
    /// What can be done with it now.
    var capabilities: GuestCapabilities { get async throws }

    /// Everything a restore needs to know besides disks and memory.
    ///
    /// - Throws: ``GuestError``.
    func definition() async throws -> GuestDefinition

    /// All its disks, also those that are not taken.
    ///
    /// - Throws: ``GuestError``.
    func disks() async throws -> [GuestDisk]

    /// Every list of changes that is kept of it for this program, of whatever repository.
    ///
    /// - Throws: ``GuestError``; `busy` while it is captured.
    func changeLists() async throws -> [KeptChangeList]

    /// Takes a list of changes away: the next point of its repository reads those disks whole.
    ///
    /// - Returns: what could not be taken away, in sentences.
    /// - Throws: ``GuestError``: `wrongState`, `busy`.
    func forget(_ list: KeptChangeList) async throws -> [String]

    /// Makes ready what takes long, without touching what the guest does.
    ///
    /// - Throws: ``GuestError``.
    func prepare(_ request: CaptureRequest) async throws -> any CapturePreparation

    /// Brings the guest's file systems to rest, and gives the number of them. - Throws: ``GuestError``.
    func freeze() async throws -> Int

    /// Lets them go on, and gives the number of those that were at rest; harmless when none is.
    ///
    /// - Throws: ``GuestError``.
    @discardableResult
    func thaw() async throws -> Int

    /// Whether asking for ``applications()`` leaves a mark that others see: libvirt calls a guest tainted whose agent
    /// was asked by another program, until it stops.
    var isMarkedByQuestions: Bool { get }

    /// What the guest says of its applications.
    ///
    /// - Throws: ``GuestError``: `agent` when nobody answers; `refused` when the agent does not tell.
    func applications() async throws -> ApplicationReport
}

/// A capture that is ready for its instant.
package protocol CapturePreparation: Sendable {
    /// Takes all disks at one instant; takes milliseconds.
    ///
    /// - Parameter watch: is told when the guest is stopped for it.
    /// - Throws: ``GuestError``; then nothing is left of the preparation.
    func take(watch: (any CaptureWatch)?) async throws -> any GuestCapture

    /// Gives everything back without an instant.
    func abandon() async
}

extension CapturePreparation {
    /// As ``take(watch:)``, with nobody to let the guest go on should this process be killed.
    package func take() async throws -> any GuestCapture { try await take(watch: nil) }
}

/// The disks of a guest at one instant.
package protocol GuestCapture: Sendable {
    /// The instant: nanoseconds since 1970, UTC, and the most it may lie off, in nanoseconds.
    var takenAt: UInt64 { get }
    /// See ``takenAt``.
    var uncertainty: UInt64 { get }
    /// Nanoseconds that the guest stood still for it; of one that does, until it was taken.
    var pause: UInt64 { get }
    /// What the operator should know of how the instant was taken, in sentences.
    var notes: [String] { get }
    /// Whether the guest stands still until its disks were read; ``confirm()`` lets it go on, and so does giving up.
    var isStandingStill: Bool { get }
    /// The disks that are taken.
    var disks: [CapturedDisk] { get }
    /// The disks that are not.
    var omitted: [GuestDisk] { get }

    /// The stream of memory and device state of the same instant, complete; `nil` when it was not asked for.
    ///
    /// - Throws: ``GuestError``.
    func memory() async throws -> (any PositionedBytes)?

    /// After the last read and before the commit: throws when the instant was lost meanwhile (the scratch space ran
    /// full, the guest is gone), so that what was read may not be trusted.
    ///
    /// - Throws: ``GuestError``.
    func confirm() async throws

    /// The point was committed and read back: the change list that began at it takes the place of the base's. Gives
    /// everything else back.
    ///
    /// - Returns: what went wrong, for the operator: the point is true all the same.
    func committed() async -> [String]

    /// No point was made: the change list of the base stays the current one. Gives everything else back.
    func abandon() async

    /// Whether what was read until now was read of the instant; asked when a run was stopped, also of a task that was
    /// cancelled.
    func vouchesForReads() async -> Bool

    /// No point was made, and what was read is kept on the host: the change list that began at the instant stays,
    /// beside that of the last point; that of an earlier run that was stopped goes. Gives everything else back.
    ///
    /// - Returns: what went wrong, for the operator.
    func interrupted() async -> [String]
}

extension Guest {
    /// Nobody sees that it was asked.
    package var isMarkedByQuestions: Bool { false }
}

extension GuestCapture {
    /// It goes on as soon as the instant was taken.
    package var isStandingStill: Bool { false }
    /// Nothing is known of what changes from now on, so that there is nothing to go on with.
    package func vouchesForReads() async -> Bool { false }
    /// As ``abandon()``.
    package func interrupted() async -> [String] {
        await abandon()
        return []
    }
    /// No memory was taken.
    package func memory() async throws -> (any PositionedBytes)? { nil }

    /// Nothing out of the ordinary.
    package var notes: [String] { [] }
}

/// What went wrong between this program and a hypervisor.
package struct GuestError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Published numbers: never reused, never renumbered.
    package enum Code: Int, Sendable {
        /// The hypervisor cannot be reached.
        case unreachable = 1
        /// There is no such guest.
        case noGuest = 2
        /// It is not in the state for this.
        case wrongState = 3
        /// The hypervisor refused, or its answer makes no sense.
        case refused = 4
        /// The scratch space is full, or was lost.
        case scratch = 5
        /// The guest's agent does not answer, or refused.
        case agent = 6
        /// A part of the host is missing that this needs.
        case missing = 7
        /// Somebody else's job, bitmap or checkpoint is in the way.
        case busy = 8
        /// Interrupted by the operator.
        case interrupted = 9
        /// No answer came in time.
        case late = 10
    }
    /// Which kind of failure.
    package let code: Code
    /// Names the guest, and says what to do when something can be done.
    package let sentence: String

    /// An error with its code and a sentence.
    package init(_ code: Code, _ sentence: String) {
        self.code = code
        self.sentence = sentence
    }

    package var description: String { sentence }
}
