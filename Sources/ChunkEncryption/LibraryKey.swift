import COpenSSL

/// A key as the library wants it, freed at the end of the scope.
@safe struct LibraryKey: ~Copyable {
    /// The library's key; lives as long as this value.
    let pointer: OpaquePointer

    /// A private key from its raw bytes; the caller has checked that there are 32, and any 32 are a key.
    init(algorithm: String, privateKey: SecretBytes) {
        // Safety: the library reads the bytes and the name for the call.
        let made = unsafe privateKey.withUnsafeBytes { bytes in
            unsafe EVP_PKEY_new_raw_private_key_ex(
                nil, algorithm, nil, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count)
        }
        unsafe pointer = CryptographicLibrary.require(made, "32 bytes are a private key")
    }

    /// A public key from its raw bytes; `nil` when the library refuses them.
    init?(algorithm: String, publicKey: [UInt8]) {
        // Safety: the library reads the bytes and the name for the call.
        guard let made = unsafe EVP_PKEY_new_raw_public_key_ex(nil, algorithm, nil, publicKey, publicKey.count) else {
            _ = CryptographicLibrary.takeErrors()
            return nil
        }
        unsafe pointer = made
    }

    deinit {
        // Safety: the pointer is ours and used by nobody after this.
        unsafe EVP_PKEY_free(pointer)
    }

    /// The 32 bytes of the public key.
    borrowing func publicBytes() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 32)
        var count = bytes.count
        // Safety: the library writes at most `count` bytes.
        let status = unsafe EVP_PKEY_get_raw_public_key(pointer, &bytes, &count)
        CryptographicLibrary.require(status, "a private key has a public one")
        precondition(count == 32, "a public key has 32 bytes")
        return bytes
    }
}

/// A key of the library that is used many times: making one costs as much as an agreement or a signature.
// Safety: the library only reads a finished key and counts its references atomically.
final class KeptKey: @unchecked Sendable {
    let key: LibraryKey

    init(_ key: consuming LibraryKey) { self.key = key }
}
