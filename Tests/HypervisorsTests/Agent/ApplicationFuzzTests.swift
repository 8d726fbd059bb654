import Hypervisors
import TestKit
import Testing

/// Whatever a guest writes, or its agent sends, is read or refused, and what is taken is within its bounds.
@Suite("seeded mutations of what guests say of their applications")
struct ApplicationFuzzTests {
    private static let samples = [
        HookSample.text(), HookSample.text(phase: "refused", hooks: ["hook a failed 10", "thaw a ok 1"]),
        HookSample.text(number: .max, thaws: .max, hooks: (0..<32).map { "hook h\($0) ok 1" }),
    ].map { Array($0.utf8) }

    @Test("the file")
    func file() {
        Mutator.run("applications", Self.samples, refusedBy: GuestError.self) { bytes in
            let state = try ApplicationState(parsing: bytes)
            guard state.hooks.count <= ApplicationState.mostHooks,
                Set(state.hooks.map(\.name)).count == state.hooks.count
            else { return "hooks without a bound" }
            for hook in state.hooks where !(1...64).contains(hook.name.utf8.count) || hook.name.contains("\n") {
                return "the name \(hook.name)"
            }
            let report = ApplicationReport(boot: state.boot, state: state)
            let before = ApplicationReport(boot: state.boot, state: nil)
            if report.shortfall(before: before) == nil, state.number != 1 || state.thaws != 1 || state.phase != .thawed
            {
                return "at rest in \(state)"
            }
            return nil
        }
    }

    @Test("the agent's answers")
    func answers() {
        let lines = [
            #"{"count": 5, "buf-b64": "MDEyMwo=", "eof": true}"#, #"{"count": 0, "buf-b64": "", "eof": false}"#, "7",
        ]
        Mutator.run("answers of agents", lines.map { Array($0.utf8) }, refusedBy: GuestError.self) { bytes in
            let value = (try? JSONValue(decoding: bytes)) ?? .null
            var asked = 0
            _ = try ApplicationReport { command, _ throws(GuestError) in
                asked += 1
                return command == "guest-file-read" ? value : 1
            }
            return asked <= 200 ? nil : "\(asked) commands"
        }
    }
}
