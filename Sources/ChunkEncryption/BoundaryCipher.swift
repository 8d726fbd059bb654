import COpenSSL

/// AES-256 block by block, as the pseudo-random function behind chunk boundaries. Belongs to one worker at a time.
///
/// Each 16-byte block is replaced by its encryption, all by themselves (ECB): right for hashes compared with a
/// threshold and never stored, wrong for anything that is kept.
@safe package final class BoundaryCipher {
    /// Bytes of a block.
    package static let blockByteCount = 16
    /// Bytes of the key.
    package static let keyByteCount = 32
    /// Most blocks one call takes.
    package static let largestBlockCount = 1 << 24

    private let context: OpaquePointer

    /// - Parameter key: 32 bytes, derived for this purpose alone.
    package init(key: SecretBytes) {
        precondition(key.count == Self.keyByteCount, "a boundary key has 32 bytes")
        let context = unsafe CryptographicLibrary.require(EVP_CIPHER_CTX_new(), "a cipher context can be allocated")
        unsafe self.context = context
        // Safety: the library reads 32 bytes and keeps no pointer.
        let status = unsafe key.withUnsafeBytes { bytes in
            unsafe EVP_CipherInit_ex2(
                context, CryptographicLibrary.aes256ECB, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), nil, 1,
                nil)
        }
        CryptographicLibrary.require(status, "a cipher can be keyed")
        CryptographicLibrary.require(unsafe EVP_CIPHER_CTX_set_padding(context, 0), "padding can be switched off")
    }

    deinit {
        // Safety: the context is ours and used by nobody after this; the library wipes its key schedule.
        unsafe EVP_CIPHER_CTX_free(context)
    }

    /// Replaces each 16-byte block of `blocks` by its encryption, in one call and without allocating.
    ///
    /// - Parameter blocks: a multiple of 16 bytes, at most ``largestBlockCount`` blocks; none is fine.
    package func encrypt(inPlace blocks: UnsafeMutableRawBufferPointer) {
        precondition(blocks.count % Self.blockByteCount == 0, "whole blocks of 16 bytes are encrypted")
        precondition(blocks.count / Self.blockByteCount <= Self.largestBlockCount, "at most 2^24 blocks a call")
        guard blocks.count > 0 else { return }
        var count: CInt = 0
        // Safety: input and output are the same whole blocks, which the library allows.
        let bytes = unsafe blocks.baseAddress?.assumingMemoryBound(to: UInt8.self)
        let status = unsafe EVP_CipherUpdate(context, bytes, &count, bytes, CInt(blocks.count))
        CryptographicLibrary.require(status, "blocks in memory can be encrypted")
        precondition(Int(count) == blocks.count, "AES gives a block for a block")
    }
}
