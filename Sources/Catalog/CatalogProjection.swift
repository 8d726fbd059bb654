import BackupModel
import GRDB
package import Repository
package import RepositoryFormat

/// Makes the catalog say what a repository says.
package struct CatalogProjection: Sendable {
    private let database: CatalogDatabase

    /// A projection into this catalog.
    package init(_ database: CatalogDatabase) { self.database = database }

    /// Projects a repository as it was read: what it does not show any more goes, what is new or different comes.
    ///
    /// - Parameter chain: the owner chain of the same repository.
    /// - Throws: ``CatalogError``: `roleLacksKey` when the view was opened without the structure key; `busy`,
    ///   `damaged`, `storage`. Whatever is thrown, the catalog is as it was.
    package func project(view: RepositoryView, chain: OwnerChain) throws {
        try project(CatalogFacts(view: view, chain: chain))
    }

    /// Projects facts, all of one repository in one transaction; other repositories stay as they are.
    ///
    /// - Throws: ``CatalogError``: `inconsistent` when the facts contradict each other; and as above.
    package func project(_ facts: CatalogFacts) throws {
        let rows = try CatalogRows(facts)
        let repository = facts.repository.bytes.hexadecimal.databaseValue
        try database.write { database in
            for table in CatalogTable.all { try table.put(rows[table], in: database) }
            for table in CatalogTable.all.reversed() {
                try table.deleteAll(but: rows[table], of: repository, in: database)
            }
        }
    }
}
