import Foundation

// One person under two names would count as two
// ----------------------------------------------
// The format compares names by their bytes, so that every program of any age counts alike. That two names do not look
// like one is looked at here, once, when the owner enrols: by what the system knows of characters, which changes with
// the years and decides nothing later.

/// A person's name as the owner writes it at an enrolment.
package struct PersonName {
    private let text: String

    /// A name as it was typed.
    package init(_ text: String) { self.text = text }

    /// What looks or reads alike has the same: compatible forms composed (NFKC), without capitals, blanks and what is
    /// not seen.
    package var skeleton: String {
        func folded(_ text: String) -> String {
            // Upper and then lower: ß and ss, ſ and s, final and other sigmas are one.
            text.precomposedStringWithCompatibilityMapping.uppercased().lowercased()
        }
        let seen = folded(text).unicodeScalars.filter { !PersonName.isUnseen($0) && !$0.properties.isWhitespace }
        return folded(String(String.UnicodeScalarView(seen)))
    }

    /// Alphabets with letters that look like those of the others.
    private static let alphabets = ["LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "COPTIC", "CHEROKEE"]

    /// The alphabets of its letters among those that look alike.
    package var mixedAlphabets: [String] {
        let letters = text.precomposedStringWithCompatibilityMapping.unicodeScalars.filter(\.properties.isAlphabetic)
        let first = Set(letters.compactMap { $0.properties.name?.split(separator: " ").first.map(String.init) })
        return PersonName.alphabets.filter(first.contains)
    }

    /// Refuses a name that could be taken for another.
    ///
    /// - Parameter others: the names that there are.
    /// - Throws: ``CommandFailure``, `refused`.
    package func refuse(beside others: [String]) throws {
        let own = Array(text.utf8)
        // Who is enrolled under a name already keeps it, however it was chosen.
        guard !others.contains(where: { Array($0.utf8) == own }) else { return }
        let shown = Console.printable(text)
        if let unseen = text.unicodeScalars.first(where: PersonName.isUnseen) {
            throw CommandFailure(
                .refused,
                "the name of a person must not hold U+\(String(unseen.value, radix: 16, uppercase: true)), which is "
                    + "not seen; type \(shown) without it")
        }
        guard !skeleton.isEmpty else {
            throw CommandFailure(.refused, "a person is not called by blanks alone; give --person a name")
        }
        let mixed = mixedAlphabets
        guard mixed.count <= 1 else {
            let names = mixed.map(\.capitalized).joined(separator: " and ")
            throw CommandFailure(
                .refused,
                "\(shown) mixes letters of \(names), some of which look alike; write the name in one alphabet")
        }
        let plain = skeleton
        guard let other = others.first(where: { PersonName($0).skeleton == plain }) else { return }
        throw CommandFailure(
            .refused,
            "\(shown) is written \(Console.printable(other)) in this repository; write it the same, or two persons so "
                + "that nobody takes one for the other")
    }

    private static func isUnseen(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .surrogate, .unassigned: true
        default: scalar.properties.isDefaultIgnorableCodePoint
        }
    }
}
