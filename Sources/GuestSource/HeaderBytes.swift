/// The bytes of a file as the header parsers see them: bounded reads, numbers that throw instead of trapping.
package struct HeaderBytes {
    /// Largest piece ever asked for, in bytes.
    package static let largestRead = 64 * 1024

    let path: String
    let size: UInt64
    private let load: (_ offset: UInt64, _ count: Int) throws(SourceError) -> [UInt8]

    /// - Parameter path: for messages only.
    package init(_ bytes: [UInt8], path: String) {
        self.init(path: path, size: UInt64(bytes.count)) { (offset, count) throws(SourceError) in
            let start = Int(clamping: offset)
            return start < bytes.count ? Array(bytes[start..<min(bytes.count, start + count)]) : []
        }
    }

    init(_ file: HostFile) { self.init(ImagePart(file)) }

    init(_ part: ImagePart) {
        self.init(path: part.path, size: part.size) { (offset, count) throws(SourceError) in
            try part.bytes(at: offset, count: count)
        }
    }

    private init(
        path: String, size: UInt64, load: @escaping (_ offset: UInt64, _ count: Int) throws(SourceError) -> [UInt8]
    ) {
        self.path = path
        self.size = size
        self.load = load
    }

    /// Up to `count` bytes at `offset`; fewer at the file's end.
    func some(at offset: UInt64, count: Int) throws(SourceError) -> [UInt8] {
        precondition(count <= HeaderBytes.largestRead, "a header is read in bounded pieces")
        return try load(offset, count)
    }

    /// Exactly `count` bytes at `offset`; throws `damagedHeader` when the file is shorter.
    func exactly(_ count: Int, at offset: UInt64) throws(SourceError) -> [UInt8] {
        let bytes = try some(at: offset, count: count)
        guard bytes.count == count else {
            throw .damaged(path, "it ends at \(size) bytes, inside a structure at \(offset)")
        }
        return bytes
    }

    func big16(_ offset: UInt64) throws(SourceError) -> UInt16 { UInt16(truncatingIfNeeded: try big(2, offset)) }
    func big32(_ offset: UInt64) throws(SourceError) -> UInt32 { UInt32(truncatingIfNeeded: try big(4, offset)) }
    func big64(_ offset: UInt64) throws(SourceError) -> UInt64 { try big(8, offset) }
    func little16(_ offset: UInt64) throws(SourceError) -> UInt16 { try big16(offset).byteSwapped }
    func little32(_ offset: UInt64) throws(SourceError) -> UInt32 { try big32(offset).byteSwapped }
    func little64(_ offset: UInt64) throws(SourceError) -> UInt64 { try big64(offset).byteSwapped }

    private func big(_ count: Int, _ offset: UInt64) throws(SourceError) -> UInt64 {
        try exactly(count, at: offset).reduce(0) { value, byte in value << 8 | UInt64(byte) }
    }

    /// Calls `body` with each of `count` numbers in a table, in order.
    func numbers<Number: FixedWidthInteger & UnsignedInteger>(
        _ kind: Number.Type, _ order: ByteOrder, at offset: UInt64, count: UInt64,
        _ body: (_ index: UInt64, _ number: UInt64) throws(SourceError) -> Void
    ) throws(SourceError) {
        let width = UInt64(MemoryLayout<Number>.size)
        let most = UInt64(HeaderBytes.largestRead) / width
        var index: UInt64 = 0
        while index < count {
            let part = min(most, count - index)
            let bytes = try exactly(Int(part * width), at: try sum(offset, index * width))
            for place in 0..<part {
                // Safety: `exactly` gave `part * width` bytes.
                let number = unsafe bytes.withUnsafeBytes { buffer in
                    unsafe buffer.loadUnaligned(fromByteOffset: Int(place * width), as: Number.self)
                }
                try body(index + place, UInt64(order == .big ? number.bigEndian : number.littleEndian))
            }
            index += part
        }
    }

    enum ByteOrder { case big, little }

    /// `base + offset`, or `damagedHeader` past 2^64.
    func sum(_ base: UInt64, _ offset: UInt64) throws(SourceError) -> UInt64 {
        let (sum, overflow) = base.addingReportingOverflow(offset)
        if overflow { throw .damaged(path, "an offset lies past 2^64") }
        return sum
    }
}
