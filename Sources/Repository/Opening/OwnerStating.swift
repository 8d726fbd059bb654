import ChunkEncryption
import ObjectStorage
package import RepositoryFormat

/// What the owner says: the next statement of the chain, put where nobody has put anything.
extension OpenRepository {
    /// Places that others filled meanwhile which a statement lets pass before it gives up.
    static let statementAttempts = 16

    /// Enrols a key for a role.
    ///
    /// - Parameter createdAt: seconds since 1970, for people.
    /// - Throws: ``RepositoryError``: `roleLacksKey` unless this is the owner; `damaged` when the end of the chain may
    ///   hold a damaged statement; `refused` when others keep adding statements at the same time.
    package mutating func enrol(_ enrolment: Enrolment, createdAt: UInt64) async throws {
        try await state { chain, owner throws(FormatError) in
            try chain.enrolling(enrolment, createdAt: createdAt, signedBy: owner)
        }
    }

    /// Bounds what is believed of a key.
    ///
    /// - Throws: as ``enrol(_:createdAt:)``.
    package mutating func revoke(_ revocation: Revocation, createdAt: UInt64) async throws {
        try await state { chain, owner throws(FormatError) in
            try chain.revoking(revocation, createdAt: createdAt, signedBy: owner)
        }
    }

    /// Asks for so many persons behind what lets points go; `nil` for no such requirement. Asking for fewer than before
    /// waits for as many as before.
    ///
    /// - Throws: as ``enrol(_:createdAt:)``.
    package mutating func require(persons: Int?, createdAt: UInt64) async throws {
        try await state { chain, owner throws(FormatError) in
            // The word stays when nobody is asked for any more: that may wait, and older programs would not.
            try chain.changing(
                features: chain.features.setting(FeatureSets.approvals, for: .sweep, to: true),
                approvals: persons, createdAt: createdAt, signedBy: owner)
        }
    }

    private mutating func state(
        _ statement: (OwnerChain, SigningKey) throws(FormatError) -> SignedObject
    ) async throws {
        guard credential.role == .owner, let owner = credential.signingKey else {
            throw RepositoryError(
                .roleLacksKey, "only the owner may say this; open the repository with the passphrase or recovery key")
        }
        for _ in 0..<OpenRepository.statementAttempts {
            if let unread { throw unread }
            guard !chain.isFull else { throw RepositoryError(.refused, "the owner chain has no number left") }
            if let doubtful {
                throw RepositoryError(
                    .damaged,
                    "\(doubtful) may be a damaged statement of the owner: bring it back from a copy, or put an empty "
                        + "object in its place if it never was one; nothing was stated behind it", .repair)
            }
            let object = try await RepositoryError.translating { [chain] in try statement(chain, owner) }
            let name = chain.nextName
            let answer = try await access.putSpared(name, object.bytes)
            var reader = TrustReader(access)
            switch answer {
            case .mine:
                try await RepositoryError.translating { try chain.append(object, name: name) }
                return
            case .theirs: try await reader.take(access.pair(name), as: &chain)
            case .unknown: preconditionFailure("a put is asked about until it is decided")
            }
            findings += reader.findings
            doubtful = reader.doubtful
            unread = reader.unread
        }
        throw RepositoryError(.refused, "others kept adding to the owner chain; run the command again", .retry)
    }
}
