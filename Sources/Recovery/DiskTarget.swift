import BackupModel
import Effects
import GuestSource

/// Where a disk is restored to.
///
/// Reads and writes come from several tasks at once, to different places.
protocol DiskTarget: Sendable {
    /// Whether something may be there already, with which all is compared; else everything reads as zeros.
    var compares: Bool { get }

    /// Whether it is larger than the disk and what lies behind stays.
    var keepsWhatLiesBehind: Bool { get }

    /// Fills `buffer` with what is there from `offset` on. Called only when it compares.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) async throws

    /// Writes all of `bytes` at `offset`.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) async throws

    /// Makes a range zero. Called only when it compares.
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
    var compares: Bool { file.earlier != nil }
    var keepsWhatLiesBehind: Bool { false }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) async throws {
        // Safety: the buffer is the caller's for the call.
        try unsafe file.earlier?.read(into: buffer, at: offset)
    }

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
    var compares: Bool { true }
    var keepsWhatLiesBehind: Bool { disk.isBlockDevice }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) async throws {
        // Safety: the buffer is the caller's for the call.
        try unsafe disk.read(into: buffer, at: offset)
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) async throws {
        // Safety: the buffer is the caller's for the call.
        try unsafe disk.write(bytes, at: offset)
    }

    func zero(_ range: Extent) async throws { try disk.zero(at: range.start, count: range.length) }
    func finish() async throws { try disk.sync() }
    func abandon() {}
}
