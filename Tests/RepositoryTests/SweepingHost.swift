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

    /// - Parameter patience: 1 ends no session that is seen for the first time.
    @discardableResult
    func sweep(now: UInt64 = .max, patience: UInt64 = 0) async throws -> Sweep.Report {
        let repository = try await OpenRepository.open(store: store, key: .credential(sample.owner))
        var memory = Sweep.Memory()
        var settings = Sweep.Settings(now: now)
        settings.patience = patience
        return try await Sweep.run(
            repository, store: store, state: try state, memory: &memory, settings: settings, randomness: .seeded(31))
    }

    func forget(_ points: [PointID]) async throws {
        let repository = try await OpenRepository.open(store: store, key: .credential(sample.owner))
        try await MaintenanceSession(repository, randomness: .system).forget(points, at: 1, reason: "test")
    }

    /// Sweeps until nothing is left to do. - Returns: maps that were read.
    @discardableResult
    func sweepAll() async throws -> Int {
        var read = 0
        for _ in 0..<12 {
            let report = try await sweep()
            read += report.readMaps
            if !report.hasClosed, report.deleted == 0 { break }
        }
        return read
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
