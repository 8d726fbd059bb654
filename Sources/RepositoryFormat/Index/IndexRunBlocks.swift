package import BackupModel
package import ChunkEncryption

/// The blocks of one run, which open singly: a sorted list of entries in pieces of
/// ``IndexRunLayout/blockEntryCount``.
package struct IndexRunBlocks: Sendable {
    /// The leading word of each block's first id, ascending.
    package let prefixes: [UInt64]
    /// Entries of all blocks.
    package let entryCount: Int
    /// Name of the run, for errors.
    package let name: String
    private let key: SecretBytes
    /// What each block is bound to besides its number.
    private let associated: [UInt8]

    init(prefixes: [UInt64], entryCount: Int, header: ObjectHeader, key: SecretBytes, name: String) {
        self.prefixes = prefixes
        self.entryCount = entryCount
        associated = SealedSection.associatedData(header)
        self.key = key
        self.name = name
    }

    /// Number of blocks.
    package var count: Int { prefixes.count }

    /// Bytes of a block in the object.
    package func byteRange(ofBlock block: Int) -> Range<Int> {
        precondition(prefixes.indices.contains(block), "the run has that block")
        let start = ObjectHeader.byteCount + block * IndexRunLayout.blockByteCount
        return start..<(start + entryCount(ofBlock: block) * IndexEntry.byteCount + AuthenticatedCipher.tagByteCount)
    }

    /// Entries of a block.
    package func entryCount(ofBlock block: Int) -> Int {
        Swift.min(IndexRunLayout.blockEntryCount, entryCount - block * IndexRunLayout.blockEntryCount)
    }

    /// The blocks in which an id can stand: those that begin with its leading word, and the one before them.
    package func candidates(for identifier: Hash256) -> Range<Int> {
        prefixes.pieces(thatMayHold: identifier.leadingWord)
    }

    /// Opens one block and checks that it is sorted and names packs that there are.
    ///
    /// - Parameters:
    ///   - sealed: the bytes at ``byteRange(ofBlock:)``.
    ///   - packCount: packs of the run, or of the head whose part it is.
    ///   - cipher: any; its key is set anew.
    ///   - output: ``entryCount(ofBlock:)`` × 40 bytes.
    /// - Throws: ``FormatError``, `damaged`.
    package func open(
        block: Int, _ sealed: UnsafeRawBufferPointer, packCount: Int, cipher: AuthenticatedCipher,
        into output: UnsafeMutableRawBufferPointer
    ) throws(FormatError) {
        let count = entryCount(ofBlock: block)
        precondition(output.count == count * IndexEntry.byteCount, "the output is as long as the block")
        var data = associated
        data.append(littleEndian: UInt64(block))
        do {
            guard sealed.count == output.count + AuthenticatedCipher.tagByteCount else {
                throw FormatError.damaged("")
            }
            try unsafe data.withUnsafeBytes { data in
                try unsafe key.withUnsafeBytes { key in
                    // Safety: all buffers live through the call, and the sizes were compared.
                    try unsafe cipher.open(
                        key: key, nonce: UInt64(block), associatedData: data, sealed: sealed, into: output)
                }
            }
        } catch { throw .damaged("block \(block) of \(name) does not open: it was damaged or exchanged") }
        let entries = unsafe IndexBlockEntries(UnsafeRawBufferPointer(output))
        guard entries[0].identifier.leadingWord == prefixes[block] else {
            throw .damaged("block \(block) of \(name) does not begin as the fence says")
        }
        for position in 0..<count {
            guard entries.pack(position) < packCount else {
                throw .damaged("block \(block) of \(name) names a pack that the run does not")
            }
            // The leading words decide nearly always.
            guard position > 0, entries.leadingWord(position - 1) >= entries.leadingWord(position) else { continue }
            guard entries[position - 1] < entries[position] else {
                throw .notCanonical("block \(block) of \(name) is not sorted")
            }
        }
    }

    /// As ``open(block:_:packCount:cipher:into:)``, the entries as values.
    ///
    /// - Throws: ``FormatError``, `damaged`.
    package func open(block: Int, _ sealed: [UInt8], packCount: Int) throws(FormatError) -> [IndexEntry] {
        var plain = [UInt8](repeating: 0, count: entryCount(ofBlock: block) * IndexEntry.byteCount)
        let cipher = AuthenticatedCipher()
        do {
            try unsafe sealed.withUnsafeBytes { sealed in
                try unsafe plain.withUnsafeMutableBytes { output in
                    // Safety: both arrays live through the call.
                    try unsafe open(block: block, sealed, packCount: packCount, cipher: cipher, into: output)
                }
            }
        } catch let error as FormatError { throw error } catch { preconditionFailure("only a format error is thrown") }
        return unsafe plain.withUnsafeBytes { buffer in
            // Safety: the entries are copied before the call ends.
            let entries = unsafe IndexBlockEntries(buffer)
            return (0..<entries.count).map { entries[$0] }
        }
    }
}

/// The entries of an opened block where they lie. Valid as long as the bytes are.
// Safety: whoever makes one keeps the bytes alive, and every access is checked against their count.
@safe package struct IndexBlockEntries {
    private let bytes: UnsafeRawBufferPointer

    /// - Parameter bytes: whole entries.
    package init(_ bytes: UnsafeRawBufferPointer) {
        precondition(bytes.count % IndexEntry.byteCount == 0, "a block has whole entries")
        unsafe self.bytes = bytes
    }

    /// Number of entries.
    package var count: Int { unsafe bytes.count / IndexEntry.byteCount }

    /// One entry by its number.
    package subscript(position: Int) -> IndexEntry {
        let start = position * IndexEntry.byteCount
        // Safety: the slice is checked against the buffer's bounds.
        let place = unsafe UnsafeRawBufferPointer(rebasing: bytes[start..<start + IndexEntry.byteCount])
        return IndexEntry(
            identifier: unsafe Hash256(loading: place),
            pack: unsafe UInt32(littleEndian: place.loadUnaligned(fromByteOffset: 32, as: UInt32.self)),
            ordinal: unsafe UInt32(littleEndian: place.loadUnaligned(fromByteOffset: 36, as: UInt32.self)))
    }

    func leadingWord(_ position: Int) -> UInt64 {
        precondition((0..<count).contains(position), "the block has that entry")
        // Safety: the entry lies in the block.
        return unsafe UInt64(
            bigEndian: bytes.loadUnaligned(fromByteOffset: position * IndexEntry.byteCount, as: UInt64.self))
    }

    func pack(_ position: Int) -> Int {
        precondition((0..<count).contains(position), "the block has that entry")
        // Safety: the entry lies in the block.
        return Int(
            unsafe UInt32(
                littleEndian: bytes.loadUnaligned(
                    fromByteOffset: position * IndexEntry.byteCount + Hash256.byteCount, as: UInt32.self)))
    }

    /// The numbers of the entries of an id.
    package func positions(of identifier: Hash256) -> Range<Int> {
        let word = identifier.leadingWord
        var first = (0..<count).partitionPoint { leadingWord($0) >= word }
        while first < count, self[first].identifier < identifier { first += 1 }
        var end = first
        while end < count, self[end].identifier == identifier { end += 1 }
        return first..<end
    }
}

extension [UInt64] {
    /// Of sorted pieces that begin with these words: those in which something with a leading word can stand.
    package func pieces(thatMayHold word: UInt64) -> Range<Int> {
        // Safety: the array lives through the call.
        unsafe withUnsafeBufferPointer { unsafe $0.pieces(thatMayHold: word) }
    }
}

extension UnsafeBufferPointer<UInt64> {
    /// As the array's, by places counted from 0.
    package func pieces(thatMayHold word: UInt64) -> Range<Int> {
        // The first that begins with the word or behind it. Ids are keyed hashes and so spread evenly: it lies near the
        // place that its value alone suggests, and the few cache lines there are all that is touched.
        var (low, length) = unsafe neighbourhood(of: word)
        // Safety: every index is below the count, here and below.
        while length > 0 {
            let half = length / 2
            let isFar = unsafe self[low + half] >= word
            low = isFar ? low : low + half + 1
            length = isFar ? half : length - half - 1
        }
        var end = low
        while end < count, unsafe self[end] == word { end += 1 }
        return Swift.max(low - 1, 0)..<end
    }

    /// A stretch of sorted words at whose places, or right behind them, the first word stands that is not below `word`.
    fileprivate func neighbourhood(of word: UInt64) -> (low: Int, length: Int) {
        guard count > 32, let first = unsafe self.first, let last = unsafe self.last, first < word, word <= last else {
            return (0, count)
        }
        // first < word ≤ last, so the answer lies in 1 ..< count. Rounding moves the guess by a place at most.
        let share = Double(word - first) / Double(last - first)
        let guess = Swift.min(Int(share * Double(count - 1)), count - 1)
        var step = 8
        // Safety: the loops stay inside 0 ..< count.
        if unsafe self[guess] < word {
            var low = guess
            while low + step < count, unsafe self[low + step] < word {
                low += step
                step *= 2
            }
            return (low + 1, Swift.min(low + step, count - 1) - low)
        }
        var high = guess
        while high - step >= 0, unsafe self[high - step] >= word {
            high -= step
            step *= 2
        }
        let low = Swift.max(high - step, 0)
        return (low, high - low)
    }
}

extension RandomAccessCollection {
    /// The first position whose element is on the far side; the end when none is. Elements are sorted near before far.
    package func partitionPoint(_ isFar: (Element) -> Bool) -> Index {
        var low = startIndex
        var length = count
        while length > 0 {
            let half = length / 2
            let middle = index(low, offsetBy: half)
            if isFar(self[middle]) {
                length = half
            } else {
                low = index(after: middle)
                length -= half + 1
            }
        }
        return low
    }
}
