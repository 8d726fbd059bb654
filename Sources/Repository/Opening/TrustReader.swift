import BackupModel
import ChunkEncryption
import ObjectStorage
import RepositoryFormat

/// Reads what says whose a repository is and who may write to it: owner chain and store identity, each from its place
/// or its spare (format page §§1, 3, 10).
struct TrustReader {
    private let access: ObjectAccess
    /// What is damaged, missing, or no statement.
    private(set) var findings: [RepositoryFinding] = []
    /// Names of objects that count and have no spare.
    private(set) var lacking: [String] = []
    /// A place at the end of the chain that may hold a damaged statement of the owner.
    private(set) var doubtful: String?
    /// Why the store could not read a place that may hold a statement; `nil` when it could read all.
    private(set) var unread: RepositoryError?

    init(_ access: ObjectAccess) { self.access = access }

    private mutating func count(_ pair: SparedObject, good: [UInt8]) {
        findings += pair.findings(good: good)
        if pair.lacksSpare { lacking.append(pair.name) }
    }

    // MARK: Genesis

    /// What the store shows as the genesis, believed by nobody.
    ///
    /// - Throws: ``RepositoryError``: `notFound`; `damaged` when neither place nor spare can be read.
    static func claimedGenesis(_ access: ObjectAccess) async throws -> [SignedObject] {
        let name = OwnerStatement.name(0)
        let pair = try await access.pair(name)
        guard !pair.isAbsent else { throw try await nothingHere(access) }
        var refusal: FormatError?
        var objects: [SignedObject] = []
        for bytes in pair.candidates {
            do throws(FormatError) {
                objects.append(try SignedObject(parsing: bytes, name: name, kind: .ownerStatement, repository: nil))
            } catch { refusal = refusal ?? error }
        }
        if objects.isEmpty {
            if let refusal { throw RepositoryError.format(refusal) }
            if let unreadable = pair.unreadable { throw unreadable }
        }
        return objects
    }

    /// What it means that the genesis is not there: no repository, or one that lost it.
    private static func nothingHere(_ access: ObjectAccess) async throws -> RepositoryError {
        let remains = try await access.names(under: "").first {
            !$0.hasPrefix("keys/") && !$0.hasPrefix("spare/keys/") && ObjectPaths.isName($0)
        }
        guard let remains else {
            return RepositoryError(
                .notFound,
                "there is no repository here: owner/00000000 is missing; check the path, or make one with `dozo init`")
        }
        return RepositoryError(
            .damaged,
            "owner/00000000 is missing, its spare too, and \(remains) lies here: the repository lost the object that "
                + "says whose it is; bring it back from a copy", .repair)
    }

    // MARK: Owner chain

    /// The whole chain, from a genesis that the credential's owner has signed.
    ///
    /// - Throws: ``RepositoryError``: `refused` for another owner; `damaged` when a statement was lost.
    mutating func chain(for credential: Credential) async throws -> OwnerChain {
        let name = OwnerStatement.name(0)
        let pair = try await access.pair(name)
        var begun: OwnerChain?
        var refusal: FormatError?
        for bytes in pair.candidates where begun == nil {
            do throws(FormatError) {
                let genesis = try SignedObject(parsing: bytes, name: name, kind: .ownerStatement, repository: nil)
                begun = try OwnerChain(
                    genesis: genesis, expectedOwner: credential.owner, expectedRepository: credential.repository)
                count(pair, good: bytes)
            } catch { refusal = refusal ?? error }
        }
        guard var chain = begun else {
            if let refusal { throw RepositoryError.format(refusal) }
            if let unreadable = pair.unreadable { throw unreadable }
            throw try await TrustReader.nothingHere(access)
        }
        try await readOn(&chain)
        return chain
    }

    /// Takes the statements that follow, to the first place where nothing lies and behind which a listing shows no
    /// statement: garbage that the owner passed over may have been cleaned away. Garbage behind a free place is left
    /// where it is: it says nothing, and takes no number from the owner.
    ///
    /// - Throws: ``RepositoryError``, `damaged`, when a statement was lost; and what readers do not take.
    mutating func readOn(_ chain: inout OwnerChain) async throws {
        var unreadable = 0
        while !chain.isFull {
            var pair = try await access.pair(chain.nextName)
            if pair.isAbsent {
                guard let later = try await statement(behind: chain) else { return }
                // It may have come between the two looks.
                pair = try await access.pair(chain.nextName)
                if pair.isAbsent {
                    chain.passOver(upTo: later)
                    continue
                }
            }
            unreadable = pair.candidates.isEmpty ? unreadable + 1 : 0
            if unreadable >= ObjectAccess.unreadableLimit, let error = pair.unreadable { throw error }
            try await take(pair, as: &chain)
        }
    }

    /// The first number behind the chain's next one under which a listing shows a statement of the owner.
    private mutating func statement(behind chain: OwnerChain) async throws -> UInt32? {
        let names =
            try await access.hint(under: "owner/")
            + access.hint(under: "spare/owner/").map { String($0.dropFirst("spare/".count)) }
        let numbers = Set(names.filter(ObjectPaths.isName).compactMap { UInt32($0.dropFirst("owner/".count)) })
        var garbage: [RepositoryFinding] = []
        for number in numbers.sorted() where number > chain.next {
            let pair = try await access.pair(OwnerStatement.name(number))
            let isStatement = pair.candidates.contains { bytes in
                let parsed = try? SignedObject(
                    parsing: bytes, name: pair.name, kind: .ownerStatement, repository: chain.repository)
                return parsed.map { chain.isStatement($0, at: number) } ?? false
            }
            if isStatement { return number }
            garbage += pair.findings(good: nil, why: ": no statement that the owner has signed for this place")
        }
        findings += garbage
        return nil
    }

    /// Takes what lies at the chain's next place.
    mutating func take(_ pair: SparedObject, as chain: inout OwnerChain) async throws {
        for bytes in pair.candidates {
            let parsed = try? SignedObject(
                parsing: bytes, name: pair.name, kind: .ownerStatement, repository: chain.repository)
            if let parsed, chain.isStatement(parsed, at: chain.next) {
                do throws(FormatError) { try chain.append(parsed, name: pair.name) } catch {
                    // What it follows may be what the store failed to read, for this moment.
                    throw unread ?? RepositoryError.format(error)
                }
                count(pair, good: bytes)
                doubtful = nil
                unread = nil
                return
            }
        }
        findings += pair.findings(good: nil, why: ": no statement that the owner has signed for this place")
        unread = unread ?? pair.unreadable
        for copy in pair.copies where doubtful == nil {
            if mayBeOwners(copy.look, chain: chain) { doubtful = copy.name }
        }
        chain.passOver()
    }

    /// Whether this may be a damaged statement of the owner: its header says so, or nobody can read it.
    private func mayBeOwners(_ look: ObjectAccess.Look, chain: OwnerChain) -> Bool {
        switch look {
        case .absent: false
        case .unreadable: true
        case .bytes(let bytes):
            (try? ObjectHeader(parsing: bytes[...], name: chain.nextName))?.signer == chain.owner.fingerprint
        }
    }

    // MARK: Store identity

    /// Which store this is.
    ///
    /// - Throws: ``RepositoryError``: `damaged` when it is lost; `refused` for one that a key without the right signed;
    ///   `unsupported` for a later incarnation than this program reads.
    mutating func identity(_ chain: OwnerChain) async throws -> (StoreIdentity, Hash256) {
        var found: (StoreIdentity, Hash256)?
        var number: UInt32 = 0
        var unreadable = 0
        while true {
            let pair = try await access.pair(ObjectPaths.storeIdentity(number))
            if pair.isAbsent, number == 0 { throw TrustReader.lostIdentity }
            if pair.isAbsent, try await access.pair(ObjectPaths.storeIdentity(number + 1)).isAbsent { break }
            unreadable = pair.candidates.isEmpty ? unreadable + 1 : 0
            if unreadable >= ObjectAccess.unreadableLimit, let error = pair.unreadable { throw error }
            do {
                let (next, bytes) = try TrustReader.identity(pair, number: number, after: found, chain: chain)
                found = next
                count(pair, good: bytes)
            } catch {
                guard number > 0 else { throw error }
                findings += pair.findings(good: nil, why: ": no incarnation that owner or maintainer have signed")
            }
            number += 1
        }
        guard let found else { throw TrustReader.lostIdentity }
        guard found.0.incarnation == 0 else {
            throw RepositoryError(
                .unsupported,
                "the store is in incarnation \(found.0.incarnation), which this program does not read; use a newer one",
                .useOtherVersion)
        }
        return found
    }

    private static var lostIdentity: RepositoryError {
        RepositoryError(
            .damaged,
            "store/00000000 is missing: the store lost it, and it has to come back from a copy; or `dozo init` was "
                + "interrupted, and then the same command completes it",
            .repair)
    }

    private static func identity(
        _ pair: SparedObject, number: UInt32, after earlier: (StoreIdentity, Hash256)?, chain: OwnerChain
    ) throws -> ((StoreIdentity, Hash256), [UInt8]) {
        var refusal = pair.unreadable ?? RepositoryError(.damaged, "\(pair.name) is missing", .repair)
        for (index, bytes) in pair.candidates.enumerated() {
            do throws(FormatError) {
                let object = try SignedObject(
                    parsing: bytes, name: pair.name, kind: .storeIdentity, repository: chain.repository)
                guard let signer = chain.signer(object.header.signer), signer.role.closesEpochs,
                    chain.acceptsAnything(by: object.header.signer)
                else { throw .refused("\(pair.name) is signed by a key that may not say who the store is") }
                guard object.isSigned(by: signer.key) else { throw .damaged("the signature of \(pair.name) is wrong") }
                let identity = try StoreIdentity(object, expected: number)
                guard identity.previous == earlier?.1, earlier.map({ $0.0.store == identity.store }) ?? true else {
                    throw .refused("\(pair.name) does not follow the incarnation before it")
                }
                return ((identity, object.hash), bytes)
            } catch { if index == 0 { refusal = RepositoryError.format(error) } }
        }
        throw refusal
    }
}
