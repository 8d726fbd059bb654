import Effects
import Hypervisors
import Testing

@Suite("a monitor, or what claims to be one")
struct MonitorTests {
    private static let hello =
        Array(
            #"{"QMP": {"version": {"qemu": {"micro": 2, "minor": 1, "major": 9}}, "capabilities": []}}"#.utf8) + [10]
    private static let done = Array("{\"return\": {}, \"id\": 1}\n".utf8)

    private func failure(_ greeting: [UInt8], _ answers: [[UInt8]?]) throws -> GuestError? {
        let monitor = try FakeMonitor(greeting: greeting, answers: answers)
        // It listens as long as it is held.
        defer { withExtendedLifetime(monitor) {} }
        do throws(GuestError) {
            _ = try QMPGuest(socket: monitor.path, agent: nil)
            return nil
        } catch { return error }
    }

    @Test("one that greets and answers is taken; events in between and answers to others are passed over")
    func greets() throws {
        #expect(try failure(Self.hello, [Self.done]) == nil)
        let event = Array(#"{"event": "STOP", "timestamp": {}}"#.utf8) + [10]
        let others = Array("{\"return\": 1, \"id\": 77}\n".utf8)
        #expect(try failure(Self.hello, [event + others + Self.done]) == nil)
    }

    @Test("what is no monitor is told, and nothing traps")
    func noMonitor() throws {
        for greeting in [
            "SSH-2.0-OpenSSH_9.2\r\n", "{}\n", "[]\n", "{\"QMP\": 3}\n", "\u{0}\n", "{\"QMP\": {\"version\": {}}}\n",
        ] {
            let error = try #require(try failure(Array(greeting.utf8), []))
            #expect(error.code == .refused, "\(greeting)")
        }
    }

    @Test("one that refuses says why; one that hangs up is gone")
    func refuses() throws {
        let refusal = Array(#"{"error": {"class": "GenericError", "desc": "not today"}, "id": 1}"#.utf8) + [10]
        let refused = try #require(try failure(Self.hello, [refusal]))
        #expect(refused.code == .refused && refused.sentence.contains("not today"))
        let gone = try #require(try failure(Self.hello, [nil]))
        #expect(gone.code == .unreachable)
    }

    @Test("a line without an end is refused before it fills the memory")
    func endless() throws {
        let endless = [UInt8](repeating: UInt8(ascii: "x"), count: LineSocket.longestLine + 4096)
        let error = try #require(try failure(endless, []))
        #expect(error.code == .refused)
    }

    @Test("where nobody listens, that is said")
    func nobody() throws {
        do throws(GuestError) {
            _ = try QMPGuest(socket: "/nonexistent/monitor", agent: nil)
            Issue.record("it connected")
        } catch {
            #expect(error.code == .unreachable)
            #expect(error.sentence.contains("/nonexistent/monitor"))
        }
        do throws(GuestError) {
            _ = try QMPGuest(socket: "/" + String(repeating: "x", count: 200), agent: nil)
            Issue.record("it connected")
        } catch { #expect(error.sentence.contains("107 bytes")) }
    }
}
