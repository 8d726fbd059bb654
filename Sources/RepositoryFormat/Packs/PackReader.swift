import BackupModel
package import ChunkEncryption

/// What a pack says of itself, without its blobs: read from its front and its end.
package struct PackContents: Sendable {
    /// The first 96 bytes.
    package let header: ObjectHeader
    /// Where the parts lie.
    package let footer: PackFooter
    /// The pack's keys, still sealed.
    package let keys: [SealedPackKey]
    /// Its blobs, in order.
    package let entries: [PackEntry]

    /// Parses a pack's trailer with the index key.
    ///
    /// - Parameters:
    ///   - front: the pack's first 96 bytes, or more.
    ///   - tail: the pack's last bytes, at least from the key table on.
    ///   - packByteCount: size of the whole pack.
    /// - Throws: ``FormatError``: `damaged`, `malformed`, `unsupported`, or `misplaced` for another repository or kind.
    package init(
        front: ArraySlice<UInt8>, tail: ArraySlice<UInt8>, packByteCount: Int, repository: RepositoryID,
        indexKey: SecretBytes, name: String
    ) throws(FormatError) {
        let header = try PackContents.header(front, packByteCount: packByteCount, repository: repository, name: name)
        guard tail.count >= PackFooter.byteCount else {
            throw .truncated(name, needed: PackFooter.byteCount, available: tail.count)
        }
        let footer = try PackFooter(
            parsing: tail.suffix(PackFooter.byteCount), packByteCount: packByteCount, name: name)
        let tailStart = packByteCount - tail.count
        guard footer.keyTable.lowerBound >= tailStart else {
            throw .truncated(
                "what was read of \(name)", needed: packByteCount - footer.keyTable.lowerBound, available: tail.count)
        }
        func part(_ range: Range<Int>) -> ArraySlice<UInt8> {
            tail[(tail.startIndex + range.lowerBound - tailStart)..<(tail.startIndex + range.upperBound - tailStart)]
        }
        keys = try PackKeyTable.parse(part(footer.keyTable), name: name)
        entries = try PackDirectory.open(
            part(footer.directory), header: header, footer: footer, keyCount: keys.count, indexKey: indexKey, name: name
        )
        self.header = header
        self.footer = footer
    }

    /// Parses and checks a pack's header alone.
    ///
    /// - Throws: ``FormatError``.
    package static func header(
        _ front: ArraySlice<UInt8>, packByteCount: Int, repository: RepositoryID, name: String
    ) throws(FormatError) -> ObjectHeader {
        guard packByteCount <= FormatLimits.objectByteCount else {
            throw .overLimit(
                "the size of \(name)", value: UInt64(packByteCount), limit: UInt64(FormatLimits.objectByteCount))
        }
        let header = try ObjectHeader(parsing: front, name: name)
        guard header.kind == .pack else { throw .misplaced("\(name) holds no pack") }
        guard header.repository == repository else {
            throw .misplaced("\(name) belongs to another repository (\(header.repository))")
        }
        guard header.objectClass != .open else { throw .notCanonical("\(name): a pack is of class 1 or 2") }
        guard Int(header.bodyByteCount) == packByteCount - ObjectHeader.byteCount else {
            let stated = Int(header.bodyByteCount) + ObjectHeader.byteCount
            throw .damaged("\(name) has \(packByteCount) bytes; its header says \(stated)")
        }
        return header
    }

    /// Where a whole pack is damaged: block numbers whose checksum is wrong. Needs no key and proves nothing.
    ///
    /// - Throws: ``FormatError`` when even the footer is damaged.
    package static func damagedBlocks(of bytes: [UInt8], name: String) throws(FormatError) -> [Int] {
        let footer = try PackFooter(parsing: bytes.suffix(PackFooter.byteCount), packByteCount: bytes.count, name: name)
        let sums = unsafe bytes.withUnsafeBytes { buffer in
            // Safety: the footer was checked against the count of bytes.
            unsafe Checksum.ofBlocks(
                UnsafeRawBufferPointer(rebasing: buffer[..<footer.checksums.lowerBound]),
                blockByteCount: PackFooter.checksumBlock)
        }
        var fields = FieldReader(bytes[footer.checksums], of: name)
        var damaged: [Int] = []
        for (index, sum) in sums.enumerated() where try fields.integer(UInt32.self) != sum { damaged.append(index) }
        return damaged
    }
}
