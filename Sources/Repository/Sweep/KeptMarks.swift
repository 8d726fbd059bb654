import BackupModel
import ChunkEncryption
import RepositoryFormat

// What is kept from sweep to sweep
// --------------------------------
// A structure blob names the same children for ever, and a key of a pack never comes back: so where what a map leans on
// stands is a fact as long as those packs count and no further copy appears. Marks are such facts, one record for each
// map. They are kept only of maps all of whose blobs stand in one place: with several, the choice reads packs, and has
// to read them anew each time, for one may have been damaged since. A record counts only when every pack that it names
// counts now and is not known to be damaged here, and when no pack that is new since holds a copy of any blob of it.
// So a walk with marks needs the same places as one without.
//
// The file lies in the state folder behind an HMAC. One that is damaged, forged, of another repository or missing costs
// a whole walk, and so does an old one as far as it is old.

/// Where maps that an earlier sweep walked lean, as far as that still holds.
struct KeptMarks {
    /// Blobs that follow each other in one pack.
    struct Run: Hashable {
        /// Which pack.
        let pack: ObjectKey
        /// Which entries of its directory.
        let ordinals: Range<Int>
    }

    /// What one map leans on.
    struct Record {
        /// Where the map itself stands.
        let own: BlobPlace
        /// Ids of the maps below it.
        let structures: [Hash256]
        /// Where its chunks stand, in ascending order.
        let chunks: [Run]
    }

    static let version: UInt32 = 1
    /// HMAC, two counts and the version, at the end.
    static let trailerByteCount = Hash256.byteCount + 12
    static let packByteCount = Hash256.byteCount + 4

    /// The file as it was kept.
    let content: [UInt8]
    private let packs: [ObjectKey]
    /// Where records begin, by the first word of their ids.
    private let offsets: [UInt64: UInt32]
    private let recordsEnd: Int
    /// By the numbers of packs: which count now.
    private var isUsable: [Bool] = []
    /// By the numbers of packs: entries of which there is a copy in a pack that is new.
    private var copied: [Int: Set<Int>] = [:]

    /// How many maps there are marks of.
    var count: Int { offsets.count }

    /// Takes a file.
    ///
    /// - Returns: `nil` for anything that this program has not written for this repository.
    init?(_ content: [UInt8], keys: RepositoryKeys) throws {
        let trailer = content.count - KeptMarks.trailerByteCount
        guard trailer >= 0,
            Hash256(bytes: content.suffix(Hash256.byteCount)) == (try KeptMarks.seal(content, keys: keys))
        else { return nil }
        self.content = content
        do {
            var ending = FieldReader(content[trailer...], of: "marks")
            let recordCount = Int(try ending.integer(UInt32.self))
            let packCount = Int(try ending.integer(UInt32.self))
            guard try ending.integer(UInt32.self) == KeptMarks.version,
                packCount <= trailer / KeptMarks.packByteCount
            else { return nil }
            recordsEnd = trailer - packCount * KeptMarks.packByteCount
            var table = FieldReader(content[recordsEnd..<trailer], of: "marks")
            var packs: [ObjectKey] = []
            packs.reserveCapacity(packCount)
            for _ in 0..<packCount {
                packs.append(ObjectKey(hash: try table.hash(), generation: try table.integer(UInt32.self)))
            }
            self.packs = packs
            guard recordCount <= recordsEnd / Hash256.byteCount else { return nil }
            var offsets: [UInt64: UInt32] = [:]
            offsets.reserveCapacity(recordCount)
            var cursor = MarksCursor(position: 0, end: recordsEnd)
            while cursor.position < recordsEnd {
                let start = cursor.position
                guard let identifier = cursor.hash(content), cursor.skipRecord(content, packCount: packCount) else {
                    return nil
                }
                offsets[identifier.leadingWord] = UInt32(start)
            }
            self.offsets = offsets
        } catch { return nil }
    }

    /// The HMAC of a file, all of which but its last 32 bytes is covered.
    static func seal(_ content: [UInt8], keys: RepositoryKeys) throws -> Hash256 {
        let key = KeyDerivation.derive(
            key: try keys.indexKey(), label: "dozo/1 sweep marks", context: keys.repository.bytes)
        return unsafe content.withUnsafeBytes { bytes in
            // Safety: the array lives through the call, and is longer than an HMAC.
            unsafe KeyedHasher(key: key).authenticate(
                UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count - Hash256.byteCount)]))
        }
    }

    /// Looks which records still hold, over the index as it is now.
    ///
    /// - Parameter damage: packs that this host knows to be damaged: what stands there is looked for anew.
    /// - Returns: whether any can be used: not when a pack that is new cannot be asked what it holds.
    mutating func compare(with index: ChunkIndex, shelf: PackShelf, damage: Set<ObjectKey>) async throws -> Bool {
        let live = index.knownPacks.filter(\.isLive).map(\.key)
        let numbers = Dictionary(packs.enumerated().map { ($1, $0) }) { first, _ in first }
        isUsable = [Bool](repeating: false, count: packs.count)
        copied = [:]
        var new: [ObjectKey] = []
        for key in live {
            guard let number = numbers[key] else {
                new.append(key)
                continue
            }
            isUsable[number] = !damage.contains(key)
        }
        for key in new {
            try Task.checkCancellation()
            let entries: [PackEntry]
            do { entries = try await shelf.contents(of: key).entries } catch let error as RepositoryError
                where error.isAboutBytes
            { return false }
            for entry in entries where entry.kind != .padding {
                let places = try await index.places(of: entry.identifier, where: \.isLive)
                guard places.count > 1 else { continue }
                for place in places {
                    if let number = numbers[place.pack] { copied[number, default: []].insert(place.ordinal) }
                }
            }
        }
        return true
    }

    /// What a map leans on; `nil` when that was not kept or does not hold any more.
    func record(of identifier: Hash256) -> Record? {
        guard let start = offsets[identifier.leadingWord] else { return nil }
        var cursor = MarksCursor(position: Int(start), end: recordsEnd)
        guard cursor.hash(content) == identifier, let own = cursor.place(content), holds(own.pack, own.ordinals),
            let structureCount = cursor.number(content)
        else { return nil }
        var structures: [Hash256] = []
        structures.reserveCapacity(structureCount)
        for _ in 0..<structureCount {
            guard let child = cursor.hash(content) else { return nil }
            structures.append(child)
        }
        guard let runCount = cursor.number(content) else { return nil }
        var chunks: [Run] = []
        chunks.reserveCapacity(runCount)
        for _ in 0..<runCount {
            guard let run = cursor.run(content), holds(run.pack, run.ordinals) else { return nil }
            chunks.append(Run(pack: packs[run.pack], ordinals: run.ordinals))
        }
        return Record(
            own: BlobPlace(pack: packs[own.pack], ordinal: own.ordinals.lowerBound), structures: structures,
            chunks: chunks)
    }

    private func holds(_ pack: Int, _ ordinals: Range<Int>) -> Bool {
        guard isUsable[pack] || !SweepRule.marksAreCompared.holds else { return false }
        guard let copied = copied[pack] else { return true }
        return !ordinals.contains(where: copied.contains)
    }
}

/// Reads records. Numbers are seven bits a byte, the lowest first, the last byte below 128.
private struct MarksCursor {
    var position: Int
    let end: Int

    mutating func hash(_ content: [UInt8]) -> Hash256? {
        guard end - position >= Hash256.byteCount else { return nil }
        defer { position += Hash256.byteCount }
        return Hash256(bytes: content[position..<position + Hash256.byteCount])
    }

    /// At most 2^28: nothing that is counted here comes near.
    mutating func number(_ content: [UInt8]) -> Int? {
        var (value, shift) = (0, 0)
        while position < end, shift < 28 {
            let byte = content[position]
            position += 1
            value |= Int(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
        return nil
    }

    mutating func place(_ content: [UInt8]) -> (pack: Int, ordinals: Range<Int>)? {
        guard let pack = number(content), let ordinal = number(content) else { return nil }
        return (pack, ordinal..<ordinal + 1)
    }

    mutating func run(_ content: [UInt8]) -> (pack: Int, ordinals: Range<Int>)? {
        guard let pack = number(content), let first = number(content), let count = number(content) else { return nil }
        return (pack, first..<first + count)
    }

    /// Goes behind a record whose id was read. - Returns: whether it is whole and names packs of the table.
    mutating func skipRecord(_ content: [UInt8], packCount: Int) -> Bool {
        guard let own = place(content), own.pack < packCount, let structureCount = number(content),
            structureCount <= (end - position) / Hash256.byteCount
        else { return false }
        position += structureCount * Hash256.byteCount
        guard let runCount = number(content), runCount <= end - position else { return false }
        for _ in 0..<runCount {
            guard let run = run(content), run.pack < packCount, !run.ordinals.isEmpty else { return false }
        }
        return true
    }
}

/// Marks of the maps that a sweep walks, for the next one.
struct MarksBuilder {
    /// Bytes beyond which no more is kept: maps of about 30 million chunks. The others are read by each sweep.
    static let byteLimit = 32 << 20

    private let limit: Int
    private let packs: [ObjectKey]
    private let numbers: [ObjectKey: Int]
    private var bytes: [UInt8] = []
    private var count: UInt32 = 0

    /// - Parameter index: as the sweep sees it: a pack that is not there now is new to the next one.
    init(_ index: ChunkIndex, limit: Int = MarksBuilder.byteLimit) {
        self.limit = limit
        packs = index.knownPacks.filter(\.isLive).map(\.key).sorted()
        numbers = Dictionary(packs.enumerated().map { ($1, $0) }) { first, _ in first }
    }

    /// Keeps a record.
    mutating func add(_ record: KeptMarks.Record, of identifier: Hash256) {
        let start = bytes.count
        bytes.append(identifier)
        guard append(place: record.own) else { return bytes.removeLast(bytes.count - start) }
        append(record.structures.count)
        for child in record.structures { bytes.append(child) }
        append(record.chunks.count)
        for run in record.chunks {
            guard let number = numbers[run.pack] else { return bytes.removeLast(bytes.count - start) }
            append(number)
            append(run.ordinals.lowerBound)
            append(run.ordinals.count)
        }
        guard bytes.count <= limit else { return bytes.removeLast(bytes.count - start) }
        count += 1
    }

    private mutating func append(place: BlobPlace) -> Bool {
        guard let number = numbers[place.pack] else { return false }
        append(number)
        append(place.ordinal)
        return true
    }

    private mutating func append(_ value: Int) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    /// The file.
    func content(keys: RepositoryKeys) throws -> [UInt8] {
        var content = bytes
        content.reserveCapacity(
            bytes.count + packs.count * KeptMarks.packByteCount + KeptMarks.trailerByteCount)
        for pack in packs {
            content.append(pack.hash)
            content.append(littleEndian: pack.generation)
        }
        content.append(littleEndian: count)
        content.append(littleEndian: UInt32(packs.count))
        content.append(littleEndian: KeptMarks.version)
        content += [UInt8](repeating: 0, count: Hash256.byteCount)
        let seal = try KeptMarks.seal(content, keys: keys)
        content.replaceSubrange((content.count - Hash256.byteCount)..., with: seal.bytes)
        return content
    }
}

extension KeptMarks.Run {
    /// Places in ascending order, those that follow each other together, each once.
    static func runs(of places: [BlobPlace]) -> [KeptMarks.Run] {
        var runs: [KeptMarks.Run] = []
        for place in places.sorted(by: { ($0.pack, $0.ordinal) < ($1.pack, $1.ordinal) }) {
            if let last = runs.last, last.pack == place.pack, last.ordinals.upperBound >= place.ordinal {
                let end = Swift.max(last.ordinals.upperBound, place.ordinal + 1)
                runs[runs.count - 1] = KeptMarks.Run(pack: place.pack, ordinals: last.ordinals.lowerBound..<end)
            } else {
                runs.append(KeptMarks.Run(pack: place.pack, ordinals: place.ordinal..<place.ordinal + 1))
            }
        }
        return runs
    }
}
