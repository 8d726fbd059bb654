import BackupModel
import Effects
import GuestSource
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
    /// What an interrupted restore had left.
    package var leftover: Leftover = .none
}

/// Writes one image of a restore point to a file, an image of another format, or a device.
///
/// Damage stops it before a wrong byte is written: each chunk is compared with its id before any of it goes out. A new
/// file gets its name only when all of it is there and durable.
package struct ImageRestore: Sendable {
    private let reader: RepositoryReader
    private let image: RestorePointRecord.Image
    private let plan: RestorePlan
    private let workers: Int

    /// A restore of one image as the plan says.
    package init(_ reader: RepositoryReader, image: RestorePointRecord.Image, plan: RestorePlan) {
        self.reader = reader
        self.image = image
        self.plan = plan
        workers =
            plan.workers
            ?? RestorePlan.workers(
                processors: HostPaths.processorCount, readsInFlight: reader.repository.access.readsInFlight)
    }

    /// Restores.
    ///
    /// - Parameter report: called once before anything is written and after each leaf, by the task that runs the
    ///   restore.
    /// - Throws: ``RepositoryError``: `damaged`, `roleLacksKey`, `refused` when the target is too small or of another
    ///   kind; ``FileError``; ``SourceError``; `CancellationError`. What could not be completed stays: a new file under
    ///   its name with `.partial` behind it, an existing one half changed.
    package func run(report: (RestoreProgress) -> Void = { _ in }) async throws -> RestoreOutcome {
        // Read before anything is touched: without a map there is nothing to restore.
        let walker = MapWalker(reader.blobs())
        let root = try await walker.root(of: image)
        var outcome = RestoreOutcome()
        let target = try await target(into: &outcome)
        do {
            try await write(root, walker: walker, to: target, outcome: &outcome, report: report)
            try await target.finish()
        } catch {
            target.abandon()
            throw error
        }
        outcome.lost.sort { $0.extent.start < $1.extent.start }
        return outcome
    }

    // MARK: Target

    private func refused(_ sentence: String) -> RepositoryError { RepositoryError(.refused, sentence) }

    private func target(into outcome: inout RestoreOutcome) async throws -> any DiskTarget {
        let size = plan.byteCount ?? image.byteCount
        guard size >= image.byteCount else {
            throw refused(
                "disk \(image.name) has \(image.byteCount) bytes and \(size) were asked for; a disk is never restored "
                    + "to a smaller size")
        }
        outcome.byteCount = size
        if HostPaths.isBlockDevice(plan.path) { return try device(size, into: &outcome) }
        if plan.format != .raw { return try await container(size, into: &outcome) }
        switch plan.existing {
        case .refused:
            return rawFile(try OutputFile(path: plan.path, byteCount: size, calls: plan.calls), into: &outcome)
        case .overwritten:
            let path = HostPaths.resolved(plan.path)
            let taken = HostPaths.exists(path) ? try ExistingDisk(path: path, ignoresUse: plan.ignoresUse) : nil
            return rawFile(
                try OutputFile(path: path, byteCount: size, replaces: true, calls: plan.calls), replacing: taken,
                into: &outcome)
        case .changedInPlace:
            if !plan.ignoresUse, let kind = ContentLook.containerName(ofFileAt: plan.path) {
                throw refused(
                    "\(plan.path) looks like a \(kind) image, which a raw disk written into it would destroy; use "
                        + "--overwrite with --format, or --force when it is a raw disk that looks so")
            }
            let disk = try ExistingDisk(path: plan.path, ignoresUse: plan.ignoresUse, calls: plan.calls)
            try disk.readFromDisk()
            guard disk.byteCount <= size || plan.ignoresUse else {
                throw refused(
                    "\(plan.path) has \(disk.byteCount) bytes and disk \(image.name) has \(size): in place the rest "
                        + "would be cut off; say --size \(disk.byteCount) to keep the length, with zeros behind the "
                        + "disk, --overwrite to replace the file, or --force to cut it")
            }
            if disk.byteCount != size { try disk.resize(to: size) }
            return DiskInPlace(disk: disk)
        }
    }

    private func rawFile(
        _ file: OutputFile, replacing taken: ExistingDisk? = nil, into outcome: inout RestoreOutcome
    ) -> any DiskTarget {
        outcome.leftover = file.earlier == nil ? .none : .takenUp
        return NewRawFile(file: file, replaced: taken)
    }

    private func device(_ size: UInt64, into outcome: inout RestoreOutcome) throws -> any DiskTarget {
        guard plan.existing != .refused else {
            throw refused("\(plan.path) is a device: say --overwrite or --in-place to write over what it holds")
        }
        guard plan.format == .raw else {
            throw refused("\(plan.path) is a device, which holds a raw disk and not a \(plan.format.name) image")
        }
        let disk = try ExistingDisk(path: plan.path, ignoresUse: plan.ignoresUse, calls: plan.calls)
        try disk.readFromDisk()
        guard disk.byteCount >= size else {
            throw refused("\(plan.path) has \(disk.byteCount) bytes and disk \(image.name) needs \(size)")
        }
        outcome.byteCount = disk.byteCount
        return DiskInPlace(disk: disk)
    }

    private func container(_ size: UInt64, into outcome: inout RestoreOutcome) async throws -> any DiskTarget {
        guard plan.existing != .changedInPlace else {
            throw refused("only raw files and devices are changed in place; use --overwrite for \(plan.format.name)")
        }
        guard size % ImageTarget.sectorByteCount == 0 else {
            let next = (size / ImageTarget.sectorByteCount + 1) * ImageTarget.sectorByteCount
            throw refused(
                "a \(plan.format.name) image holds whole sectors of \(ImageTarget.sectorByteCount) bytes, and disk "
                    + "\(image.name) has \(size) bytes; restore it raw, or say --size \(next)")
        }
        let path = HostPaths.resolved(plan.path)
        let isThere = plan.existing == .overwritten && HostPaths.exists(path)
        let taken = isThere ? try ExistingDisk(path: path, ignoresUse: plan.ignoresUse) : nil
        let container = try await NewContainer(
            path: path, replacing: taken, format: plan.format, byteCount: size, usedByteCount: image.byteCount,
            connections: min(workers, 16))
        outcome.leftover = container.leftover
        return container
    }

    // MARK: Writing

    private func write(
        _ root: ImageRoot, walker: MapWalker, to target: any DiskTarget, outcome: inout RestoreOutcome,
        report: (RestoreProgress) -> Void
    ) async throws {
        var progress = RestoreProgress()
        progress.total = image.byteCount
        progress.leftover = outcome.leftover
        report(progress)
        var sum = outcome
        var position: UInt64 = 0
        try await withThrowingTaskGroup(of: LeafResult.self) { group in
            var idle = (0..<workers).map { _ in
                LeafRestorer(reader.blobs(), title: image.title, salvages: plan.salvages, writes: plan.writes)
            }
            func collect(_ result: LeafResult) {
                idle.append(result.restorer)
                sum.written += result.writtenByteCount
                sum.kept += result.keptByteCount
                sum.lost += result.lost
                progress.written = sum.written
                progress.passed = max(progress.passed, result.end)
                report(progress)
            }
            // What no leaf describes is zero; in a new file it is so already.
            func passHole(upTo end: UInt64) async throws {
                if end > position, target.compares {
                    try await target.zero(Extent(start: position, length: end - position))
                }
                position = max(position, end)
            }
            let failed: (LostMap) async throws -> Void = { lost in
                guard plan.salvages else { throw lost.error }
                sum.lost.append(LostRange(extent: lost.extent, sentence: lost.error.sentence))
                try await passHole(upTo: lost.extent.end)
            }
            try await walker.leaves(of: root, title: image.title, failed: failed) { place in
                try Task.checkCancellation()
                try await passHole(upTo: place.offset)
                position = place.offset + UInt64(place.byteCount)
                if idle.isEmpty, let result = try await group.next() { collect(result) }
                let restorer = idle.removeLast()
                group.addTask { try await restorer.restore(place, to: target) }
            }
            // Behind the disk's end too, in a file that is longer now; a device keeps what lies there.
            try await passHole(upTo: target.keepsWhatLiesBehind ? image.byteCount : outcome.byteCount)
            while let result = try await group.next() { collect(result) }
        }
        outcome = sum
        progress.passed = image.byteCount
        report(progress)
    }
}
