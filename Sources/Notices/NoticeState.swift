import BackupModel
package import Effects

/// What the host remembers about notices between two starts: what was told, and what waits to be sent.
package struct NoticeState: Hashable, Sendable {
    /// What was told.
    package var ledger = NoticeLedger()
    /// What waits.
    package var outbox = NoticeOutbox()

    /// Nothing was told, nothing waits.
    package init() {}

    private static let head = "dozo notices 1 "
    private static let headByteCount = head.utf8.count + 17

    /// As bytes: a line with the version and a checksum, then JSON.
    package var encoded: [UInt8] {
        let body = JSONDocument.members(("ledger", ledger.document), ("outbox", outbox.document)).encoded
        return Array("\(NoticeState.head)\(NoticeState.checksum(body[...]))\n".utf8) + body
    }

    /// Reads ``encoded``.
    ///
    /// - Throws: ``NoticeError``, `state`, for anything else; what is inside and not understood is passed over.
    package init(decoding bytes: [UInt8]) throws(NoticeError) {
        let damaged = NoticeError(
            .state,
            "the file of notices in the state folder is damaged or of a newer version: what goes on is told anew",
            .askOperator)
        guard bytes.count > NoticeState.headByteCount, bytes.starts(with: Array(NoticeState.head.utf8)) else {
            throw damaged
        }
        let body = bytes[NoticeState.headByteCount...]
        let sum = Array("\(NoticeState.checksum(body))\n".utf8)
        guard Array(bytes[NoticeState.head.utf8.count..<NoticeState.headByteCount]) == sum else { throw damaged }
        let document: JSONDocument
        do { document = try JSONDocument(decoding: Array(body)) } catch { throw damaged }
        self.init(document: document)
    }

    /// What a document says, as far as it is understood.
    package init(document: JSONDocument) {
        if let ledger = document["ledger"] { self.ledger = NoticeLedger(document: ledger) }
        if let outbox = document["outbox"] { self.outbox = NoticeOutbox(document: outbox) }
    }

    /// ``FowlerNollVo`` in hexadecimal: against accidents; whoever may write the file may do worse.
    private static func checksum(_ bytes: ArraySlice<UInt8>) -> String {
        let digits = String(FowlerNollVo.hash(bytes), radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}

/// The file of a ``NoticeState`` in a folder of state; one program uses it at a time.
package struct NoticeStateFile: Sendable {
    private let file: VersionedFile

    /// - Parameters:
    ///   - files: the state folder.
    ///   - folder: an existing folder in it; "" for itself.
    package init(files: any DurableFiles, folder: String = "", randomness: Randomness) {
        file = VersionedFile(files: files, folder: folder, name: "notices", randomness: randomness)
    }

    /// What is remembered, and what was wrong with it when it could not be read: then all begins anew, for a damaged
    /// memory must not keep anybody quiet.
    ///
    /// - Throws: ``FileError`` when the folder cannot be read.
    package func read() throws(FileError) -> (state: NoticeState, problem: NoticeError?) {
        guard let newest = try file.newest(limit: JSONDocument.longestText + 64) else { return (NoticeState(), nil) }
        do throws(NoticeError) { return (try NoticeState(decoding: newest.bytes), nil) } catch {
            return (NoticeState(), error)
        }
    }

    /// Remembers, durably.
    ///
    /// - Throws: ``FileError``.
    package func write(_ state: NoticeState) throws(FileError) { try file.write(state.encoded) }
}
