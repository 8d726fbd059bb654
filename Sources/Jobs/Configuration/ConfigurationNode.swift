/// A value of the configuration file, with the line it begins in.
struct ConfigurationNode: Sendable {
    /// What it is.
    indirect enum Content: Sendable {
        /// Text; a value without text, as in `key:`, is the empty one.
        case scalar(String, isQuoted: Bool)
        case list([ConfigurationNode])
        /// Keys in their order, none twice.
        case section([Entry])
    }
    /// A key and its value.
    struct Entry: Sendable {
        let key: String
        /// The key's line, from 1.
        let line: Int
        let value: ConfigurationNode
    }

    let content: Content
    /// From 1.
    let line: Int

    /// As it is called in a sentence.
    var kind: String {
        switch content {
        case .scalar: "a value"
        case .list: "a list"
        case .section: "a section"
        }
    }
}
