import BackupModel
import ChunkEncryption
import Effects
import Repository
import RepositoryFormat
import TestKit
import Testing

/// Files of the state folder are this host's own; a disk, a backup program or a person may still change them. Whatever
/// stands there is read, passed over or refused with a sentence, and never traps.
@Suite("seeded mutations of the state folder")
struct HostStateFuzzTests {
    private static let repository = RepositoryID(bytes: [UInt8](repeating: 7, count: 16))!
    private static let folder = "repositories/\(repository)"
    private static let session = SessionID(bytes: [UInt8](repeating: 9, count: 16))!

    private static func state(_ disk: SimulatedDisk) throws -> HostState {
        try HostState(files: disk, repository: repository, randomness: .seeded(1))
    }

    /// The content of the file that `keep` makes, behind its checksum.
    private static func content(_ name: String, _ keep: (HostState) throws -> Void) throws -> [UInt8] {
        let disk = SimulatedDisk()
        try keep(try state(disk))
        let last = try #require(try disk.names(in: folder).filter { $0.hasPrefix("\(name).") }.max())
        let file = try #require(try disk.read("\(folder)/\(last)", offset: 0, count: .max))
        return Array(file.dropFirst(32))
    }

    /// A state folder with one file of these bytes.
    private static func state(_ name: String, holding file: [UInt8]) throws -> HostState {
        let disk = SimulatedDisk()
        let state = try state(disk)
        try disk.writeNew("\(folder)/\(name).1", file)
        return state
    }

    /// Feeds a reader files that were changed, and files whose content was changed before it was checked.
    private static func run(_ name: String, _ content: [UInt8], read: (HostState) throws -> String?) {
        let file = SecureHash.sha256(content).bytes + content
        Mutator.run("state file \(name)", [file], refusedBy: RepositoryError.self) { bytes in
            try read(try state(name, holding: bytes))
        }
        Mutator.run("content of the state file \(name)", [content], refusedBy: RepositoryError.self) { bytes in
            try read(try state(name, holding: SecureHash.sha256(bytes).bytes + bytes))
        }
    }

    @Test("what the host has seen")
    func memory() throws {
        func hash(_ byte: UInt8) -> Hash256 { Hash256(bytes: [UInt8](repeating: byte, count: 32))! }
        let memory = HostState.Memory(
            owner: OwnerHead(number: 99_999_999, hash: hash(1)),
            log: LogHead(slot: SlotNumber(incarnation: 0, epoch: 1, number: 99_999_999), hash: hash(2)),
            incarnation: 0,
            sessions: [
                SessionHead(
                    writer: WriterID(bytes: [UInt8](repeating: 3, count: 16))!, session: Self.session, number: 5,
                    hash: hash(3))
            ])
        let content = try Self.content("heads") { try $0.keep(memory: memory) }
        Self.run("heads", content) { state in
            guard let found = try state.memory() else { return nil }
            try state.keep(memory: found)
            return try state.memory() == found ? nil : "a memory that does not come back"
        }
    }

    @Test("a file with the last number there is stands in nobody's way")
    func lastNumber() throws {
        let disk = SimulatedDisk()
        let state = try Self.state(disk)
        try disk.writeNew("\(Self.folder)/guests.\(Int.max)", [1, 2, 3])
        let guest = HostState.Guest(
            identifier: GuestID(bytes: [UInt8](repeating: 4, count: 16))!, base: nil, formats: [:])
        try state.keep(guest: guest, named: "a")
        #expect(try state.guests() == ["a": guest])
    }

    @Test("the guests")
    func guests() throws {
        let guest = HostState.Guest(
            identifier: GuestID(bytes: [UInt8](repeating: 4, count: 16))!,
            base: PointID(bytes: [UInt8](repeating: 5, count: 16))!, formats: ["vda": "qcow2", "../x": "raw"])
        let content = try Self.content("guests") { state in
            try state.keep(guest: guest, named: "業務サーバ01")
            try state.keep(guest: HostState.Guest(identifier: guest.identifier, base: nil, formats: [:]), named: "b")
        }
        Self.run("guests", content) { state in
            let found = try state.guests()
            try state.keep(guest: guest, named: "another")
            return try state.guests() == found.merging(["another": guest]) { $1 } ? nil : "a guest that was lost"
        }
    }

    @Test("the writer's key")
    func writer() throws {
        let randomness = Randomness.seeded(3)
        let owner = Credential.owner(
            repository: Self.repository, signingSeed: SecretBytes(copying: randomness.bytes(32)),
            ownerHead: OwnerHead(number: 0, hash: Hash256(bytes: [UInt8](repeating: 1, count: 32))!),
            domains: [DomainSecrets.generate(id: 0, epoch: 1, randomness: randomness.bytes)])
        let credential = owner.restricted(to: .writer, signingSeed: SecretBytes(copying: randomness.bytes(32)))
        let content = try Self.content("writer") { try $0.keep(writerCredential: credential) }
        Self.run("writer", content) { state in
            guard let found = try state.writerCredential() else { return nil }
            try state.keep(writerCredential: found)
            return try state.writerCredential() == found ? nil : "a credential that does not come back"
        }
    }

    @Test("names of sessions and of finished packs")
    func names() throws {
        let hash = String(repeating: "ab", count: 32)
        let names = ["\(hash).4294967295-67108864-2", "\(hash).0-1-1", Self.session.hexadecimal, "\(hash).0-1-0"]
        Mutator.run("names in the state folder", names.map { Array($0.utf8) }, refusedBy: RepositoryError.self) {
            bytes in
            let name = String(decoding: bytes.filter { $0 != 0 && $0 != UInt8(ascii: "/") }, as: UTF8.self)
            guard !name.isEmpty else { return nil }
            let disk = SimulatedDisk()
            let state = try Self.state(disk)
            _ = try state.begin(Self.session)
            try disk.writeNew("\(Self.folder)/sessions/\(Self.session)/\(name)", [])
            let isNew = name != Self.session.hexadecimal
            if isNew { _ = try disk.makeFolder("\(Self.folder)/sessions/\(name)") }
            let packs = try state.finishedPacks(in: Self.session)
            guard packs.count <= 1, try state.begunSessions().count <= 2 else { return "more than there are" }
            return try state.begunSessions().contains(Self.session) ? nil : "a session that was forgotten"
        }
    }
}
