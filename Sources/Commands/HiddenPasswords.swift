/// A domain's XML for eyes that need not see its passwords.
package enum HiddenPasswords {
    /// Its lines, with the values of attributes called `passwd` and `password` taken out.
    package static func lines(_ xml: String) -> [String] {
        xml.split(separator: "\n", omittingEmptySubsequences: false).map { hidden(String($0)) }
    }

    /// Lines with a password, by what is shown of them.
    package static func secrets(_ xml: String) -> [String: [String]] {
        let all = xml.split(separator: "\n").map { (shown: hidden(String($0)), whole: String($0)) }
        return Dictionary(grouping: all.filter { $0.shown != $0.whole }, by: \.shown).mapValues { $0.map(\.whole) }
    }

    private static func hidden(_ line: String) -> String {
        var out = line
        for name in [" passwd=", " password="] {
            var rest = out[...]
            var built = ""
            while let found = rest.firstRange(of: name) {
                built += rest[..<found.upperBound]
                rest = rest[found.upperBound...]
                guard let quote = rest.first, quote == "'" || quote == "\"" else { continue }
                let value = rest.dropFirst()
                // A value that goes on in the next line is hidden up to the end of this one.
                let end = value.firstIndex(of: quote) ?? value.endIndex
                built += "\(quote)hidden"
                rest = value[end...]
            }
            out = built + rest
        }
        return out
    }
}
