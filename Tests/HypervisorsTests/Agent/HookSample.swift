import Hypervisors

/// What the hooks of a guest write, and an agent that gives it out.
enum HookSample {
    static let boot = "39aac8a2-73f5-48e3-9008-5d37348f0846"

    /// A file as the dispatcher writes it.
    static func text(
        boot: String = boot, number: UInt64 = 1, phase: String = "thawed", thaws: UInt64 = 1,
        hooks: [String] = ["hook 10-one ok 30", "hook 20-two idle 0", "thaw 20-two idle 10", "thaw 10-one ok 0"]
    ) -> String {
        (["dozo-application 1", "boot \(boot)", "freeze \(number)", "state \(phase)", "thaws \(thaws)"] + hooks
            + ["end", ""]).joined(separator: "\n")
    }

    static func report(_ text: String?, boot: String = boot) throws(GuestError) -> ApplicationReport {
        guard let text else { return ApplicationReport(boot: boot, state: nil) }
        return ApplicationReport(boot: boot, state: try ApplicationState(parsing: Array(text.utf8)))
    }
}

/// An agent with two files, which gives out so many bytes at a time.
final class FakeAgent {
    static let refusal = GuestError(.refused, "no such file")
    private let files: [String: [UInt8]]
    private let piece: Int
    private var open: [Int64: ArraySlice<UInt8>] = [:]
    private var last: Int64 = 1000
    /// Handles that were not closed.
    var leaked: Int { open.count }

    init(boot: String? = HookSample.boot + "\n", state: [UInt8]?, piece: Int = 4096) {
        var files: [String: [UInt8]] = [:]
        files["/proc/sys/kernel/random/boot_id"] = boot.map { Array($0.utf8) }
        files[ApplicationState.path] = state
        self.files = files
        self.piece = piece
    }

    func run(_ command: String, _ arguments: JSONValue) throws(GuestError) -> JSONValue {
        switch command {
        case "guest-file-open":
            guard arguments["mode"]?.text == "r", let file = arguments["path"]?.text.flatMap({ files[$0] }) else {
                throw FakeAgent.refusal
            }
            last += 1
            open[last] = file[...]
            return .integer(last)
        case "guest-file-read":
            guard let handle = arguments["handle"]?.integer, let rest = open[handle],
                let count = arguments["count"]?.integer, count > 0
            else { throw FakeAgent.refusal }
            let part = rest.prefix(min(piece, Int(count)))
            open[handle] = rest.dropFirst(part.count)
            return [
                "count": .integer(Int64(part.count)), "buf-b64": .text(base64(part)),
                "eof": .bool(part.count < Int(count) && part.count == rest.count),
            ]
        case "guest-file-close":
            guard let handle = arguments["handle"]?.integer, open.removeValue(forKey: handle) != nil else {
                throw FakeAgent.refusal
            }
            return [:]
        default: throw FakeAgent.refusal
        }
    }

    private func base64(_ bytes: ArraySlice<UInt8>) -> String {
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        var text = ""
        var rest = bytes
        while !rest.isEmpty {
            let group = Array(rest.prefix(3))
            rest = rest.dropFirst(3)
            let bits = (0..<3).reduce(0) { $0 << 8 | ($1 < group.count ? Int(group[$1]) : 0) }
            for index in 0..<4 {
                text.append(index <= group.count ? letters[bits >> (18 - 6 * index) & 63] : "=")
            }
        }
        return text
    }
}
