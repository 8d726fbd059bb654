/// Rows of a report for a terminal or the body of a mail, in straight columns.
enum ReportTable {
    /// Most scalars of a cell.
    private static let widestCell = 40

    /// A line for the header and one for each row; names lose what steers or breaks lines.
    static func lines(_ header: [String], _ rows: [[String]]) -> [String] {
        let rows = ([header] + rows).map { $0.map { PlainText.line($0, limit: widestCell) } }
        let widths = header.indices.map { column in rows.map { width($0[column]) }.max() ?? 0 }
        return rows.map { row in
            var line = ""
            for (column, cell) in row.enumerated() {
                line += cell
                if column < row.count - 1 { line += String(repeating: " ", count: widths[column] - width(cell) + 2) }
            }
            // Whoever copies a table copies no spaces that nobody sees.
            return String(line.reversed().drop { $0 == " " }.reversed())
        }
    }

    /// Columns that a terminal needs for it: two for most letters of East Asia.
    private static func width(_ text: String) -> Int {
        text.unicodeScalars.reduce(0) { sum, scalar in
            if scalar.properties.canonicalCombiningClass.rawValue != 0 || scalar.properties.generalCategory == .format {
                return sum
            }
            switch scalar.value {
            case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F,
                0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x1F300...0x1FAFF, 0x20000...0x3FFFD:
                return sum + 2
            default: return sum + 1
            }
        }
    }
}
