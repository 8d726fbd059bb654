import BackupModel
import GRDB

extension CatalogDatabase {
    /// Everything the catalog holds as text, for comparing two: the same content gives the same bytes.
    ///
    /// A row is one line: the table, then `column=value` for each column; NULL is `-`, a text stands in quotes with
    /// control characters, quotes and backslashes escaped, so that a name cannot pretend to be a line of its own.
    /// Tables come in a fixed order, rows by their primary key.
    package func dump() throws -> String {
        var text = ""
        try dump { text += $0 + "\n" }
        return text
    }

    /// The lines of ``dump()`` one by one, without their ends.
    ///
    /// - Parameter write: called in order, within one transaction; what it throws ends the dump and is passed on.
    package func dump(_ write: (String) throws -> Void) throws {
        try read { database in
            let version = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
            try write("catalog schema=\(version)")
            for table in CatalogTable.all {
                let order = table.keys.joined(separator: ", ")
                let rows = try Row.fetchCursor(database, sql: "SELECT * FROM \(table.name) ORDER BY \(order)")
                while let row = try rows.next() {
                    let columns = row.map { column, value in "\(column)=\(CatalogDatabase.spelled(value))" }
                    try write(([table.name] + columns).joined(separator: " "))
                }
            }
        }
    }

    private static func spelled(_ value: DatabaseValue) -> String {
        switch value.storage {
        case .null: "-"
        case .int64(let number): String(number)
        case .double(let number): String(number)
        case .blob(let data): "x'" + Array(data).hexadecimal + "'"
        case .string(let text): "\"" + spelled(text) + "\""
        }
    }

    private static func spelled(_ text: String) -> String {
        // Most texts are identifiers.
        let isPlain = text.utf8.allSatisfy {
            (0x20..<0x7f).contains($0) && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\")
        }
        return isPlain ? text : text.unicodeScalars.map(spelled).joined()
    }

    private static func spelled(_ scalar: Unicode.Scalar) -> String {
        switch scalar {
        case "\"", "\\": "\\\(scalar)"
        case _ where scalar.properties.generalCategory == .control || scalar.properties.generalCategory == .format:
            "\\u{\(String(scalar.value, radix: 16))}"
        // These end a line in some programs.
        case "\u{2028}", "\u{2029}": "\\u{\(String(scalar.value, radix: 16))}"
        default: String(Character(scalar))
        }
    }
}
