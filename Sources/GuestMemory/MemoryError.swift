/// What was wrong with a memory image, before it was stored or when it is given back.
package struct MemoryError: Error, Sendable, CustomStringConvertible {
    /// What callers branch on.
    package enum Code: Hashable, Sendable {
        /// A format that is not taken, though it is known.
        case refused
        /// What was stored is of a version that this program does not know.
        case unsupported
        /// What was stored contradicts itself: only a writer that did wrong makes such a thing.
        case malformed
    }

    /// See ``Code``.
    package let code: Code
    /// Names the object and says what to do.
    package let sentence: String

    /// An error with its code and a sentence that names the object.
    package init(_ code: Code, _ sentence: String) {
        self.code = code
        self.sentence = sentence
    }

    package var description: String { sentence }

    /// The process exit status that fits when this error ends a command.
    package var exitStatus: Int32 { code == .malformed ? 6 : 7 }
}
