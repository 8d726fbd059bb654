import GuestSource

/// Why a parser went no further. What it placed until then stays placed; the rest of the stream is literal.
enum StreamStop: Error {
    /// The stream ends inside of something.
    case ended(String)
    /// It holds what the parser does not know, in words.
    case unknown(String)
    /// A bound was reached: the whole stream is stored as plain bytes.
    case tooMuch(String)
    /// It cannot be read.
    case failed(SourceError)

    /// Whether it is about what the stream holds.
    var isAboutFormat: Bool {
        switch self {
        case .ended, .unknown: true
        case .tooMuch, .failed: false
        }
    }

    /// For people, to go on a sentence.
    var sentence: String {
        switch self {
        case .ended(let what): "it ends inside of \(what); was it cut short?"
        case .unknown(let what), .tooMuch(let what): what
        case .failed(let error): error.sentence
        }
    }
}
