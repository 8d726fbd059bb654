import BackupModel
import Effects
import GuestSource

/// A new image in a container format, or one that an interrupted restore left.
///
/// Until it is complete it lies under its own name in the folder `<name>.partial`, because a VMDK names itself inside.
/// What an earlier run left there is gone on with when QEMU finds it whole: everything is compared with the repository
/// then, so it does not matter what it holds. Else it is removed and the image begun anew.
struct NewContainer: DiskTarget {
    /// What came of what an earlier run left.
    let leftover: Leftover
    private let image: ImageTarget
    private let path: String
    /// The image that it will replace, held until then.
    private let replaced: ExistingDisk?
    private let folderPath: String
    private let folder: PartialFolder
    private let partialPath: String

    /// Looks at a file that a server may be about to let go of, 50 ms apart: one that is killed with its program, or
    /// after it, closes its image first.
    private static let tries = 100

    /// Opens or creates the image.
    ///
    /// - Parameters:
    ///   - byteCount: of the image, whole sectors.
    ///   - usedByteCount: of the disk; the rest is zero.
    /// - Throws: ``SourceError``, ``FileError``.
    init(
        path: String, replacing replaced: ExistingDisk?, format: ImageFormat, byteCount: UInt64,
        usedByteCount: UInt64, connections: Int
    ) async throws {
        if replaced == nil { try OutputFile.refuseTaken(path) }
        self.path = path
        self.replaced = replaced
        folderPath = path + OutputFile.suffix
        folder = try PartialFolder(path: folderPath)
        let partial = "\(folderPath)/\(path.split(separator: "/").last ?? "image")"
        partialPath = partial
        var unfit: String?
        if HostPaths.exists(partial) {
            switch try NewContainer.takeUp(partial, format, byteCount, connections) {
            case .takenUp(let image):
                // The last sector of the disk is written whole: what is behind the disk in it must not stay.
                let sector = ImageTarget.sectorByteCount
                if usedByteCount % sector != 0 {
                    do {
                        try await image.zero(Extent(start: usedByteCount / sector * sector, length: sector))
                    } catch {
                        image.abandon()
                        throw error
                    }
                }
                self.image = image
                leftover = .takenUp
                return
            case .unfit(let why):
                unfit = why
                try FileNaming.remove(partial)
            }
        }
        image = try ImageTarget(path: partial, format: format, byteCount: byteCount, connections: connections)
        leftover = unfit.map { .discarded($0) } ?? .none
    }

    /// Refuses what somebody writes and what is no file; then says whether it can be gone on with.
    private static func takeUp(
        _ partial: String, _ format: ImageFormat, _ byteCount: UInt64, _ connections: Int
    ) throws -> ImageTarget.Resumption {
        let isOurs: Bool
        do {
            let file = try free(partial, format)
            isOurs = file.isPrivate && file.isAlone(at: partial)
        }
        guard isOurs else { return .unfit("it is another user's, open to others, or has a second name") }
        return try ImageTarget.resume(
            path: partial, format: format, byteCount: byteCount, connections: connections)
    }

    private static func free(_ partial: String, _ format: ImageFormat) throws(FileError) -> ExistingDisk {
        do throws(FileError) { return try ExistingDisk.whenFree(path: partial, tries: tries) } catch {
            guard error.isAboutUse else { throw error }
            // Nobody else has the folder, so whoever still serves the image has been left behind.
            ImageTarget.endOrphanedServer(path: partial, format: format)
            return try ExistingDisk.whenFree(path: partial, tries: tries)
        }
    }

    var compares: Bool { leftover == .takenUp }
    var keepsWhatLiesBehind: Bool { false }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) async throws {
        // Safety: the buffer is the caller's for the call.
        try unsafe await image.read(into: buffer, at: offset)
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) async throws {
        // Safety: the buffer is the caller's for the call.
        try unsafe await image.write(bytes, at: offset)
    }

    func zero(_ range: Extent) async throws { try await image.zero(range) }

    func finish() async throws {
        try image.finish()
        if replaced != nil { PathOwner.adoptRights(of: path, for: partialPath) }
        try FileNaming.sync(partialPath)
        try FileNaming.publish(partialPath, as: path, replaces: replaced != nil)
        try HostPaths.removeEmptyFolder(folderPath)
    }

    func abandon() { image.abandon() }
}
