import BackupModel
import GuestSource

/// Gives out the regions of standard input as they arrive, each in a workbench.
///
/// Safety: one task at a time asks it: the next is asked for when the last has come.
@safe final class InputFeed: @unchecked Sendable {
    private var input: StandardInputSource
    private var number = 0
    private let regionByteCount: UInt64

    /// - Throws: ``SourceError`` when standard input cannot be read.
    init(regionByteCount: UInt64) throws {
        input = try StandardInputSource()
        self.regionByteCount = regionByteCount
    }

    /// Bytes delivered so far.
    var byteCount: UInt64 { input.byteCount }
    /// What kind of container it looks like; `nil` for a raw disk.
    var containerName: String? { input.containerName }

    /// Fills the workbench with the next region. - Returns: `nil` at the end.
    func next(_ bench: RegionWorkbench) async throws -> RegionJob? {
        let count = try await bench.fill(from: &input)
        guard count > 0 else { return nil }
        defer { number += 1 }
        return RegionJob(
            number: number, extent: Extent(start: UInt64(number) * regionByteCount, length: UInt64(count)),
            extents: [], changed: nil)
    }
}
