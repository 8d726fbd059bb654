import Foundation
import Notices
import TestKit
import Testing

@Suite("how notices go over the line")
struct NoticeTextTests {
    private func message(_ names: [String]) -> MailMessage {
        let notices = names.map { Sample.failure($0) }
        return MailMessage(
            sender: MailAddress("Dozo 監視 <dozo@example.org>")!,
            recipients: [MailAddress("op@example.org")!, MailAddress("\"Duty, Night\" <night@example.org>")!],
            subject: NoticeText.subject(notices, host: "host1", isDigest: false),
            text: NoticeText.body(notices, host: "host1", lost: 0), instant: Sample.start, unique: "abc123",
            marks: [("X-Dozo-Kind", "failed")])
    }

    @Test(
        "whatever a guest is called, a message has its headers and no other, and lines of ASCII, none too long"
    )
    func headers() {
        for name in Sample.hostileNames {
            let text = String(decoding: message([name]).bytes, as: UTF8.self)
            #expect(
                text.utf8.allSatisfy { $0 == 10 || $0 == 13 || (32...126).contains($0) }, "\(name.debugDescription)")
            #expect(!text.replacing("\r\n", with: "").contains { $0 == "\r" || $0 == "\n" || $0 == "\r\n" })
            let lines = text.split(separator: "\r\n", omittingEmptySubsequences: false).map(String.init)
            #expect(lines.allSatisfy { $0.utf8.count <= 78 }, "\(lines.filter { $0.utf8.count > 78 })")
            let head = lines.prefix { !$0.isEmpty }.filter { !$0.hasPrefix(" ") }
            #expect(
                head.map { String($0.prefix { $0 != ":" }) } == [
                    "Date", "From", "To", "Message-ID", "Subject", "Auto-Submitted", "MIME-Version", "Content-Type",
                    "Content-Transfer-Encoding", "X-Dozo-Kind",
                ])
            #expect(!lines.contains("."))
        }
    }

    @Test("subjects come back from their encoded words, however long and of whatever letters")
    func encodedWords() throws {
        var dice = Dice(seed: 3)
        let letters: [Unicode.Scalar] = ["a", "é", "業", "😀", "=", "?", " ", "_", "\u{301}"]
        for length in 0..<120 {
            var text = String.UnicodeScalarView()
            for _ in 0..<length { text.append(letters[Int(dice.roll(below: UInt64(letters.count)))]) }
            let encoded = MailMessage.encodedWords(String(text), after: 9)
            let words = encoded.split(separator: "\r\n ").map(String.init)
            if words.count == 1, !encoded.hasPrefix("=?UTF-8?B?") {
                #expect(encoded == String(text))
                continue
            }
            var bytes: [UInt8] = []
            for (index, word) in words.enumerated() {
                #expect(word.hasPrefix("=?UTF-8?B?") && word.hasSuffix("?="))
                #expect(word.utf8.count + (index == 0 ? 9 : 1) <= 76)
                let piece = try #require(Data(base64Encoded: String(word.dropFirst(10).dropLast(2))))
                #expect(String(validating: piece, as: UTF8.self) != nil, "a character is cut")
                bytes += piece
            }
            #expect(Array(String(text).utf8) == bytes)
        }
    }

    @Test("base64 is that of everybody")
    func base64() {
        var dice = Dice(seed: 5)
        for count in 0..<100 {
            let bytes = dice.bytes(count)
            #expect(MailMessage.base64(bytes) == Data(bytes).base64EncodedString())
        }
    }

    @Test("a body comes back from quoted-printable")
    func quotedPrintable() throws {
        var dice = Dice(seed: 4)
        for _ in 0..<200 {
            let letters: [Character] = ["a", "=", " ", "\t", "\n", "業", "😀", ".", "é"]
            let text = String((0..<dice.roll(below: 300)).map { _ in letters[Int(dice.roll(below: 9))] })
            let lines = String(decoding: MailMessage.quotedPrintable(text), as: UTF8.self)
                .split(separator: "\r\n", omittingEmptySubsequences: false).dropLast()
            var bytes: [UInt8] = []
            for line in lines {
                #expect(line.utf8.count <= 76 && line.last != " " && line.last != "\t")
                var rest = Array(line.utf8)[...]
                var goesOn = false
                while let byte = rest.popFirst() {
                    guard byte == UInt8(ascii: "=") else {
                        bytes.append(byte)
                        continue
                    }
                    if rest.isEmpty {
                        goesOn = true
                    } else {
                        bytes.append(try #require(UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)))
                        rest = rest.dropFirst(2)
                    }
                }
                if !goesOn { bytes.append(10) }
            }
            #expect(String(decoding: bytes.dropLast(), as: UTF8.self) == text)
        }
    }

    @Test("addresses are taken when they are plain, with a name for people, and refused else")
    func addresses() {
        for text in ["a@b", "first.last+tag@mail.example.org", "Some One <a@b.c>", "\"Duty, Night\" <a@b>", "監視 <a@b>"]
        {
            #expect(MailAddress(text) != nil, "\(text)")
        }
        for text in [
            "", "a", "@b", "a@", "a@b@c", "a b@c", "a@b c", "<a@b", "a@b>", "\"a\"@b", "a@b\r\nBcc: c@d", "業@b", "a@業",
            "a..b@c", ".a@b", "a@-b", "a@b..c", "x <a@b> y", "a@b,c@d", String(repeating: "a", count: 65) + "@b",
        ] { #expect(MailAddress(text) == nil, "\(text)") }
    }

    @Test("no value makes another field of the journal, and every entry fits into one datagram")
    func journal() throws {
        for name in Sample.hostileNames {
            var rest = NoticeText.journalEntry(Sample.failure(name))[...]
            #expect(rest.count < 64 << 10)
            var names: [String] = []
            while !rest.isEmpty {
                let end = try #require(rest.firstIndex(of: 10))
                names.append(String(decoding: rest[..<end], as: UTF8.self))
                let length = rest[(end + 1)..<(end + 9)].reversed().reduce(0) { $0 << 8 | Int($1) }
                let value = rest[(end + 9)..<(end + 9 + length)]
                #expect(!value.contains(10) && rest[end + 9 + length] == 10)
                rest = rest[(end + 10 + length)...]
            }
            #expect(names.filter { $0 == "MESSAGE" }.count == 1)
            #expect(names.allSatisfy { $0.allSatisfy { $0.isUppercase || $0.isNumber || $0 == "_" } })
        }
    }

    @Test("no value makes another variable of a program")
    func environment() {
        for name in Sample.hostileNames {
            let pairs = NoticeText.environment([Sample.failure(name)], host: name, isDigest: false, path: "/bin")
            #expect(pairs.allSatisfy { !$0.contains("\n") && !$0.contains("\0") && $0.utf8.count < 16 << 10 })
            let names = pairs.map { String($0.prefix { $0 != "=" }) }
            #expect(Set(names).count == names.count)
            #expect(names.allSatisfy { $0 == "PATH" || $0 == "LC_ALL" || $0.hasPrefix("DOZO_") })
        }
    }

    @Test("the most urgent notice leads a message, and what is over comes last")
    func urgency() {
        let critical = Sample.failure("c", .critical)
        let notices = [
            Sample.failure("a", .warning), critical.over(at: Sample.start), Sample.failure("b"), Sample.failure("d"),
        ]
        #expect(NoticeText.mostUrgent(notices)?.subject.guest == "b")
        #expect(
            NoticeText.subject(notices, host: "h", isDigest: true)
                == "dozo h (digest): [error] 3 notices, 1 over: the backup of guest b failed")
        #expect(
            NoticeText.subject([critical.over(at: Sample.start)], host: "h", isDigest: false).contains(
                "[over] over after 0 s"))
    }

    @Test("dates are those of everybody, from 1970 to 2554")
    func dates() throws {
        #expect(CivilTime(0).mail == "Thu, 01 Jan 1970 00:00:00 +0000")
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = try #require(TimeZone(secondsFromGMT: 0))
        var dice = Dice(seed: 9)
        for _ in 0..<3000 {
            let instant = dice.next()
            let date = Date(timeIntervalSince1970: Double(instant / Sample.second))
            let parts = calendar.dateComponents([.year, .month, .day, .hour, .minute, .second, .weekday], from: date)
            let time = CivilTime(instant)
            #expect(
                time.year == UInt64(parts.year!) && time.month == UInt64(parts.month!) && time.day == UInt64(parts.day!)
            )
            #expect(time.secondOfDay == UInt64(parts.hour! * 3600 + parts.minute! * 60 + parts.second!))
            #expect(time.weekday == parts.weekday! - 1)
        }
        for (bytes, text) in [
            (UInt64(0), "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536 << 20, "1.5 GiB"), (.max, "15.9 EiB"),
        ] {
            #expect(PlainText.size(bytes) == text)
        }
    }

    @Test("a line of a line is the same line, and holds nothing that steers")
    func plainText() {
        for name in Sample.hostileNames {
            let line = PlainText.line(name)
            #expect(PlainText.line(line) == line)
            #expect(!line.unicodeScalars.contains { $0.properties.generalCategory == .control || $0 == "\u{202E}" })
            #expect(line.unicodeScalars.count <= PlainText.longestValue + 1)
        }
    }
}
