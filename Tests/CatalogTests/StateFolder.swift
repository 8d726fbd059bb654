import Catalog
import Effects
import GRDB
import Glibc
import Testing

/// A state folder of a test's own, removed with the files in it.
final class StateFolder: Sendable {
    let path: String
    let files: HostFiles

    init() throws {
        // Where waiting for a disk is not what is tested, memory will do, if this user may write there.
        let temporary = unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/tmp"
        let made = StateFolder.make(in: "/dev/shm") ?? StateFolder.make(in: temporary)
        path = try #require(made)
        files = HostFiles(root: path)
    }

    /// A new folder; `nil` when none can be made there.
    private static func make(in parent: String) -> String? {
        var template = Array("\(parent)/dozo-catalog-XXXXXX".utf8CString)
        // Safety: mkdtemp rewrites the terminated template in place.
        let made = unsafe template.withUnsafeMutableBufferPointer { unsafe mkdtemp($0.baseAddress!) != nil }
        return made ? String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self) : nil
    }

    deinit {
        for name in (try? files.names(in: "")) ?? [] { try? files.remove(name) }
        // Safety: the path lives through the call.
        _ = unsafe rmdir(path)
    }

    var names: [String] { get throws { try files.names(in: "").sorted() } }

    func open() throws -> CatalogDatabase { try CatalogDatabase(stateFolder: path) }

    /// Permission bits of a file.
    func mode(of name: String) throws -> mode_t {
        var facts = stat()
        // Safety: path and facts live through the call.
        let answer = unsafe stat("\(path)/\(name)", &facts)
        try #require(answer == 0)
        return facts.st_mode & 0o777
    }

    /// How many locks the kernel knows on a file; the file is not opened for that, for closing it would end them.
    func locks(on name: String) throws -> Int {
        var facts = stat()
        // Safety: path and facts live through the call.
        let answer = unsafe stat("\(path)/\(name)", &facts)
        try #require(answer == 0)
        // Safety: the path lives through the call; the array has the count that is told.
        let list = unsafe Glibc.open("/proc/locks", O_RDONLY | O_CLOEXEC)
        try #require(list >= 0)
        defer { close(list) }
        var text: [UInt8] = []
        var page = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = unsafe Glibc.read(list, &page, page.count)
            guard count > 0 else { break }
            text += page[..<count]
        }
        return String(decoding: text, as: UTF8.self).split(separator: "\n").filter { line in
            line.contains(":\(facts.st_ino) ")
        }.count
    }

    /// What the file holds, whatever it is.
    func bytes(of name: String) throws -> [UInt8] {
        try #require(try files.read(name, offset: 0, count: Int.max))
    }

    /// Puts bytes in the place of a file.
    func write(_ bytes: [UInt8], to name: String) throws {
        try files.remove(name)
        try files.writeNew(name, bytes)
    }

    /// The file as any SQLite program sees it, with foreign keys on.
    func raw() throws -> DatabaseQueue { try DatabaseQueue(path: "\(path)/\(CatalogDatabase.fileName)") }
}

/// The error that `body` throws; `nil` when it throws none.
func refusal(_ body: () throws -> Void) throws -> CatalogError? {
    do {
        try body()
        return nil
    } catch let error as CatalogError {
        return error
    }
}
