import COpenSSL

// ENCRYPT: the names of chunks, the keys, and every sealed byte.
//
// What this module guarantees:
//
// - It never draws a random number. Whoever needs randomness passes it in (32 bytes from `getrandom`), so that a cloned
//   machine's duplicated user-space generator cannot repeat a key behind our back, and so that a run under a seed is
//   reproducible. Nothing called here asks the library's own generator: Ed25519 is deterministic, ephemeral keys are
//   derived from what the caller gave.
// - Nothing opened is believed before its tag was checked: a failed `open` leaves zeros in the output buffer.
// - Long-lived secrets are `SecretBytes`, wiped when the last reference goes. Contexts that hold key schedules wipe
//   them when they are freed.
// - The library's error queue is empty after every call: a failure carries its text, a refusal clears it.
//
// What may run at the same time: values (`SecretBytes`, `SigningKey`, `RecipientPrivateKey`, …) are Sendable. The
// classes with a reused context (`KeyedHasher`, `BlobKeyDeriver`, `AuthenticatedCipher`, `BoundaryCipher`,
// `StreamingSHA256`) belong to one worker at a time; each worker makes its own.
//
// What is a trap and what is an error: an operation in memory on good arguments cannot fail unless memory is exhausted
// or the installed library lacks an algorithm. `EncryptionSelfTest.run()` turns the second into a sentence at start-up;
// afterwards both are traps. Foreign bytes (keys, signatures, ciphertexts, slot parameters) always throw or answer no.

/// The algorithms of libcrypto, looked up once for the life of the process.
enum CryptographicLibrary {
    // Safety: written once by the runtime's lazy initialisation, never freed; fetched algorithms are immutable and
    // documented as shareable between threads.
    nonisolated(unsafe) private static let fetchedSHA256: OpaquePointer? = unsafe EVP_MD_fetch(nil, "SHA256", nil)
    // Safety: as above.
    nonisolated(unsafe) private static let fetchedGCM: OpaquePointer? = unsafe EVP_CIPHER_fetch(nil, "AES-256-GCM", nil)
    // Safety: as above.
    nonisolated(unsafe) private static let fetchedECB: OpaquePointer? = unsafe EVP_CIPHER_fetch(nil, "AES-256-ECB", nil)

    static var sha256: OpaquePointer {
        guard let algorithm = unsafe fetchedSHA256 else { fail("SHA-256 is available") }
        return unsafe algorithm
    }

    static var aes256GCM: OpaquePointer {
        // Safety: fetched once and never freed.
        guard let algorithm = unsafe fetchedGCM else { fail("AES-256-GCM is available") }
        return unsafe algorithm
    }

    static var aes256ECB: OpaquePointer {
        // Safety: fetched once and never freed.
        guard let algorithm = unsafe fetchedECB else { fail("AES-256-ECB is available") }
        return unsafe algorithm
    }

    /// Names of the algorithms this module uses that the installation lacks.
    static var missingAlgorithms: [String] {
        var missing: [String] = []
        // Safety: what is fetched here is freed here, and nothing else sees it; freeing nothing is allowed.
        if unsafe fetchedSHA256 == nil { missing.append("SHA-256") }
        if unsafe fetchedGCM == nil { missing.append("AES-256-GCM") }
        if unsafe fetchedECB == nil { missing.append("AES-256-ECB") }
        for name in ["ED25519", "X25519"] {
            let found = unsafe EVP_KEYMGMT_fetch(nil, name, nil)
            if unsafe found == nil { missing.append(name) }
            unsafe EVP_KEYMGMT_free(found)
        }
        let found = unsafe EVP_KDF_fetch(nil, "SCRYPT", nil)
        if unsafe found == nil { missing.append("scrypt") }
        unsafe EVP_KDF_free(found)
        return missing
    }

    /// Traps with the library's own words unless `status` is the library's success, 1.
    @inline(__always)
    static func require(_ status: CInt, _ sentence: StaticString) {
        if status != 1 { fail(sentence) }
    }

    /// Returns a freshly made context, or traps: only exhausted memory makes this fail.
    static func require(_ context: OpaquePointer?, _ sentence: StaticString) -> OpaquePointer {
        // Safety: only compared with nothing and handed on; the caller owns it.
        guard let context = unsafe context else { fail(sentence) }
        return unsafe context
    }

    static func fail(_ sentence: StaticString) -> Never {
        // Not a precondition failure: an optimised build would drop the words.
        fatalError("\(sentence); the cryptographic library said: \(takeErrors() ?? "nothing")")
    }

    /// Empties this thread's error queue and returns its lines, oldest first; `nil` when it was empty.
    static func takeErrors() -> String? {
        var lines: [String] = []
        while true {
            let code = ERR_get_error()
            if code == 0 { break }
            var text = [CChar](repeating: 0, count: 256)
            // Safety: the library writes at most `count` characters and ends them with a zero.
            unsafe text.withUnsafeMutableBufferPointer { buffer in
                unsafe ERR_error_string_n(code, buffer.baseAddress, buffer.count)
            }
            lines.append(String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
        }
        return lines.isEmpty ? nil : lines.joined(separator: "; ")
    }
}
