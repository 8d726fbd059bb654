import BackupModel
package import Effects
import RepositoryFormat

/// Says of most ids that a part of the index does not hold that it does not hold them, without a read.
///
/// A Bloom filter whose bits for one id lie in one cache line of 64 bytes (F. Putze, P. Sanders and J. Singler,
/// "Cache-, Hash- and Space-Efficient Bloom Filters", 2007): ``bitsPerEntry`` bits an entry, seven bits an id, about
/// two wrong "maybe"s in a thousand. Ids are keyed hashes, so the file tells nobody anything about content.
///
/// It lives in a file of the state folder and is mapped. It only ever saves work: who misses an id that must be there
/// asks again without it, so a damaged file costs time and dedup, never data.
struct IndexFilter: Sendable {
    static let bitsPerEntry = 16
    static let lineByteCount = 64
    static let headerByteCount = 64
    private static let magic = Array("dozofilt".utf8) + [1, 0, 0, 0, 0, 0, 0, 0]

    private let file: MappedFile
    let lineCount: UInt64

    /// Takes a mapped file when it is a whole filter of that run.
    init?(_ file: MappedFile, run: Hash256) {
        let bytes = unsafe file.bytes
        guard bytes.count >= IndexFilter.headerByteCount + IndexFilter.lineByteCount,
            bytes.count % IndexFilter.lineByteCount == 0, unsafe bytes.starts(with: IndexFilter.magic),
            // Safety: 64 bytes are there.
            unsafe Hash256(loading: UnsafeRawBufferPointer(rebasing: bytes[16..<48])) == run
        else { return nil }
        self.file = file
        lineCount = UInt64((bytes.count - IndexFilter.headerByteCount) / IndexFilter.lineByteCount)
    }

    /// The file's first byte, valid as long as the filter is held.
    var start: UnsafeRawPointer? { unsafe file.bytes.baseAddress }

    /// Says that ``mayContain(_:_:lineCount:)`` comes soon.
    ///
    /// - Parameter start: of a filter of so many lines, that somebody holds.
    static func expect(_ identifier: Hash256, _ start: UnsafeRawPointer, lineCount: UInt64) {
        // Safety: a hint only, and the line lies in the file.
        unsafe MappedFile.expect(start + place(identifier, lineCount: lineCount).line)
    }

    /// Whether the part may hold the id; `false` is certain.
    ///
    /// - Parameter start: of a filter of so many lines, that somebody holds.
    static func mayContain(_ identifier: Hash256, _ start: UnsafeRawPointer, lineCount: UInt64) -> Bool {
        let (line, bits) = place(identifier, lineCount: lineCount)
        var rest = bits
        for _ in 0..<7 {
            let bit = Int(truncatingIfNeeded: rest & 511)
            // Safety: the line lies in the file, whose size was checked, and the bit in the line.
            let word = unsafe start.loadUnaligned(fromByteOffset: line + (bit >> 6) * 8, as: UInt64.self)
            if UInt64(littleEndian: word) & (1 << UInt64(bit & 63)) == 0 { return false }
            rest >>= 9
        }
        return true
    }

    /// Where an id's bits are: the first byte of its line in the file, and seven times nine bits.
    private static func place(_ identifier: Hash256, lineCount: UInt64) -> (line: Int, bits: UInt64) {
        let (first, second) = identifier.middleWords
        return (headerByteCount + Int(first.multipliedFullWidth(by: lineCount).high) * lineByteCount, second)
    }

    /// The file of a run's filter, being filled.
    struct Builder {
        private(set) var bytes: [UInt8]
        private let lineCount: UInt64

        /// - Parameter entryCount: entries that will be added, at least 1.
        init(run: Hash256, entryCount: Int) {
            let lines = max(1, (entryCount * bitsPerEntry + lineByteCount * 8 - 1) / (lineByteCount * 8))
            lineCount = UInt64(lines)
            bytes = IndexFilter.magic + run.bytes
            bytes += [UInt8](repeating: 0, count: headerByteCount - bytes.count + lines * lineByteCount)
        }

        /// Adds an id.
        mutating func add(_ identifier: Hash256) {
            let (line, bits) = IndexFilter.place(identifier, lineCount: lineCount)
            var rest = bits
            for _ in 0..<7 {
                let bit = Int(truncatingIfNeeded: rest & 511)
                bytes[line + bit >> 3] |= 1 << UInt8(truncatingIfNeeded: bit & 7)
                rest >>= 9
            }
        }
    }
}

/// The filters of one repository in a host's state folder.
package struct IndexFilterFolder: Sendable {
    /// Runs with fewer entries have none: their few blocks stay in memory.
    static let smallestEntryCount = 1000
    private let files: any DurableFiles
    private let folder: String
    /// Where the folder of ``files`` is, for mapping.
    private let root: String
    private let randomness: Randomness

    /// - Parameters:
    ///   - root: path of the folder that `files` starts from.
    ///   - folder: below it, of this repository; made when the first filter is kept.
    package init(files: any DurableFiles, root: String, folder: String, randomness: Randomness) {
        self.files = files
        self.root = root
        self.folder = folder
        self.randomness = randomness
    }

    /// The filter of a run; `nil` when none was built here.
    func filter(of run: Hash256) -> IndexFilter? {
        MappedFile("\(root)/\(folder)/\(run.hexadecimal)").flatMap { IndexFilter($0, run: run) }
    }

    /// Keeps a filter and maps it; `nil` when the state folder has no room for it or cannot be written.
    func keep(_ bytes: [UInt8], of run: Hash256) -> IndexFilter? {
        do throws(FileError) {
            _ = try files.makeFolder(folder)
            let temporary = "\(folder)/tmp-\(randomness.bytes(8).hexadecimal)"
            try files.writeNew(temporary, bytes)
            do throws(FileError) {
                try files.syncFile(temporary)
                _ = try files.link(temporary, to: "\(folder)/\(run.hexadecimal)")
            } catch {
                try? files.remove(temporary)
                throw error
            }
            try files.remove(temporary)
        } catch { return nil }
        return filter(of: run)
    }

    /// Removes the filters of runs that are not among these, and what an interrupted run left.
    func removeOthers(than runs: Set<Hash256>) {
        for name in (try? files.names(in: folder)) ?? [] {
            if let run = Hash256(hexadecimal: name), runs.contains(run) { continue }
            try? files.remove("\(folder)/\(name)")
        }
    }
}
