import ArgumentParser
import Catalog
import Repository
import RepositoryFormat

/// `dozo catalog`: the projection of repositories into a database on this host.
struct CatalogCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "catalog", abstract: "The catalog on this host, which can always be made anew.",
        discussion: """
            Example:
              dozo catalog rebuild -r /backup/dozo
              dozo catalog dump

            A backup with the passphrase keeps the catalog up to date. It is a SQLite file in the state folder, and \
            may be deleted.
            """,
        subcommands: [CatalogRebuildCommand.self, CatalogDumpCommand.self])
}

/// `dozo catalog rebuild`: from the repository alone.
struct CatalogRebuildCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rebuild", abstract: "Make the catalog anew from the repository.",
        discussion: """
            Example: dozo catalog rebuild -r /backup/dozo

            A catalog that cannot be read is moved aside and never deleted. Other repositories in it come back when \
            they are rebuilt too.
            """)

    @OptionGroup var options: RepositoryOptions

    private struct Document: Encodable {
        let points: Int
        let guests: Int
        let set_aside: String?
    }

    func run() async throws {
        let (repository, view) = try await options.openAndLook()
        let (database, setAside) = try CatalogDatabase.rebuilding(stateFolder: try HostContext.stateFolder())
        try CatalogProjection(database).project(view: view, chain: repository.chain)
        let document = Document(
            points: view.points.count, guests: Set(view.points.map(\.record.guest)).count, set_aside: setAside)
        if options.json { return try Console.json(document) }
        if let setAside { options.note("the catalog that could not be read is now \(setAside)") }
        Console.result(
            "\(Console.count(document.points, "point")) of \(Console.count(document.guests, "guest"))")
    }
}

/// `dozo catalog dump`: everything in a fixed order, for comparison.
struct CatalogDumpCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dump", abstract: "Print the catalog as text in a fixed order.",
        discussion: "Example: dozo catalog dump")

    func run() async throws {
        let database = try CatalogDatabase(stateFolder: try HostContext.stateFolder())
        Console.write(try database.dump(), to: 1)
    }
}
