/// Whether names of guests and disks can be told apart by whoever reads them.
package enum NameCheck {
    /// False for blank names, for control and formatting characters, and where bytes were no UTF-8: those all become
    /// one replacement character, and two guests would become one.
    package static func isFit(_ name: String) -> Bool {
        var isBlank = true
        for scalar in name.unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate: return false
            default: break
            }
            if scalar == "\u{FFFD}" { return false }
            if !scalar.properties.isWhitespace { isBlank = false }
        }
        return !isBlank
    }
}
