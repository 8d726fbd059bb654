import COpenSSL

/// AES-256-GCM with a reused context: one key set-up a message, nothing allocated. Belongs to one worker at a time.
///
/// A sealed message is the ciphertext, as long as the plaintext, followed by a 16-byte tag. The 96-bit nonce is a
/// counter: eight bytes little-endian, then four zero bytes.
///
/// **No nonce repeats under a key.** A blob key is derived from the pack's random key and what the blob is, and the
/// counter is the blob's number in its pack; object keys are derived from the object's random salt, and the counter is
/// the block's number in the object. The caller keeps that rule: this class cannot know which keys are fresh.
@safe package final class AuthenticatedCipher {
    /// Bytes of a key.
    package static let keyByteCount = 32
    /// Bytes of the tag behind the ciphertext.
    package static let tagByteCount = 16
    /// Most bytes of one message; larger is a bug of the caller. (GCM itself would allow 64 GiB.)
    package static let largestMessage = 1 << 30

    private let context: OpaquePointer
    private var direction: Direction?

    private enum Direction: CInt {
        case opening = 0
        case sealing = 1
    }

    /// A cipher without a key; each call brings its own.
    package init() {
        // Safety: the fresh context is ours alone until the deinitialiser.
        unsafe context = CryptographicLibrary.require(EVP_CIPHER_CTX_new(), "a cipher context can be allocated")
    }

    deinit {
        // Safety: the context is ours and used by nobody after this; the library wipes its key schedule.
        unsafe EVP_CIPHER_CTX_free(context)
    }

    /// Encrypts `plaintext` into `output` and appends the tag. None of the buffers is kept.
    ///
    /// - Parameter key: 32 bytes.
    /// - Parameter nonce: the counter; never used twice under one key.
    /// - Parameter associatedData: bound to the message, not stored in it.
    /// - Parameter output: exactly 16 bytes more than `plaintext`; it may start at the same address (sealing in place)
    ///   and must not overlap otherwise.
    package func seal(
        key: UnsafeRawBufferPointer, nonce: UInt64, associatedData: UnsafeRawBufferPointer,
        plaintext: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) {
        // Safety: the caller's buffers live through the call; the nonce lives through the closure.
        unsafe Self.withNonce(nonce) { bytes in
            unsafe seal(key: key, nonce: bytes, associatedData: associatedData, plaintext: plaintext, into: output)
        }
    }

    /// Checks `sealed` and decrypts it into `output`. None of the buffers is kept.
    ///
    /// - Parameter output: exactly 16 bytes fewer than `sealed`; it may start at the same address (opening in place)
    ///   and must not overlap otherwise. Holds zeros after a failure.
    /// - Throws: ``EncryptionError/Code/truncated`` for fewer than 16 bytes, ``EncryptionError/Code/notAuthentic`` when
    ///   the tag does not match: try another copy.
    package func open(
        key: UnsafeRawBufferPointer, nonce: UInt64, associatedData: UnsafeRawBufferPointer,
        sealed: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(EncryptionError) {
        // Safety: as in seal.
        try unsafe Self.withNonce(nonce) { (bytes) throws(EncryptionError) in
            try unsafe open(key: key, nonce: bytes, associatedData: associatedData, sealed: sealed, into: output)
        }
    }

    // MARK: How

    static let nonceByteCount = 12

    private static func withNonce<Result, Failure: Error>(
        _ counter: UInt64, _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        var words = (counter.littleEndian, UInt64(0))
        // Safety: a tuple of two UInt64 is 16 contiguous bytes; the nonce is the first 12.
        return try unsafe withUnsafeBytes(of: &words) { (bytes) throws(Failure) in
            try unsafe body(UnsafeRawBufferPointer(rebasing: bytes[..<nonceByteCount]))
        }
    }

    func seal(
        key: UnsafeRawBufferPointer, nonce: UnsafeRawBufferPointer, associatedData: UnsafeRawBufferPointer,
        plaintext: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) {
        precondition(plaintext.count <= Self.largestMessage, "a message has at most 1 GiB")
        precondition(output.count == plaintext.count + Self.tagByteCount, "a sealed message is 16 bytes longer")
        unsafe checkOverlap(plaintext, output)
        unsafe begin(.sealing, key: key, nonce: nonce)
        unsafe bind(associatedData)
        // Safety: `output` has the ciphertext's bytes and 16 for the tag; the library keeps no pointer.
        let bytes = unsafe output.baseAddress?.assumingMemoryBound(to: UInt8.self)
        unsafe transform(plaintext, into: bytes)
        var finalCount: CInt = 0
        let finished = unsafe EVP_CipherFinal_ex(context, bytes, &finalCount)
        CryptographicLibrary.require(finished, "a sealed message can be finished")
        let tag = unsafe output.baseAddress?.advanced(by: plaintext.count)
        let tagged = unsafe EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, CInt(Self.tagByteCount), tag)
        CryptographicLibrary.require(tagged, "a sealed message has a tag")
    }

    func open(
        key: UnsafeRawBufferPointer, nonce: UnsafeRawBufferPointer, associatedData: UnsafeRawBufferPointer,
        sealed: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(EncryptionError) {
        guard sealed.count >= Self.tagByteCount else {
            throw .truncated(byteCount: sealed.count, needed: Self.tagByteCount)
        }
        let count = sealed.count - Self.tagByteCount
        precondition(count <= Self.largestMessage, "a message has at most 1 GiB")
        precondition(output.count == count, "an opened message is 16 bytes shorter")
        unsafe checkOverlap(sealed, output)
        // Safety: all buffers live for the call; the tag is copied out first, so that opening in place cannot touch it.
        var tag = unsafe sealed.loadUnaligned(fromByteOffset: count, as: (UInt64, UInt64).self)
        unsafe begin(.opening, key: key, nonce: nonce)
        unsafe bind(associatedData)
        // An empty message has no output, but the library wants an address for the final call.
        var nothing: UInt8 = 0
        let genuine = unsafe withUnsafeMutablePointer(to: &nothing) { spare in
            let bytes = unsafe output.baseAddress?.assumingMemoryBound(to: UInt8.self) ?? spare
            unsafe transform(UnsafeRawBufferPointer(rebasing: sealed[..<count]), into: bytes)
            let expected = unsafe EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, CInt(Self.tagByteCount), &tag)
            CryptographicLibrary.require(expected, "a tag can be expected")
            var finalCount: CInt = 0
            return unsafe EVP_CipherFinal_ex(context, bytes, &finalCount) == 1
        }
        guard genuine else {
            unsafe ConstantTime.wipe(output)
            throw .notAuthentic(byteCount: sealed.count)
        }
    }

    private func checkOverlap(_ input: UnsafeRawBufferPointer, _ output: UnsafeMutableRawBufferPointer) {
        guard let inputStart = input.baseAddress, let outputStart = output.baseAddress else { return }
        // Safety: only addresses are compared; nothing is read.
        let from = UInt(bitPattern: inputStart)
        let to = UInt(bitPattern: outputStart)
        let apart = from + UInt(input.count) <= to || to + UInt(output.count) <= from
        precondition(from == to || apart, "input and output start at the same address or do not overlap")
    }

    private func begin(_ wanted: Direction, key: UnsafeRawBufferPointer, nonce: UnsafeRawBufferPointer) {
        precondition(key.count == Self.keyByteCount, "an AES-256 key has 32 bytes")
        precondition(nonce.count == Self.nonceByteCount, "a nonce has 12 bytes")
        // Naming the algorithm again makes the library allocate another state; the first call does it, later ones do
        // not.
        let algorithm = unsafe direction == nil ? CryptographicLibrary.aes256GCM : nil
        direction = wanted
        // Safety: the library reads 32 and 12 bytes and keeps no pointer.
        let status = unsafe EVP_CipherInit_ex2(
            context, algorithm, key.baseAddress?.assumingMemoryBound(to: UInt8.self),
            nonce.baseAddress?.assumingMemoryBound(to: UInt8.self), wanted.rawValue, nil)
        CryptographicLibrary.require(status, "a cipher can be keyed")
    }

    private func bind(_ associatedData: UnsafeRawBufferPointer) {
        guard associatedData.count > 0 else { return }
        precondition(associatedData.count <= Self.largestMessage, "associated data has at most 1 GiB")
        var count: CInt = 0
        // Safety: no output address means associated data; the library reads the buffer and keeps no pointer.
        let status = unsafe EVP_CipherUpdate(
            context, nil, &count, associatedData.baseAddress?.assumingMemoryBound(to: UInt8.self),
            CInt(associatedData.count))
        CryptographicLibrary.require(status, "associated data can be bound")
    }

    private func transform(_ input: UnsafeRawBufferPointer, into output: UnsafeMutablePointer<UInt8>?) {
        guard input.count > 0 else { return }
        var count: CInt = 0
        // Safety: callers give as many bytes of output as input, at the same address or apart.
        let status = unsafe EVP_CipherUpdate(
            context, output, &count, input.baseAddress?.assumingMemoryBound(to: UInt8.self), CInt(input.count))
        CryptographicLibrary.require(status, "bytes in memory can be encrypted or decrypted")
        precondition(Int(count) == input.count, "GCM gives a byte for a byte")
    }
}

extension AuthenticatedCipher {
    /// Seals a small message; allocates the result. For chunks use the buffers.
    package func seal(key: SecretBytes, nonce: UInt64, associatedData: [UInt8], plaintext: [UInt8]) -> [UInt8] {
        var sealed = [UInt8](repeating: 0, count: plaintext.count + Self.tagByteCount)
        // Safety: the buffers live for the call and are distinct.
        unsafe sealed.withUnsafeMutableBytes { output in
            unsafe key.withUnsafeBytes { key in
                unsafe associatedData.withUnsafeBytes { data in
                    unsafe plaintext.withUnsafeBytes { input in
                        unsafe seal(key: key, nonce: nonce, associatedData: data, plaintext: input, into: output)
                    }
                }
            }
        }
        return sealed
    }

    /// Opens a small message; allocates the result. For chunks use the buffers.
    ///
    /// - Throws: ``EncryptionError/Code/truncated`` or ``EncryptionError/Code/notAuthentic``.
    package func open(
        key: SecretBytes, nonce: UInt64, associatedData: [UInt8], sealed: [UInt8]
    ) throws(EncryptionError) -> [UInt8] {
        guard sealed.count >= Self.tagByteCount else {
            throw .truncated(byteCount: sealed.count, needed: Self.tagByteCount)
        }
        var opened = [UInt8](repeating: 0, count: sealed.count - Self.tagByteCount)
        // Safety: the buffers live for the call and are distinct.
        var span = opened.mutableSpan
        try unsafe span.withUnsafeMutableBytes { (output) throws(EncryptionError) in
            try unsafe key.withUnsafeBytes { (key) throws(EncryptionError) in
                try unsafe associatedData.span.withUnsafeBytes { (data) throws(EncryptionError) in
                    try unsafe sealed.span.withUnsafeBytes { (input) throws(EncryptionError) in
                        try unsafe open(key: key, nonce: nonce, associatedData: data, sealed: input, into: output)
                    }
                }
            }
        }
        return opened
    }
}
