/// The members of a tar archive: what each is called, where its bytes begin and how many there are.
///
/// Understood are the formats that appliances come in: ustar, GNU (long names, sizes in base 256) and pax (`path`,
/// `size`). Written by strangers: a name in it is never used as the name of a file, and nothing is unpacked. An archive
/// that could be read in two ways is refused: two members of one name, a wrong checksum, bytes behind the end of the
/// file, no end.
package struct TarArchive: Equatable, Sendable {
    /// One member, in the order of the archive.
    package struct Member: Equatable, Sendable {
        /// What a member is.
        package enum Kind: Sendable {
            /// Its bytes stand in the archive as they are.
            case file
            /// Of its bytes only those outside of holes stand in the archive.
            case sparseFile
            /// Another name of something, by name.
            case link
            /// A folder; it has no bytes.
            case folder
            /// A device, a pipe, or of a kind that is not known.
            case other
        }

        /// As written, without `./` in front; bytes that are no UTF-8 are replaced.
        package let name: String
        /// See ``Kind``.
        package let kind: Kind
        /// Where its bytes begin, counted from the beginning of the archive.
        package let offset: UInt64
        /// How many bytes it has there; they all lie inside the archive.
        package let byteCount: UInt64
    }

    /// Headers of any kind; appliances have some ten.
    package static let mostHeaders = 4096
    /// Bytes of a name.
    package static let longestName = 1024
    /// Bytes of all long names and pax headers together; each of them alone is at most ``HeaderBytes/largestRead``.
    package static let mostExtendedByteCount: UInt64 = 1 << 20

    static let blockByteCount: UInt64 = 512

    /// In the order of the archive.
    package private(set) var members: [Member] = []

    /// What an extended header says about the member behind it.
    private struct Extended {
        var name: [UInt8]?
        var byteCount: UInt64?
        var isSparse = false
        /// Whether there was such a header at all: then a member must follow.
        var isPending = false
    }

    /// Reads all headers.
    ///
    /// - Throws: `wrongFormat` for what is no tar archive; `damagedHeader`; `unsupported` for members in parts, sparse
    ///   ones of the old GNU kind, and for more or longer ones than is usual.
    package init(parsing bytes: HeaderBytes) throws(SourceError) {
        var position: UInt64 = 0
        var extended = Extended()
        var extendedByteCount: UInt64 = 0
        for _ in 0..<TarArchive.mostHeaders {
            let block = try bytes.some(at: position, count: Int(TarArchive.blockByteCount))
            guard block.count == Int(TarArchive.blockByteCount) else { throw .noEnd(bytes.path, bytes.size) }
            if block.allSatisfy({ $0 == 0 }) {
                // An archive without members and a disk that begins with zeros look alike; neither is of use.
                if position == 0 { throw .noArchive(bytes.path) }
                try requireEnd(bytes, at: position, isPending: extended.isPending)
                return
            }
            let header = try TarHeader(block, at: position, bytes)
            let start = try bytes.sum(position, TarArchive.blockByteCount)
            if header.isExtended {
                extendedByteCount = try bytes.sum(extendedByteCount, header.byteCount)
                guard header.byteCount <= UInt64(HeaderBytes.largestRead),
                    extendedByteCount <= TarArchive.mostExtendedByteCount
                else {
                    throw .unsupported(
                        bytes.path,
                        "its names and pax headers have more than \(HeaderBytes.largestRead) bytes; unpack it")
                }
                let content = try bytes.exactly(Int(header.byteCount), at: start)
                try TarArchive.read(content, of: header.type, into: &extended, bytes)
                position = try TarArchive.next(start, header.byteCount, bytes)
            } else {
                let member = try TarArchive.member(header, extended, start: start, bytes)
                members.append(member)
                extended = Extended()
                position = try TarArchive.next(start, member.byteCount, bytes)
            }
        }
        throw .unsupported(bytes.path, "it has more than \(TarArchive.mostHeaders) members; unpack it")
    }

    /// Where the header behind a member stands.
    private static func next(_ start: UInt64, _ byteCount: UInt64, _ bytes: HeaderBytes) throws(SourceError) -> UInt64 {
        let end = try bytes.sum(start, byteCount)
        guard end <= bytes.size else { throw .cutShort(bytes.path, endsAt: bytes.size, needs: end) }
        return try bytes.sum(end, blockByteCount - 1) / blockByteCount * blockByteCount
    }

    /// An archive ends with two empty blocks. One alone, at the end of the file, is believed as well.
    private mutating func requireEnd(_ bytes: HeaderBytes, at position: UInt64, isPending: Bool) throws(SourceError) {
        let second = try bytes.some(
            at: try bytes.sum(position, TarArchive.blockByteCount), count: Int(TarArchive.blockByteCount))
        guard second.allSatisfy({ $0 == 0 }) else {
            throw .damaged(bytes.path, "an empty block at \(position), and a member behind it")
        }
        if isPending { throw .damaged(bytes.path, "an extended header at its end, and no member behind it") }
        var names = Set<String>()
        for member in members where member.kind != .folder {
            guard names.insert(member.name).inserted else {
                throw .unsupported(
                    bytes.path, "two of its members are called \(ErrorText.printable(member.name)); unpack it")
            }
        }
    }

    private static func read(
        _ content: [UInt8], of type: UInt8, into extended: inout Extended, _ bytes: HeaderBytes
    ) throws(SourceError) {
        switch type {
        case UInt8(ascii: "L"):
            extended.name = Array(content.prefix { $0 != 0 })
            extended.isPending = true
        // A long name of what a link leads to, which is not followed.
        case UInt8(ascii: "K"): extended.isPending = true
        case UInt8(ascii: "x"):
            try readRecords(content, into: &extended, bytes)
            extended.isPending = true
        default:
            var global = Extended()
            try readRecords(content, into: &global, bytes)
            guard global.name == nil, global.byteCount == nil, !global.isSparse else {
                throw .unsupported(bytes.path, "a pax header names or measures all its members at once; unpack it")
            }
        }
    }

    /// Records of a pax header: their own length in decimal digits, a space, a key, `=`, a value and a line end.
    private static func readRecords(
        _ content: [UInt8], into extended: inout Extended, _ bytes: HeaderBytes
    ) throws(SourceError) {
        var rest = content[...]
        while !rest.isEmpty {
            let digits = rest.prefix { $0 != UInt8(ascii: " ") }
            guard digits.count <= 5, let length = Int(ascii: digits), length > digits.count + 2, length <= rest.count,
                rest[rest.startIndex + length - 1] == UInt8(ascii: "\n")
            else { throw .damaged(bytes.path, "a record of a pax header is not as long as it says") }
            let record = rest[(rest.startIndex + digits.count + 1)..<(rest.startIndex + length - 1)]
            rest = rest.dropFirst(length)
            guard let equals = record.firstIndex(of: UInt8(ascii: "=")) else {
                throw .damaged(bytes.path, "a record of a pax header has no value")
            }
            let value = record[(equals + 1)...]
            switch String(decoding: record[..<equals], as: UTF8.self) {
            case "path":
                guard !value.contains(0) else { throw .damaged(bytes.path, "a name with a zero byte") }
                extended.name = value.isEmpty ? nil : Array(value)
            case "size":
                guard let count = Int(ascii: value) else {
                    throw .damaged(
                        bytes.path, "a size of \(ErrorText.printable(String(decoding: value, as: UTF8.self)))")
                }
                extended.byteCount = UInt64(count)
            case let key: if key.hasPrefix("GNU.sparse.") { extended.isSparse = true }
            }
        }
    }

    private static func member(
        _ header: TarHeader, _ extended: Extended, start: UInt64, _ bytes: HeaderBytes
    ) throws(SourceError) -> Member {
        let name = extended.name ?? header.name
        guard name.count <= longestName else {
            throw .unsupported(bytes.path, "a member has a name of \(name.count) bytes; unpack it")
        }
        var text = String(decoding: name, as: UTF8.self)
        while text.hasPrefix("./") { text.removeFirst(2) }
        guard !text.isEmpty || header.kind == .folder else { throw .damaged(bytes.path, "a member without a name") }
        // Links, folders and devices have no bytes, whatever they say.
        let hasBytes = header.kind == .file || (header.kind == .other && !header.isSpecial)
        let isSparse = header.kind == .file && extended.isSparse
        return Member(
            name: text, kind: isSparse ? .sparseFile : header.kind, offset: start,
            byteCount: hasBytes ? extended.byteCount ?? header.byteCount : 0)
    }
}

/// One header block.
private struct TarHeader {
    let name: [UInt8]
    let byteCount: UInt64
    let type: UInt8
    let kind: TarArchive.Member.Kind

    /// Whether it is about the member behind it and is none itself.
    var isExtended: Bool { "LKxg".utf8.contains(type) }
    /// Whether it is a device or a pipe.
    var isSpecial: Bool { "346".utf8.contains(type) }

    init(_ block: [UInt8], at position: UInt64, _ bytes: HeaderBytes) throws(SourceError) {
        guard Array(block[257..<262]) == Array("ustar".utf8) else {
            if position == 0 { throw .noArchive(bytes.path) }
            throw .damaged(bytes.path, "no header of a tar member at \(position)")
        }
        guard let sum = TarHeader.number(block[148..<156]), TarHeader.sums(block).contains(sum) else {
            throw .damaged(bytes.path, "the checksum of the tar header at \(position) is wrong")
        }
        guard let count = TarHeader.number(block[124..<136]) else {
            throw .damaged(bytes.path, "the tar member at \(position) has a size that is negative or no number")
        }
        byteCount = count
        type = block[156]
        var name = block[..<100].prefix { $0 != 0 }
        // GNU tar keeps times in the place of the prefix.
        let prefix = block[262] == 0 ? block[345..<500].prefix { $0 != 0 } : []
        if !prefix.isEmpty { name = prefix + [UInt8(ascii: "/")] + name }
        self.name = Array(name)
        switch type {
        case 0, UInt8(ascii: "0"), UInt8(ascii: "7"):
            // As old archives spell a folder.
            kind = name.last == UInt8(ascii: "/") ? .folder : .file
        case UInt8(ascii: "1"), UInt8(ascii: "2"): kind = .link
        case UInt8(ascii: "5"): kind = .folder
        case UInt8(ascii: "S"), UInt8(ascii: "M"):
            throw .unsupported(bytes.path, "a member is stored sparse or in parts, as only GNU tar does; unpack it")
        default: kind = .other
        }
    }

    /// Octal digits between blanks, or base 256 behind a byte of 0x80; `nil` for what is neither, negative or above
    /// 2^63. Blank is zero.
    private static func number(_ field: ArraySlice<UInt8>) -> UInt64? {
        if let first = field.first, first & 0x80 != 0 {
            let digits = field.dropFirst()
            guard first == 0x80, digits.dropLast(8).allSatisfy({ $0 == 0 }) else { return nil }
            let value = digits.suffix(8).reduce(UInt64(0)) { value, byte in value << 8 | UInt64(byte) }
            return value <= UInt64(Int64.max) ? value : nil
        }
        let blanks: [UInt8] = [UInt8(ascii: " "), 0]
        let digits = field.drop { $0 == UInt8(ascii: " ") }.prefix { !blanks.contains($0) }
        guard field[digits.endIndex...].allSatisfy({ blanks.contains($0) }) else { return nil }
        var value: UInt64 = 0
        for digit in digits {
            guard (UInt8(ascii: "0")...UInt8(ascii: "7")).contains(digit) else { return nil }
            // Twelve digits have 36 bits.
            value = value << 3 | UInt64(digit - UInt8(ascii: "0"))
        }
        return value
    }

    /// The sum of all bytes with blanks in place of the sum itself; some old programs counted signed bytes.
    private static func sums(_ block: [UInt8]) -> [UInt64] {
        var (plain, signed): (Int, Int) = (0, 0)
        for (index, byte) in block.enumerated() {
            let byte = (148..<156).contains(index) ? UInt8(ascii: " ") : byte
            plain += Int(byte)
            signed += Int(Int8(bitPattern: byte))
        }
        return [UInt64(plain)] + (signed >= 0 ? [UInt64(signed)] : [])
    }
}

extension Int {
    /// Decimal digits and nothing else; `nil` for none and above 2^63.
    fileprivate init?(ascii digits: ArraySlice<UInt8>) {
        guard !digits.isEmpty, digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
            return nil
        }
        self.init(String(decoding: digits, as: UTF8.self))
    }
}

extension SourceError {
    fileprivate static func noArchive(_ path: String) -> SourceError {
        SourceError(
            .wrongFormat, "\(path) should be an appliance, a tar archive, but does not begin like one; state --format",
            .askOperator)
    }

    fileprivate static func noEnd(_ path: String, _ size: UInt64) -> SourceError {
        SourceError(
            .damagedHeader,
            "\(path) was cut short: it ends at \(size) bytes without the mark that ends an archive; copy it again from "
                + "where it came", .repair)
    }
}
