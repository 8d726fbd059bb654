import Commands
import Testing

@Suite("times on the command line")
struct TimeTextTests {
    @Test("a text stands for the last nanosecond that it covers")
    func covered() {
        let day: UInt64 = 1_795_478_400_000_000_000
        let times: [(String, UInt64)] = [
            ("2026-11-24Z", day + 86_400_000_000_000 - 1), ("2026-11-24T23:59Z", day + 86_400_000_000_000 - 1),
            ("2026-11-24 00:00:00Z", day + 999_999_999), ("2026-11-24T09:00+09:00", day + 60_000_000_000 - 1),
            ("2026-11-24T00:00:00.5Z", day + 599_999_999), ("2026-11-24T00:00:00.000000000Z", day),
            ("1970-01-01Z", 86_400_000_000_000 - 1),
        ]
        for (text, expected) in times { #expect(TimeText.parse(text) == expected, "\(text)") }
        for (text, first) in [
            ("2026-11-24Z", day), ("2026-11-24T23:59Z", day + 86_340_000_000_000),
            ("2026-11-24T00:00:00.5Z", day + 500_000_000), ("1970-01-01Z", 0),
        ] { #expect(TimeText.begin(text) == first, "\(text)") }
        for text in [
            "", "Z", "now", "2026-13-01", "2026-11-24T25:00", "1969-12-31", "2026-11-24+15:00", "2026-11-24x",
            "2026-11-24é", "２０２６-11-24",
        ] {
            #expect(TimeText.parse(text) == nil, "\(text)")
        }
    }

    @Test("accents in a time are refused: Foundation's formatter traps on these")
    func accents() {
        for text in ["197-\u{320}", "2026-\u{320}11-24", "2026-11-24\u{320}"] { #expect(TimeText.parse(text) == nil) }
    }

    @Test("a time later than nanoseconds can count is later than every point")
    func farFuture() {
        for text in ["2554-07-22", "9999-12-31T23:59:59.999Z", "9999-01-01"] {
            #expect(TimeText.parse(text) == .max, "\(text)")
        }
        #expect(TimeText.parse("2554-07-20Z").map { $0 < .max } == true)
    }
}
