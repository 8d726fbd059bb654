import BackupModel
import GRDB
import RepositoryFormat

/// A row whose columns are read as what they must be; anything else is damage, never a trap.
struct CatalogRow {
    private let row: Row
    private let path: String

    /// - Parameter path: the catalog's, for messages.
    init(_ row: Row, path: String) {
        // A cursor reuses its row.
        self.row = row.copy()
        self.path = path
    }

    private func value<Value: DatabaseValueConvertible>(_ column: String, as type: Value.Type) throws -> Value {
        guard let value: DatabaseValue = row[column], let converted = Value.fromDatabaseValue(value) else {
            throw CatalogError.damaged(path, "the column \(column) holds something else than it must")
        }
        return converted
    }

    private func value<Value>(_ column: String, _ convert: (String) -> Value?) throws -> Value {
        guard let converted = convert(try text(column)) else {
            throw CatalogError.damaged(path, "the column \(column) holds something else than it must")
        }
        return converted
    }

    func isNull(_ column: String) -> Bool {
        let value: DatabaseValue? = row[column]
        return value?.isNull ?? true
    }

    func text(_ column: String) throws -> String { try value(column, as: String.self) }

    func optional(_ column: String) -> String? {
        let value: DatabaseValue? = row[column]
        return value.flatMap(String.fromDatabaseValue)
    }

    func unsigned(_ column: String) throws -> UInt64 { try value(column, as: UInt64.self) }

    func word(_ column: String) throws -> UInt32 { try value(column, as: UInt32.self) }

    func count(_ column: String) throws -> Int { try value(column, as: Int.self) }

    func hash(_ column: String) throws -> Hash256 { try value(column) { Hash256(hexadecimal: $0) } }

    func identifier<Subject>(_ column: String) throws -> Identifier<Subject> {
        try value(column) { Identifier<Subject>(hexadecimal: $0) }
    }

    func repository() throws -> RepositoryID {
        try value("repository") { [UInt8](hexadecimal: $0).flatMap { RepositoryID(bytes: $0) } }
    }

    func role(_ column: String) throws -> Role { try value(column) { Role(rawValue: $0) } }
}
