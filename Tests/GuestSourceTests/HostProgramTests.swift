import Glibc
import GuestSource
import Testing

@Suite("programs of the host that are asked")
struct HostProgramTests {
    private let patience = ProgramPatience(limit: 30_000_000_000, ends: true)

    private func shell(_ script: String, passing: [CInt] = [], limit: Int = 100) -> ProgramAnswer {
        HostProgram.ask(["/bin/sh", "-c", script], passing: passing, outputLimit: limit, patience: patience)
    }

    @Test("output, messages and status come back apart")
    func answers() {
        let answer = shell("echo out; echo message >&2; exit 3")
        #expect(answer.status == 3)
        #expect(String(decoding: answer.output, as: UTF8.self) == "out\n")
        #expect(answer.errorText == "message\n")
        #expect(!answer.isLate && !answer.isCut)
        #expect(shell("kill -9 $$").status == 137)
        #expect(HostProgram.ask(["/no/such/program"], outputLimit: 1, patience: patience).status == -1)
    }

    @Test("more output than was asked for is read and thrown away")
    func bounds() {
        let answer = shell("i=0; while [ $i -lt 20000 ]; do echo 0123456789; i=$((i + 1)); done", limit: 50)
        #expect(answer.status == 0)
        #expect(answer.output.count == 50)
        #expect(answer.isCut)
    }

    @Test("a program that does not end is ended, or left to itself, when its time is up")
    func lateness() {
        let soon = ProgramPatience(limit: 100_000_000, ends: true)
        let answer = HostProgram.ask(["/bin/sh", "-c", "exec sleep 600"], outputLimit: 1, patience: soon)
        #expect(answer.isLate)
        // What it left behind in the background does not keep anybody waiting.
        let left = shell("sleep 5 & echo $!")
        #expect(!left.isLate)
        #expect(left.status == 0)
    }

    @Test("one that must come to its end says what it says without a reader")
    func outliving() {
        let unlimited = ProgramPatience(limit: nil, ends: false)
        let script =
            "echo out; i=0; while [ $i -lt 2000 ]; do echo line $i >&2; i=$((i + 1)); done; echo why >&2; exit 4"
        let answer = HostProgram.ask(["/bin/sh", "-c", script], outputLimit: 100, patience: unlimited)
        #expect(answer.status == 4)
        #expect(String(decoding: answer.output, as: UTF8.self) == "out\n")
        #expect(answer.errorText.hasSuffix("why\n"))
        #expect(answer.errorText.utf8.count <= 4096)
    }

    @Test("descriptors are passed on as 3 and 4, whatever numbers they have here, and nothing else is")
    func passing() throws {
        var ends: [CInt] = [-1, -1]
        // Safety: pipe fills two numbers.
        try #require(unsafe pipe(&ends) == 0)
        defer { for end in ends { close(end) } }
        let answer = shell("echo hello >&4; exec 4>&-; read line <&3; echo $line", passing: ends)
        #expect(String(decoding: answer.output, as: UTF8.self) == "hello\n")
    }

    @Test("it gets the signals that are blocked or ignored here")
    func signals() {
        // A shell that waits for its child needs SIGCHLD; one that pipes to nobody needs SIGPIPE. Signals above 31 are
        // the C library's own.
        let answer = shell("grep -E '^Sig(Blk|Ign)' /proc/self/status", limit: 1000)
        let lines = String(decoding: answer.output, as: UTF8.self).split(separator: "\n")
        let sets = lines.compactMap { UInt64($0.split(separator: "\t").last ?? "", radix: 16) }
        #expect(sets.map { $0 & 0x7FFF_FFFF } == [0, 0])
    }
}
