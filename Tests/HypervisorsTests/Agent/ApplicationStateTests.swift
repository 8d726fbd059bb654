import Hypervisors
import Testing

@Suite("what the hooks in a guest write")
struct ApplicationStateTests {
    private func isRefused(_ text: String) -> Bool {
        do throws(GuestError) { _ = try ApplicationState(parsing: Array(text.utf8)) } catch {
            return error.code == .refused
        }
        return false
    }

    @Test("a whole file is read")
    func whole() throws {
        let state = try ApplicationState(parsing: Array(HookSample.text(number: 7).utf8))
        #expect(state.boot == HookSample.boot && state.number == 7 && state.phase == .thawed && state.thaws == 1)
        #expect(state.hooks.map(\.name) == ["10-one", "20-two"])
        #expect(state.hooks.map(\.outcome) == [.done, .idle])
        #expect(state.hooks.map(\.thaw) == [.done, .idle])
        #expect(state.hooks.map(\.nanoseconds) == [30_000_000, 0])
    }

    @Test("also one of a freeze without hooks, and of one that is under way")
    func others() throws {
        #expect(try ApplicationState(parsing: Array(HookSample.text(hooks: []).utf8)).hooks.isEmpty)
        let text = HookSample.text(phase: "freezing", thaws: 0, hooks: ["hook a late 0"])
        let state = try ApplicationState(parsing: Array(text.utf8))
        #expect(state.phase == .freezing && state.hooks[0].thaw == nil && !state.hooks[0].wasAtRest)
    }

    @Test("every front of a file, and every line that is left out or doubled, is refused")
    func cut() {
        let text = HookSample.text()
        for count in 0..<text.count { #expect(isRefused(String(text.prefix(count))), "\(count)") }
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        for index in lines.indices.dropLast() {
            var fewer = lines
            fewer.remove(at: index)
            // Without its thaw a hook was not let go on; that is not for the parser to judge.
            let isThaw = lines[index].hasPrefix("thaw ")
            #expect(isRefused(fewer.joined(separator: "\n")) != isThaw, "without \(lines[index])")
            var more = lines
            more.insert(lines[index], at: index)
            #expect(isRefused(more.joined(separator: "\n")), "\(lines[index]) twice")
        }
    }

    @Test(
        "what the dispatcher does not write is refused",
        arguments: [
            HookSample.text(hooks: ["hook a/b ok 1"]), HookSample.text(hooks: ["hook a.b ok 1"]),
            HookSample.text(hooks: ["hook  ok 1"]), HookSample.text(hooks: ["hook a fine 1"]),
            HookSample.text(hooks: ["hook a ok -1"]), HookSample.text(hooks: ["hook a ok 01"]),
            HookSample.text(hooks: ["hook a ok +1"]), HookSample.text(hooks: ["hook a ok 18446744073709551616"]),
            HookSample.text(hooks: ["hook a ok 1 "]), HookSample.text(hooks: ["hook a ok 1", "hook a ok 1"]),
            HookSample.text(hooks: ["thaw a ok 1"]), HookSample.text(hooks: ["hook \u{e4} ok 1"]),
            HookSample.text(hooks: ["hook \(String(repeating: "a", count: 65)) ok 1"]),
            HookSample.text(hooks: (0...32).map { "hook h\($0) ok 1" }),
            HookSample.text(boot: "not-hex"), HookSample.text(boot: ""), HookSample.text(phase: "melted"),
            HookSample.text(boot: String(repeating: "a", count: 37)), HookSample.text() + "\n", HookSample.text() + "x",
            HookSample.text().replacing("application 1", with: "application 2"),
            HookSample.text().replacing("\n", with: "\r\n"), String(repeating: "x", count: 20_000),
        ])
    func refused(text: String) {
        #expect(isRefused(text), "\(text)")
    }

    @Test("and the nearest to that is not")
    func nearest() {
        #expect(!isRefused(HookSample.text(hooks: ["hook \(String(repeating: "a", count: 64)) ok 1"])))
        #expect(!isRefused(HookSample.text(hooks: (0..<32).map { "hook h\($0) ok 1" })))
        #expect(!isRefused(HookSample.text(hooks: ["hook A-z_9 ok 18446744073709551615"])))
        #expect(!isRefused(HookSample.text(boot: String(repeating: "a", count: 36))))
    }
}

@Suite("whether applications were at rest")
struct ApplicationReportTests {
    private let before = HookSample.text(number: 4)

    private func shortfall(
        _ before: String?, _ after: String?, boot: String = HookSample.boot
    ) throws -> ApplicationReport.Shortfall? {
        try HookSample.report(after, boot: boot).shortfall(before: try HookSample.report(before))
    }

    @Test("they were when one freeze and one thaw came, and every hook says so")
    func atRest() throws {
        #expect(try shortfall(before, HookSample.text(number: 5)) == nil)
        #expect(try shortfall(nil, HookSample.text(number: 1)) == nil)
        // Whatever another start left there counts for nothing.
        #expect(try shortfall(HookSample.text(boot: "00", number: 40), HookSample.text(number: 1)) == nil)
        let one = HookSample.text(number: 5, hooks: ["hook a ok 1", "thaw a ok 1"])
        #expect(try shortfall(before, one) == nil)
        #expect(try HookSample.report(one).hooks(since: try HookSample.report(before)).map(\.name) == ["a"])
    }

    @Test("they were not when no hook was called")
    func noHooks() throws {
        #expect(try shortfall(nil, nil) == .noHooks)
        #expect(try shortfall(before, before) == .noHooks)
        #expect(try shortfall(before, HookSample.text(number: 4, thaws: 2)) == .noHooks)
        #expect(try shortfall(HookSample.text(boot: "00"), HookSample.text(boot: "00", number: 2)) == .noHooks)
        #expect(try shortfall(before, HookSample.text(number: 5, hooks: [])) == .nothingToDo)
        let idle = HookSample.text(number: 5, hooks: ["hook a idle 1", "thaw a ok 1"])
        #expect(try shortfall(before, idle) == .nothingToDo)
    }

    @Test("nor when anything else came between, or a hook says otherwise")
    func others() throws {
        func isTold(_ before: String?, _ after: String?, boot: String = HookSample.boot) throws -> Bool {
            if case .told? = try shortfall(before, after, boot: boot) { true } else { false }
        }
        #expect(try isTold(before, HookSample.text(number: 6)))
        #expect(try isTold(before, HookSample.text(number: 3)))
        #expect(try isTold(before, nil))
        #expect(try isTold(HookSample.text(boot: "00"), HookSample.text(number: 2)))
        #expect(try isTold(before, HookSample.text(number: 5, thaws: 2)))
        #expect(try isTold(before, HookSample.text(number: 5, thaws: 0)))
        for phase in ["freezing", "frozen", "refused"] {
            #expect(try isTold(before, HookSample.text(number: 5, phase: phase)))
        }
        #expect(try isTold(before, HookSample.text(boot: "00", number: 1), boot: "00"))
        for hooks in [
            ["hook a ok 1"], ["hook a ok 1", "thaw a idle 1"], ["hook a ok 1", "thaw a failed 1"],
            ["hook a ok 1", "thaw a late 1"], ["hook a failed 1", "thaw a ok 1"], ["hook a late 1", "thaw a ok 1"],
            ["hook a idle 1", "hook b ok 1", "thaw b ok 1"],
        ] {
            #expect(try isTold(before, HookSample.text(number: 5, hooks: hooks)), "\(hooks)")
        }
        let last = HookSample.text(number: .max)
        #expect(try shortfall(last, last) == .noHooks)
        #expect(try isTold(last, HookSample.text(number: 0)))
    }

    @Test("a freeze that was refused names the hook")
    func culprit() throws {
        let refused = HookSample.text(number: 5, phase: "refused", hooks: ["hook a ok 1", "hook b late 1000"])
        let report = try HookSample.report(refused)
        #expect(report.culprit(since: try HookSample.report(before))?.name == "b")
        #expect(report.culprit(since: try HookSample.report(HookSample.text(number: 3))) == nil)
    }

    @Test("an agent is asked in pieces of any size, and nothing is left open", arguments: [1, 7, 4096])
    func pieces(piece: Int) throws {
        let agent = FakeAgent(state: Array(HookSample.text(hooks: []).utf8), piece: max(piece, 3))
        let report = try ApplicationReport(ask: agent.run)
        #expect(report.boot == HookSample.boot && report.state?.number == 1)
        #expect(agent.leaked == 0)
    }

    @Test("one that has no such file says so; one that is no Linux, or sends too much, is refused")
    func odd() throws {
        let none = FakeAgent(state: nil)
        #expect(try ApplicationReport(ask: none.run).state == nil)
        let long = [UInt8](repeating: UInt8(ascii: "x"), count: ApplicationState.mostBytes + 1)
        for agent in [
            FakeAgent(boot: nil, state: nil), FakeAgent(boot: "", state: nil), FakeAgent(boot: "a b\n", state: nil),
            FakeAgent(boot: HookSample.boot + "0\n", state: nil), FakeAgent(state: long), FakeAgent(state: []),
            FakeAgent(state: Array(long.dropLast()), piece: 1),
        ] {
            do throws(GuestError) {
                _ = try ApplicationReport(ask: agent.run)
                Issue.record("it was taken")
            } catch { #expect(error.code == .refused) }
            #expect(agent.leaked == 0)
        }
    }

    @Test("an agent that dies in between is no missing file")
    func dies() {
        var asked = 0
        do throws(GuestError) {
            let agent = FakeAgent(state: nil)
            _ = try ApplicationReport { command, arguments throws(GuestError) in
                asked += 1
                if asked > 3 { throw GuestError(.agent, "gone") }
                return try agent.run(command, arguments)
            }
            Issue.record("it was taken")
        } catch { #expect(error.code == .agent) }
    }
}
