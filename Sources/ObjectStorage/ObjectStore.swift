package import Effects
import RepositoryFormat

// What this module guarantees
// ---------------------------
// A store keeps immutable objects under names. Put-if-absent is the one operation that decides anything between
// programs: exactly one content ever wins a name, and everybody who asks afterwards is told which (design §4.7, §4.13).
// A listing is a hint and may lag; "not found" is never proof of absence. Deleting is a protocol of its own, so that
// only the sweep can spell it.

/// How a put-if-absent came out. There is no "exists": whose bytes won is read back and compared.
package enum PutAnswer: Hashable, Sendable {
    /// The name holds exactly the bytes that were put, durably, by this call or by an earlier one.
    case mine
    /// The name holds other bytes, durably: these.
    case theirs([UInt8])
    /// The store gave no answer that decides. Neither success nor failure: ask again with the same bytes.
    case unknown(String)
}

/// A place for immutable objects. Calls may run at the same time, from several processes and hosts.
package protocol ObjectStore: Sendable {
    /// Reads that should be under way at once so that the store is busy, whatever the host's processors; `nil` when as
    /// many are enough as there are processors to work on the bytes. A store whose answers take long says 16 or more.
    var readsInFlight: Int? { get }
    /// Puts an object unless the name is taken; durable when it answers ``PutAnswer/mine``.
    ///
    /// - Parameter bytes: at most ``FormatLimits/objectByteCount``.
    func putIfAbsent(_ name: ObjectName, _ bytes: [UInt8]) async throws(StorageError) -> PutAnswer
    /// At most `count` bytes from `offset`, fewer at the object's end; `nil` when the store shows no such object now.
    func get(_ name: ObjectName, offset: UInt64, count: Int) async throws(StorageError) -> [UInt8]?
    /// The whole object, at most the object limit of the format, into `room`. - Returns: `false` when the store shows
    /// no such object now.
    func get(_ name: ObjectName, into room: AlignedRoom) async throws(StorageError) -> Bool
    /// Size in bytes; `nil` when the store shows no such object now.
    func byteCount(of name: ObjectName) async throws(StorageError) -> UInt64?
    /// Names that begin with `prefix`, sorted; may lack recent ones and show deleted ones.
    func list(prefix: String) async throws(StorageError) -> [ObjectName]
}

extension ObjectStore {
    /// As many as the processors want: right for a store whose answers come at once.
    package var readsInFlight: Int? { nil }

    /// The whole object, at most the object limit of the format.
    package func get(_ name: ObjectName) async throws(StorageError) -> [UInt8]? {
        try await get(name, offset: 0, count: FormatLimits.objectByteCount)
    }

    /// By way of an array, for stores that have none of their own.
    package func get(_ name: ObjectName, into room: AlignedRoom) async throws(StorageError) -> Bool {
        guard let bytes = try await get(name) else { return false }
        room.fill(bytes)
        return true
    }
}

/// A store that can also forget. Only the sweep takes one of these.
package protocol SweepableStore: ObjectStore {
    /// Removes an object; one that is not there is no error.
    func delete(_ name: ObjectName) async throws(StorageError)
}

/// A store that can also protect objects against programs and people who delete them by mistake. What it protects is
/// deleted by nobody before the protection is taken off. Not every such store can do it everywhere.
package protocol ProtectingStore: SweepableStore {
    /// Whether an object is protected; `nil` when the store shows no such object now.
    ///
    /// - Throws: ``StorageError`` with the reason where the store cannot tell.
    func isProtected(_ name: ObjectName) async throws(StorageError) -> Bool?
    /// Protects an object, or takes that off; one that is not there is no error.
    ///
    /// - Throws: ``StorageError`` with the reason where the store cannot do it.
    func setProtected(_ name: ObjectName, _ isProtected: Bool) async throws(StorageError)
}

/// The name of an object: one to eight parts of lower-case letters, digits, `-` and `.`, joined by `/`.
///
/// Never made from the name of a guest, a disk or a file, so nothing a person calls something can leave the folder.
package struct ObjectName: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The name as written.
    package let text: String

    /// `nil` for anything that is not such a name; a part is 1 to 96 characters and does not begin with a dot.
    package init?(_ text: String) {
        var parts = 1
        var length = 0
        for character in text.utf8 {
            switch character {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"):
                length += 1
            case UInt8(ascii: ".") where length > 0: length += 1
            case UInt8(ascii: "/") where length > 0:
                parts += 1
                length = 0
            default: return nil
            }
            guard length <= 96 else { return nil }
        }
        guard length > 0, parts <= 8 else { return nil }
        self.text = text
    }

    package var description: String { text }

    package static func < (left: ObjectName, right: ObjectName) -> Bool { left.text < right.text }
}

/// A store that could not do what it was asked.
package struct StorageError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What went wrong, for programs.
    package enum Code: Hashable, Sendable {
        /// No room left.
        case full
        /// The right to do it is missing.
        case refused
        /// The store cannot be written at all.
        case readOnly
        /// The store failed in a way that may pass.
        case failed
        /// Nothing is wrong: the task was cancelled while it waited.
        case interrupted
    }

    /// See ``Code``.
    package let code: Code
    /// One sentence that names the object.
    package let sentence: String

    /// A failure with its code and a sentence that names the object.
    package init(code: Code, sentence: String) {
        self.code = code
        self.sentence = sentence
    }

    package var description: String { sentence }
}
