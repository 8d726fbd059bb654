import Glibc

/// The system error numbers this module decides on.
enum ErrorNumber {
    static let missing = ENOENT
    static let forbidden = EACCES
    static let notPermitted = EPERM
}

/// Words for system error numbers.
enum ErrorText {
    /// The system's words for `number`; `error N` when it has none.
    static func of(_ number: CInt) -> String {
        // Safety: glibc keeps the text per thread until the next call; it is copied before this thread does anything
        // else.
        guard let text = unsafe strerror(number) else { return "error \(number)" }
        return unsafe String(cString: text)
    }

    /// `text` fit for a terminal and a log line: what a stranger wrote into a header cannot steer either.
    static func printable(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars.prefix(200) {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .unassigned, .privateUse: result += "?"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
