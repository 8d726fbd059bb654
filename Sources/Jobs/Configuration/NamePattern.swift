/// Names of guests as `web-*` describes them: `*` is any number of characters, `?` is one, all others are themselves.
package struct NamePattern: Hashable, Sendable {
    /// As it was written.
    package let text: String
    private let parts: [Character]

    /// Takes any text.
    package init(_ text: String) {
        self.text = text
        parts = Array(text)
    }

    /// Whether it describes the whole name. Takes at most length of the name × length of the pattern steps.
    package func matches(_ name: String) -> Bool {
        let letters = Array(name)
        var part = 0
        var letter = 0
        // Where the last * stands, and how much of the name it has taken.
        var star: (part: Int, letter: Int)?
        while letter < letters.count {
            if part < parts.count, parts[part] == "*" {
                star = (part, letter)
                part += 1
            } else if part < parts.count, parts[part] == "?" || parts[part] == letters[letter] {
                part += 1
                letter += 1
            } else if let last = star {
                star = (last.part, last.letter + 1)
                part = last.part + 1
                letter = last.letter + 1
            } else {
                return false
            }
        }
        return parts[part...].allSatisfy { $0 == "*" }
    }
}
