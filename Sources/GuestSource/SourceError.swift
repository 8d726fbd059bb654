import Effects

/// What went wrong while an image was opened or read.
package struct SourceError: Error, Sendable, CustomStringConvertible {
    /// Published numbers: never reused, never renumbered.
    package enum Code: Int, Sendable {
        case notFound = 1
        case notReadable = 2
        case notAnImage = 3
        case ambiguousFormat = 4
        case wrongFormat = 5
        case unsupported = 6
        case damagedHeader = 7
        case referenceRefused = 8
        case changed = 9
        case shrank = 10
        case inUse = 11
        case readFailed = 12
        case outOfRange = 13
        case serverMissing = 14
        case serverFailed = 15
        case inputIsTerminal = 16
        case closed = 17
        case interrupted = 18
        case empty = 19
    }

    /// What the caller can do; callers branch on this, never on text.
    package enum Remedy: Sendable {
        case retry
        case repair
        case askOperator
        case none
    }

    /// Which kind of failure.
    package let code: Code
    /// Names the object and the numbers, and says what to do when something can be done.
    package let sentence: String
    /// What the caller can do.
    package let remedy: Remedy
    /// The system's error number when a system call failed.
    package let cause: CInt?

    /// An error with its code and a sentence that names the object.
    package init(_ code: Code, _ sentence: String, _ remedy: Remedy, cause: CInt? = nil) {
        self.code = code
        self.sentence = sentence
        self.remedy = remedy
        self.cause = cause
    }

    package var description: String { sentence }

    /// The process exit status that fits when this error ends a command.
    package var exitStatus: CInt {
        switch code {
        case .ambiguousFormat, .referenceRefused, .changed, .shrank, .inUse, .empty: 7
        case .inputIsTerminal: 2
        case .damagedHeader: 6
        default: 1
        }
    }
}

extension SourceError {
    static func system(_ operation: String, _ path: String, _ number: CInt) -> SourceError {
        let reason = ErrorText.of(number)
        switch number {
        case ErrorNumber.missing:
            return SourceError(.notFound, "\(path): there is no such file", .askOperator, cause: number)
        case ErrorNumber.forbidden, ErrorNumber.notPermitted:
            let sentence = "\(path) may not be read by this user (\(operation): \(reason))"
            return SourceError(.notReadable, sentence, .askOperator, cause: number)
        default:
            return SourceError(.readFailed, "\(path): \(operation) failed: \(reason)", .retry, cause: number)
        }
    }

    static func notAnImage(_ path: String, isA kind: String) -> SourceError {
        SourceError(.notAnImage, "\(path) is \(kind), not a disk image or a block device", .askOperator)
    }

    static func outOfRange(_ path: String, offset: UInt64, count: Int, size: UInt64) -> SourceError {
        let sentence = "\(path) holds \(size) bytes; \(count) bytes at \(offset) were asked for"
        return SourceError(.outOfRange, sentence, .none)
    }

    static func shrank(_ path: String, from size: UInt64, to found: UInt64) -> SourceError {
        let sentence =
            "\(path) shrank from \(size) to \(found) bytes while it was read; back it up again when it is quiet"
        return SourceError(.shrank, sentence, .retry)
    }

    static func changed(_ path: String, what: String) -> SourceError {
        let sentence = "\(path) changed while it was read (\(what)); back it up again when it is quiet"
        return SourceError(.changed, sentence, .retry)
    }

    static func inUse(_ path: String) -> SourceError {
        let sentence =
            "\(path) is being written by a running virtual machine; shut it down first, or say --force to read it all "
            + "the same: no point is made when it changes meanwhile"
        return SourceError(.inUse, sentence, .askOperator)
    }

    static func attached(_ path: String, _ found: LoopDevices.Attachment) -> SourceError {
        let sentence =
            "\(path) is in use: \(found.reason), or say --force to read it all the same: what is written there "
            + "meanwhile may be torn"
        return SourceError(.inUse, sentence, .askOperator)
    }

    static func deviceInUse(_ path: String) -> SourceError {
        let sentence =
            "\(path) is in use: it is mounted, part of another device, or being backed up; unmount it or take a "
            + "snapshot of it first, or say --force to read it all the same, torn if somebody writes meanwhile"
        return SourceError(.inUse, sentence, .askOperator)
    }

    static func contradicted(_ path: String, recorded: ImageFormat, named: ImageFormat) -> SourceError {
        let sentence =
            "\(path) is named like a \(named.name) image, and this disk was read as \(recorded.name) until now; "
            + "state the format (--format \(named.name) or --format \(recorded.name))"
        return SourceError(.ambiguousFormat, sentence, .askOperator)
    }

    static func ambiguous(_ path: String, looksLike kind: String) -> SourceError {
        let sentence =
            "\(path) is named like a raw disk but begins or ends like a \(kind) image, which a guest can forge; "
            + "state --format raw or the image's own format"
        return SourceError(.ambiguousFormat, sentence, .askOperator)
    }

    static func wrongFormat(_ path: String, expected: ImageFormat) -> SourceError {
        let sentence = "\(path) should be \(expected.name) but does not begin like one; state --format if it is another"
        return SourceError(.wrongFormat, sentence, .askOperator)
    }

    static func unsupported(_ path: String, _ what: String) -> SourceError {
        SourceError(.unsupported, "\(path): \(what)", .askOperator)
    }

    static func damaged(_ path: String, _ what: String) -> SourceError {
        SourceError(.damagedHeader, "\(path) has a damaged header: \(what)", .repair)
    }

    static func cutShort(_ path: String, endsAt size: UInt64, needs end: UInt64) -> SourceError {
        let sentence =
            "\(path) was cut short: it ends at \(size) bytes and its tables name bytes up to \(end), which would be "
            + "read as zeros; copy it again from where it came"
        return SourceError(.damagedHeader, sentence, .repair)
    }

    static func referenceRefused(_ path: String, names target: String, because reason: String) -> SourceError {
        let sentence = "\(path) names the file \(target), which is refused: \(reason)"
        return SourceError(.referenceRefused, sentence, .askOperator)
    }

    static func closed(_ path: String) -> SourceError {
        SourceError(.closed, "\(path) was closed and cannot be read any more", .none)
    }
}
