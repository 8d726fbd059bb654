package import BackupModel
package import RepositoryFormat

/// How deep a verification looks.
package enum VerificationLevel: String, Sendable {
    /// Everything that was named is there, has its hash and a writer's signature; needs no key.
    case keyless = "no-key"
    /// And every authentication tag that the credential can check, and every map of every point.
    case tags
    /// And every chunk decompressed and compared with its id.
    case content
}

/// What a verification found.
package struct VerificationReport: Sendable {
    /// How deep it looked.
    package let level: VerificationLevel
    /// Objects looked at: statements, the store's identity, slots, entries, key slots, packs and runs.
    package var objectCount = 0
    /// Bytes of key slots, packs and runs.
    package var byteCount: UInt64 = 0
    /// Blobs whose tag was checked.
    package var tagCount = 0
    /// Blobs whose content was compared with their id.
    package var contentCount = 0
    /// Points whose maps were walked to the last leaf.
    package var pointCount = 0
    /// Points that are whole as far as the level shows.
    package var wholePoints: [PointID] = []
    /// What is wrong.
    package var findings: [RepositoryFinding] = []
    /// Packs with something wrong, present or not.
    package var damagedPacks: [ObjectKey] = []
    /// Index runs with something wrong, present or not.
    package var damagedRuns: [ObjectKey] = []
    /// Names in the store that the format does not know; readers pass over them.
    package var strays: [String] = []
    /// The points of the view that was looked at last.
    package var points: [RestorePoint] = []
    /// Whether it could not be said which packs have to be there.
    var lacksNames = false
    /// What could not be checked, and why: never to be taken for a pass.
    package var notProven: [String] = []

    /// Whether nothing is damaged or missing. What a revocation makes void is told and is no damage.
    package var isSound: Bool { findings.allSatisfy(\.isRevoked) }
    /// Whether all that is damaged or missing was stored again meanwhile.
    package var isReplaced: Bool { !isSound && findings.allSatisfy { $0.isRevoked || $0.isReplaced } }

    init(level: VerificationLevel) { self.level = level }

    /// Takes what was found; of an object that is named already only what it adds.
    mutating func add(_ more: [RepositoryFinding]) {
        for finding in more {
            guard let index = findings.firstIndex(where: { $0.object == finding.object }) else {
                findings.append(finding)
                continue
            }
            findings[index].lost += finding.lost.filter { !findings[index].lost.contains($0) }
            findings[index].points += finding.points.filter { !findings[index].points.contains($0) }
        }
    }
}

/// How far a verification is.
package struct VerificationProgress: Sendable {
    /// Bytes looked at.
    package var passed: UInt64 = 0
    /// Bytes to look at.
    package var total: UInt64 = 0
}
