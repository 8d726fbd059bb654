import BackupModel
import Effects

/// A folder for one capture: what the guest overwrites meanwhile, the socket that its disks are read from, and a lock
/// that says whether the run is still there. QEMU makes the files, as its own user; so the folder is given to that
/// user.
final class ScratchPlace: Sendable {
    private static let doorName = ".dozo-lock"
    /// Milliseconds between two tries at the door, which is held for some file operations.
    private static let doorPause = 20
    private static let doorTries = 250
    private static let lockName = "lock"
    private static let socketName = "nbd"
    private static let scratchSuffix = ".scratch"
    /// No disk of libvirt has that name.
    private static let memoryName = "memory.scratch"
    /// Most bytes of a socket's path, without its end.
    private static let longestSocket = 107

    /// Absolute.
    let folder: String
    private let lock: FileLock
    var socket: String { "\(folder)/\(ScratchPlace.socketName)" }
    /// Where the guest's memory is put.
    var memory: String { "\(folder)/\(ScratchPlace.memoryName)" }
    func scratch(_ disk: String) -> String { "\(folder)/\(disk)\(ScratchPlace.scratchSuffix)" }

    /// Makes the folder. - Parameter owner: whom QEMU runs as; `nil` when that is not known.
    ///
    /// - Throws: ``GuestError`` `scratch`.
    init(in parent: String, point: PointID, owner: PathOwner?) throws(GuestError) {
        folder = "\(parent)/\(CaptureRequest.ownPrefix)\(point.hexadecimal.prefix(8))"
        let socket = "\(folder)/\(ScratchPlace.socketName)"
        guard socket.utf8.count <= ScratchPlace.longestSocket else {
            throw GuestError(
                .scratch,
                "the scratch folder \(parent) has too long a name for a socket in it (\(socket.utf8.count) bytes "
                    + "instead of \(ScratchPlace.longestSocket)); give a shorter one with --scratch")
        }
        if let owner, !HostPaths.isRoot, owner.user != PathOwner.own.user {
            throw GuestError(
                .scratch,
                "QEMU runs as user \(owner.user), and only root can give it a place for what the guest overwrites; run "
                    + "dozo as root")
        }
        do {
            // While it is held, nobody's folder is half made.
            let door = try ScratchPlace.door(parent)
            defer { withExtendedLifetime(door) {} }
            ScratchPlace.sweep(parent)
            try HostPaths.makeFolders(folder)
            guard let lock = try FileLock(path: "\(folder)/\(ScratchPlace.lockName)") else {
                throw GuestError(.scratch, "\(folder) is in use by another run")
            }
            self.lock = lock
            if HostPaths.isRoot, let owner { try owner.take(folder) }
        } catch let error as FileError {
            throw GuestError(.scratch, "\(error.sentence); give another folder with --scratch")
        } catch let error as GuestError {
            throw error
        } catch {
            throw GuestError(.scratch, "\(folder): \(error)")
        }
    }

    /// Removes what runs left that are gone, before somebody looks how much room there is.
    static func clear(_ parent: String) {
        guard let door = try? ScratchPlace.door(parent) else { return }
        sweep(parent)
        withExtendedLifetime(door) {}
    }

    /// The lock of all who make or sweep folders in the same place.
    private static func door(_ parent: String) throws -> FileLock {
        for _ in 0..<doorTries {
            if let lock = try FileLock(path: "\(parent)/\(doorName)") { return lock }
            ThreadPause.take(milliseconds: doorPause)
        }
        throw GuestError(.scratch, "\(parent)/\(doorName) is held by another run, which does not let go")
    }

    /// Removes folders of runs that are gone: killed before their job began, or their job ended without them. A job
    /// that still goes on has its files open and is ended by the next run of its guest.
    private static func sweep(_ parent: String) {
        let place = HostFiles(root: parent)
        for name in (try? place.names(in: "")) ?? [] where name.hasPrefix(CaptureRequest.ownPrefix) {
            let folder = "\(parent)/\(name)"
            guard HostPaths.exists("\(folder)/\(lockName)") else {
                // Killed before it had its lock, or behind that.
                try? HostPaths.removeEmptyFolder(folder)
                continue
            }
            guard let lock = try? FileLock(path: "\(folder)/\(lockName)") else { continue }
            let names = (try? HostFiles(root: folder).names(in: "")) ?? []
            remove(names.filter { $0.hasSuffix(scratchSuffix) || $0 == socketName }, in: folder)
            withExtendedLifetime(lock) {}
        }
    }

    /// Removes everything that a capture of these disks leaves.
    func remove(disks: [String]) {
        ScratchPlace.remove(
            disks.map { "\($0)\(ScratchPlace.scratchSuffix)" } + [ScratchPlace.socketName, ScratchPlace.memoryName],
            in: folder)
    }

    /// Removes what an instant that was not taken may have left, and keeps the place.
    func removeScratch(disks: [String]) {
        let files = HostFiles(root: folder)
        for disk in disks { try? files.remove("\(disk)\(ScratchPlace.scratchSuffix)") }
        try? files.remove(ScratchPlace.socketName)
    }

    private static func remove(_ names: [String], in folder: String) {
        let files = HostFiles(root: folder)
        for name in names + [lockName] { try? files.remove(name) }
        try? HostPaths.removeEmptyFolder(folder)
    }

    /// Whose job that is.
    enum Run: Hashable, Sendable {
        /// Not one of ours.
        case foreign
        /// Ours, and its run is still there.
        case alive(folder: String)
        /// Ours; its run is gone, which leaves the job to whoever comes next.
        case gone(folder: String)
    }

    /// Whose job a running backup is: the name of the folder tells, and the lock in it.
    static func run(of backup: RunningBackup) -> Run {
        guard let socket = backup.socket, let slash = socket.lastIndex(of: "/"), socket.hasPrefix("/"),
            socket[slash...] == "/\(socketName)"
        else { return .foreign }
        let folder = String(socket[..<slash])
        guard folder.split(separator: "/").last?.hasPrefix(CaptureRequest.ownPrefix) ?? false,
            backup.scratch.allSatisfy({ $0.hasPrefix("\(folder)/") && $0.hasSuffix(scratchSuffix) })
        else { return .foreign }
        guard HostPaths.exists("\(folder)/\(lockName)") else { return .gone(folder: folder) }
        // A lock that cannot be tried belongs to another user: it may well be alive.
        guard let lock = try? FileLock(path: "\(folder)/\(lockName)") else { return .alive(folder: folder) }
        withExtendedLifetime(lock) {}
        return .gone(folder: folder)
    }

    /// Removes what a run left that is gone.
    static func removeLeft(_ backup: RunningBackup, folder: String) {
        let names = backup.scratch.compactMap { path -> String? in
            guard let slash = path.lastIndex(of: "/"), path[..<slash] == folder else { return nil }
            return String(path[path.index(after: slash)...])
        }
        remove(names + [socketName, memoryName], in: folder)
    }
}
