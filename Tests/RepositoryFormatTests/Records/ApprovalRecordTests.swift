import BackupModel
import ChunkEncryption
import RepositoryFormat
import TestKit
import Testing

@Suite("approvals, unlocks and rules of forgets (format page §11)")
struct ApprovalRecordTests {
    private static let approval = ApprovalRecord(
        hashes: [Sample.hash(1), Sample.hash(2)], until: 9, at: 7, reason: "seen")
    private static let unlock = UnlockRecord(points: [Sample.identifier(3)], at: 7, reason: "closed")
    private static let forget = ForgetRecord(
        points: [Sample.identifier(3)], at: 7, reason: "", undoUntil: 8, rules: Array("keep 2, 二".utf8))

    @Test("each comes back, is critical, and is of its kind alone")
    func roundTrip() throws {
        #expect(try ApprovalRecord(Self.approval.record, name: "s/x") == Self.approval)
        #expect(try UnlockRecord(Self.unlock.record, name: "s/x") == Self.unlock)
        #expect(try ForgetRecord(Self.forget.record, name: "s/x") == Self.forget)
        #expect([Self.approval.record, Self.unlock.record].map(\.kind) == [8, 9])
        #expect([Self.approval.record, Self.unlock.record].map(\.isCritical) == [true, true])
        let standing = UnlockRecord(points: [], endsStandingLocks: true, at: 7, reason: "")
        #expect(try UnlockRecord(standing.record, name: "s/x") == standing)
        let odd = Record(kind: 9, isCritical: true, body: standing.record.body.setting("standing", .bool(false)))
        #expect(refusalCode { try UnlockRecord(odd, name: "s/x") } == .malformed)
        #expect(refusalCode { try ApprovalRecord(Self.unlock.record, name: "s/x") } == .misplaced)
        #expect(refusalCode { try UnlockRecord(Self.approval.record, name: "s/x") } == .misplaced)
    }

    @Test("an approval of nothing, of too much or of what has no hash is refused; so are rules that are no text")
    func refused() {
        func approval(_ value: RecordValue) -> FormatError.Code? {
            let body = Self.approval.record.body.setting("hashes", value)
            return refusalCode { try ApprovalRecord(Record(kind: 8, isCritical: true, body: body), name: "s/x") }
        }
        let hash = RecordValue.bytes(Sample.hash(1).bytes)
        #expect(approval(.array([])) == .malformed)
        #expect(approval(.array([.bytes([1, 2, 3])])) == .malformed)
        #expect(approval(hash) == .malformed)
        #expect(approval(.array(Array(repeating: hash, count: ApprovalRecord.hashLimit))) == nil)
        #expect(approval(.array(Array(repeating: hash, count: ApprovalRecord.hashLimit + 1))) == .malformed)
        for field in ["hashes", "until", "at", "reason"] {
            let body = Self.approval.record.body.setting(field, nil)
            #expect(
                refusalCode { try ApprovalRecord(Record(kind: 8, isCritical: true, body: body), name: "s/x") }
                    == .malformed, "\(field)")
        }
        func rules(_ value: RecordValue) -> FormatError.Code? {
            let body = Self.forget.record.body.setting("rules", value)
            return refusalCode { try ForgetRecord(Record(kind: 3, isCritical: true, body: body), name: "s/x") }
        }
        #expect(
            rules(.bytes([])) == .malformed && rules(.bytes([0xff])) == .malformed && rules(.text("a")) == .malformed)
        #expect(rules(.bytes([UInt8](repeating: 97, count: ForgetRecord.ruleByteLimit))) == nil)
        #expect(rules(.bytes([UInt8](repeating: 97, count: ForgetRecord.ruleByteLimit + 1))) == .malformed)
        let points = Self.unlock.record.body.setting("points", .array([]))
        #expect(
            refusalCode { try UnlockRecord(Record(kind: 9, isCritical: true, body: points), name: "x") } == .malformed)
    }

    @Test("rules are approved for one key of one repository, as the page says")
    func digest() {
        let rules = Array("keep 2".utf8)
        let digest = ForgetRecord.digest(ofRules: rules, repository: Sample.repository, signer: Sample.hash(1))
        let spelled = Array("dozo/1 rules".utf8) + [0] + Sample.repository.bytes + Sample.hash(1).bytes + rules
        #expect(digest == SecureHash.sha256(spelled))
        let others = [
            ForgetRecord.digest(ofRules: rules, repository: Sample.repository, signer: Sample.hash(2)),
            ForgetRecord.digest(ofRules: rules + [0], repository: Sample.repository, signer: Sample.hash(1)),
            ForgetRecord.digest(ofRules: rules, repository: Sample.repository(5), signer: Sample.hash(1)),
        ]
        #expect(!others.contains(digest))
    }

    @Test("records that anybody may have signed")
    func fuzz() {
        Mutator.run("approvals", [Self.approval.record.body.encoded]) { bytes in
            let body = try RecordValue(decoding: bytes[...], of: "x")
            let read = try ApprovalRecord(Record(kind: 8, isCritical: true, body: body), name: "x")
            return (1...ApprovalRecord.hashLimit).contains(read.hashes.count) ? nil : "an approval of nothing"
        }
        Mutator.run("unlocks", [Self.unlock.record.body.encoded]) { bytes in
            let body = try RecordValue(decoding: bytes[...], of: "x")
            let read = try UnlockRecord(Record(kind: 9, isCritical: true, body: body), name: "x")
            return read.points.isEmpty && !read.endsStandingLocks ? "an unlock of nothing" : nil
        }
        let standing = StandingLockRecord(duration: 7, at: 7, reason: "law").record
        Mutator.run("standing locks", [standing.body.encoded]) { bytes in
            let body = try RecordValue(decoding: bytes[...], of: "x")
            let read = try StandingLockRecord(Record(kind: 10, isCritical: true, body: body), name: "x")
            return (1...StandingLockRecord.longest).contains(read.duration) ? nil : "a lock for no time or for ever"
        }
        Mutator.run("forgets with rules", [Self.forget.record.body.encoded]) { bytes in
            let body = try RecordValue(decoding: bytes[...], of: "x")
            let read = try ForgetRecord(Record(kind: 3, isCritical: true, body: body), name: "x")
            return read.rules.count <= ForgetRecord.ruleByteLimit ? nil : "rules without an end"
        }
    }
}
