import BackupModel
package import Effects
import RepositoryFormat
import Synchronization

/// A store in a local folder or on a mounted share.
///
/// A put writes a temporary file, makes it durable, links it to its name and makes the folder durable, in this order; a
/// name therefore never shows less than the whole object, whenever the power goes. `O_EXCL` on the final name would let
/// an empty file win a name that decides between a commit and a fence.
package final class DirectoryStore: ProtectingStore {
    /// Where unfinished files lie; what a crash leaves there is harmless and never read.
    package static let temporaryFolder = "tmp"

    private let files: any DurableFiles
    private let randomness: Randomness
    /// Folders whose names this process has made durable.
    private let durableFolders = Mutex<Set<String>>([])

    /// - Parameter files: a folder that exists; its content belongs to the store.
    package init(files: any DurableFiles, randomness: Randomness) {
        self.files = files
        self.randomness = randomness
    }

    package func putIfAbsent(_ name: ObjectName, _ bytes: [UInt8]) async throws(StorageError) -> PutAnswer {
        try DirectoryStore.translating { () throws(FileError) -> PutAnswer in
            try put(name.text, bytes)
        }
    }

    private func put(_ path: String, _ bytes: [UInt8]) throws(FileError) -> PutAnswer {
        let folder = DirectoryStore.folder(of: path)
        try prepare(folder)
        try prepare(DirectoryStore.temporaryFolder)
        let temporary = "\(DirectoryStore.temporaryFolder)/\(randomness.bytes(16).hexadecimal)"
        try files.writeNew(temporary, bytes)
        do {
            try files.syncFile(temporary)
            let linked = try files.link(temporary, to: path)
            // Also when the name was taken: whoever linked it may have lost power before it was durable, and a caller
            // acts on "theirs" as much as on "mine".
            try files.syncFolder(folder)
            try files.remove(temporary)
            if linked { return .mine }
        } catch {
            // What cannot be tidied now is a leftover; the first error is the one that matters.
            _ = try? files.remove(temporary)
            throw error
        }
        guard let winner = try files.read(path, offset: 0, count: Int.max) else {
            return .unknown("\(path) was taken and is gone again")
        }
        return winner == bytes ? .mine : .theirs(winner)
    }

    /// Makes the folder and all above it, and makes their names durable before anything is put inside.
    private func prepare(_ folder: String) throws(FileError) {
        if durableFolders.withLock({ $0.contains(folder) }) { return }
        var path = ""
        for part in folder.split(separator: "/") {
            let parent = path
            path = parent.isEmpty ? String(part) : "\(parent)/\(part)"
            // Even when it was there: its maker may have stopped before the name was durable.
            _ = try files.makeFolder(path)
            try files.syncFolder(parent)
        }
        durableFolders.withLock { _ = $0.insert(folder) }
    }

    package func get(_ name: ObjectName, offset: UInt64, count: Int) async throws(StorageError) -> [UInt8]? {
        try DirectoryStore.reading([]) { () throws(FileError) -> [UInt8]? in
            try files.read(name.text, offset: offset, count: count)
        }
    }

    package func get(_ name: ObjectName, into room: AlignedRoom) async throws(StorageError) -> Bool {
        let isThere = try DirectoryStore.reading(nil) { () throws(FileError) -> Bool? in
            try files.read(name.text, limit: FormatLimits.objectByteCount, into: room)
        }
        if isThere == nil { room.fill([]) }
        return isThere ?? true
    }

    /// Something that is no file lies at the name, and so it is no object: as good as one without bytes, `empty`.
    private static func reading<Content>(
        _ empty: Content, _ body: () throws(FileError) -> Content
    ) throws(StorageError) -> Content {
        try translating { () throws(FileError) -> Content in
            do throws(FileError) { return try body() } catch {
                guard error.number == DirectoryStore.isFolder else { throw error }
                return empty
            }
        }
    }

    /// EISDIR: a folder, or anything else that is no file.
    private static let isFolder: Int32 = 21

    package func byteCount(of name: ObjectName) async throws(StorageError) -> UInt64? {
        try DirectoryStore.translating { () throws(FileError) -> UInt64? in try files.byteCount(name.text) }
    }

    package func list(prefix: String) async throws(StorageError) -> [ObjectName] {
        try DirectoryStore.translating { () throws(FileError) -> [ObjectName] in
            var found: [ObjectName] = []
            try walk(DirectoryStore.folder(of: prefix), depth: 0, into: &found)
            return found.filter { $0.text.hasPrefix(prefix) }.sorted()
        }
    }

    private func walk(_ folder: String, depth: Int, into found: inout [ObjectName]) throws(FileError) {
        guard depth < 8 else { return }
        for name in try files.names(in: folder) {
            let path = folder.isEmpty ? name : "\(folder)/\(name)"
            if path == DirectoryStore.temporaryFolder { continue }
            if try files.isFolder(path) {
                try walk(path, depth: depth + 1, into: &found)
            } else if let object = ObjectName(path) {
                found.append(object)
            }
        }
    }

    package func delete(_ name: ObjectName) async throws(StorageError) {
        try DirectoryStore.translating { () throws(FileError) in
            try files.remove(name.text)
            try files.syncFolder(DirectoryStore.folder(of: name.text))
        }
    }

    package func isProtected(_ name: ObjectName) async throws(StorageError) -> Bool? {
        try DirectoryStore.translating { () throws(FileError) -> Bool? in try files.isImmutable(name.text) }
    }

    package func setProtected(_ name: ObjectName, _ isProtected: Bool) async throws(StorageError) {
        try DirectoryStore.translating { () throws(FileError) in try files.setImmutable(name.text, isProtected) }
    }

    private static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "" }
        return String(path[..<slash])
    }

    private static func translating<Result>(_ body: () throws(FileError) -> Result) throws(StorageError) -> Result {
        do { return try body() } catch {
            let code: StorageError.Code =
                switch error.remedy {
                case .makeRoom: .full
                case .permit: .refused
                case .remount: .readOnly
                case .inspect: .failed
                }
            throw StorageError(code: code, sentence: error.sentence)
        }
    }
}
