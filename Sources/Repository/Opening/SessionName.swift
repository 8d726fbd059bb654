import BackupModel
import RepositoryFormat

/// What names a session. Its id alone does not: machines whose random generators repeat draw the same one.
struct SessionName: Hashable {
    let writer: WriterID
    let session: SessionID

    /// Name of one of its entries.
    func entry(_ number: UInt32) -> String {
        ObjectPaths.sessionEntry(writer: writer, session: session, number: number)
    }
}

extension SessionName {
    /// The session whose entry has this object name; `nil` for any other name.
    init?(entryName: String) {
        let parts = entryName.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 4, parts[0] == "s", let writer = WriterID(hexadecimal: parts[1]),
            let session = SessionID(hexadecimal: parts[2])
        else { return nil }
        self.init(writer: writer, session: session)
    }
}
