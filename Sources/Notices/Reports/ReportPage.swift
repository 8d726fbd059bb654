/// What the pages of all reports have in common: HTML that needs nothing else, no script, no picture from elsewhere,
/// and says so to the browser. All text of foreign origin is escaped.
enum ReportPage {
    /// A whole page.
    ///
    /// - Parameters:
    ///   - title: plain text.
    ///   - parts: HTML that stands in the body, without the last line.
    ///   - made: when it was made, nanoseconds since 1970.
    static func whole(title: String, _ parts: [String], made: UInt64) -> String {
        let head = [
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">",
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            "<meta name=\"viewport\" content=\"width=device-width\">", "<title>\(escaped(title))</title>",
            "<style>\(style)</style></head><body>",
        ]
        let end = "<p><small>Made \(CivilTime(made).readable) by Dozo.</small></p></body></html>\n"
        return (head + parts + [end]).joined(separator: "\n")
    }

    /// Text where HTML and SVG expect text or the value of an attribute between double quotes.
    static func escaped(_ text: String) -> String {
        var out = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": out += "&amp;"
            case "<": out += "&lt;"
            case ">": out += "&gt;"
            case "\"": out += "&quot;"
            case "'": out += "&#39;"
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }

    /// A table.
    ///
    /// - Parameter rows: their cells, plain text, and a word that says how a row is coloured: one of the style's, or
    ///   any other for none.
    static func table(_ header: [String], _ rows: [(cells: [String], word: String)]) -> String {
        let head = header.map { "<th>\(escaped($0))</th>" }.joined()
        let body = rows.map { row in
            "<tr class=\"\(escaped(row.word))\">\(row.cells.map { "<td>\(escaped($0))</td>" }.joined())</tr>"
        }
        return "<table><thead><tr>\(head)</tr></thead><tbody>\n\(body.joined(separator: "\n"))\n</tbody></table>"
    }

    /// A list of sentences; nothing of none.
    static func list(_ sentences: [String]) -> [String] {
        sentences.isEmpty ? [] : ["<ul>"] + sentences.map { "<li>\(escaped($0))</li>" } + ["</ul>"]
    }

    private static let style = """
        body{font:14px/1.4 system-ui,sans-serif;margin:2em;color:#222;background:#fff}
        table{border-collapse:collapse}th,td{text-align:left;padding:.2em .8em .2em 0;border-bottom:1px solid #ddd}
        .headline{font-size:1.3em}li{margin:.3em 0}tr.total td{font-weight:bold}
        .failed td:nth-child(2),.critical td:last-child,.critical b,.unprotected td:nth-child(2),
        .error td:last-child,.error b{color:#a0303a;font-weight:bold}
        .skipped td:nth-child(2),.stopped td:nth-child(2),.partial td:nth-child(2),.doubtful td:nth-child(2),
        .warning td:last-child,.warning b{color:#8a5a00;font-weight:bold}
        svg{max-width:100%;height:auto}svg text{font:11px system-ui,sans-serif;fill:#444}
        """
}
