package import Effects
import GuestMemory
package import Repository
package import RepositoryFormat

/// Where a stream of memory goes.
package enum StreamDestination: Sendable {
    /// A new file at an absolute path, or in place of one that is there.
    case file(String, replaces: Bool)
    /// Standard output.
    case standardOutput
}

/// Gives the memory of a restore point back as the stream that it came as, byte for byte, from front to back.
///
/// Damage stops it before a wrong byte goes out: each chunk is compared with its id, and the skeleton is believed as
/// far as its header goes. A file gets its name only when all of it is there and durable.
///
/// Memory: a buffer of 1 MiB, a leaf and a chunk of each image, 64 MiB of chunks where the map names parts of them, and
/// the skeleton's operations, at most 64 MiB.
package struct MemoryRestore: Sendable {
    private static let bufferByteCount = 1 << 20

    private let reader: RepositoryReader
    private let memory: RestorePointRecord.Image
    private let skeleton: RestorePointRecord.Image?
    private let writes: RateLimit?

    /// What a restore of memory came to.
    package struct Outcome: Sendable {
        /// Bytes of the stream.
        package let byteCount: UInt64
        /// Its format.
        package let format: String
    }

    /// - Parameter writes: how fast the stream goes out; `nil` for no limit.
    /// - Throws: ``RepositoryError``, `refused`, when the point has no memory; `damaged` when it lacks the skeleton.
    package init(_ reader: RepositoryReader, point: RestorePointRecord, writes: RateLimit? = nil) throws {
        guard let memory = point.memory else {
            throw RepositoryError(.refused, "point \(point.identifier) has no memory")
        }
        let isStream = memory.format == MemoryFormat.stream.name
        guard isStream == (point.skeleton == nil) else {
            throw RepositoryError(
                .damaged,
                "point \(point.identifier) has memory of format \(memory.format) "
                    + "\(isStream ? "with" : "without") a skeleton", .repair)
        }
        self.reader = reader
        self.memory = memory
        skeleton = point.skeleton
        self.writes = writes
    }

    /// Gives the stream back.
    ///
    /// - Parameter report: called with the bytes given out so far and in all, before the first and after each piece.
    /// - Throws: ``RepositoryError``, `damaged`; ``MemoryError``; ``FileError``; `CancellationError`. What could not be
    ///   completed stays under its name with `.partial` behind it, and the next run writes all of it again.
    package func run(
        to destination: StreamDestination, report: (_ passed: UInt64, _ total: UInt64) -> Void = { _, _ in }
    ) async throws -> Outcome {
        var source = try await source()
        let total = source.byteCount
        let target = try Target(destination, byteCount: total)
        report(0, total)
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: MemoryRestore.bufferByteCount, alignment: 4096)
        // Safety: allocated here; nobody keeps a part of it.
        defer { unsafe room.deallocate() }
        var passed: UInt64 = 0
        while passed < total {
            try Task.checkCancellation()
            let count = try await unsafe source.next(into: room)
            precondition(count > 0, "a stream goes on to its end")
            try await writes?.pass(UInt64(count))
            // Safety: that many bytes were just written into the room.
            try unsafe target.write(UnsafeRawBufferPointer(rebasing: room[..<count]), at: passed)
            passed += UInt64(count)
            report(passed, total)
        }
        // What stands behind the last byte of a skeleton is looked at too, before the file gets its name.
        try await source.finish()
        try target.finish()
        return Outcome(byteCount: total, format: memory.format)
    }

    /// The first bytes of the stream, without giving any of it out.
    ///
    /// - Parameter count: bytes wanted; held in memory.
    /// - Returns: as many as there are.
    /// - Throws: ``RepositoryError``, `damaged`; ``MemoryError``; `CancellationError`.
    package func front(_ count: Int) async throws -> [UInt8] {
        var source = try await source()
        let wanted = Int(min(UInt64(count), source.byteCount))
        var bytes: [UInt8] = []
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: MemoryRestore.bufferByteCount, alignment: 4096)
        // Safety: allocated here; what is read is copied out.
        defer { unsafe room.deallocate() }
        while bytes.count < wanted {
            try Task.checkCancellation()
            let given = try await unsafe source.next(into: room)
            precondition(given > 0, "a stream goes on to its end")
            // Safety: that many bytes were just written into the room.
            unsafe bytes.append(contentsOf: room[..<given])
        }
        bytes.removeLast(bytes.count - wanted)
        return bytes
    }

    private func source() async throws -> Source {
        let pages = try await StoredImage(memory, reader: reader)
        guard let skeleton else { return .plain(pages, 0) }
        return .skeleton(
            try await StreamEmission(skeleton: try await StoredImage(skeleton, reader: reader), memory: pages))
    }

    /// Where the bytes come from.
    private enum Source {
        case plain(StoredImage, UInt64)
        case skeleton(StreamEmission)

        var byteCount: UInt64 {
            switch self {
            case .plain(let image, _): image.byteCount
            case .skeleton(let emission): emission.byteCount
            }
        }

        mutating func next(into buffer: UnsafeMutableRawBufferPointer) async throws -> Int {
            switch self {
            case .plain(let image, let position):
                let count = Int(min(UInt64(buffer.count), image.byteCount - position))
                // Safety: the part lies inside of the caller's buffer.
                try await unsafe image.read(
                    at: position, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]))
                self = .plain(image, position + UInt64(count))
                return count
            case .skeleton(var emission):
                // Safety: the buffer is the caller's for the call.
                let count = try await unsafe emission.next(into: buffer)
                self = .skeleton(emission)
                return count
            }
        }

        func finish() async throws {
            guard case .skeleton(let emission) = self else { return }
            try emission.finish()
        }
    }

    private enum Target {
        case file(OutputFile, replaced: ExistingDisk?)
        case standardOutput

        init(_ destination: StreamDestination, byteCount: UInt64) throws {
            switch destination {
            case .standardOutput:
                guard !StandardOutput.isTerminal else {
                    throw RepositoryError(.refused, "standard output is a terminal; pipe the memory somewhere")
                }
                self = .standardOutput
            case .file(let path, let replaces):
                guard !HostPaths.isBlockDevice(path) else {
                    throw RepositoryError(.refused, "\(path) is a device, and memory is restored to a file")
                }
                guard replaces else {
                    self = .file(try OutputFile(path: path, byteCount: byteCount), replaced: nil)
                    return
                }
                let resolved = HostPaths.resolved(path)
                // Held until then, so that nobody begins to use it meanwhile.
                let taken = HostPaths.exists(resolved) ? try ExistingDisk(path: resolved, ignoresUse: false) : nil
                self = .file(try OutputFile(path: resolved, byteCount: byteCount, replaces: true), replaced: taken)
            }
        }

        func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws {
            switch self {
            // Safety: the bytes are the caller's for the call.
            case .file(let file, _): try unsafe file.write(bytes, at: offset)
            case .standardOutput: try unsafe StandardOutput.write(bytes)
            }
        }

        func finish() throws {
            if case .file(let file, _) = self { try file.publish() }
        }
    }
}
