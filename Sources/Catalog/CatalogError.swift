import GRDB

/// What went wrong with the catalog, which is never the loss of a backup: it can be made again from the repository.
package struct CatalogError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Published numbers: never reused, never renumbered.
    package enum Code: Int, Sendable {
        /// The state folder or the disk below it failed.
        case storage = 1
        /// Another process held the catalog for too long.
        case busy = 2
        /// The file is no catalog, or its bytes are damaged.
        case damaged = 3
        /// A newer program made it.
        case newerSchema = 4
        /// What should be written contradicts itself; nothing of it was.
        case inconsistent = 5
        /// The credential opens no restore points, so there is nothing to project.
        case roleLacksKey = 6
    }

    /// What the caller can do; callers branch on this, never on text.
    package enum Remedy: Hashable, Sendable {
        case retry
        /// `dozo catalog rebuild`.
        case rebuild
        case askOperator
        case useOtherVersion
    }

    /// See ``Code``.
    package let code: Code
    /// Names the file and says what to do; holds nothing of what the catalog holds.
    package let sentence: String
    /// See ``Remedy``.
    package let remedy: Remedy

    init(_ code: Code, _ sentence: String, _ remedy: Remedy = .askOperator) {
        self.code = code
        self.sentence = sentence
        self.remedy = remedy
    }

    package var description: String { sentence }

    /// The process exit status that fits when this error ends a command: a lost catalog is a failure, not lost data.
    package var exitStatus: Int32 {
        switch code {
        case .storage, .busy, .damaged, .inconsistent: 1
        case .newerSchema: 7
        case .roleLacksKey: 5
        }
    }

    static func damaged(_ path: String, _ why: String) -> CatalogError {
        CatalogError(
            .damaged,
            "the catalog \(path) cannot be used: \(why); no backup is lost by that: run `dozo catalog rebuild`, "
                + "which keeps the file aside and reads the repository anew",
            .rebuild)
    }

    static func newerSchema(_ path: String, found: Int, known: Int) -> CatalogError {
        CatalogError(
            .newerSchema,
            "the catalog \(path) has schema \(found) and this program knows up to \(known): use the newer dozo, "
                + "or move the file away and run `dozo catalog rebuild`",
            .useOtherVersion)
    }

    static let roleLacksKey = CatalogError(
        .roleLacksKey,
        "this credential opens no restore points, so the catalog stays as it is; use the passphrase, or a reader's or "
            + "maintainer's credential"
    )

    /// Runs `body` and puts what SQLite says into our words. SQLite's own message names tables and columns; the
    /// arguments of the statement, which hold names of guests and hosts, are left out.
    static func translating<Result>(_ path: String, _ body: () throws -> Result) throws -> Result {
        do { return try body() } catch let error as DatabaseError {
            let why = error.message ?? "SQLite error \(error.resultCode.rawValue)"
            switch error.resultCode {
            case .SQLITE_CORRUPT, .SQLITE_NOTADB, .SQLITE_ERROR, .SQLITE_SCHEMA, .SQLITE_MISMATCH, .SQLITE_FORMAT:
                throw CatalogError.damaged(path, why)
            case .SQLITE_BUSY, .SQLITE_LOCKED:
                throw CatalogError(
                    .busy, "another process holds the catalog \(path); nothing was changed, run the command again",
                    .retry)
            case .SQLITE_CONSTRAINT:
                throw CatalogError(
                    .inconsistent, "nothing was written to the catalog \(path), for it contradicts itself: \(why)")
            case .SQLITE_FULL:
                throw CatalogError(.storage, "the disk of the catalog \(path) is full; make room and run it again")
            default: throw CatalogError(.storage, "the catalog \(path) cannot be read or written: \(why)")
            }
        }
    }
}
