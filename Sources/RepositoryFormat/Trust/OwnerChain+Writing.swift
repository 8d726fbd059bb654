package import ChunkEncryption

extension OwnerChain {
    /// The first statement of a new repository, to be stored as ``OwnerStatement/name(_:)`` of 0.
    ///
    /// - Parameter createdAt: seconds since 1970, for people.
    /// - Precondition: defaults in range, and at least one domain, none twice.
    package static func genesis(
        repository: RepositoryID, features: FeatureSets = FeatureSets(), domains: [DomainKeys],
        defaults: RepositoryDefaults, createdAt: UInt64, signedBy owner: SigningKey
    ) -> SignedObject {
        let content = OwnerStatement.Content.genesis(
            OwnerStatement.Genesis(
                repository: repository, owner: owner.publicKey, features: features, domains: domains,
                defaults: defaults))
        let statement = OwnerStatement(number: 0, previous: nil, createdAt: createdAt, content: content)
        let object = statement.object(in: repository, signedBy: owner)
        let isSound = (try? OwnerChain(genesis: object, expectedOwner: owner.publicKey.fingerprint)) != nil
        precondition(isSound, "a genesis is one that readers accept")
        return object
    }

    /// The statement that enrols a key; the next of the chain, to be stored as ``nextName``.
    ///
    /// - Parameter createdAt: seconds since 1970, for people; as with all that follow.
    /// - Throws: ``FormatError``, `malformed`, for a key that has a role already, an unknown domain or an overlong
    ///   label.
    /// - Precondition: `owner` is the owner key; as with all that follow.
    package func enrolling(
        _ enrolment: Enrolment, createdAt: UInt64, signedBy owner: SigningKey
    ) throws(FormatError) -> SignedObject {
        let labelByteCount = enrolment.label.utf8.count
        guard labelByteCount <= FormatLimits.textByteCount else {
            throw .overLimit(
                "the size of the label", value: UInt64(labelByteCount), limit: UInt64(FormatLimits.textByteCount))
        }
        return try next(.enrol(enrolment), createdAt: createdAt, signedBy: owner)
    }

    /// The statement that bounds what is believed of a key; a later one can only narrow it.
    ///
    /// - Throws: ``FormatError``, `malformed`, for a key that is not enrolled.
    package func revoking(
        _ revocation: Revocation, createdAt: UInt64, signedBy owner: SigningKey
    ) throws(FormatError) -> SignedObject {
        try next(.revoke(revocation), createdAt: createdAt, signedBy: owner)
    }

    /// The statement that replaces the entries of domains, or adds domains.
    ///
    /// - Throws: ``FormatError``, `malformed`, for an epoch that is not later than the one it replaces.
    package func beginningKeyEpoch(
        _ domains: [DomainKeys], createdAt: UInt64, signedBy owner: SigningKey
    ) throws(FormatError) -> SignedObject {
        try next(.keyEpoch(domains), createdAt: createdAt, signedBy: owner)
    }

    /// The statement that replaces the features.
    ///
    /// - Parameter approvals: how many persons what lets points go needs; `nil` for no such requirement.
    /// - Throws: ``FormatError``, `malformed`, for a number out of range, or features that do not name it.
    package func changing(
        features: FeatureSets, approvals: Int? = nil, createdAt: UInt64, signedBy owner: SigningKey
    ) throws(FormatError) -> SignedObject {
        try next(.features(features, approvals: approvals), createdAt: createdAt, signedBy: owner)
    }

    /// Name under which the next statement is stored.
    package var nextName: String { OwnerStatement.name(next) }

    private func next(
        _ content: OwnerStatement.Content, createdAt: UInt64, signedBy owner: SigningKey
    ) throws(FormatError) -> SignedObject {
        precondition(owner.publicKey == self.owner, "the owner key alone signs statements")
        let statement = OwnerStatement(
            number: next, previous: head.hash, createdAt: createdAt, content: content)
        let object = statement.object(in: repository, signedBy: owner)
        // What no reader would take is never handed out.
        var copy = self
        try copy.append(object, name: nextName)
        return object
    }
}
