/// The configuration of one run of `curl`, which it reads from its standard input: so neither a password nor an address
/// stands in a list of arguments, which everybody on the host may read.
struct CurlConfiguration {
    private(set) var lines: [String] = []

    /// An option without a value.
    mutating func add(_ option: String) { lines.append(option) }

    /// An option with its value.
    ///
    /// - Throws: ``NoticeError``, `settings`, for a value with control characters: no line may end inside of it.
    mutating func add(_ option: String, _ value: String, of what: String) throws(NoticeError) {
        guard value.unicodeScalars.allSatisfy({ $0.properties.generalCategory != .control }) else {
            throw NoticeError(.settings, "\(what) holds a control character: take it out", .askOperator)
        }
        let quoted = value.map { $0 == "\\" ? "\\\\" : $0 == "\"" ? "\\\"" : String($0) }.joined()
        lines.append("\(option) = \"\(quoted)\"")
    }

    /// For its standard input.
    var bytes: [UInt8] { Array((lines.joined(separator: "\n") + "\n").utf8) }
}

/// What a request to a server needs beside its configuration.
struct CurlRequest {
    var configuration: CurlConfiguration
    /// What it sends, by way of its descriptor 3.
    var body: [UInt8]
    /// What must not appear in any sentence.
    var secrets: [String]
}
