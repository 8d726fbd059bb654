extension FormatError {
    /// Signed by somebody who may not say it: skipped and reported, never waited for.
    package static func void(_ what: String) -> FormatError {
        FormatError(code: .void, sentence: what, remedy: .reject)
    }

    /// Refused for safety: a person has to look before anything goes on.
    package static func refused(_ what: String) -> FormatError {
        FormatError(code: .refused, sentence: what, remedy: .askOperator)
    }

    /// A secret that a person gave does not open what it should.
    static func wrongSecret(_ what: String) -> FormatError {
        FormatError(code: .wrongSecret, sentence: what, remedy: .askOperator)
    }

    /// This host lacks what the work needs; the bytes may be in order.
    static func exhausted(_ what: String) -> FormatError {
        FormatError(code: .exhausted, sentence: what, remedy: .askOperator)
    }
}
