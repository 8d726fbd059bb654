import Capture
import Effects
import Glibc
import GuestMemory
import GuestSource
import RepositoryFormat

/// The memory of a guest as the command line names it: a file, or standard input.
struct MemoryArgument {
    /// A file or block device; `-` for standard input.
    let path: String

    /// Names that the images of memory have in a point, and that disks beside them cannot have.
    static let names: Set<String> = [RestorePointRecord.Image.memoryKind, RestorePointRecord.Image.skeletonKind]

    /// Memory that was taken apart.
    struct Opened {
        /// What goes into the point.
        let disks: [BackupDisk]
        /// Sentences for people.
        let notes: [String]
    }

    /// Refuses what cannot stand beside memory.
    ///
    /// - Throws: ``CommandFailure``, `usage`.
    func check(beside disks: [DiskArgument]) throws {
        if path == "-", disks.contains(where: { $0.path == "-" }) {
            throw CommandFailure(.usage, "standard input can be read once only")
        }
        if let disk = disks.first(where: { MemoryArgument.names.contains($0.name) }) {
            throw CommandFailure(
                .usage, "beside memory no disk is called \(disk.name); name it with --disk NAME=IMAGE")
        }
    }

    /// Opens the stream and takes it apart; standard input is put aside first, in a file without a name.
    ///
    /// - Parameter report: called with the bytes of standard input that were put aside.
    /// - Throws: ``SourceError``; ``MemoryError`` for formats that are not taken.
    func open(ignoresUse: Bool, reads: RateLimit?, report: (UInt64) -> Void) async throws -> Opened {
        let file: any PositionedBytes =
            path == "-"
            ? try await SpooledInput.spool(folder: MemoryArgument.scratchFolder, report: report)
            : try StreamFile(opening: path, ignoresUse: ignoresUse)
        return try MemoryArgument.opened(file, reads: reads)
    }

    /// Takes a stream apart.
    ///
    /// - Throws: as ``open(ignoresUse:reads:report:)``.
    static func opened(_ file: any PositionedBytes, reads: RateLimit?) throws -> Opened {
        let stream = try MemoryStream(parsing: file)
        func paced(_ source: any ImageSource) -> any ImageSource {
            reads.map { PacedImageSource(source, limit: $0) } ?? source
        }
        var disks = [
            BackupDisk.memory(
                .memory(paced(stream.memory), format: stream.format.name, isPaged: stream.skeleton != nil))
        ]
        if let skeleton = stream.skeleton {
            disks.append(.memory(.skeleton(paced(skeleton), format: stream.format.name)))
        }
        return Opened(disks: disks, notes: stream.notes)
    }

    /// Where standard input is put aside: what `TMPDIR` names, else the folder for large files.
    private static var scratchFolder: String {
        // Safety: nothing of ours changes the environment; the text is copied at once.
        guard let folder = unsafe getenv("TMPDIR"), unsafe folder[0] != 0 else { return "/var/tmp" }
        return unsafe HostPaths.absolute(String(cString: folder))
    }
}
