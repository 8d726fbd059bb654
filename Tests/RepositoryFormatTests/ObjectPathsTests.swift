import BackupModel
import RepositoryFormat
import Testing

@Suite("names of objects (format page §1)")
struct ObjectPathsTests {
    private static let hash = String(repeating: "ab", count: 32)
    private static let identifier = String(repeating: "0c", count: 16)

    @Test(
        "every name of the table is one",
        arguments: [
            "owner/00000000", "store/00000001", "keys/\(identifier)", "log/00000000/00000001/00000002",
            "ledger/\(hash)", "s/\(identifier)/\(identifier)/00000003", "packs/ab/\(hash).0", "runs/ab/\(hash).17",
            "bundles/\(hash)", "parity/anything", "proofs/a/b", "spare/owner/00000000",
            "spare/store/00000001", "spare/keys/\(identifier)",
        ])
    func known(name: String) { #expect(ObjectPaths.isName(name)) }

    @Test(
        "the nearest other name is none",
        arguments: [
            "owner/0000000", "owner/000000000", "owner/0000000a", "owner", "owner/00000000/x", "store/+0000001",
            "keys/\(identifier)0", "log/00000000/00000001", "ledger/\(hash)0", "s/\(identifier)/\(identifier)",
            "s/\(identifier)/\(identifier)/3", "packs/ac/\(hash).0", "packs/ab/\(hash)", "packs/ab/\(hash).00",
            "packs/ab/\(hash).-1", "runs/\(hash).0", "parity", "x", "", "spare",
            "spare/owner", "spare/owner/0", "spare/ledger/\(hash)", "spare/spare/owner/00000000", "spare/keys/0",
        ])
    func unknown(name: String) { #expect(!ObjectPaths.isName(name)) }
}
