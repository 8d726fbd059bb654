import Notices

/// Times, guests and settings of the tests.
enum Sample {
    static let second: UInt64 = 1_000_000_000
    static let hour: UInt64 = 3600 * second
    static let day: UInt64 = 24 * hour
    /// Monday, 2028-01-31 00:00 UTC.
    static let start: UInt64 = 1_832_889_600 * second
    static let manners = NoticeManners()

    static let guest = NoticeSubject(guest: "業務サーバ01", repository: "main", policy: "tier-1")

    static func failure(_ guest: String = "web01", at now: UInt64 = start, _ severity: NoticeSeverity = .error)
        -> Notice
    {
        Notice(
            .failed, severity, NoticeSubject(guest: guest, policy: "nightly"), at: now, run: "r1",
            "the backup of guest \(guest) failed", remedy: "look", details: [NoticeDetail("status", "7")])
    }

    static func settings(_ text: String) throws -> NoticeSettings {
        try NoticeSettings(document: try JSONDocument(decoding: Array(text.utf8)))
    }

    /// Names that somebody could give a guest.
    static let hostileNames = [
        "a\r\nBcc: everybody@example.org", "\r\n.\r\nMAIL FROM:<x@y>", "x\u{0}y", "\u{1B}]0;title\u{7}",
        "\u{202E}gnp.exe",
        "業務サーバ01", "=?UTF-8?B?YQ==?=", "\"; rm -rf /; \"", "$(reboot)", "`reboot`", "a\nMESSAGE=b", "-rf", "%00/%2F=",
        String(repeating: "長", count: 5000), "e\u{301}\u{2028}z", "\u{FEFF}\u{85}", "", " ", ".",
        "<script>alert(1)</script>",
    ]
}
