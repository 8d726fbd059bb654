/// A pattern of names as shells have it: `*` for any text, `?` for one character, everything else for itself.
package struct NamePattern: Hashable, Sendable {
    /// Most bytes of a pattern.
    package static let longest = 512
    private let parts: [Character]
    /// As it was given.
    package let text: String

    /// `nil` for a pattern that is empty or too long.
    package init?(_ text: String) {
        guard !text.isEmpty, text.utf8.count <= NamePattern.longest else { return nil }
        self.text = text
        parts = Array(text)
    }

    /// Whether it stands for the name; takes no longer than their lengths multiplied.
    package func matches(_ name: String) -> Bool {
        let name = Array(name)
        var (part, place) = (0, 0)
        // Where the last star stands and what it was tried with: only that one is ever tried with more.
        var retry: (part: Int, place: Int)?
        while place < name.count {
            if part < parts.count, parts[part] == "*" {
                retry = (part, place)
                part += 1
            } else if part < parts.count, parts[part] == "?" || parts[part] == name[place] {
                part += 1
                place += 1
            } else if let last = retry {
                retry = (last.part, last.place + 1)
                part = last.part + 1
                place = last.place + 1
            } else {
                return false
            }
        }
        return parts[part...].allSatisfy { $0 == "*" }
    }
}
