import BackupModel
import GuestSource
import TestKit

/// A disk that is computed: no page is zero, no two pages of all disks and versions are equal, and each shrinks to a
/// fifth.
final class ComputedDisk: ImageSource {
    static let pageByteCount = 4096
    /// Bytes at the front of each page that do not compress.
    private static let noiseByteCount = 640

    private let guest: UInt64
    private let version: UInt64
    private let changedByteCount: UInt64
    let byteCount: UInt64

    /// - Parameters:
    ///   - guest: number of the guest.
    ///   - version: number of the night.
    ///   - byteCount: size in bytes, a multiple of a page.
    ///   - changedByteCount: bytes at the front that are other ones in each night.
    init(guest: Int, version: Int, byteCount: UInt64, changedByteCount: UInt64) {
        self.guest = UInt64(guest)
        self.version = UInt64(version)
        self.byteCount = byteCount
        self.changedByteCount = changedByteCount
    }

    var summary: ImageSummary {
        ImageSummary(
            format: .raw, formatOrigin: .stated, path: "disk", resolvedPath: "disk", isBlockDevice: false,
            allocatedBytes: nil, chain: [], hasAllocationMap: true, notes: [])
    }

    func extents(in range: Extent) -> [SourceExtent] { [SourceExtent(extent: range, kind: .data)] }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) {
        precondition(
            offset % UInt64(Self.pageByteCount) == 0 && buffer.count % Self.pageByteCount == 0,
            "whole pages are read")
        for start in stride(from: 0, to: buffer.count, by: Self.pageByteCount) {
            let place = offset + UInt64(start)
            let night = place < changedByteCount ? version : 0
            var dice = Dice(seed: (guest << 48) ^ (night << 40) ^ (place / UInt64(Self.pageByteCount)))
            for byte in stride(from: start, to: start + Self.pageByteCount, by: 8) {
                let word = byte - start < Self.noiseByteCount ? dice.next() : 0x2020_2020_2020_2020
                // Safety: the page lies in the buffer, whose size is a multiple of it.
                unsafe buffer.storeBytes(of: word, toByteOffset: byte, as: UInt64.self)
            }
        }
    }

    func confirmUnchanged() {}
    func close() {}
}
