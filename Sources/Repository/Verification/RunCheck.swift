import Effects
import RepositoryFormat

/// Checks one index run whole: size, name and signature.
enum RunCheck {
    /// What is wrong with it; `nil` when nothing is.
    ///
    /// - Throws: ``RepositoryError``, `storage`, when the store cannot be read at all.
    static func damage(of run: Inventory.Run, in repository: OpenRepository) async throws -> String? {
        let name = run.key.runName
        let room = AlignedRoom()
        if let why = try await repository.access.look(name, into: room) { return why }
        // Safety: valid as long as the room.
        let bytes = unsafe room.bytes
        do throws(FormatError) {
            guard UInt64(bytes.count) == run.byteCount else {
                throw .damaged("\(name) has \(bytes.count) bytes and was stored with \(run.byteCount)")
            }
            let header = try unsafe ObjectHeader(parsing: Array(bytes.prefix(ObjectHeader.byteCount))[...], name: name)
            guard let enrolment = repository.chain.signer(header.signer), enrolment.role.signs else {
                throw .damaged("\(name) names a signer that the owner never enrolled")
            }
            try unsafe ObjectSeal.check(
                bytes, hash: run.key.hash, label: ObjectSeal.runLabel,
                footerByteCount: IndexRunLayout.footerByteCount, signedBy: enrolment.key, name: name)
        } catch { return error.sentence }
        return nil
    }
}
