import BackupModel
import Foundation

/// The rules of a prune in words: what an approval of rules is about. Two files that keep the same say the same, and
/// whatever could let other points go makes other words.
package enum StatedRules {
    private struct Document: Encodable {
        struct Policy: Encodable {
            let name: String
            let zone: String
            let last: Int
            let periods: [String: Int]
            let tags: [String]
            let verified: Int
            let lock_seconds: Int
            let names: [String]
            let patterns: [String]
            let by_tags_of_libvirt: Bool
            let runs_per_day: Int
        }
        let policies: [Policy]
        let undo_seconds: Int
    }

    /// In UTF-8.
    ///
    /// - Parameters:
    ///   - policies: that keep points in the repository.
    ///   - undoTime: for how long what they forget can be had back, in seconds.
    package static func text(of policies: [PrunePlan.Policy], undoTime: Int) throws -> [UInt8] {
        let document = Document(
            policies: policies.sorted { $0.name < $1.name }.map { policy in
                Document.Policy(
                    name: policy.name, zone: policy.zone.identifier, last: policy.rules.last,
                    periods: Dictionary(
                        policy.rules.periods.filter { $0.value > 0 }.map { ($0.key.rawValue, $0.value) },
                        uniquingKeysWith: max),
                    tags: policy.rules.tags.sorted(), verified: policy.rules.verified, lock_seconds: policy.lock,
                    names: policy.names.sorted(),
                    patterns: policy.patterns.map(\.text).sorted(), by_tags_of_libvirt: policy.choosesByTag,
                    runs_per_day: policy.runsPerDay)
            }, undo_seconds: undoTime)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        return Array(try encoder.encode(document))
    }
}
