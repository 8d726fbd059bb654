import BackupModel
import Effects
import Glibc
import ObjectStorage
import TestKit
import Testing

/// The contract every store must pass (design §4.13).
enum StoreContract {
    static func check(_ store: some SweepableStore) async throws {
        let name = try #require(ObjectName("log/00000000/00000001"))
        let other = try #require(ObjectName("packs/ab/abcd.0"))
        #expect(try await store.get(name) == nil)
        #expect(try await store.byteCount(of: name) == nil)
        #expect(try await store.list(prefix: "") == [])
        #expect(try await store.putIfAbsent(name, [1, 2, 3]) == .mine)
        #expect(try await store.putIfAbsent(name, [1, 2, 3]) == .mine, "equal bytes are a retry of ours")
        #expect(try await store.putIfAbsent(name, [9]) == .theirs([1, 2, 3]))
        #expect(try await store.putIfAbsent(other, []) == .mine)
        #expect(try await store.get(name) == [1, 2, 3])
        #expect(try await store.get(name, offset: 1, count: 1) == [2])
        #expect(try await store.get(name, offset: 2, count: 10) == [3])
        #expect(try await store.get(name, offset: 3, count: 10) == [])
        #expect(try await store.byteCount(of: name) == 3)
        #expect(try await store.byteCount(of: other) == 0)
        #expect(try await store.list(prefix: "") == [name, other])
        #expect(try await store.list(prefix: "packs/a") == [other])
        try await store.delete(other)
        try await store.delete(other)
        #expect(try await store.get(other) == nil)
    }

    /// Many at once: one content wins, and everybody is told the same one.
    static func race(_ store: some ObjectStore) async throws {
        let name = try #require(ObjectName("s/race"))
        let answers = try await withThrowingTaskGroup(of: (UInt8, PutAnswer).self) { group in
            for contender in UInt8(0)..<16 {
                group.addTask { (contender, try await store.putIfAbsent(name, [contender])) }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        let winners = answers.filter { $0.1 == .mine }.map(\.0)
        #expect(winners.count == 1)
        for (contender, answer) in answers where answer != .mine {
            #expect(answer == .theirs(winners), "contender \(contender)")
        }
    }
}

@Suite("storage contract (design §4.13)")
struct StoreContractTests {
    @Test("a store on a simulated disk keeps the contract")
    func simulated() async throws {
        try await StoreContract.check(DirectoryStore(files: SimulatedDisk(), randomness: .seeded(1)))
        try await StoreContract.race(DirectoryStore(files: SimulatedDisk(), randomness: .seeded(2)))
    }

    @Test("a store in a real folder keeps the contract, and its files are private under any umask")
    func real() async throws {
        try await withTemporaryFolder { folder in
            try await StoreContract.check(DirectoryStore(files: HostFiles(root: folder), randomness: .system))
            var facts = stat()
            for path in ["log", "log/00000000", "log/00000000/00000001", "tmp"] {
                let status = unsafe stat("\(folder)/\(path)", &facts)
                #expect(status == 0)
                #expect(facts.st_mode & 0o077 == 0, "\(path)")
            }
        }
        try await withTemporaryFolder { folder in
            try await StoreContract.race(DirectoryStore(files: HostFiles(root: folder), randomness: .system))
        }
    }

    @Test("a missing folder is one clear sentence, not a crash")
    func missing() async throws {
        let store = DirectoryStore(files: HostFiles(root: "/nonexistent-store"), randomness: .system)
        let name = try #require(ObjectName("a"))
        let error = await #expect(throws: StorageError.self) { try await store.putIfAbsent(name, [1]) }
        #expect(error?.sentence.contains("/nonexistent-store") == true)
    }

    @Test(
        "names that could leave the folder or hide in it are no names",
        arguments: ["", "/", "a/", "/a", "a//b", "..", "a/../b", ".hidden", "A", "業務サーバ01", "a b", "1/2/3/4/5/6/7/8/9"])
    func names(text: String) {
        #expect(ObjectName(text) == nil)
    }

    @Test("random bytes come in the count asked for, and differ")
    func randomness() {
        #expect(Randomness.system.bytes(0) == [])
        #expect(Randomness.system.bytes(700).count == 700)
        #expect(Randomness.system.bytes(32) != Randomness.system.bytes(32))
    }

    private func withTemporaryFolder(_ body: (String) async throws -> Void) async throws {
        let base = unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/tmp"
        let folder = "\(base)/dozo-store-\(Randomness.system.bytes(8).hexadecimal)"
        let made = unsafe mkdir(folder, 0o700)
        try #require(made == 0)
        try await body(folder)
        let files = HostFiles(root: folder)
        try remove("", files)
        let removed = unsafe rmdir(folder)
        #expect(removed == 0)
    }

    private func remove(_ path: String, _ files: HostFiles) throws {
        for name in try files.names(in: path) {
            let child = path.isEmpty ? name : "\(path)/\(name)"
            if try files.isFolder(child) {
                try remove(child, files)
                let removed = unsafe rmdir("\(files.root)/\(child)")
                #expect(removed == 0)
            } else {
                try files.remove(child)
            }
        }
    }
}
