import BackupModel
package import ChunkEncryption

/// What ties a sealed message to its place (format page §5, "HPKE suite 1").
package enum DomainSealing {
    /// HPKE `info`: "dozo/1" ‖ repository ‖ u32 domain ‖ u8 class ‖ u32 key epoch.
    package static func info(
        repository: RepositoryID, domain: UInt32, objectClass: ObjectClass, keyEpoch: UInt32
    ) -> [UInt8] {
        var info = Array("dozo/1".utf8) + repository.bytes
        info.append(littleEndian: domain)
        info.append(objectClass.rawValue)
        info.append(littleEndian: keyEpoch)
        return info
    }

    /// HPKE `psk_id`: "dozo/1 psk" ‖ u32 key epoch.
    package static func preSharedKeyID(keyEpoch: UInt32) -> [UInt8] {
        var identifier = Array("dozo/1 psk".utf8)
        identifier.append(littleEndian: keyEpoch)
        return identifier
    }
}

/// The public half of one class of one domain: enough to seal to it and to nothing else.
package struct DomainRecipient: Sendable {
    /// The repository everything is bound to.
    package let repository: RepositoryID
    /// Dedup domain.
    package let domain: UInt32
    /// Structure or content.
    package let objectClass: ObjectClass
    /// Epoch of the public key.
    package let keyEpoch: UInt32
    /// Where messages are sealed to.
    package let publicKey: RecipientPublicKey
    /// The secret that writers have and the store has not.
    package let preSharedKey: SecretBytes

    /// - Precondition: `objectClass` is structure or content.
    package init(
        repository: RepositoryID, domain: UInt32, objectClass: ObjectClass, keyEpoch: UInt32,
        publicKey: RecipientPublicKey, preSharedKey: SecretBytes
    ) {
        precondition(objectClass != .open, "nothing is sealed to the public class")
        self.repository = repository
        self.domain = domain
        self.objectClass = objectClass
        self.keyEpoch = keyEpoch
        self.publicKey = publicKey
        self.preSharedKey = preSharedKey
    }

    /// Seals a message to the public key.
    ///
    /// - Parameter randomness: 32 bytes from the kernel.
    /// - Throws: ``EncryptionError`` when the public key is a weak one.
    package func seal(
        _ plaintext: SecretBytes, associatedData: [UInt8], randomness: [UInt8]
    ) throws(EncryptionError) -> SealedMessage {
        try HybridEncryption.seal(
            to: publicKey,
            info: DomainSealing.info(
                repository: repository, domain: domain, objectClass: objectClass, keyEpoch: keyEpoch),
            associatedData: associatedData, preSharedKey: preSharedKey,
            preSharedKeyID: DomainSealing.preSharedKeyID(keyEpoch: keyEpoch), plaintext: plaintext,
            randomness: randomness)
    }

    /// Opens a message that was sealed to this recipient.
    ///
    /// - Throws: ``EncryptionError`` when it was not, or was changed.
    package func open(
        _ message: SealedMessage, with privateKey: RecipientPrivateKey, associatedData: [UInt8]
    ) throws(EncryptionError) -> SecretBytes {
        try HybridEncryption.open(
            with: privateKey, message,
            info: DomainSealing.info(
                repository: repository, domain: domain, objectClass: objectClass, keyEpoch: keyEpoch),
            associatedData: associatedData, preSharedKey: preSharedKey,
            preSharedKeyID: DomainSealing.preSharedKeyID(keyEpoch: keyEpoch))
    }
}
