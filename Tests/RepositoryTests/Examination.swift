import BackupModel
import ChunkEncryption
import ObjectStorage
import Repository
import RepositoryFormat
import Simulation
import TestKit

/// What three levels of verification and a restore of every point made of a store with damage in it.
struct Examination {
    /// What is wrong, a line each; the first line says what was done to the store.
    var complaints: [String] = []
    /// Points that are not shown any more and that no finding names.
    var unnamed: Set<PointID> = []
    /// Points that are not shown any more.
    var gone: Set<PointID> = []
    /// Shown points that do not come back.
    var suffering: Set<PointID> = []
    /// Names of the objects that the deepest level found something wrong with.
    var found: Set<String> = []
    /// Whether the repository was not opened at all.
    var isRefused = false

    /// How the restore of each shown point ended: `nil` when it gave the right bytes.
    private var endings: [PointID: RepositoryError?] = [:]

    private let sample: SampleRepository
    private let what: String

    /// Looks at a store.
    ///
    /// - Parameters:
    ///   - what: what was done to it.
    ///   - named: the objects that must be named; empty when nothing can be noticed.
    init(_ store: MemoryStore, of sample: SampleRepository, what: String, named: Set<String>) async throws {
        self.sample = sample
        self.what = what
        for level in [VerificationLevel.keyless, .tags, .content] {
            try await examine(store, level: level, named: named)
        }
    }

    private mutating func complain(_ line: String) { complaints.append("\(what): \(line)") }

    private mutating func examine(_ store: MemoryStore, level: VerificationLevel, named: Set<String>) async throws {
        let repository: OpenRepository
        let view: RepositoryView
        let report: VerificationReport
        do {
            repository = try await OpenRepository.open(
                store: store, key: .credential(level == .keyless ? sample.verifier : sample.owner))
            view = try await repository.view()
            report = try await Verification(repository, view: view, level: level, workers: 1).run()
        } catch let error as RepositoryError {
            isRefused = true
            if !named.contains(where: { error.sentence.contains($0) }) || named.isEmpty {
                complain("\(level): the refusal names another object: \(error.sentence)")
            }
            if ![.damaged, .refused, .unsupported].contains(error.code) {
                complain("\(level): refused with \(error.code): \(error.sentence)")
            }
            return
        }
        let objects = Set(report.findings.map(\.object))
        // Of a statement that is lost at its end of the chain the others only know the place.
        let places = named.filter { !$0.hasPrefix("spare/") || !named.contains(String($0.dropFirst("spare/".count))) }
        if !places.isSubset(of: objects) {
            complain("\(level): not found: \(named.subtracting(objects)), but \(report.findings)")
        }
        // Without an enrolment all that its key signed is void, and told so.
        let isEnrolmentLost = named.contains { $0.hasPrefix("owner/") } && places != named
        if !objects.isSubset(of: named), !named.isEmpty, !isEnrolmentLost {
            complain("\(level): found besides: \(objects.subtracting(named))")
        }
        for finding in report.findings where !Examination.isObjectName(finding.object) {
            complain("\(level): a finding about \(finding.object): \(finding.sentence)")
        }
        guard level != .keyless else { return }
        try await restore(view, repository: repository, report: report, level: level)
        guard level == .content else { return }
        found = objects
        gone = Set(sample.points).subtracting(view.points.map(\.record.identifier))
        unnamed = gone.subtracting(report.findings.flatMap(\.points))
        if !gone.isSubset(of: Set(sample.points)) { complain("points are shown that nobody made") }
    }

    private mutating func restore(
        _ view: RepositoryView, repository: OpenRepository, report: VerificationReport, level: VerificationLevel
    ) async throws {
        let reader = try await RepositoryReader(repository, view: view)
        for point in view.points {
            let identifier = point.record.identifier
            guard let disks = sample.disks[identifier], disks.count == point.record.images.count else {
                complain("\(level): point \(identifier) was never made")
                continue
            }
            let isWhole = report.wholePoints.contains(identifier)
            let isBlamed = report.findings.contains { $0.points.contains(identifier) && !$0.lost.isEmpty }
            if isWhole == isBlamed { complain("\(level): point \(identifier) is whole \(isWhole), blamed \(isBlamed)") }
            let ending: RepositoryError?
            if let known = endings[identifier] {
                ending = known
            } else {
                ending = try await restore(point, disks: disks, reader: reader)
                endings[identifier] = .some(ending)
            }
            if let ending {
                suffering.insert(identifier)
                if isWhole { complain("\(level): point \(identifier) was called whole: \(ending.sentence)") }
            } else if !isWhole {
                complain("\(level): point \(identifier) restores and was not called whole")
            }
        }
    }

    private mutating func restore(
        _ point: RestorePoint, disks: [[UInt8]], reader: RepositoryReader
    ) async throws -> RepositoryError? {
        do {
            for (disk, image) in zip(disks, point.record.images)
            where try await RestoredImage.bytes(of: image, reader: reader) != disk {
                complain("WRONG BYTES in point \(point.record.identifier)")
            }
        } catch let error as RepositoryError {
            if error.code != .damaged { complain("a restore ends with \(error.code): \(error.sentence)") }
            return error
        }
        return nil
    }

    private static func isObjectName(_ text: String) -> Bool {
        text.contains("/") && ObjectName(text) != nil
    }
}
