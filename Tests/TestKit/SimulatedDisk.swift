package import Effects
import Synchronization

/// A disk that keeps after a power loss what was made durable, and of the rest what the dice say.
///
/// Bytes and names are durable apart from each other, as on a real file system: a file that was not synchronised comes
/// back whole, cut, empty or with other bytes; a name whose folder was not synchronised is there or not, each on its
/// own.
package final class SimulatedDisk: DurableFiles {
    /// A call that a mutated build leaves out, to show that the tests notice.
    package enum LeftOut: Sendable, CaseIterable {
        /// Nothing: the real program.
        case nothing
        /// `fsync` of files.
        case fileSync
        /// `fsync` of folders.
        case folderSync
        /// Locks: everybody gets every lock.
        case locks
    }

    private struct File {
        var bytes: [UInt8]
        var isDurable: Bool
    }

    private struct State {
        var files: [Int: File] = [:]
        var nextFile = 0
        /// Path to file number; folders have -1.
        var names: [String: Int] = [:]
        var durableNames: [String: Int] = [:]
        var callsUntilPowerLoss = Int.max
        var isDown = false
        /// Who holds a lock, by its path.
        var locks: [String: Int] = [:]
        var nextLock = 0
    }

    /// Goes with whoever holds it; after a power loss nobody holds any.
    private final class Lock: HeldLock {
        private let disk: SimulatedDisk
        private let path: String
        private let number: Int

        init(disk: SimulatedDisk, path: String, number: Int) {
            self.disk = disk
            self.path = path
            self.number = number
        }

        deinit { disk.release(path, number) }
    }

    private func release(_ path: String, _ number: Int) {
        state.withLock { if $0.locks[path] == number { $0.locks[path] = nil } }
    }

    private let state = Mutex(State())
    private let leftOut: LeftOut

    /// An empty disk.
    package init(leftOut: LeftOut = .nothing) { self.leftOut = leftOut }

    /// Whether the power is gone.
    package var isDown: Bool { state.withLock { $0.isDown } }

    /// A disk with the same content, of which nothing is lost any more: an image of this one, restored elsewhere.
    package func copy() -> SimulatedDisk {
        let copy = SimulatedDisk(leftOut: leftOut)
        let now = state.withLock { $0 }
        copy.state.withLock {
            $0 = now
            $0.locks = [:]
        }
        copy.makeDurable()
        return copy
    }

    /// Whatever is on the disk now survives from now on.
    package func makeDurable() {
        state.withLock { state in
            state.durableNames = state.names
            state.files = state.files.mapValues { File(bytes: $0.bytes, isDurable: true) }
            state.callsUntilPowerLoss = .max
            state.isDown = false
        }
    }

    /// The power goes at the `calls`-th call from now; that call and all later ones fail.
    package func losePower(after calls: Int) { state.withLock { $0.callsUntilPowerLoss = calls } }

    /// Power comes back: what was not durable is decided by `dice` and becomes durable as it then is.
    package func restart(dice: inout Dice) {
        state.withLock { state in
            var names = state.durableNames
            for path in Set(state.names.keys).union(names.keys).sorted() where state.names[path] != names[path] {
                if dice.roll(below: 2) == 0 { names[path] = state.names[path] }
            }
            // A name below a folder that did not survive is lost with it.
            for path in names.keys.sorted() {
                let slash = path.utf8.lastIndex(of: SimulatedDisk.slash)
                guard let slash, names[String(path[..<slash])] == nil else { continue }
                names[path] = nil
            }
            for (number, file) in state.files.sorted(by: { $0.key < $1.key }) where !file.isDurable {
                state.files[number] = File(bytes: SimulatedDisk.torn(file.bytes, &dice), isDurable: true)
            }
            state.names = names
            state.durableNames = names
            state.callsUntilPowerLoss = .max
            state.isDown = false
            state.locks = [:]
        }
    }

    private static func torn(_ bytes: [UInt8], _ dice: inout Dice) -> [UInt8] {
        switch dice.roll(below: 4) {
        case 0: return bytes
        case 1: return []
        case 2: return Array(bytes.prefix(Int(dice.roll(below: UInt64(bytes.count + 1)))))
        default: return bytes.map { dice.roll(below: 3) == 0 ? 0 : $0 }
        }
    }

    private func step<Result>(
        _ path: String, _ body: (inout State) throws(FileError) -> Result
    ) throws(FileError) -> Result {
        try state.withLock { state throws(FileError) in
            state.callsUntilPowerLoss -= 1
            if state.callsUntilPowerLoss < 0 { state.isDown = true }
            guard !state.isDown else { throw FileError(number: 5, sentence: "power lost at \(path)", remedy: .inspect) }
            return try body(&state)
        }
    }

    private static func missing(_ path: String) -> FileError {
        FileError(number: 2, sentence: "\(path) is not there", remedy: .inspect)
    }

    private static let slash = UInt8(ascii: "/")

    private static func parentExists(_ path: String, in state: State) -> Bool {
        guard let slash = path.utf8.lastIndex(of: slash) else { return true }
        return state.names[String(path[..<slash])] == -1
    }

    /// The name of a path in a folder, "" for the outermost; `nil` when it lies elsewhere. Asked of every path of the
    /// disk, so it goes by bytes.
    private static func name(_ path: String, in folder: String) -> Substring? {
        let (bytes, front) = (path.utf8, folder.utf8)
        guard !front.isEmpty else { return bytes.contains(slash) ? nil : path[...] }
        guard bytes.count > front.count + 1, bytes.starts(with: front) else { return nil }
        let end = bytes.index(bytes.startIndex, offsetBy: front.count)
        let rest = bytes[bytes.index(after: end)...]
        return bytes[end] == slash && !rest.contains(slash) ? Substring(rest) : nil
    }

    package func makeFolder(_ path: String) throws(FileError) -> Bool {
        try step(path) { state throws(FileError) in
            guard SimulatedDisk.parentExists(path, in: state) else { throw SimulatedDisk.missing(path) }
            guard state.names[path] == nil else { return false }
            state.names[path] = -1
            return true
        }
    }

    package func writeNew(_ path: String, _ bytes: [UInt8]) throws(FileError) {
        try step(path) { state throws(FileError) in
            guard SimulatedDisk.parentExists(path, in: state), state.names[path] == nil else {
                throw SimulatedDisk.missing(path)
            }
            state.names[path] = state.nextFile
            state.files[state.nextFile] = File(bytes: bytes, isDurable: false)
            state.nextFile += 1
        }
    }

    package func syncFile(_ path: String) throws(FileError) {
        try step(path) { state throws(FileError) in
            guard let number = state.names[path], number >= 0 else { throw SimulatedDisk.missing(path) }
            if leftOut != .fileSync { state.files[number]?.isDurable = true }
        }
    }

    package func link(_ existing: String, to new: String) throws(FileError) -> Bool {
        try step(new) { state throws(FileError) in
            guard let number = state.names[existing], SimulatedDisk.parentExists(new, in: state) else {
                throw SimulatedDisk.missing(existing)
            }
            guard state.names[new] == nil else { return false }
            state.names[new] = number
            return true
        }
    }

    package func syncFolder(_ path: String) throws(FileError) {
        try step(path) { state throws(FileError) in
            guard path.isEmpty || state.names[path] == -1 else { throw SimulatedDisk.missing(path) }
            guard leftOut != .folderSync else { return }
            for (name, _) in state.durableNames
            where state.names[name] == nil && SimulatedDisk.name(name, in: path) != nil {
                state.durableNames[name] = nil
            }
            for (name, number) in state.names where SimulatedDisk.name(name, in: path) != nil {
                state.durableNames[name] = number
            }
        }
    }

    package func remove(_ path: String) throws(FileError) {
        try step(path) { state throws(FileError) in state.names[path] = nil }
    }

    package func lock(_ path: String) throws(FileError) -> (any HeldLock)? {
        try step(path) { state throws(FileError) -> Lock? in
            guard SimulatedDisk.parentExists(path, in: state) else { throw SimulatedDisk.missing(path) }
            if state.names[path] == nil {
                state.names[path] = state.nextFile
                state.files[state.nextFile] = File(bytes: [], isDurable: true)
                state.nextFile += 1
            }
            guard state.locks[path] == nil || leftOut == .locks else { return nil }
            state.nextLock += 1
            state.locks[path] = state.nextLock
            return Lock(disk: self, path: path, number: state.nextLock)
        }
    }

    package func read(_ path: String, offset: UInt64, count: Int) throws(FileError) -> [UInt8]? {
        try step(path) { state throws(FileError) in
            guard let number = state.names[path], let file = state.files[number] else { return nil }
            let start = Int(clamping: Swift.min(offset, UInt64(file.bytes.count)))
            return Array(file.bytes[start...].prefix(count))
        }
    }

    package func byteCount(_ path: String) throws(FileError) -> UInt64? {
        try step(path) { state throws(FileError) in
            state.names[path].flatMap { state.files[$0] }.map { UInt64($0.bytes.count) }
        }
    }

    package func isFolder(_ path: String) throws(FileError) -> Bool {
        try step(path) { state throws(FileError) in state.names[path] == -1 }
    }

    package func names(in path: String) throws(FileError) -> [String] {
        try step(path) { state throws(FileError) in
            state.names.keys.compactMap { SimulatedDisk.name($0, in: path).map(String.init) }.sorted()
        }
    }
}
