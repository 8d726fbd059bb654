// The skeleton of a stream
// ------------------------
// A stream of a guest's memory is taken apart into the pages that have a place, which become an image by
// guest-physical address, and the rest. The skeleton is the rest and how both are put together again. It knows no
// format: its operations emit literal bytes, pages, and the counting numbers that formats write before their pages. So
// whatever a parser makes of a stream, the stream comes back byte for byte; a parser that understands less only stores
// more literally. docs/format/repository-v1.md, §15, has the bytes.

/// The first bytes of a skeleton: what it is of, and how long its parts are.
package struct SkeletonHeader: Hashable, Sendable {
    /// Bytes of the header.
    package static let byteCount = 64
    static let magic: [UInt8] = [0x4D, 0x45, 0x4D, 0x53, 0x4B, 0x45, 0x4C, 0x0A]
    static let version: UInt32 = 1
    private static let nameByteCount = 24

    /// Bytes of the stream.
    package let streamByteCount: UInt64
    /// Bytes of the operations, which stand behind the header.
    package let operationByteCount: UInt64
    /// Bytes of the literals, which stand behind the operations.
    package let literalByteCount: UInt64
    /// The format of the stream, for people.
    package let formatName: String

    /// Bytes of the whole skeleton.
    package var skeletonByteCount: UInt64 {
        UInt64(SkeletonHeader.byteCount) + operationByteCount + literalByteCount
    }

    init(streamByteCount: UInt64, operationByteCount: UInt64, literalByteCount: UInt64, format: MemoryFormat) {
        self.streamByteCount = streamByteCount
        self.operationByteCount = operationByteCount
        self.literalByteCount = literalByteCount
        formatName = format.name
    }

    var encoded: [UInt8] {
        var bytes = SkeletonHeader.magic
        func append(_ value: UInt64, _ count: Int) {
            for index in 0..<count { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * index))) }
        }
        append(UInt64(SkeletonHeader.version), 4)
        append(MemoryLimits.pageByteCount, 4)
        append(streamByteCount, 8)
        append(operationByteCount, 8)
        append(literalByteCount, 8)
        let name = Array(formatName.utf8)
        precondition(name.count <= SkeletonHeader.nameByteCount, "a format's name has at most 24 bytes")
        bytes += name + [UInt8](repeating: 0, count: SkeletonHeader.nameByteCount - name.count)
        return bytes
    }

    /// Reads the first bytes of a skeleton.
    ///
    /// - Parameter skeletonByteCount: bytes of the whole skeleton as it is stored.
    /// - Throws: ``MemoryError``: `malformed`; `unsupported` for a version that this program does not know.
    package init(parsing bytes: [UInt8], skeletonByteCount: UInt64) throws(MemoryError) {
        guard bytes.count == SkeletonHeader.byteCount, Array(bytes[..<8]) == SkeletonHeader.magic else {
            throw MemoryError(.malformed, "the skeleton of the memory does not begin like one")
        }
        func number(_ start: Int, _ count: Int) -> UInt64 {
            bytes[start..<start + count].reversed().reduce(0) { $0 << 8 | UInt64($1) }
        }
        guard number(8, 4) == UInt64(SkeletonHeader.version), number(12, 4) == MemoryLimits.pageByteCount else {
            throw MemoryError(
                .unsupported,
                "the skeleton of the memory has version \(number(8, 4)) with pages of \(number(12, 4)) bytes, which "
                    + "this program does not know")
        }
        streamByteCount = number(16, 8)
        operationByteCount = number(24, 8)
        literalByteCount = number(32, 8)
        let name = bytes[40...].prefix { $0 != 0 }
        guard name.allSatisfy({ (0x21...0x7E).contains($0) }), bytes[(40 + name.count)...].allSatisfy({ $0 == 0 })
        else { throw MemoryError(.malformed, "the skeleton of the memory names its format in no known way") }
        formatName = String(decoding: name, as: UTF8.self)
        let room = skeletonByteCount.subtractingReportingOverflow(UInt64(SkeletonHeader.byteCount))
        guard operationByteCount <= UInt64(MemoryLimits.operationByteCount), !room.overflow,
            operationByteCount <= room.partialValue, literalByteCount == room.partialValue - operationByteCount
        else {
            throw MemoryError(
                .malformed,
                "the skeleton of the memory has \(skeletonByteCount) bytes, and its parts \(operationByteCount) and "
                    + "\(literalByteCount)")
        }
    }
}

/// What a format writes before each of its pages, as far as it can be foretold: a number that counts, and bytes that
/// stay the same.
package struct SkeletonTemplate: Hashable, Sendable {
    /// Whether the number's first byte is its highest.
    package var isBigEndian: Bool
    /// Whether a page follows.
    package var hasPage: Bool
    /// What the number grows by, modulo 2^64.
    package var step: UInt64
    /// What follows the number.
    package var trailer: [UInt8] = []

    /// Bytes before the page.
    package var headByteCount: Int { 8 + trailer.count }
    /// Bytes of one repetition.
    package var byteCount: Int { headByteCount + (hasPage ? Int(MemoryLimits.pageByteCount) : 0) }
}
