package import BackupModel
package import Effects
package import GuestSource
import RepositoryFormat

/// Where a disk goes and how.
package struct RestorePlan: Sendable {
    /// What happens to a file or device that is there already.
    package enum Existing: Hashable, Sendable {
        /// It stays as it is and the restore is refused.
        case refused
        /// A file is replaced by the new one once that is complete; a device is written over.
        case overwritten
        /// It is compared, and only what differs is written.
        case changedInPlace
    }

    /// An absolute path.
    package var path: String
    /// The container of the new image.
    package var format: ImageFormat
    /// What happens to what is at the path.
    package var existing: Existing
    /// Size of the target in bytes; `nil`: that of the disk. Never smaller than the disk.
    package var byteCount: UInt64?
    /// Whether damaged parts are zero-filled and listed, instead of ending the restore.
    package var salvages: Bool
    /// Whether a target that seems to be in use is taken all the same, and one that is longer than the disk is cut.
    package var ignoresUse: Bool
    /// Leaves in work at once, each with a read of its own under way; `nil`: as many as the processors and the store
    /// want, within ``memoryLimit``.
    package var workers: Int?
    /// How fast the target is written; `nil` for no limit.
    package var writes: RateLimit?
    /// What files and devices are written with.
    package var calls: any DiskCalls = HostDiskCalls()

    /// Bytes of one worker at most: four times the largest chunk of the format, as it is read, opened, unpacked and
    /// waits to be written. With chunks of the usual size it is a tenth.
    package static let workerByteCount = 4 * FormatLimits.chunkByteCount
    /// Bytes of all workers at most, when nobody says how many: 16 of them.
    package static let memoryLimit = 256 << 20

    /// Workers when nobody says how many: two a processor, or as many reads as the store wants under way, whichever is
    /// more; never more than ``memoryLimit`` has room for.
    package static func workers(processors: Int, readsInFlight: Int?) -> Int {
        min(memoryLimit / workerByteCount, max(2 * processors, readsInFlight ?? 0, 1))
    }

    /// A new raw file of the disk's size.
    package init(
        path: String, format: ImageFormat = .raw, existing: Existing = .refused, byteCount: UInt64? = nil,
        salvages: Bool = false, ignoresUse: Bool = false, workers: Int? = nil, writes: RateLimit? = nil
    ) {
        self.writes = writes
        self.path = path
        self.format = format
        self.existing = existing
        self.byteCount = byteCount
        self.salvages = salvages
        self.ignoresUse = ignoresUse
        self.workers = workers
    }
}

/// A part of a disk that could not be restored and is zero now.
package struct LostRange: Hashable, Sendable {
    /// Bytes of the disk.
    package let extent: Extent
    /// Why, for people.
    package let sentence: String
}

/// What a restore found of one that was interrupted.
package enum Leftover: Hashable, Sendable {
    /// Nothing.
    case none
    /// A part of the target, with which it went on: what was there already was not written again.
    case takenUp
    /// Something that it could not go on with, and began anew: why, for people.
    case discarded(String)
}

/// What a restore of one disk came to.
package struct RestoreOutcome: Sendable {
    /// Size of the target in bytes.
    package var byteCount: UInt64 = 0
    /// Bytes written.
    package var written: UInt64 = 0
    /// Bytes that were there already and were not written.
    package var kept: UInt64 = 0
    /// What an interrupted restore had left.
    package var leftover: Leftover = .none
    /// What is lost, ascending; empty unless the plan salvages.
    package var lost: [LostRange] = []
}
