import BackupModel
import ChunkEncryption
import Repository
import RepositoryFormat
import TestKit
import Testing

/// Which repository lies at which path: what the host keeps so that an exchanged disk is noticed.
@Suite("known paths of repositories")
struct KnownPlacesTests {
    private static func repository(_ byte: UInt8) -> RepositoryID {
        RepositoryID(bytes: [UInt8](repeating: byte, count: 16))!
    }

    @Test("disks that take turns are all known at their path, and at no other")
    func turns() throws {
        let places = KnownPlaces(files: SimulatedDisk(), randomness: .seeded(1))
        #expect(try places.repositories(at: "/mnt/usb").isEmpty)
        for byte in [1, 2, 1, 3] as [UInt8] { try places.add(Self.repository(byte), at: "/mnt/usb") }
        try places.add(Self.repository(9), at: "/backup/業務")
        #expect(try places.repositories(at: "/mnt/usb") == [1, 2, 3].map(Self.repository))
        #expect(try places.repositories(at: "/backup/業務") == [Self.repository(9)])
        #expect(try places.repositories(at: "/mnt").isEmpty)
    }

    @Test("of very many at one path the last ones are kept")
    func many() throws {
        let places = KnownPlaces(files: SimulatedDisk(), randomness: .seeded(1))
        for byte in 0..<UInt8(KnownPlaces.repositoryLimit + 5) { try places.add(Self.repository(byte), at: "/a") }
        let known = try places.repositories(at: "/a")
        #expect(known.count == KnownPlaces.repositoryLimit && known.last == Self.repository(68))
    }

    @Test("whatever stands in the file is read or refused with a sentence")
    func mutations() throws {
        let disk = SimulatedDisk()
        let places = KnownPlaces(files: disk, randomness: .seeded(1))
        try places.add(Self.repository(1), at: "/mnt/usb")
        let name = try #require(try disk.names(in: "places").max())
        let file = try #require(try disk.read("places/\(name)", offset: 0, count: .max))
        let content = Array(file.dropFirst(32))
        Mutator.run("content of the list of known paths", [content], refusedBy: RepositoryError.self) { bytes in
            let disk = SimulatedDisk()
            _ = try disk.makeFolder("places")
            try disk.writeNew("places/known.1", SecureHash.sha256(bytes).bytes + bytes)
            let places = KnownPlaces(files: disk, randomness: .seeded(2))
            let found = try places.repositories(at: "/mnt/usb")
            try places.add(Self.repository(2), at: "/mnt/usb")
            let after = try places.repositories(at: "/mnt/usb")
            return after == found + (found.contains(Self.repository(2)) ? [] : [Self.repository(2)])
                ? nil : "a repository that was lost"
        }
    }
}
