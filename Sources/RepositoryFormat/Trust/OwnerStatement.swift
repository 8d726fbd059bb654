package import BackupModel
package import ChunkEncryption

/// One statement of the owner chain (format page §3): what is said, apart from whether it may be believed.
package struct OwnerStatement: Hashable, Sendable {
    /// The last number that fits the eight digits of a name.
    package static let largestNumber: UInt32 = 99_999_999
    /// Most domain entries of one statement.
    package static let largestDomainCount = 4_096
    /// How many persons a requirement can ask for.
    package static let personCounts = 2...16

    /// The first statement: what the repository is.
    package struct Genesis: Hashable, Sendable {
        /// The repository; the header says the same.
        package let repository: RepositoryID
        /// The owner key, which signs every statement.
        package let owner: VerifyingKey
        /// What a program must know.
        package let features: FeatureSets
        /// The dedup domains, no id twice.
        package let domains: [DomainKeys]
        /// Sizes for new images and packs.
        package let defaults: RepositoryDefaults
    }

    /// What a statement says.
    package enum Content: Hashable, Sendable {
        /// What the repository is; number 0 and no other.
        case genesis(Genesis)
        /// A key may sign from here on.
        case enrol(Enrolment)
        /// A key is believed up to given numbers only.
        case revoke(Revocation)
        /// New keys of domains, by id.
        case keyEpoch([DomainKeys])
        /// Other features than so far, and how many persons what lets points go needs; `nil` for no such requirement.
        case features(FeatureSets, approvals: Int?)
    }

    /// Position in the chain, from 0.
    package let number: UInt32
    /// Hash of the object before; `nil` for number 0 alone.
    package let previous: Hash256?
    /// Seconds since 1970, shown to people only.
    package let createdAt: UInt64
    /// See ``Content``.
    package let content: Content

    /// - Precondition: number 0, a missing `previous` and a genesis come together; the number is in range.
    init(number: UInt32, previous: Hash256?, createdAt: UInt64, content: Content) {
        precondition((number == 0) == (previous == nil), "every statement but the first names the one before")
        precondition(number <= OwnerStatement.largestNumber, "a statement's number has eight digits")
        self.number = number
        self.previous = previous
        self.createdAt = createdAt
        self.content = content
    }

    /// Name of the object that holds statement `number`, which is at most ``largestNumber``.
    package static func name(_ number: UInt32) -> String {
        ObjectPaths.ownerStatement(number)
    }
}

// MARK: - Encoding

extension OwnerStatement {
    /// The statement as an object of `repository`, signed.
    func object(in repository: RepositoryID, signedBy owner: SigningKey) -> SignedObject {
        SignedObject(kind: .ownerStatement, repository: repository, body: value, signedBy: owner)
    }

    private var value: RecordValue {
        var members: [String: RecordValue]
        let type: String
        switch content {
        case .genesis(let genesis):
            type = "genesis"
            members = [
                "repository": .bytes(genesis.repository.bytes), "owner": .bytes(genesis.owner.bytes),
                "features": genesis.features.value, "domains": .array(genesis.domains.map(\.value)),
                "defaults": genesis.defaults.value,
            ]
        case .enrol(let enrolment): (type, members) = ("enrol", enrolment.members)
        case .revoke(let revocation): (type, members) = ("revoke", revocation.members)
        case .keyEpoch(let domains): (type, members) = ("key_epoch", ["domains": .array(domains.map(\.value))])
        case .features(let features, let approvals):
            (type, members) = ("features", ["features": features.value])
            if let approvals { members["approvals"] = .map(["persons": .unsigned(UInt64(approvals))]) }
        }
        members["n"] = .unsigned(UInt64(number))
        members["type"] = .text(type)
        members["created_at"] = .unsigned(createdAt)
        if let previous { members["previous"] = .bytes(previous.bytes) }
        return .map(members)
    }

    /// Reads what the object stored at `name` states. Whether it is to be believed is for ``OwnerChain`` to say.
    ///
    /// - Throws: ``FormatError``: `misplaced` for another kind, or a number that is not the name's; `unsupported` for
    ///   an unknown type or critical field; `malformed` for missing or wrong fields.
    package init(_ object: SignedObject, name: String) throws(FormatError) {
        guard object.header.kind == .ownerStatement else {
            throw .misplaced("\(name) holds an object of another kind (\(object.header.kind))")
        }
        let fields = try object.fields(name: name)
        number = UInt32(try fields.unsigned("n", limit: UInt64(OwnerStatement.largestNumber)))
        guard name == OwnerStatement.name(number) else {
            throw .misplaced("\(name) holds statement \(number), which belongs elsewhere")
        }
        previous = try fields.optionalHash("previous")
        createdAt = try fields.unsigned("created_at")
        content = try OwnerStatement.content(of: fields, number: number, name: name)
        var isGenesis = false
        if case .genesis = content { isGenesis = true }
        guard isGenesis == (number == 0), isGenesis == (previous == nil) else {
            throw .notCanonical("\(name): the first statement, and it alone, is a genesis and names none before it")
        }
    }

    private static func content(of fields: RecordFields, number: UInt32, name: String) throws(FormatError) -> Content {
        switch try fields.text("type") {
        case "genesis": return .genesis(try Genesis(fields, name: name))
        case "enrol": return .enrol(try Enrolment(fields, statement: number, of: name))
        case "revoke": return .revoke(try Revocation(fields, of: name))
        case "key_epoch": return .keyEpoch(try domains(of: fields, name: name))
        case "features":
            let features = try FeatureSets(try fields.fields("features"), of: name)
            return .features(features, approvals: try approvals(of: fields, features: features, name: name))
        case let type: throw .unsupported("\(name) is a statement of type \(type), which this program does not know")
        }
    }

    private static func approvals(
        of fields: RecordFields, features: FeatureSets, name: String
    ) throws(FormatError) -> Int? {
        guard fields.optional("approvals") != nil else { return nil }
        let persons = try fields.fields("approvals").unsigned("persons", limit: UInt64(personCounts.upperBound))
        guard personCounts.contains(Int(persons)), features.names(FeatureSets.approvals, for: .sweep) else {
            throw .notCanonical(
                "\(name): approvals are by at least \(personCounts.lowerBound) persons, and a feature that sweeps know")
        }
        return Int(persons)
    }

    fileprivate static func domains(of fields: RecordFields, name: String) throws(FormatError) -> [DomainKeys] {
        let values = try fields.list("domains")
        guard (1...largestDomainCount).contains(values.count) else {
            throw .overLimit(
                "the count of domains in \(name), at least 1,", value: UInt64(values.count),
                limit: UInt64(largestDomainCount))
        }
        var domains: [DomainKeys] = []
        for value in values { domains.append(try DomainKeys(value, of: "a domain of \(name)")) }
        guard Set(domains.map(\.id)).count == domains.count else {
            throw .notCanonical("\(name) states a domain twice")
        }
        return domains
    }
}

extension OwnerStatement.Genesis {
    fileprivate init(_ fields: RecordFields, name: String) throws(FormatError) {
        guard let repository = RepositoryID(bytes: try fields.bytes("repository", count: RepositoryID.byteCount)) else {
            preconditionFailure("16 bytes make a repository id")
        }
        self.repository = repository
        owner = try VerifyingKey(field: "owner", in: fields, of: name)
        features = try FeatureSets(try fields.fields("features"), of: name)
        domains = try OwnerStatement.domains(of: fields, name: name)
        defaults = try RepositoryDefaults(try fields.fields("defaults"), of: "defaults of \(name)")
    }
}
