import Effects
import ObjectStorage
import Synchronization

/// What goes wrong at one call of a store.
enum StoreFault: CaseIterable {
    /// It fails and did nothing, this once.
    case failsOnce
    /// It fails, and all calls behind it too.
    case failsFromThenOn
    /// A put is carried out, and the answer is an error.
    case failsBehind
    /// A put is carried out, and the answer does not say so.
    case unknownBehind
    /// A put is not carried out, and the answer does not say so.
    case unknownBefore
    /// There is no room, this once.
    case full
    /// A read gives half of the bytes; anything else is as it should be.
    case short
}

/// A store at whose n-th call something goes wrong.
final class FaultAtCall: ObjectStore {
    private let store: any ObjectStore
    private let number: Int
    private let fault: StoreFault
    private let calls = Mutex(0)

    /// - Parameter number: of the call, from 0; beyond the last one nothing goes wrong.
    init(_ store: any ObjectStore, at number: Int, _ fault: StoreFault = .failsOnce) {
        self.store = store
        self.number = number
        self.fault = fault
    }

    /// Calls so far.
    var count: Int { calls.withLock { $0 } }

    /// Counts a call. - Returns: what goes wrong at it.
    private func enter(_ name: String) throws(StorageError) -> StoreFault? {
        let call = calls.withLock { calls in
            defer { calls += 1 }
            return calls
        }
        if fault == .failsFromThenOn, call >= number { throw failure(name) }
        guard call == number else { return nil }
        if fault == .failsOnce { throw failure(name) }
        return fault
    }

    private func failure(_ name: String) -> StorageError {
        StorageError(code: .failed, sentence: "the store failed at \(name)")
    }

    func putIfAbsent(_ name: ObjectName, _ bytes: [UInt8]) async throws(StorageError) -> PutAnswer {
        switch try enter(name.text) {
        case .full: throw StorageError(code: .full, sentence: "no room for \(name)")
        case .unknownBefore: return .unknown("no answer about \(name)")
        case .unknownBehind:
            _ = try await store.putIfAbsent(name, bytes)
            return .unknown("no answer about \(name)")
        case .failsBehind:
            _ = try await store.putIfAbsent(name, bytes)
            throw failure(name.text)
        default: return try await store.putIfAbsent(name, bytes)
        }
    }

    func get(_ name: ObjectName, offset: UInt64, count: Int) async throws(StorageError) -> [UInt8]? {
        let fault = try enter(name.text)
        let bytes = try await store.get(name, offset: offset, count: count)
        return fault == .short ? bytes.map { Array($0.prefix($0.count / 2)) } : bytes
    }

    func byteCount(of name: ObjectName) async throws(StorageError) -> UInt64? {
        _ = try enter(name.text)
        return try await store.byteCount(of: name)
    }

    func list(prefix: String) async throws(StorageError) -> [ObjectName] {
        _ = try enter(prefix)
        return try await store.list(prefix: prefix)
    }
}

/// Files at whose n-th call the system refuses, this once or from then on.
final class FaultyFiles: DurableFiles {
    private let files: any DurableFiles
    private let number: Int
    private let error: FileError
    private let isForGood: Bool
    private let calls = Mutex(0)

    init(_ files: any DurableFiles, at number: Int, errno: Int32, isForGood: Bool = false) {
        self.files = files
        self.number = number
        self.isForGood = isForGood
        // ENOSPC and EIO.
        error = FileError(number: errno, sentence: "errno \(errno)", remedy: errno == 28 ? .makeRoom : .inspect)
    }

    var count: Int { calls.withLock { $0 } }

    private func enter() throws(FileError) {
        let call = calls.withLock { calls in
            defer { calls += 1 }
            return calls
        }
        if call == number || (isForGood && call > number) { throw error }
    }

    func makeFolder(_ path: String) throws(FileError) -> Bool {
        try enter()
        return try files.makeFolder(path)
    }

    func writeNew(_ path: String, _ bytes: [UInt8]) throws(FileError) {
        do { try enter() } catch {
            // A full disk takes the front of a file.
            try files.writeNew(path, Array(bytes.prefix(bytes.count / 2)))
            throw error
        }
        try files.writeNew(path, bytes)
    }

    func syncFile(_ path: String) throws(FileError) {
        try enter()
        try files.syncFile(path)
    }

    func link(_ existing: String, to new: String) throws(FileError) -> Bool {
        try enter()
        return try files.link(existing, to: new)
    }

    func syncFolder(_ path: String) throws(FileError) {
        try enter()
        try files.syncFolder(path)
    }

    func lock(_ path: String) throws(FileError) -> (any HeldLock)? {
        try enter()
        return try files.lock(path)
    }

    func remove(_ path: String) throws(FileError) {
        try enter()
        try files.remove(path)
    }

    func read(_ path: String, offset: UInt64, count: Int) throws(FileError) -> [UInt8]? {
        try enter()
        return try files.read(path, offset: offset, count: count)
    }

    func byteCount(_ path: String) throws(FileError) -> UInt64? {
        try enter()
        return try files.byteCount(path)
    }

    func isFolder(_ path: String) throws(FileError) -> Bool {
        try enter()
        return try files.isFolder(path)
    }

    func names(in path: String) throws(FileError) -> [String] {
        try enter()
        return try files.names(in: path)
    }
}
