import CChecksum

/// CRC32C (Castagnoli; RFC 3720 appendix B.4): says *where* a pack was damaged, without a key. It proves nothing.
///
/// By the processor's instruction where it has one, else eight bytes a step through eight tables (M. E. Kounavis and
/// F. L. Berry, "A Systematic Approach to Building High Performance Software-based CRC Generators", 2005).
package enum Checksum {
    /// `tables[k * 256 + b]` is the effect of byte `b` followed by `k` zero bytes.
    private static let tables: [UInt32] = {
        var tables = [UInt32](repeating: 0, count: 8 * 256)
        for byte in 0..<256 {
            var value = UInt32(byte)
            for _ in 0..<8 { value = value & 1 == 0 ? value >> 1 : value >> 1 ^ 0x82F6_3B78 }
            tables[byte] = value
        }
        for index in 256..<(8 * 256) {
            let before = tables[index - 256]
            tables[index] = before >> 8 ^ tables[Int(before & 0xFF)]
        }
        return tables
    }()

    private static let hasInstruction = checksum_has_instruction() != 0

    /// The checksum of `bytes`; 0xE3069283 for the nine digits "123456789".
    package static func crc32c(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        // Safety: the processor has the instruction, and as many bytes are read as there are.
        hasInstruction ? unsafe ~checksum_crc32c(.max, bytes.baseAddress, bytes.count) : unsafe portable(bytes)
    }

    /// As ``crc32c(_:)``, on any processor.
    package static func portable(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        var value = UInt32.max
        unsafe tables.withUnsafeBufferPointer { table in
            var index = 0
            // Safety: a word is read only where eight bytes are left; a table index is below 8 × 256 by its mask.
            while index + 8 <= bytes.count {
                let word =
                    unsafe UInt64(
                        littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)) ^ UInt64(value)
                var next: UInt32 = 0
                for position in 0..<8 {
                    let byte = Int(truncatingIfNeeded: word >> UInt64(position * 8)) & 0xFF
                    next ^= unsafe table[(7 - position) * 256 + byte]
                }
                value = next
                index += 8
            }
            while index < bytes.count {
                value = unsafe value >> 8 ^ table[Int(value & 0xFF) ^ Int(bytes[index])]
                index += 1
            }
        }
        return ~value
    }

    /// Checksums of consecutive blocks, the last one short.
    package static func ofBlocks(_ bytes: UnsafeRawBufferPointer, blockByteCount: Int) -> [UInt32] {
        var sums: [UInt32] = []
        var start = 0
        while start < bytes.count {
            let end = Swift.min(start + blockByteCount, bytes.count)
            // Safety: the range lies inside the buffer.
            sums.append(unsafe crc32c(UnsafeRawBufferPointer(rebasing: bytes[start..<end])))
            start = end
        }
        return sums
    }
}
