/// Sizes as people write them.
package enum SizeText {
    private static let units: [Character: UInt64] = ["K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40]

    /// Bytes that `text` stands for: digits, perhaps followed by K, M, G or T (powers of 1,024); `nil` for anything
    /// else.
    package static func parse(_ text: String) -> UInt64? {
        var digits = Substring(text)
        var factor: UInt64 = 1
        if let last = text.last, let unit = units[Character(last.uppercased())] {
            factor = unit
            digits.removeLast()
        }
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            let number = UInt64(digits)
        else { return nil }
        let (bytes, overflow) = number.multipliedReportingOverflow(by: factor)
        return overflow || bytes > UInt64(Int64.max) ? nil : bytes
    }
}
