import BackupModel
import Effects
import ObjectStorage
import Recovery
import Repository
import RepositoryFormat
import TestKit
import Testing

/// Every call that a restore makes to its target goes wrong once, in every way. What may follow: the right bytes, or an
/// error that names the file; then a second run makes it right. Never a success with other bytes on the disk.
@Suite("the n-th call to the target of a restore goes wrong")
struct RestoreFaultTests {
    enum Target: Hashable, CaseIterable {
        /// A new file; one that an interrupted run left; a file that is replaced; one that is changed where it stands.
        case new, resumed, replaced, inPlace
    }

    /// What is restored, and what is there.
    private struct Case {
        let reader: RepositoryReader
        let image: RestorePointRecord.Image
        let disk: [UInt8]
        let target: Target
        /// Of the disk's size and more, and different in places.
        let earlier: [UInt8]

        init(_ target: Target) async throws {
            let sample = try await Samples.sample()
            let repository = try await OpenRepository.open(
                store: try await SampleRepository.store(sample.objects), key: .credential(sample.owner))
            reader = try await RepositoryReader(repository, view: try await repository.view())
            let point = try #require(reader.view.points.first { $0.record.images.count == 2 && $0.record.takenAt == 4 })
            image = point.record.images[1]
            disk = try #require(sample.disks[point.record.identifier])[1]
            self.target = target
            var dice = Dice(seed: 3)
            var earlier = disk
            for start in stride(from: 3_000, to: disk.count, by: 40_000) {
                earlier.replaceSubrange(start..<start + 9_000, with: dice.bytes(9_000))
            }
            if target == .inPlace { earlier += dice.bytes(5_000) }
            self.earlier = earlier
        }

        func prepare() throws -> TemporaryDisk {
            let folder = try TemporaryDisk()
            switch target {
            case .new: break
            case .resumed: try folder.put(earlier, name: "disk.partial")
            case .replaced, .inPlace: try folder.put(earlier)
            }
            return folder
        }

        /// - Returns: the error, if any.
        func run(_ folder: TemporaryDisk, _ calls: any DiskCalls) async throws -> FileError? {
            var plan = RestorePlan(
                path: folder.file,
                existing: target == .inPlace
                    ? .changedInPlace
                    : target == .replaced
                        ? .overwritten
                        : .refused, ignoresUse: true, workers: 1)
            plan.calls = calls
            do {
                _ = try await ImageRestore(reader, image: image, plan: plan).run()
                return nil
            } catch let error as FileError { return error }
        }

        /// What is wrong after the call of that number went wrong; `nil` when nothing is.
        func problem(at number: Int, _ fault: DiskFault, _ mutant: DiskMutant?) async throws -> String? {
            let folder = try prepare()
            var calls = FaultyDiskCalls(at: number, fault, mutant: mutant)
            let failure = try await run(folder, calls)
            if let failure {
                if fault == .interrupted, failure.number == 4 { return "a signal ended it: \(failure.sentence)" }
                guard failure.sentence.contains(folder.folder) else { return "names no file: \(failure.sentence)" }
                if let wrong = halfDone(folder) { return wrong }
                // The same process or another: the kernel is the same, and so is what it remembers.
                calls = calls.afterwards
                if let second = try await run(folder, calls), second.number != 17 {
                    return "the second run: \(second.sentence)"
                }
            }
            for name in folder.names() { calls.showDisk("\(folder.folder)/\(name)") }
            guard folder.bytes() == disk else {
                return failure == nil ? "WRONG BYTES and success" : "wrong bytes after a second run"
            }
            return nil
        }

        /// What is wrong with what a failed run left.
        private func halfDone(_ folder: TemporaryDisk) -> String? {
            guard let bytes = folder.bytes() else { return target == .inPlace || target == .replaced ? "gone" : nil }
            switch target {
            case .new, .resumed: return bytes == disk ? nil : "a name for what is not whole"
            case .replaced: return bytes == disk || bytes == earlier ? nil : "the replaced file was changed"
            case .inPlace:
                // Half changed: each byte is that of the disk, or what was there.
                for (place, byte) in bytes.enumerated() {
                    let old = place < earlier.count ? earlier[place] : 0
                    if byte != old, place >= disk.count || byte != disk[place] { return "byte \(place) is neither" }
                }
                return nil
            }
        }
    }

    /// What goes wrong in all runs with this fault. - Returns: problems, and how many calls there are.
    private static func sweep(
        _ target: Target, _ fault: DiskFault, mutant: DiskMutant? = nil
    ) async throws -> (problems: [String], calls: Int) {
        let what = try await Case(target)
        let clean = FaultyDiskCalls(at: .max, fault)
        let folder = try what.prepare()
        #expect(try await what.run(folder, clean) == nil)
        #expect(folder.bytes() == what.disk)
        var problems: [String] = []
        for number in 0..<clean.count {
            if let problem = try await what.problem(at: number, fault, mutant) {
                problems.append("\(fault) at call \(number) of \(target): \(problem)")
                if mutant != nil { break }
            }
        }
        return (problems, clean.count)
    }

    @Test("the right bytes, or an error and then the right bytes", arguments: Target.allCases)
    func sweeps(target: Target) async throws {
        for fault in DiskFault.allCases {
            let (problems, calls) = try await Self.sweep(target, fault)
            #expect(problems.isEmpty, "\(problems)")
            #expect(calls >= 10)
            print("\(fault): \(calls) calls of a restore to \(target)")
        }
    }

    @Test("a restore that takes a bad answer for a good one is caught", arguments: DiskMutant.allCases)
    func mutants(mutant: DiskMutant) async throws {
        for target in [Target.inPlace, .resumed, .new] {
            for fault in DiskFault.allCases {
                if try await !Self.sweep(target, fault, mutant: mutant).problems.isEmpty { return }
            }
        }
        Issue.record("\(mutant): nothing noticed")
    }
}
