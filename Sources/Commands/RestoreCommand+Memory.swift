import ArgumentParser
import Effects
import Recovery
import Repository
import RepositoryFormat

/// Memory that was restored, as JSON.
struct RestoredMemory: Encodable {
    let path: String
    let format: String
    let size_bytes: UInt64
}

extension RestoreCommand {
    /// What a stream of memory is called in a folder: no disk's name ends so.
    static let memoryFileName = "memory.stream"

    /// Options that say nothing about memory.
    func validateMemory() throws {
        guard memoryTo != nil else { return }
        let others: [(String, Bool)] = [
            ("--disk", disk != nil), ("--format", format != nil), ("--size", size != nil), ("--in-place", inPlace),
            ("--salvage", salvage), ("--jobs", jobs != nil),
        ]
        if let other = others.first(where: { $0.1 }) {
            throw ValidationError("\(other.0) is for disks, and --memory-to writes memory as it came")
        }
        if memoryTo == "-", options.json {
            throw ValidationError("--json has no place on standard output beside the memory")
        }
    }

    /// Where memory goes, if it is to go anywhere: a file, or `-`.
    func memoryTarget(of point: RestorePoint) throws -> String? {
        if let memoryTo {
            guard point.record.memory != nil else {
                throw CommandFailure(.failed, "point \(point.record.identifier) has no memory")
            }
            return memoryTo == "-" ? "-" : HostPaths.absolute(memoryTo)
        }
        guard let toDirectory, disk == nil, point.record.memory != nil else { return nil }
        return "\(HostPaths.absolute(toDirectory))/\(RestoreCommand.memoryFileName)"
    }

    /// Refuses a file that is there, before anything is read.
    func refuseTaken(_ target: String) throws {
        if target != "-", !overwrite { try OutputFile.refuseTaken(target) }
    }

    /// Says what has to be done in a guest that goes on from memory in which file systems are at rest.
    func tellRest(in point: RestorePoint) {
        guard point.record.hasMemoryAtRest else { return }
        Console.note(
            "note: file systems are at rest in this memory: tell the agent of the guest that goes on from it to let "
                + "them go on (guest-fsfreeze-thaw, or virsh domfsthaw NAME), or it can write nothing")
    }

    func restoreMemory(
        of point: RestorePoint, to target: String, reader: RepositoryReader, writes: RateLimit?
    ) async throws -> RestoredMemory {
        let line = ProgressLine(isQuiet: options.quiet)
        defer { line.clear() }
        let restore = try MemoryRestore(reader, point: point.record, writes: writes)
        do {
            let outcome = try await restore.run(
                to: target == "-" ? .standardOutput : .file(target, replaces: overwrite)
            ) { passed, total in
                line.show("restoring memory", passed: passed, total: total, more: "")
            }
            return RestoredMemory(path: target, format: outcome.format, size_bytes: outcome.byteCount)
        } catch {
            line.clear()
            let failure = CommandFailure(error)
            if target != "-", failure.status != .refused, HostPaths.exists(target + OutputFile.suffix) {
                options.note(
                    "what was restored so far is in \(target)\(OutputFile.suffix); the same command begins anew in it")
            }
            throw failure
        }
    }
}

extension RestorePointRecord {
    /// Whether it has memory, and file systems were brought to rest for its instant: then they are so in that memory.
    var hasMemoryAtRest: Bool { memory != nil && (machine?.frozen ?? 0) > 0 }
}
