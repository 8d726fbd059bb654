import BackupModel
import Capture
import ChunkEncryption
import Effects
import ObjectStorage
import Repository
import RepositoryFormat
import TestKit

/// A machine that backs up one guest: its own disk holds its state folder.
struct SimulatedHost: Sendable {
    let name: String
    var disk: SimulatedDisk
    var guest: SimulatedGuest
    /// Sessions whose commit it was told of: it must remember them, whatever happens to its power.
    var committed: [SessionHead] = []
    /// Whether it once kept a writer's credential.
    var wasEnrolled = false
}

/// One run of the program on a host: opens the repository, enrols the host if need be, backs the guest up.
struct BackupAttempt: Sendable {
    enum Outcome: Sendable {
        case committed(RestorePointRecord, head: SessionHead, hasMoved: Bool)
        case failed(String, code: RepositoryError.Code?)
    }

    let host: SimulatedHost
    /// Stands as the time in the record, so that a point that is found can be compared with what was presented.
    let number: UInt64
    let level: Int
    let workers: Int
    /// What the session takes its secrets from.
    let randomness: Randomness
    /// Where temporary names and the host's key come from; never repeats.
    let ownRandomness: Randomness
    let imageChanges: Bool
    let owner: Credential
    /// What the first disk was, when only what changed since is to be read.
    var earlier: EarlierImage?
    /// The process that it runs in; `nil` for one that nobody kills.
    var process: SimulatedProcess?
    /// Packs after which the run names what it has stored.
    var packsPerCheckpoint = SessionChain.packsPerCheckpoint
    /// How often others go on before a read of a disk does.
    var pausesPerRead = 1

    func run(_ store: any ObjectStore, executor: SeededExecutor) async -> Outcome {
        do {
            let state = try HostState(
                files: process ?? SimulatedProcess(on: host.disk), repository: owner.repository,
                randomness: ownRandomness)
            let kept = try state.writerCredential()
            if kept == nil, host.wasEnrolled { return .failed("the host forgot its key", code: .damaged) }
            var repository = try await OpenRepository.open(store: store, key: .credential(kept ?? owner))
            let writer: Credential
            if let kept { writer = kept } else { writer = try await enrol(&repository, state: state) }
            return try await back(up: repository.acting(as: writer), state: state, executor: executor)
        } catch let error as RepositoryError {
            return .failed(error.sentence, code: error.code)
        } catch { return .failed("\(error)", code: nil) }
    }

    private func enrol(_ repository: inout OpenRepository, state: HostState) async throws -> Credential {
        let seed = SecretBytes(copying: ownRandomness.bytes(SigningKey.seedByteCount))
        let key = SigningKey(seed: seed)
        try await repository.enrol(
            Enrolment(key: key.publicKey, role: .writer, domain: 0, label: host.name), createdAt: number)
        let credential = repository.credential.restricted(
            to: .writer, signingSeed: seed, ownerHead: repository.chain.head)
        try state.keep(writerCredential: credential)
        return credential
    }

    private func back(
        up repository: OpenRepository, state: HostState, executor: SeededExecutor
    ) async throws -> Outcome {
        let known = try state.guests()[host.guest.label]
        let session = try await WritingSession.begin(
            repository, state: state, randomness: randomness, packsPerCheckpoint: packsPerCheckpoint,
            bases: { _ in known?.base.map { [$0] } ?? [] })
        var plan = BackupPlan(
            guest: host.guest.identifier, label: host.guest.label, takenAt: number, host: host.name, tool: "simulation",
            base: known?.base, workers: workers, level: level, now: { [number] in number })
        // Time stands still: nothing but the executor decides who goes on.
        plan.pulse = VirtualClock().pulse
        let disks = host.guest.disks.enumerated().map { index, bytes in
            BackupDisk.image(
                name: "disk\(index)",
                source: SimulatedImage(
                    bytes, executor: executor, changes: imageChanges, pauses: pausesPerRead),
                since: index == 0 ? earlier : nil)
        }
        let (record, last) = try await BackupRun(session, plan: plan).runInSessions(disks)
        guard let head = try state.memory()?.sessions.last(where: { $0.session == last.session }) else {
            return .failed("the host did not remember its commit", code: .damaged)
        }
        // As the command does; a commit that was told does not depend on it.
        let guest = HostState.Guest(identifier: host.guest.identifier, base: record.identifier, formats: [:])
        _ = try? state.keep(guest: guest, named: host.guest.label)
        return .committed(record, head: head, hasMoved: last.session != session.session)
    }
}
