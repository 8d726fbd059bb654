/// A message of e-mail as it goes over the line: RFC 5322 and 2045 to 2047, lines ended by CRLF, all of it ASCII.
///
/// Text of foreign origin can only stand in the subject and the body, and in both it is encoded: no name of a guest
/// makes a header or ends the message.
package struct MailMessage: Sendable {
    /// Who sends.
    package var sender: MailAddress
    /// Who gets it.
    package var recipients: [MailAddress]
    /// One line.
    package var subject: String
    /// Lines between LF.
    package var text: String
    /// When it is sent, nanoseconds since 1970.
    package var instant: UInt64
    /// What is unique about it: letters and digits.
    package var unique: String
    /// Headers of our own, names and values of ASCII letters, digits and dashes.
    package var marks: [(name: String, value: String)]

    /// - Parameters: see the properties.
    package init(
        sender: MailAddress, recipients: [MailAddress], subject: String, text: String, instant: UInt64, unique: String,
        marks: [(name: String, value: String)]
    ) {
        self.sender = sender
        self.recipients = recipients
        self.subject = subject
        self.text = text
        self.instant = instant
        self.unique = unique
        self.marks = marks
    }

    /// Most bytes of a line of the body (RFC 2045 says 76).
    private static let longestLine = 76
    /// Most bytes of one encoded word (RFC 2047).
    private static let longestWord = 75

    /// The message.
    package var bytes: [UInt8] {
        let host = sender.address.split(separator: "@").last ?? "localhost"
        var lines = [
            "Date: \(CivilTime(instant).mail)", "From: \(MailMessage.header(sender))",
            "To: \(recipients.map(MailMessage.header).joined(separator: ",\r\n "))",
            "Message-ID: <\(MailMessage.letters(unique)).dozo@\(host)>",
            "Subject: \(MailMessage.encodedWords(subject, after: 9))",
            // So that nobody's absence assistant answers (RFC 3834).
            "Auto-Submitted: auto-generated", "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8",
            "Content-Transfer-Encoding: quoted-printable",
        ]
        lines += marks.map { "\(MailMessage.letters($0.name)): \(MailMessage.letters($0.value))" }
        return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8) + MailMessage.quotedPrintable(text)
    }

    private static func letters(_ text: String) -> String {
        String(
            decoding: text.utf8.filter { MailAddress.isLetterOrDigit($0) || $0 == UInt8(ascii: "-") }.prefix(64),
            as: UTF8.self)
    }

    private static func header(_ address: MailAddress) -> String {
        guard let name = address.displayName else { return "<\(address.address)>" }
        return "\(encodedWords(name, after: 16, isPhrase: true)) <\(address.address)>"
    }

    /// A text as words that a header can hold: as it is when it is short and plain, else in pieces of base64, cut
    /// between characters of UTF-8 and folded.
    ///
    /// - Parameters:
    ///   - used: bytes that stand before it in its line, at most 30.
    ///   - isPhrase: whether it stands where dots and colons have a meaning.
    package static func encodedWords(_ text: String, after used: Int, isPhrase: Bool = false) -> String {
        let plain = Set((isPhrase ? " !#%&'*+-/=" : " !#%&'*+-./:;=").utf8)
        let isPlain = text.utf8.allSatisfy { MailAddress.isLetterOrDigit($0) || plain.contains($0) }
        // What looks like an encoded word must not be taken for one.
        if isPlain, !text.contains("=?"), !text.isEmpty, text.first != " ", text.last != " ",
            text.utf8.count + used <= longestWord
        {
            return text
        }
        let frame = "=?UTF-8?B?".utf8.count + "?=".utf8.count
        var words: [String] = []
        var piece: [UInt8] = []
        var room = (longestWord - frame - used) / 4 * 3
        for scalar in text.unicodeScalars {
            let bytes = Array(String(scalar).utf8)
            if piece.count + bytes.count > room {
                words.append("=?UTF-8?B?\(base64(piece))?=")
                piece = []
                room = (longestWord - frame) / 4 * 3
            }
            piece += bytes
        }
        words.append("=?UTF-8?B?\(base64(piece))?=")
        return words.joined(separator: "\r\n ")
    }

    /// Base64 (RFC 4648).
    package static func base64(_ bytes: [UInt8]) -> String {
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var out: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let piece = bytes[start..<min(start + 3, bytes.count)]
            let word = piece.reduce(UInt32(0)) { $0 << 8 | UInt32($1) } << UInt32(8 * (3 - piece.count))
            for index in 0..<4 {
                let letter = letters[Int(word >> UInt32(18 - 6 * index) & 63)]
                out.append(index <= piece.count ? letter : UInt8(ascii: "="))
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// A text as quoted-printable (RFC 2045): lines of at most 76 bytes, ended by CRLF.
    package static func quotedPrintable(_ text: String) -> [UInt8] {
        let digits = Array("0123456789ABCDEF".utf8)
        var out: [UInt8] = []
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            var column = 0
            let bytes = Array(line.utf8)
            for (index, byte) in bytes.enumerated() {
                let isLast = index == bytes.count - 1
                let isSpace = byte == 0x20 || byte == 0x09
                let isPlain = (33...126).contains(byte) && byte != UInt8(ascii: "=") || isSpace && !isLast
                let token = isPlain ? [byte] : [UInt8(ascii: "="), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
                // One byte stays free for the mark that the line goes on.
                if column + token.count > longestLine - 1 {
                    out += Array("=\r\n".utf8)
                    column = 0
                }
                out += token
                column += token.count
            }
            out += [0x0D, 0x0A]
        }
        return out
    }
}
