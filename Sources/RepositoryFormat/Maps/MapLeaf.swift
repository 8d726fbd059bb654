package import BackupModel

/// A stretch of an image that one entry of a leaf describes.
package struct MapSlice: Hashable, Sendable {
    /// The chunk its bytes come from; `nil` for a hole.
    package let chunk: Hash256?
    /// Bytes of the chunk before the first one used; 0 for a hole.
    package let skip: UInt32
    /// Bytes of one repetition, at least 1.
    package let length: UInt32
    /// How often those bytes stand behind each other; 1 for a hole.
    package let repeats: UInt32

    /// A slice from its fields; they are checked where a leaf is parsed.
    package init(chunk: Hash256?, skip: UInt32, length: UInt32, repeats: UInt32) {
        self.chunk = chunk
        self.skip = skip
        self.length = length
        self.repeats = repeats
    }

    /// Bytes of the image it covers.
    package var byteCount: UInt64 { UInt64(length) * UInt64(repeats) }
}

/// The map of a stretch of an image, by default 4 MiB: which slices of which chunks its bytes are (format page §7).
package struct MapLeaf: Hashable, Sendable {
    /// Bytes covered: the leaf size, or less at the image's end.
    package let byteCount: UInt32
    /// Ascending, adjoining, covering the leaf exactly.
    package let slices: [MapSlice]

    /// Parses a leaf and refuses every spelling but the canonical one.
    ///
    /// - Parameter byteCount: bytes it must cover, from its place in the image.
    /// - Throws: ``FormatError``.
    package init(parsing bytes: [UInt8], byteCount: UInt32, name: String) throws(FormatError) {
        let blob = try StructureBlob(parsing: bytes, kind: .mapLeaf, name: name)
        guard blob.structures.isEmpty else { throw .notCanonical("\(name): a map leaf leans on chunks alone") }
        var fields = FieldReader(blob.payload, of: name)
        let covered = try fields.integer(UInt32.self)
        guard covered == byteCount else {
            throw .damaged("\(name) covers \(covered) bytes where the image has \(byteCount)")
        }
        let count = Int(try fields.integer(UInt32.self))
        guard count * 16 == fields.remaining else {
            throw .length(name, needed: count * 16, available: fields.remaining)
        }
        var slices: [MapSlice] = []
        slices.reserveCapacity(count)
        var seen = 0
        var position: UInt64 = 0
        for _ in 0..<count {
            let reference = try fields.integer(UInt32.self)
            let skip = try fields.integer(UInt32.self)
            let length = try fields.integer(UInt32.self)
            let repeats = try fields.integer(UInt32.self)
            let chunk: Hash256?
            if reference == MapReference.hole {
                guard skip == 0, repeats == 1 else { throw .notCanonical("\(name): a hole with a place in a chunk") }
                chunk = nil
            } else {
                guard Int(reference) < blob.contents.count, Int(reference) <= seen else {
                    throw .notCanonical("\(name): references are not in order of first use")
                }
                if Int(reference) == seen { seen += 1 }
                chunk = blob.contents[Int(reference)]
            }
            let slice = MapSlice(chunk: chunk, skip: skip, length: length, repeats: repeats)
            guard length >= 1, repeats >= 1,
                UInt64(skip) + UInt64(length) <= UInt64(FormatLimits.chunkByteCount) || chunk == nil
            else { throw .damaged("\(name) has a slice of \(length) bytes behind \(skip), \(repeats) times") }
            if let last = slices.last, last.chunk == chunk, chunk == nil || last.skip == skip && last.length == length {
                throw .notCanonical("\(name): two neighbours that are one")
            }
            position += slice.byteCount
            guard position <= UInt64(covered) else { throw .damaged("\(name) has slices beyond its \(covered) bytes") }
            slices.append(slice)
        }
        try fields.finish()
        guard position == UInt64(covered), seen == blob.contents.count, seen > 0,
            Set(blob.contents).count == blob.contents.count
        else { throw .notCanonical("\(name): slices that do not cover it, or references that are unused or repeated") }
        self.byteCount = covered
        self.slices = slices
    }
}

/// Composes a leaf from pieces in ascending order, merging as the canonical form asks.
package struct MapLeafBuilder {
    private var references: [Hash256: UInt32] = [:]
    private var contents: [Hash256] = []
    /// Reference, skip, length, repeat.
    private var entries: [(reference: UInt32, skip: UInt32, length: UInt32, repeats: UInt32)] = []
    /// Bytes described so far.
    package private(set) var byteCount: UInt64 = 0

    /// An empty leaf.
    package init() {}

    /// Appends `length` zero bytes, at least one.
    package mutating func appendHole(_ length: UInt32) {
        precondition(length > 0, "a piece of a leaf has at least one byte")
        byteCount += UInt64(length)
        if let last = entries.last, last.reference == MapReference.hole {
            entries[entries.count - 1].length = last.length + length
        } else {
            entries.append((MapReference.hole, 0, length, 1))
        }
    }

    /// Appends `length` bytes of a chunk, from `skip` on.
    package mutating func append(_ chunk: Hash256, skip: UInt32, length: UInt32) {
        precondition(length > 0, "a piece of a leaf has at least one byte")
        byteCount += UInt64(length)
        let reference: UInt32
        if let known = references[chunk] {
            reference = known
        } else {
            reference = UInt32(contents.count)
            references[chunk] = reference
            contents.append(chunk)
        }
        if let last = entries.last, last.reference == reference, last.skip == skip, last.length == length {
            entries[entries.count - 1].repeats = last.repeats + 1
        } else {
            entries.append((reference, skip, length, 1))
        }
    }

    /// The leaf's bytes, or `nil` when all of it is one hole and nothing is stored; then begins anew.
    package mutating func finish() -> [UInt8]? {
        defer { self = MapLeafBuilder() }
        guard !contents.isEmpty else { return nil }
        var payload: [UInt8] = []
        payload.reserveCapacity(8 + entries.count * 16)
        payload.append(littleEndian: UInt32(byteCount))
        payload.append(littleEndian: UInt32(entries.count))
        for entry in entries {
            payload.append(littleEndian: entry.reference)
            payload.append(littleEndian: entry.skip)
            payload.append(littleEndian: entry.length)
            payload.append(littleEndian: entry.repeats)
        }
        return StructureBlob.encoded(kind: .mapLeaf, structures: [], contents: contents, payload: payload)
    }
}
