import BackupModel
import RepositoryFormat

/// When a sweep does nothing at all (format page §12).
enum SweepRefusal {
    /// Refuses a view that does not show, or not understand, everything that may need a chunk.
    ///
    /// - Throws: ``RepositoryError``: `storage` for what cannot be read at the moment; `refused`, naming the object.
    static func requireWhole(_ view: RepositoryView, _ repository: OpenRepository) throws {
        if let unread = repository.unread ?? view.unread { throw unread }
        if let hidden = view.hidden.first { throw refusal("\(hidden) is known to exist and is not shown") }
        // What a spoiled slot opened, or a spoiled entry named, may still come back. What lies elsewhere, an owner's
        // statement or the store's identity, names no chunk.
        let chain = ["log/", "s/"]
        let spoiled = view.findings.first { finding in
            !finding.isRevoked && !finding.isVoid && chain.contains { finding.object.hasPrefix($0) }
        }
        if let spoiled { throw refusal(spoiled.sentence) }
        let void = view.findings.first { $0.isRevoked }
        if let void, !view.said.approvals.doubted.isEmpty, SweepRule.approvalsAreAsked.holds {
            throw RepositoryError(
                .refused,
                "\(void.object) is void by a revocation that waits for the approval of persons (`dozo approve`): "
                    + "points may go with it, and nothing was deleted")
        }
        if let unknown = view.unknownRecords.first, SweepRule.unknownStops.holds {
            throw RepositoryError(
                .unsupported, "\(unknown): sweep with that one; nothing was deleted", .useOtherVersion)
        }
    }

    /// Refuses an index that does not list every pack that counts.
    static func requireWhole(_ index: ChunkIndex) throws {
        if let lost = index.lostRuns.first {
            throw refusal("the index run \(lost.runName) is missing or damaged: the next backup lists its packs anew")
        }
        if let finding = index.findings.first { throw refusal(finding.sentence) }
    }

    private static func refusal(_ sentence: String) -> RepositoryError {
        RepositoryError(
            .refused, "\(sentence); `dozo verify` says more. A sweep could delete what that named: nothing was deleted")
    }
}
