import BackupModel
import Effects
import GuestSource

/// Where a disk is restored to.
///
/// Writes come from several tasks at once, to different places.
protocol DiskTarget: Sendable {
    /// What was there before, when it is compared and only what differs is written; else everything reads as zeros.
    var existing: ExistingDisk? { get }

    /// Writes all of `bytes` at `offset`.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) async throws

    /// Makes a range of an existing disk zero.
    func zero(_ range: Extent) async throws

    /// Makes everything durable and gives it its name. Called once, when all is written.
    func finish() async throws

    /// Gives up; what was written stays where it is, under a name that says so or in place.
    func abandon()
}

/// A new raw file, or one that an interrupted restore left.
struct NewRawFile: DiskTarget {
    let file: OutputFile
    /// The file that it will replace, held until then: a guest does not start on it meanwhile.
    var replaced: ExistingDisk?
    var existing: ExistingDisk? { file.earlier }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) async throws {
        // Safety: the buffer is the caller's for the call.
        try unsafe file.write(bytes, at: offset)
    }

    func zero(_ range: Extent) async throws { try file.earlier?.zero(at: range.start, count: range.length) }
    func finish() async throws { try file.publish() }
    func abandon() {}
}

/// A file or device that is there, of which only what differs is written.
struct DiskInPlace: DiskTarget {
    let disk: ExistingDisk
    var existing: ExistingDisk? { disk }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) async throws {
        // Safety: the buffer is the caller's for the call.
        try unsafe disk.write(bytes, at: offset)
    }

    func zero(_ range: Extent) async throws { try disk.zero(at: range.start, count: range.length) }
    func finish() async throws { try disk.sync() }
    func abandon() {}
}

/// A new image in a container format.
///
/// Until it is complete it lies under its own name in the folder `<name>.partial`, because a VMDK names itself inside.
struct NewContainer: DiskTarget {
    private let image: ImageTarget
    private let path: String
    /// The image that it will replace, held until then.
    private let replaced: ExistingDisk?
    private let folder: String
    private var partialPath: String { "\(folder)/\(path.split(separator: "/").last ?? "image")" }

    /// Creates the image; what an earlier run left is begun anew, because only QEMU could say what of it is whole.
    ///
    /// - Throws: ``SourceError``, ``FileError``.
    init(path: String, replacing replaced: ExistingDisk?, format: ImageFormat, byteCount: UInt64, connections: Int)
        throws
    {
        folder = path + OutputFile.suffix
        if replaced == nil { try OutputFile.refuseTaken(path) }
        try HostPaths.makeFolders(folder)
        let partial = "\(folder)/\(path.split(separator: "/").last ?? "image")"
        if HostPaths.exists(partial) {
            // Refuses what another restore is writing.
            _ = try ExistingDisk(path: partial, ignoresUse: false, followsLinks: false)
            try FileNaming.remove(partial)
        }
        image = try ImageTarget(path: partial, format: format, byteCount: byteCount, connections: connections)
        self.path = path
        self.replaced = replaced
    }

    var existing: ExistingDisk? { nil }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) async throws {
        // Safety: the buffer is the caller's for the call.
        try unsafe await image.write(bytes, at: offset)
    }

    func zero(_ range: Extent) async throws {}

    func finish() async throws {
        try image.finish()
        try FileNaming.sync(partialPath)
        try FileNaming.publish(partialPath, as: path, replaces: replaced != nil)
        try HostPaths.removeEmptyFolder(folder)
    }

    func abandon() { image.abandon() }
}
