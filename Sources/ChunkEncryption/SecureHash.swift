package import BackupModel
import COpenSSL

/// SHA-256 of bytes that are already in one place.
package enum SecureHash {
    /// The SHA-256 of `bytes`.
    package static func sha256(_ bytes: [UInt8]) -> Hash256 {
        // Safety: the array lives through the call.
        unsafe bytes.withUnsafeBytes { buffer in unsafe sha256(buffer) }
    }

    /// The SHA-256 of the bytes in `buffer`, which is not kept.
    package static func sha256(_ buffer: UnsafeRawBufferPointer) -> Hash256 {
        // Safety: 32 bytes on the stack, which is what SHA-256 writes; `buffer` lives for the call.
        unsafe withUnsafeTemporaryAllocation(byteCount: Hash256.byteCount, alignment: 8) { digest in
            let status = unsafe EVP_Digest(
                buffer.baseAddress, buffer.count, digest.baseAddress, nil, CryptographicLibrary.sha256, nil)
            CryptographicLibrary.require(status, "hashing bytes in memory works")
            return unsafe Hash256(loading: UnsafeRawBufferPointer(digest))
        }
    }
}

/// SHA-256 of bytes that arrive piece by piece. Belongs to one worker at a time.
@safe package final class StreamingSHA256 {
    private let context: OpaquePointer
    private let scratch: OpaquePointer

    /// An empty hash.
    package init() {
        // Safety: both fresh contexts are ours alone until the deinitialiser.
        unsafe context = CryptographicLibrary.require(EVP_MD_CTX_new(), "a hash context can be allocated")
        unsafe scratch = CryptographicLibrary.require(EVP_MD_CTX_new(), "a hash context can be allocated")
        begin()
    }

    deinit {
        // Safety: both contexts are ours and used by nobody after this.
        unsafe EVP_MD_CTX_free(context)
        unsafe EVP_MD_CTX_free(scratch)
    }

    /// Adds the bytes of `buffer`, which is not kept.
    package func update(_ buffer: UnsafeRawBufferPointer) {
        // Safety: the library reads `buffer.count` bytes and keeps no pointer.
        let status = unsafe EVP_DigestUpdate(context, buffer.baseAddress, buffer.count)
        CryptographicLibrary.require(status, "hashing bytes in memory works")
    }

    /// Adds `bytes`.
    package func update(_ bytes: [UInt8]) {
        // Safety: the array lives through the call.
        unsafe bytes.withUnsafeBytes { buffer in unsafe update(buffer) }
    }

    /// The SHA-256 of everything added so far; more may be added afterwards.
    package func snapshot() -> Hash256 {
        // Safety: both contexts are ours; the copy is independent.
        CryptographicLibrary.require(unsafe EVP_MD_CTX_copy_ex(scratch, context), "a hash state can be copied")
        return unsafe digest(ending: scratch)
    }

    /// The SHA-256 of everything added, after which the hash is empty again and can be used for other bytes.
    package func finish() -> Hash256 {
        let result = unsafe digest(ending: context)
        begin()
        return result
    }

    private func begin() {
        // Safety: our own context and an algorithm that is never freed.
        let status = unsafe EVP_DigestInit_ex2(context, CryptographicLibrary.sha256, nil)
        CryptographicLibrary.require(status, "a hash can be started")
    }

    private func digest(ending ended: OpaquePointer) -> Hash256 {
        // Safety: 32 bytes on the stack, which is what SHA-256 writes.
        unsafe withUnsafeTemporaryAllocation(byteCount: Hash256.byteCount, alignment: 8) { digest in
            let status = unsafe EVP_DigestFinal_ex(ended, digest.baseAddress, nil)
            CryptographicLibrary.require(status, "a hash can be finished")
            return unsafe Hash256(loading: UnsafeRawBufferPointer(digest))
        }
    }
}
