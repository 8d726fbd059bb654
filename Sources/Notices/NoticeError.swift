/// What went wrong with notices: their settings, their file, a target.
package struct NoticeError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Published numbers: never reused, never renumbered.
    package enum Code: Int, Sendable {
        case settings = 1
        case state = 2
        case secret = 3
        case program = 4
        case target = 5
        case refused = 6
    }

    /// What the caller can do; callers branch on this, never on text.
    package enum Remedy: Sendable {
        case retry
        case askOperator
    }

    /// Which kind of failure.
    package let code: Code
    /// Names the object, and says what to do. Never holds a secret.
    package let sentence: String
    /// What the caller can do.
    package let remedy: Remedy

    /// An error with its code and a sentence that names the object.
    package init(_ code: Code, _ sentence: String, _ remedy: Remedy) {
        self.code = code
        self.sentence = sentence
        self.remedy = remedy
    }

    package var description: String { sentence }
}
