import BackupModel
import Effects
import ObjectStorage
import Repository
import RepositoryFormat
import Simulation
import TestKit
import Testing

/// What a ledger has taken over is verified like everything else (S26): a sweep makes nothing unseen.
@Suite("verification behind a sweep")
struct VerifiedAfterSweepTests {
    /// The sample with one point let go and swept, so that a ledger has taken its sessions over.
    private func swept() async throws -> (sample: SampleRepository, objects: [ObjectName: [UInt8]]) {
        var scene = try await LockTests.Scene(locked: false)
        #expect(try await scene.sweep(day: 1001) == [scene.point])
        return (scene.sample, try await SampleRepository.objects(scene.store))
    }

    private func verify(
        _ objects: [ObjectName: [UInt8]], as credential: Credential, level: VerificationLevel
    ) async throws -> VerificationReport {
        let store = try await SampleRepository.store(objects)
        let repository = try await OpenRepository.open(store: store, key: .credential(credential))
        return try await Verification(repository, view: try await repository.view(), level: level, workers: 2).run()
    }

    private func packs(_ objects: [ObjectName: [UInt8]]) -> [ObjectName] {
        objects.keys.filter { "\($0)".contains("packs/") }.sorted()
    }

    @Test("every pack that is there is read, by every credential")
    func everything() async throws {
        let (sample, objects) = try await swept()
        let count = packs(objects).count
        #expect(count > 2)
        let bytes = packs(objects).reduce(0) { $0 + UInt64(objects[$1]?.count ?? 0) }
        for (credential, level) in [
            (sample.owner, VerificationLevel.content), (sample.owner, .tags), (sample.maintainer, .tags),
            (sample.verifier, .keyless),
        ] {
            let report = try await verify(objects, as: credential, level: level)
            #expect(report.isSound && report.byteCount >= bytes, "\(credential.role) \(level)")
            if level == .content { #expect(report.contentCount > 0 && report.tagCount > 0) }
        }
    }

    @Test("a pack that is flipped or gone is named, and no point that needs it is called whole")
    func damage() async throws {
        let (sample, objects) = try await swept()
        var suffering = Set<PointID>()
        for pack in packs(objects) {
            for isGone in [false, true] {
                var damaged = objects
                if isGone {
                    damaged[pack] = nil
                } else {
                    let middle = (objects[pack]?.count ?? 0) / 2
                    damaged[pack]?[middle] ^= 1
                }
                let report = try await verify(damaged, as: sample.owner, level: .content)
                #expect(!report.isSound, "\(pack) \(isGone)")
                suffering.formUnion(report.findings.flatMap(\.points))
                guard isGone else { continue }
                let store = try await SampleRepository.store(damaged)
                let repository = try await OpenRepository.open(store: store, key: .credential(sample.owner))
                let reader = try await RepositoryReader(repository, view: try await repository.view())
                for point in reader.view.points where report.wholePoints.contains(point.record.identifier) {
                    guard let disks = sample.disks[point.record.identifier] else { continue }
                    for (disk, image) in zip(disks, point.record.images) {
                        let back = try? await RestoredImage.bytes(of: image, reader: reader)
                        #expect(back == disk, "\(point.record.identifier) without \(pack)")
                    }
                }
            }
        }
        #expect(!suffering.isEmpty)
    }

    @Test("without a key a flipped pack is named, and what is not there is said not to be proven")
    func keyless() async throws {
        let (sample, objects) = try await swept()
        let pack = try #require(packs(objects).first)
        var damaged = objects
        damaged[pack]?[100] ^= 1
        #expect(try await !verify(damaged, as: sample.verifier, level: .keyless).isSound)
        damaged[pack] = nil
        let report = try await verify(damaged, as: sample.verifier, level: .keyless)
        #expect(!report.isSound || report.notProven.contains { $0.contains("not there any more") })
    }
}
