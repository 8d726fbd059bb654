import BackupModel
import ChunkEncryption
import Testing

@Suite("Secrets")
struct SecretBytesTests {
    @Test("a secret prints as a placeholder in every way of printing")
    func description() {
        let value = SecretBytes(copying: Array("hunter2 hunter2".utf8))
        #expect("\(value)" == "<secret>")
        #expect(String(reflecting: value) == "<secret>")
        var dumped = ""
        dump(value, to: &dumped)
        #expect(dumped == "- <secret>\n")
        #expect(!"\([value])".contains("hunter"))
        let key = SigningKey(seed: secret(32))
        var shown = "\(key)"
        dump(key, to: &shown)
        let bytes = secret(32).revealed
        // As an array prints, and as it is dumped.
        #expect(!shown.contains("\(bytes)".prefix(40)) && !shown.contains(bytes.hexadecimal))
    }

    @Test("secrets are equal when their bytes are, and every bit counts")
    func equality() {
        let value = secret(40)
        #expect(value == secret(40))
        #expect(value != secret(39))
        #expect(SecretBytes(copying: []) == SecretBytes(copying: []))
        for changed in singleBitFlips(of: value.revealed) { #expect(value != SecretBytes(copying: changed)) }
        #expect(ConstantTime.areEqual([1, 2], [1, 2]))
        #expect(!ConstantTime.areEqual([1, 2], [1, 3]))
        #expect(!ConstantTime.areEqual([1, 2], [1, 2, 3]))
    }

    @Test("wiping leaves only zeros")
    func wipe() {
        var filled = counting(33, from: 1)
        unsafe filled.withUnsafeMutableBytes { buffer in unsafe ConstantTime.wipe(buffer) }
        #expect(filled == [UInt8](repeating: 0, count: 33))
    }
}
