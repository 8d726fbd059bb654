package import BackupModel

/// One thing that is wrong with a repository.
package struct RepositoryFinding: Hashable, Sendable {
    /// The object, by name; `point …` for a point whose loss no object explains.
    package let object: String
    /// What is wrong, in a sentence.
    package let sentence: String
    /// Blobs of it that no other copy replaces.
    package var lost: [Hash256] = []
    /// Points that cannot be restored whole because of it, or that it named.
    package var points: [PointID] = []
    /// Whether nothing is wrong but that the owner takes no more of a key's word: no damage.
    package var isRevoked = false
    /// Whether nothing is wrong but that somebody said what nobody lets him say: no damage.
    package var isVoid = false
    /// Whether all that a damaged or missing pack held stands elsewhere by now, and every point is whole: nothing needs
    /// it any more. Set only when the whole of that was proven.
    package var isReplaced = false
}
