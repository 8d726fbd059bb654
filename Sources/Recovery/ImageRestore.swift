import BackupModel
import Effects
package import Repository
package import RepositoryFormat

/// How far a restore is.
package struct RestoreProgress: Sendable {
    /// Bytes of the image that are done, holes included.
    package var passed: UInt64 = 0
    /// Bytes of the image.
    package var total: UInt64 = 0
    /// Bytes written.
    package var written: UInt64 = 0
}

/// Writes one image of a restore point to a new file, raw and sparse.
///
/// Damage stops it before a wrong byte is written: each chunk is compared with its id before any of it goes out. The
/// file gets its name only when all of it is there and durable.
package struct ImageRestore: Sendable {
    private let reader: RepositoryReader
    private let image: RestorePointRecord.Image
    private let workers: Int

    /// - Parameter workers: leaves in work at once; memory is about 8 MiB each.
    package init(_ reader: RepositoryReader, image: RestorePointRecord.Image, workers: Int) {
        self.reader = reader
        self.image = image
        self.workers = workers
    }

    /// Restores to a file that does not exist yet.
    ///
    /// - Parameter report: called after each leaf, by the task that runs the restore.
    /// - Throws: ``RepositoryError``: `damaged`, `roleLacksKey`; ``FileError``; `CancellationError`. A file that could
    ///   not be completed stays under its name with `.partial` behind it.
    package func run(
        to path: String, report: (RestoreProgress) -> Void = { _ in }
    ) async throws {
        let walker = MapWalker(reader.blobs())
        let root = try await walker.root(of: image)
        let file = try OutputFile(path: path, byteCount: image.byteCount)
        var progress = RestoreProgress()
        progress.total = image.byteCount
        try await withThrowingTaskGroup(of: LeafResult.self) { group in
            var idle = (0..<workers).map { _ in LeafRestorer(reader.blobs(), disk: image.name) }
            func collect(_ result: LeafResult) {
                idle.append(result.restorer)
                progress.written += result.writtenByteCount
                progress.passed = max(progress.passed, result.end)
                report(progress)
            }
            try await walker.leaves(of: root, disk: image.name) { place in
                try Task.checkCancellation()
                if idle.isEmpty, let result = try await group.next() { collect(result) }
                let restorer = idle.removeLast()
                group.addTask { try await restorer.restore(place, to: file) }
            }
            while let result = try await group.next() { collect(result) }
        }
        try file.publish()
        progress.passed = image.byteCount
        report(progress)
    }
}

private struct LeafResult: Sendable {
    let restorer: LeafRestorer
    let writtenByteCount: UInt64
    let end: UInt64
}

/// Restores one leaf after the other.
// Safety: given to a child task with a leaf and coming back with the result; one task at a time holds it.
private final class LeafRestorer: @unchecked Sendable {
    private let blobs: BlobReader
    private let walker: MapWalker
    private let disk: String

    init(_ blobs: BlobReader, disk: String) {
        self.blobs = blobs
        walker = MapWalker(blobs)
        self.disk = disk
    }

    func restore(_ place: LeafPlace, to file: OutputFile) async throws -> LeafResult {
        let leaf = try await walker.leaf(place, disk: disk)
        var offset = place.offset
        var written: UInt64 = 0
        var last: (identifier: Hash256, bytes: [UInt8])?
        for slice in leaf.slices {
            try Task.checkCancellation()
            defer { offset += slice.byteCount }
            guard let chunk = slice.chunk else { continue }
            let bytes: [UInt8]
            if let last, last.identifier == chunk {
                bytes = last.bytes
            } else {
                bytes = try await blobs.bytes(of: chunk, kind: .data, name: "disk \(disk) at byte \(offset)")
                last = (chunk, bytes)
            }
            let end = Int(slice.skip) + Int(slice.length)
            guard end <= bytes.count else {
                throw RepositoryError(
                    .damaged,
                    "the map of disk \(disk) at byte \(offset) uses \(end) bytes of a chunk of \(bytes.count)",
                    .repair)
            }
            for repetition in 0..<UInt64(slice.repeats) {
                try unsafe bytes.withUnsafeBytes { buffer in
                    // Safety: the slice lies inside the chunk, as was just checked.
                    try unsafe file.write(
                        UnsafeRawBufferPointer(rebasing: buffer[Int(slice.skip)..<end]),
                        at: offset + repetition * UInt64(slice.length))
                }
            }
            written += slice.byteCount
        }
        return LeafResult(restorer: self, writtenByteCount: written, end: place.offset + UInt64(place.byteCount))
    }
}
