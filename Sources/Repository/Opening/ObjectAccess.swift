import BackupModel
import Effects
package import ObjectStorage
package import RepositoryFormat

/// Reads and puts the objects of one repository in one store by their names.
package struct ObjectAccess: Sendable {
    /// Puts and reads that gave no answer are tried so often before an error says so.
    package static let attempts = 8
    /// Small objects that are asked for at once.
    static let readsAtOnce = 16
    /// Objects in a row at which the store fails before it is the store that fails, and no bad sector.
    static let unreadableLimit = 4

    /// Where the objects are.
    package let store: any ObjectStore

    /// Wraps a store.
    package init(store: any ObjectStore) { self.store = store }

    /// Reads that the store wants under way at once; `nil` when it is for the processors to say.
    package var readsInFlight: Int? { store.readsInFlight }

    /// The name of an object as the store takes it.
    ///
    /// - Precondition: the text is one of the format's names.
    package static func name(_ text: String) -> ObjectName {
        guard let name = ObjectName(text) else { preconditionFailure("\(text) is a name of the format") }
        return name
    }

    /// The whole object, or `nil` when the store shows none.
    package func bytes(_ name: String) async throws -> [UInt8]? {
        try await RepositoryError.translating { try await store.get(ObjectAccess.name(name)) }
    }

    /// A range of an object.
    ///
    /// - Throws: ``RepositoryError``, `damaged` when the object is gone or shorter.
    package func bytes(_ name: String, range: Range<Int>) async throws -> [UInt8] {
        try await bytes(ObjectAccess.name(name), range: range)
    }

    /// As ``bytes(_:range:)``, of a name at hand.
    package func bytes(_ name: ObjectName, range: Range<Int>) async throws -> [UInt8] {
        let found = try await RepositoryError.translating {
            try await store.get(name, offset: UInt64(range.lowerBound), count: range.count)
        }
        guard let found else { throw RepositoryError(.damaged, "\(name) is missing from the store", .repair) }
        guard found.count == range.count else {
            throw RepositoryError(
                .damaged, "\(name) is cut short: \(range.upperBound) bytes are needed", .repair)
        }
        return found
    }

    /// Size of an object in bytes; `nil` when the store shows none.
    package func byteCount(_ name: String) async throws -> UInt64? {
        try await RepositoryError.translating { try await store.byteCount(of: ObjectAccess.name(name)) }
    }

    /// Names that the store lists under a prefix, sorted: a hint, which may lack recent ones and show deleted ones.
    package func names(under prefix: String) async throws -> [String] {
        try await RepositoryError.translating { try await store.list(prefix: prefix) }.map(\.text)
    }

    /// As ``names(under:)``; nothing where the store fails to list, since a listing is only a hint.
    func hint(under prefix: String) async throws -> [String] {
        do { return try await names(under: prefix) } catch let error as RepositoryError where error.isUnreadable {
            return []
        }
    }

    /// A small object, parsed, its signature not checked; `nil` when the store shows none.
    package func object(
        _ name: String, kind: ObjectKind, repository: RepositoryID?
    ) async throws -> SignedObject? {
        guard let bytes = try await bytes(name) else { return nil }
        return try await RepositoryError.translating {
            try SignedObject(parsing: bytes, name: name, kind: kind, repository: repository)
        }
    }

    /// What reading a whole object comes to.
    enum Look: Hashable {
        case bytes([UInt8])
        case absent
        /// The store fails at it: why.
        case unreadable(String)

        /// Its bytes, when there are any.
        var readable: [UInt8]? {
            if case .bytes(let bytes) = self { bytes } else { nil }
        }
    }

    /// The whole object; one at which the store fails is told apart from one that is not there.
    ///
    /// - Throws: ``RepositoryError``, `storage`, when the store cannot be read for another reason.
    func look(_ name: String) async throws -> Look {
        try await looked({ .unreadable($0) }, { try await bytes(name).map(Look.bytes) ?? .absent })
    }

    /// As ``look(_:)``, a large object into room that is at hand. - Returns: what is wrong with it, for people; `nil`
    /// when its bytes are in the room.
    func look(_ name: String, into room: AlignedRoom) async throws -> String? {
        try await looked({ $0 }) {
            let isThere = try await RepositoryError.translating {
                try await store.get(ObjectAccess.name(name), into: room)
            }
            return isThere ? nil : "\(name) is missing"
        }
    }

    private func looked<Answer>(
        _ unreadable: (String) -> Answer, _ read: () async throws -> Answer
    ) async throws -> Answer {
        do { return try await read() } catch let error as RepositoryError where error.isUnreadable {
            // A store that answers nothing at all has not one bad object; and one that was away for a moment has none.
            guard await isAnswering() else { throw error }
            do { return try await read() } catch let again as RepositoryError where again.isUnreadable {
                guard await isAnswering() else { throw again }
                return unreadable(again.sentence)
            }
        }
    }

    /// Whether the store still lists one of the two folders that every repository has.
    private func isAnswering() async -> Bool {
        for prefix in ["owner/", "spare/owner/"] where (try? await names(under: prefix)) != nil { return true }
        return false
    }

    /// What lies at the place of an object that has a spare, and in its spare.
    func pair(_ name: String) async throws -> SparedObject {
        var place = try await look(name)
        let spare = try await look(ObjectPaths.spare(name))
        // The place is put first: both may have come between the two looks.
        if place == .absent, spare != .absent { place = try await look(name) }
        return SparedObject(name: name, place: place, spare: spare)
    }

    /// Puts an object that has a spare: first its place, which alone decides, then the spare.
    ///
    /// - Returns: as ``put(_:_:)``, for the place.
    func putSpared(_ name: String, _ bytes: [UInt8]) async throws -> PutAnswer {
        let answer = try await put(name, bytes)
        // Something in the way of the spare is for a verification to report: the object itself is stored.
        if case .mine = answer { _ = try? await put(ObjectPaths.spare(name), bytes) }
        return answer
    }

    /// Puts an object and learns whose bytes hold the name; asks again while the store does not decide.
    ///
    /// - Returns: ``PutAnswer/mine`` or ``PutAnswer/theirs(_:)``, never unknown.
    /// - Throws: ``RepositoryError``: `storage` after ``attempts`` answers that did not decide.
    package func put(_ name: String, _ bytes: [UInt8]) async throws -> PutAnswer {
        try await RepositoryError.translating {
            var reason = ""
            for _ in 0..<ObjectAccess.attempts {
                switch try await store.putIfAbsent(ObjectAccess.name(name), bytes) {
                case .mine: return .mine
                case .theirs(let winner): return .theirs(winner)
                case .unknown(let why): reason = why
                }
            }
            throw RepositoryError(
                .storage,
                "the store does not say whether \(name) was stored (\(reason)); nothing is lost: look with "
                    + "`dozo points` whether the point is there, and run the backup again if not", .retry)
        }
    }
}
