import Effects
import GuestSource

/// The program `curl` (7.76 or newer): it speaks SMTP and HTTP with TLS and proper checks of certificates, and is kept
/// well by others. Programs of the host are run through GuestSource, the target that has that for disks.
package struct CurlProgram: Sendable {
    /// Seconds to reach a server.
    package static let connectSeconds = 15
    /// Seconds for a whole delivery.
    package static let deliverySeconds = 60
    /// Seconds after its limit at which `curl` itself is ended, should it not keep it.
    private static let grace = 15
    /// Bytes of its output that are read.
    private static let outputLimit = 4096

    private let path: String
    private let seconds: Int

    /// The one of this host; `nil` when there is none.
    ///
    /// - Parameter seconds: for a whole delivery, at least one.
    package init?(seconds: Int = deliverySeconds) {
        guard let path = HostProgram.find("curl") else { return nil }
        self.path = path
        self.seconds = max(1, min(seconds, CurlProgram.deliverySeconds))
    }

    /// Runs one request.
    ///
    /// - Returns: what it was told to write out.
    /// - Throws: ``NoticeError``: `target`, when it may work later; `refused`, when it will not; `program`.
    func run(_ request: CurlRequest, target: String) throws(NoticeError) -> String {
        var configuration = request.configuration
        // Own proxies of the environment do not count; neither does the user's own configuration (-q, first of all).
        for option in ["silent", "show-error"] { configuration.add(option) }
        configuration.add("connect-timeout = \(min(seconds, CurlProgram.connectSeconds))")
        configuration.add("max-time = \(seconds)")
        let input = ProgramInput(
            standardInput: configuration.bytes, attached: request.body,
            environment: ["PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "HOME=/nonexistent"])
        let answer: ProgramAnswer
        do {
            answer = try HostProgram.ask(
                [path, "-q", "--config", "-"], input: input, outputLimit: CurlProgram.outputLimit,
                limit: UInt64(seconds + CurlProgram.grace) * 1_000_000_000)
        } catch { throw NoticeError(.program, "\(target) is not tried: \(error.sentence)", .retry) }
        let output = String(decoding: answer.output, as: UTF8.self)
        if answer.status == 0 { return output }
        if answer.isLate { throw NoticeError(.target, "\(target) did not answer in time", .retry) }
        if answer.status < 0 {
            throw NoticeError(.program, "\(path) could not be started, so \(target) is not tried", .askOperator)
        }
        let said = CurlProgram.said(answer.errorText, without: request.secrets)
        let sentence = "\(target): \(said.isEmpty ? "curl ended with status \(answer.status)" : said)"
        throw CurlProgram.refusals.contains(answer.status)
            ? NoticeError(.refused, sentence, .askOperator) : NoticeError(.target, sentence, .retry)
    }

    /// Statuses of curl(1) after which the same message is not taken later either: no such protocol or option, a
    /// server that rejects sender, recipient or content.
    private static let refusals: Set<Int32> = [1, 2, 3, 4, 43, 48, 63, 78]

    /// What it said of what went wrong, without its own name and without secrets. Advice for people at a terminal may
    /// stand behind it.
    private static func said(_ text: String, without secrets: [String]) -> String {
        let lines = text.split(separator: "\n")
        var line = String(lines.first { $0.hasPrefix("curl: ") } ?? lines.last ?? "")
        if line.hasPrefix("curl: ") { line.removeFirst(6) }
        for secret in secrets.sorted(by: { $0.utf8.count > $1.utf8.count }) where secret.utf8.count >= 4 {
            line = line.replacing(secret, with: "(hidden)")
        }
        return PlainText.line(line, limit: 300)
    }
}
