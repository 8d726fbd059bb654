import Effects
import Foundation
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

    private func given(_ input: ProgramInput, _ script: String, limit: UInt64 = 30_000_000_000) throws -> ProgramAnswer
    {
        try HostProgram.ask(["/bin/sh", "-c", script], input: input, outputLimit: 1 << 20, limit: limit)
    }

    @Test("what a program is given comes from memory, more than a pipe holds, and nothing else does")
    func input() throws {
        let much = [UInt8](repeating: UInt8(ascii: "x"), count: 300_000)
        let both = ProgramInput(standardInput: Array("in\n".utf8), attached: much, environment: ["A=1", "B=two words"])
        let answer = try given(both, "/bin/cat; /usr/bin/env; /usr/bin/wc -c </dev/fd/3; /usr/bin/wc -c <&3")
        let lines = String(decoding: answer.output, as: UTF8.self).split(separator: "\n").map(String.init)
        #expect(answer.status == 0, "\(answer.errorText)")
        #expect(lines.contains("in") && lines.contains("A=1") && lines.contains("B=two words"))
        #expect(lines.filter { $0 == "300000" }.count == 2)
        #expect(!lines.contains { $0.hasPrefix("HOME=") })
        let nothing = try given(ProgramInput(), "/bin/cat; ls /dev/fd/3")
        #expect(nothing.output.isEmpty && nothing.status != 0)
    }

    @Test("with a program whose time is up, what it started ends too")
    func descendants() throws {
        let script = "sleep 600 & echo $!; wait"
        let answer = try given(ProgramInput(), script, limit: 300_000_000)
        #expect(answer.isLate)
        let child = try #require(pid_t(String(decoding: answer.output, as: UTF8.self).filter(\.isNumber)))
        // It was sent the signal together with the one that was waited for; the kernel needs a moment.
        var tries = 0
        while isRunning(child), tries < 500 {
            ThreadPause.take(milliseconds: 10)
            tries += 1
        }
        #expect(tries < 500)
    }

    /// A process whose end nobody has collected does not run.
    private func isRunning(_ process: pid_t) -> Bool {
        guard let text = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8),
            let state = text.split(separator: ")").last?.split(separator: " ").first
        else { return false }
        return state != "Z"
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
