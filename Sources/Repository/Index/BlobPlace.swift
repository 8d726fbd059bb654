package import RepositoryFormat

/// Where a blob stands: an entry of a pack's directory.
package struct BlobPlace: Hashable, Sendable {
    /// Which pack.
    package let pack: ObjectKey
    /// Which entry of its directory.
    package let ordinal: Int
}
