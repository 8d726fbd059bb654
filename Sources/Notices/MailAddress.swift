/// An address of e-mail, and a name for people.
package struct MailAddress: Hashable, Sendable {
    /// `name@host`, of letters that stand for themselves everywhere.
    package let address: String
    /// What people read beside it.
    package let displayName: String?

    /// Most bytes of an address (RFC 5321).
    package static let longest = 254
    /// Most bytes in front of the `@`.
    private static let longestLocalPart = 64

    /// Reads `someone@example.org` or `Some One <someone@example.org>`; `nil` for anything else, also for addresses in
    /// quotation marks and for letters outside of ASCII, which not every server takes.
    package init?(_ text: String) {
        guard text.utf8.count <= 4 * MailAddress.longest, PlainText.line(text, limit: .max) == text else { return nil }
        var bare = Substring(text)
        var name: String?
        if let open = text.lastIndex(of: "<") {
            guard text.last == ">" else { return nil }
            bare = text[text.index(after: open)..<text.index(before: text.endIndex)]
            var words = text[..<open]
            while words.last == " " { words.removeLast() }
            while words.first == " " { words.removeFirst() }
            if words.count >= 2, words.first == "\"", words.last == "\"" { words = words.dropFirst().dropLast() }
            name = words.isEmpty ? nil : String(words)
        }
        guard MailAddress.isSound(bare) else { return nil }
        address = String(bare)
        displayName = name
    }

    private static func isSound(_ text: Substring) -> Bool {
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        guard parts.count == 2, text.utf8.count <= longest, parts[0].utf8.count <= longestLocalPart else {
            return false
        }
        let marks = Set("!#$%&'*+-/=?^_`{|}~.".utf8)
        let local = parts[0].utf8.allSatisfy { isLetterOrDigit($0) || marks.contains($0) }
        let dots = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        return local && dots.allSatisfy { !$0.isEmpty } && HostText.isHostName(parts[1])
    }

    static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
    }
}

/// Names of hosts.
enum HostText {
    private static let longest = 253

    /// Whether it is a name of letters, digits and dashes between dots, or an address of version 4.
    static func isHostName(_ text: some StringProtocol) -> Bool {
        guard !text.isEmpty, text.utf8.count <= longest else { return false }
        return text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
            !label.isEmpty && label.first != "-" && label.utf8.count <= 63
                && label.utf8.allSatisfy {
                    MailAddress.isLetterOrDigit($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_")
                }
        }
    }

    /// Whether it is a name, or an address of version 6 between brackets.
    static func isHost(_ text: some StringProtocol) -> Bool {
        guard text.first == "[" else { return isHostName(text) }
        let inner = text.dropFirst().dropLast()
        let isHexadecimal = inner.utf8.allSatisfy { "0123456789abcdefABCDEF:.".utf8.contains($0) }
        return text.last == "]" && isHexadecimal && inner.contains(":") && inner.utf8.count <= 45
    }

    /// Whether it is this host itself.
    static func isLoopback(_ host: some StringProtocol) -> Bool {
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        let isVersion4 = parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
        return host == "localhost" || host == "[::1]" || isVersion4
    }
}
