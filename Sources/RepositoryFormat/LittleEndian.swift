package import BackupModel

/// Reads little-endian fields from the front of a byte array, never past its end.
///
/// Every read either yields a value and moves on, or throws ``FormatError`` and leaves the position where it was.
package struct FieldReader {
    private let bytes: ArraySlice<UInt8>
    private let what: String
    private var position: Int

    /// - Parameter what: names the bytes in errors, for example "the header of packs/ab/…".
    package init(_ bytes: ArraySlice<UInt8>, of what: String) {
        self.bytes = bytes
        self.what = what
        position = bytes.startIndex
    }

    /// Bytes not read yet.
    package var remaining: Int { bytes.endIndex - position }

    /// The next `count` bytes; `count` must not be negative.
    package mutating func take(_ count: Int) throws(FormatError) -> ArraySlice<UInt8> {
        precondition(count >= 0, "a count of bytes is not negative")
        guard count <= remaining else { throw .truncated(what, needed: count, available: remaining) }
        defer { position += count }
        return bytes[position..<position + count]
    }

    /// An unsigned integer of `Value`'s width.
    @specialized(where Value == UInt8)
    @specialized(where Value == UInt16)
    @specialized(where Value == UInt32)
    @specialized(where Value == UInt64)
    package mutating func integer<Value: FixedWidthInteger & UnsignedInteger>(
        _ type: Value.Type
    ) throws(FormatError) -> Value {
        let start = position - bytes.startIndex
        guard remaining >= Value.bitWidth / 8 else {
            throw .truncated(what, needed: Value.bitWidth / 8, available: remaining)
        }
        position += Value.bitWidth / 8
        // Safety: so many bytes are left from the start on, and a fixed-width integer may be loaded from any of them.
        return unsafe bytes.withUnsafeBytes { buffer in
            unsafe Value(littleEndian: buffer.loadUnaligned(fromByteOffset: start, as: Value.self))
        }
    }

    /// 32 bytes.
    package mutating func hash() throws(FormatError) -> Hash256 {
        let start = position - bytes.startIndex
        guard remaining >= Hash256.byteCount else {
            throw .truncated(what, needed: Hash256.byteCount, available: remaining)
        }
        position += Hash256.byteCount
        // Safety: 32 bytes are left from the start on.
        return unsafe bytes.withUnsafeBytes { buffer in
            unsafe Hash256(loading: UnsafeRawBufferPointer(rebasing: buffer[start...]))
        }
    }

    /// `count` bytes that must be zero: room kept for later, so that nothing can hide there now.
    package mutating func zeros(_ count: Int) throws(FormatError) {
        for byte in try take(count) where byte != 0 { throw .notCanonical("\(what): reserved bytes are not zero") }
    }

    /// Must be called last: throws unless everything was read.
    package func finish() throws(FormatError) {
        guard remaining == 0 else { throw .trailing(what, surplus: remaining) }
    }
}

extension Array where Element == UInt8 {
    /// Appends an unsigned integer, least significant byte first.
    package mutating func append(littleEndian value: some FixedWidthInteger & UnsignedInteger) {
        // Safety: the bytes are copied before the call ends.
        unsafe Swift.withUnsafeBytes(of: value.littleEndian) { unsafe append(contentsOf: $0) }
    }

    /// Appends the 32 bytes.
    package mutating func append(_ hash: Hash256) {
        // Safety: as above.
        unsafe hash.withUnsafeBytes { unsafe append(contentsOf: $0) }
    }
}
