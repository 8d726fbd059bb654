/// The catalog's schema as the binary carries it: the very bytes of `migrations/`, wherever the binary is moved to.
package enum CatalogSchema {
    /// A step from one version of the schema to the next.
    package struct Migration: Hashable, Sendable {
        /// Version that the file has afterwards (`PRAGMA user_version`): 1 for the first.
        package let version: Int
        /// Name of the file in `migrations/`, without its ending.
        package let name: String
        /// The statements, as they stand in the file.
        package let sql: String
    }

    /// What `PRAGMA application_id` says of a catalog: the letters `DOZO`, first letter highest.
    package static let applicationIdentifier = 0x444F_5A4F

    /// All steps, in order. A released one never changes.
    package static let migrations: [Migration] = [
        Migration(
            version: 1, name: "v0001_initial", sql: String(decoding: PackageResources.v0001_initial_sql, as: UTF8.self))
    ]

    /// The version that this program reads and writes.
    package static var version: Int { migrations.count }
}
