import BackupModel
import Effects
import ObjectStorage
import Repository
import RepositoryFormat
import Simulation
import TestKit
import Testing

/// Every call that a backup, a restore and a verification make of the store and of files goes wrong once, in every way
/// that it can. What may follow: success, or an error that says so. What must follow: no wrong byte, nothing lost that
/// was there, and a next backup that succeeds.
@Suite("the n-th call goes wrong")
struct FaultSweepTests {
    private static let newDisk: [UInt8] = {
        var dice = Dice(seed: 77)
        return dice.bytes(70 << 10)
    }()

    /// One backup of a host's copy; an error's code and sentence when it fails.
    private func backUp(
        _ host: SampleRepository.Host, _ disk: [UInt8], to store: any ObjectStore, at time: UInt64
    ) async throws -> RepositoryError? {
        do {
            try await host.backUp([disk], to: store, at: time, randomness: .seeded(time))
            return nil
        } catch let error as RepositoryError { return error }
    }

    /// Everything works again: the host backs up, everything verifies, the new and all old points give their bytes.
    private func expectSound(
        _ store: MemoryStore, _ host: SampleRepository.Host, of sample: SampleRepository, _ what: String
    ) async throws {
        var disk = Self.newDisk
        disk[5_000] ^= 1
        let failure = try await backUp(host, disk, to: store, at: 200)
        #expect(failure == nil, "\(what): the next backup: \(failure?.sentence ?? "")")
        let repository = try await OpenRepository.open(store: store, key: .credential(sample.owner))
        let view = try await repository.view()
        let report = try await Verification(repository, view: view, level: .content, workers: 1).run()
        #expect(report.findings.isEmpty, "\(what): \(report.findings.map(\.sentence))")
        #expect(Set(sample.points).isSubset(of: report.wholePoints), "\(what): a point was lost")
        let reader = try await RepositoryReader(repository, view: view)
        for point in view.points where sample.disks[point.record.identifier] == nil {
            let expected = point.record.takenAt == 200 ? disk : Self.newDisk
            let bytes = try await RestoredImage.bytes(of: point.record.images[0], reader: reader)
            #expect(bytes == expected, "\(what): wrong bytes in the point of \(point.record.takenAt)")
        }
    }

    @Test("of the store, in a backup", arguments: StoreFault.allCases)
    func backup(fault: StoreFault) async throws {
        let sample = try await Samples.sample()
        let clean = FaultAtCall(try await SampleRepository.store(sample.objects), at: .max)
        #expect(try await backUp(sample.hosts[0].copy(), Self.newDisk, to: clean, at: 100) == nil)
        var failures = 0
        for number in 0..<clean.count {
            let store = try await SampleRepository.store(sample.objects)
            let host = sample.hosts[0].copy()
            let what = "\(fault) at call \(number)"
            let failure = try await backUp(host, Self.newDisk, to: FaultAtCall(store, at: number, fault), at: 100)
            if let failure {
                failures += 1
                // Half an object is damage as far as anybody can tell.
                let allowed: Set<RepositoryError.Code> = fault == .short ? [.storage, .damaged, .refused] : [.storage]
                #expect(allowed.contains(failure.code), "\(what): \(failure.code): \(failure.sentence)")
            }
            try await expectSound(store, host, of: sample, what)
        }
        print("\(fault): \(clean.count) calls of a backup, \(failures) failed, all of them the next time did not")
    }

    @Test("of the store, in a restore and a verification", arguments: StoreFault.allCases)
    func reading(fault: StoreFault) async throws {
        let sample = try await Samples.sample()
        let store = try await SampleRepository.store(sample.objects)
        func look(_ store: any ObjectStore, _ what: String) async throws -> (restored: Int, sound: Bool) {
            var restored = 0
            var isSound = false
            do {
                let repository = try await OpenRepository.open(store: store, key: .credential(sample.owner))
                let view = try await repository.view()
                let reader = try await RepositoryReader(repository, view: view)
                for point in view.points {
                    let disks = try #require(sample.disks[point.record.identifier], "\(what): a point that nobody made")
                    do {
                        for (disk, image) in zip(disks, point.record.images) {
                            let bytes = try await RestoredImage.bytes(of: image, reader: reader)
                            #expect(bytes == disk, "\(what): WRONG BYTES")
                        }
                        restored += 1
                    } catch is RepositoryError {}
                }
                isSound = try await Verification(repository, view: view, level: .content, workers: 1).run()
                    .findings.isEmpty
            } catch is RepositoryError {}
            return (restored, isSound)
        }
        let clean = FaultAtCall(store, at: .max)
        #expect(try await look(clean, "sound") == (sample.points.count, true))
        var noticed = 0
        for number in 0..<clean.count {
            let (restored, isSound) = try await look(FaultAtCall(store, at: number, fault), "\(fault) at \(number)")
            if restored < sample.points.count || !isSound { noticed += 1 }
        }
        print("\(fault): \(clean.count) calls of restores and a verification, \(noticed) noticed")
    }

    @Test("of files, under the repository and under the host's state", arguments: [5, 28] as [Int32], [false, true])
    func files(errno: Int32, isForGood: Bool) async throws {
        let sample = try await Samples.sample()
        for underRepository in [true, false] {
            var number = 0
            var calls = Int.max
            while number < calls {
                let disk = SimulatedDisk()
                let store = DirectoryStore(files: disk, randomness: .seeded(1))
                for (name, bytes) in sample.objects.sorted(by: { $0.key < $1.key }) {
                    _ = try await store.putIfAbsent(name, bytes)
                }
                let host = sample.hosts[0].copy()
                let faulty = FaultyFiles(
                    underRepository ? disk : host.disk, at: calls == .max ? .max : number, errno: errno,
                    isForGood: isForGood)
                let failure = try await backUp(
                    host, files: underRepository ? host.disk : faulty,
                    store: underRepository ? DirectoryStore(files: faulty, randomness: .seeded(2)) : store, at: 100)
                if calls == .max {
                    #expect(failure == nil)
                    calls = faulty.count
                    continue
                }
                let what = "errno \(errno) at file call \(number), \(underRepository ? "repository" : "state")"
                if let failure { #expect(failure.code == .storage, "\(what): \(failure.sentence)") }
                let after = try await SampleRepository.store(SampleRepository.objects(store))
                try await expectSound(after, host, of: sample, what)
                number += 1
            }
            print("errno \(errno), for good \(isForGood): \(calls) calls, repository \(underRepository)")
        }
    }

    private func backUp(
        _ host: SampleRepository.Host, files: any DurableFiles, store: any ObjectStore, at time: UInt64
    ) async throws -> RepositoryError? {
        do {
            try await host.backUp([Self.newDisk], files: files, to: store, at: time, randomness: .seeded(time))
            return nil
        } catch let error as RepositoryError { return error }
    }
}
