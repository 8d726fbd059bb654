import BackupModel
import Effects
import ObjectStorage
import Repository
import RepositoryFormat
import Simulation
import TestKit

/// A host that sweeps the sample with the owner's credential, and what it remembers.
struct SweepingHost {
    let store: MemoryStore
    let sample: SampleRepository
    var disk = SimulatedDisk()

    var state: HostState {
        get throws {
            try HostState(files: disk, repository: sample.owner.repository, randomness: .seeded(30))
        }
    }

    /// - Parameters:
    ///   - patience: 1 ends no session that is seen for the first time.
    ///   - store: another way to the same store.
    @discardableResult
    func sweep(
        now: UInt64 = .max, patience: UInt64 = 0, rewriteByteLimit: UInt64 = 4 << 30, as credential: Credential? = nil,
        through store: (any SweepableStore)? = nil
    ) async throws -> Sweep.Report {
        let store = store ?? self.store
        let credential = credential ?? sample.owner
        let repository = try await OpenRepository.open(store: store, key: .credential(credential))
        var memory = Sweep.Memory()
        var settings = Sweep.Settings(now: now)
        settings.patience = patience
        settings.rewriteByteLimit = rewriteByteLimit
        return try await Sweep.run(
            repository, store: store, state: try state, memory: &memory, settings: settings, randomness: .system)
    }

    func forget(_ points: [PointID]) async throws {
        let repository = try await OpenRepository.open(store: store, key: .credential(sample.owner))
        try await MaintenanceSession(repository, randomness: .system).forget(points, at: 1, reason: "test")
    }

    /// Sweeps until nothing is left to do. - Returns: maps that were read.
    @discardableResult
    func sweepAll(rewriteByteLimit: UInt64 = 4 << 30, as credential: Credential? = nil) async throws -> Int {
        var read = 0
        for _ in 0..<16 {
            let report = try await sweep(rewriteByteLimit: rewriteByteLimit, as: credential)
            read += report.readMaps
            if !report.hasClosed, report.deleted == 0 { break }
        }
        return read
    }

    /// As everybody sees it.
    func view() async throws -> RepositoryView {
        try await OpenRepository.open(store: store, key: .credential(sample.owner)).view()
    }

    /// Bytes of all packs.
    func packByteCount() async throws -> UInt64 {
        var sum: UInt64 = 0
        for name in try await packs() { sum += try await store.byteCount(of: name) ?? 0 }
        return sum
    }

    /// The ids of all maps that points lean on.
    func maps() async throws -> Set<Hash256> {
        let repository = try await OpenRepository.open(store: store, key: .credential(sample.owner))
        let view = try await repository.view()
        let reader = try await RepositoryReader(repository, view: view)
        let blobs = reader.blobs()
        var open = view.points.flatMap(\.record.images).map(\.root)
        var met = Set<Hash256>()
        while let identifier = open.popLast() {
            guard met.insert(identifier).inserted else { continue }
            let bytes = try await blobs.structureBytes(of: identifier, name: "a map")
            open += try StructureBlob(parsing: bytes, name: "a map").structures
        }
        return met
    }

    func restores(_ point: PointID, as disks: [[UInt8]]) async throws -> Bool {
        let repository = try await OpenRepository.open(store: store, key: .credential(sample.owner))
        let view = try await repository.view()
        guard let found = view.points.first(where: { $0.record.identifier == point }) else { return false }
        let reader = try await RepositoryReader(repository, view: view)
        for (image, disk) in zip(found.record.images, disks)
        where try await RestoredImage.bytes(of: image, reader: reader) != disk { return false }
        return found.record.images.count == disks.count
    }

    func packs() async throws -> [ObjectName] { try await store.list(prefix: "packs/") }
}
