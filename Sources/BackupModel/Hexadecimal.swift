extension Array where Element == UInt8 {
    /// The bytes as lower-case hexadecimal digits, two a byte.
    package var hexadecimal: String {
        // Safety: two digits are written for each byte, and all of them.
        unsafe String(unsafeUninitializedCapacity: count * 2) { text in
            var place = 0
            for byte in self {
                unsafe text[place] = Self.digit(byte >> 4)
                unsafe text[place + 1] = Self.digit(byte & 15)
                place += 2
            }
            return place
        }
    }

    private static func digit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }

    /// Parses lower-case hexadecimal digits; `nil` for an odd count or any other character.
    package init?(hexadecimal text: some StringProtocol) {
        var bytes: [UInt8] = []
        var high: UInt8?
        for character in text.utf8 {
            let value: UInt8
            switch character {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = character - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = character - UInt8(ascii: "a") + 10
            default: return nil
            }
            if let first = high {
                bytes.append(first << 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        guard high == nil else { return nil }
        self = bytes
    }
}
