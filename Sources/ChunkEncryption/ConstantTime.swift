import COpenSSL

/// Comparing and wiping bytes without saying anything about them.
package enum ConstantTime {
    /// True when both have the same count and bytes; the time taken depends on the counts only.
    package static func areEqual(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
        guard left.count == right.count else { return false }
        guard let leftBase = left.baseAddress, let rightBase = right.baseAddress else { return true }
        // Safety: both buffers hold `left.count` bytes.
        return unsafe CRYPTO_memcmp(leftBase, rightBase, left.count) == 0
    }

    /// True when both have the same count and bytes; the time taken depends on the counts only.
    package static func areEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        // Safety: the buffers live for the call.
        unsafe left.withUnsafeBytes { leftBytes in
            unsafe right.withUnsafeBytes { rightBytes in unsafe areEqual(leftBytes, rightBytes) }
        }
    }

    /// Overwrites `buffer` with zeros in a way the optimiser may not remove.
    package static func wipe(_ buffer: UnsafeMutableRawBufferPointer) {
        guard let base = buffer.baseAddress else { return }
        // Safety: `buffer.count` bytes from its own base.
        unsafe OPENSSL_cleanse(base, buffer.count)
    }
}
