package import BackupModel
import COpenSSL

/// HMAC-SHA-256 under one key, set once and used for many messages. Belongs to one worker at a time.
///
/// Keeps the hash states behind the inner and the outer padded key and copies them for each message, which saves two of
/// the four extra blocks of a short HMAC.
// Safety: the three contexts and the room for a result are ours from the initialiser to the deinitialiser, and a buffer
// passed in is read during the call only.
@safe package final class KeyedHasher {
    private let inner: OpaquePointer
    private let outer: OpaquePointer
    private let working: OpaquePointer
    /// Where an HMAC lies until it is a value: a closure over the stack would count references for each message.
    private let result: UnsafeMutableRawBufferPointer

    /// Takes the key; any count, a key of more than 64 bytes counts as its SHA-256 (RFC 2104).
    package convenience init(key: SecretBytes) {
        self.init()
        rekey(key)
    }

    /// Takes the key from `key`, which is not kept.
    package convenience init(key: UnsafeRawBufferPointer) {
        self.init()
        unsafe rekey(key)
    }

    private init() {
        // Safety: all four are ours alone until the deinitialiser.
        unsafe inner = CryptographicLibrary.require(EVP_MD_CTX_new(), "a hash context can be allocated")
        unsafe outer = CryptographicLibrary.require(EVP_MD_CTX_new(), "a hash context can be allocated")
        unsafe working = CryptographicLibrary.require(EVP_MD_CTX_new(), "a hash context can be allocated")
        unsafe result = .allocate(byteCount: Hash256.byteCount, alignment: 8)
    }

    deinit {
        // Safety: the contexts are ours and used by nobody after this; the library wipes their states.
        unsafe EVP_MD_CTX_free(inner)
        unsafe EVP_MD_CTX_free(outer)
        unsafe EVP_MD_CTX_free(working)
        unsafe ConstantTime.wipe(result)
        unsafe result.deallocate()
    }

    /// Uses another key from now on.
    package func rekey(_ key: SecretBytes) {
        unsafe key.withUnsafeBytes { buffer in unsafe rekey(buffer) }
    }

    /// Uses another key from now on; `key` is not kept.
    package func rekey(_ key: UnsafeRawBufferPointer) {
        // Safety: the block lives on the stack, is filled within its 64 bytes and wiped before it goes.
        unsafe withUnsafeTemporaryAllocation(byteCount: Self.blockSize, alignment: 8) { block in
            _ = unsafe block.initializeMemory(as: UInt8.self, repeating: 0)
            if key.count > Self.blockSize {
                unsafe SecureHash.sha256(key).withUnsafeBytes { digest in unsafe block.copyMemory(from: digest) }
            } else {
                unsafe block.copyMemory(from: key)
            }
            for index in block.indices { unsafe block[index] ^= 0x36 }
            unsafe start(inner, with: UnsafeRawBufferPointer(block))
            for index in block.indices { unsafe block[index] ^= 0x36 ^ 0x5c }
            unsafe start(outer, with: UnsafeRawBufferPointer(block))
            unsafe ConstantTime.wipe(block)
        }
    }

    /// The HMAC of the bytes in `message`, which is not kept.
    package func authenticate(_ message: UnsafeRawBufferPointer) -> Hash256 {
        begin()
        unsafe add(message)
        return finish()
    }

    /// The HMAC of `prefix` followed by `message`; neither is kept.
    package func authenticate(prefix: UnsafeRawBufferPointer, _ message: UnsafeRawBufferPointer) -> Hash256 {
        // Safety: both are read during the call only.
        begin()
        unsafe add(prefix)
        unsafe add(message)
        return finish()
    }

    /// The HMAC of `message`.
    package func authenticate(_ message: [UInt8]) -> Hash256 {
        unsafe message.withUnsafeBytes { buffer in unsafe authenticate(buffer) }
    }

    /// Writes the HMAC of `first` followed by `second` to the first 32 bytes of `output`, so that a derived key never
    /// becomes a value that could be printed.
    func authenticate(
        _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) {
        // Safety: both inputs are read during the call only, and the precondition counts the room written to.
        precondition(output.count >= Hash256.byteCount, "an HMAC needs 32 bytes of room")
        begin()
        unsafe add(first)
        unsafe add(second)
        unsafe finish(into: output)
    }

    private static let blockSize = 64

    private func start(_ context: OpaquePointer, with block: UnsafeRawBufferPointer) {
        // Safety: our own context, an algorithm that is never freed, and a block that lives for the call.
        let status = unsafe EVP_DigestInit_ex2(context, CryptographicLibrary.sha256, nil)
        CryptographicLibrary.require(status, "a hash can be started")
        let updated = unsafe EVP_DigestUpdate(context, block.baseAddress, block.count)
        CryptographicLibrary.require(updated, "hashing bytes in memory works")
    }

    private func begin() {
        // Safety: both contexts are ours; the copy is independent.
        CryptographicLibrary.require(unsafe EVP_MD_CTX_copy_ex(working, inner), "a hash state can be copied")
    }

    private func add(_ bytes: UnsafeRawBufferPointer) {
        // Safety: the library reads `bytes.count` bytes and keeps no pointer.
        let status = unsafe EVP_DigestUpdate(working, bytes.baseAddress, bytes.count)
        CryptographicLibrary.require(status, "hashing bytes in memory works")
    }

    private func finish() -> Hash256 {
        // Safety: 32 bytes of this object's own, which is what is written.
        unsafe finish(into: result)
        return unsafe Hash256(loading: UnsafeRawBufferPointer(result))
    }

    private func finish(into digest: UnsafeMutableRawBufferPointer) {
        // Safety: callers give at least 32 bytes; the inner digest is read back before it is overwritten.
        let inside = unsafe EVP_DigestFinal_ex(working, digest.baseAddress, nil)
        CryptographicLibrary.require(inside, "a hash can be finished")
        CryptographicLibrary.require(unsafe EVP_MD_CTX_copy_ex(working, outer), "a hash state can be copied")
        unsafe add(UnsafeRawBufferPointer(rebasing: digest[..<Hash256.byteCount]))
        let outside = unsafe EVP_DigestFinal_ex(working, digest.baseAddress, nil)
        CryptographicLibrary.require(outside, "a hash can be finished")
    }
}
