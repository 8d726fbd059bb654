package import Effects
import GuestSource

/// A message on its way.
package struct NoticeMessage: Sendable {
    /// What it tells.
    package var notices: [Notice]
    /// Whether it is the digest of a night.
    package var isDigest: Bool
    /// Notices that were given up before it.
    package var lost: Int

    /// - Parameters: see the properties.
    package init(_ notices: [Notice], isDigest: Bool = false, lost: Int = 0) {
        self.notices = notices
        self.isDigest = isDigest
        self.lost = lost
    }
}

/// Takes messages to their targets, one at a time, each within a time limit. It keeps nothing: what could not be
/// delivered is the sender's to keep. A delivery blocks its thread for up to a minute or the limit of a command: it is
/// called from a thread of its own and not from a task's.
package struct NoticeCourier: Sendable {
    /// Most bytes of a file with a secret.
    package static let longestSecret = 4096
    private static let commandOutputLimit = 4096

    private let host: String
    private let clock: SystemClock
    private let randomness: Randomness
    private let curl: CurlProgram?

    /// - Parameter host: name of this host, for whoever reads the messages.
    package init(
        host: String, clock: SystemClock = .system, randomness: Randomness = .system, curl: CurlProgram? = CurlProgram()
    ) {
        self.host = PlainText.line(host, limit: 64)
        self.clock = clock
        self.randomness = randomness
        self.curl = curl
    }

    /// Delivers one message.
    ///
    /// - Throws: ``NoticeError``; of code `refused` when this very message will never be taken.
    package func deliver(_ message: NoticeMessage, to target: NoticeTarget) throws(NoticeError) {
        switch target.way {
        case .mail(let mail):
            _ = try program().run(try mailRequest(message, mail), target: "mail server \(mail.server):\(mail.port)")
        case .webhook(let hook): try post(message, hook)
        case .journal(let socket): try log(message, socket)
        case .systemLog(let facility): message.notices.forEach { NoticeCourier.write($0, facility) }
        case .command(let command): try run(message, command)
        }
    }

    private func program() throws(NoticeError) -> CurlProgram {
        guard let curl else {
            throw NoticeError(
                .program, "there is no program curl, which mail and webhooks need: install it (apt-get install curl)",
                .askOperator)
        }
        return curl
    }

    private func secret(_ path: String, _ what: String) throws(NoticeError) -> String {
        var bytes: [UInt8]
        do { bytes = try HostPaths.readSecret(path, limit: NoticeCourier.longestSecret) } catch {
            throw NoticeError(.secret, "\(what) cannot be read: \(error.sentence)", .askOperator)
        }
        if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
        guard !bytes.isEmpty, let text = String(validating: bytes, as: UTF8.self) else {
            throw NoticeError(.secret, "\(path) holds no text: \(what) is expected there", .askOperator)
        }
        return text
    }

    // MARK: E-mail

    private func mailRequest(_ message: NoticeMessage, _ mail: MailTarget) throws(NoticeError) -> CurlRequest {
        let worst = NoticeText.mostUrgent(message.notices)
        let text = MailMessage(
            sender: mail.sender, recipients: mail.recipients,
            subject: NoticeText.subject(message.notices, host: host, isDigest: message.isDigest),
            text: NoticeText.body(message.notices, host: host, lost: message.lost), instant: clock.wall(),
            unique: randomness.bytes(12).map { String(UInt16($0) + 256, radix: 16).dropFirst() }.joined(),
            marks: [
                ("X-Dozo-Kind", worst?.kind.rawValue ?? "none"), ("X-Dozo-Severity", worst?.severity.word ?? "none"),
                ("X-Dozo-Phase", worst?.phase.word ?? "none"),
            ])
        var configuration = CurlConfiguration()
        let scheme = mail.security == .implicit ? "smtps" : "smtp"
        let greeting = host.utf8.filter { MailAddress.isLetterOrDigit($0) || "-.".utf8.contains($0) }
        let name = greeting.isEmpty ? "localhost" : String(decoding: greeting, as: UTF8.self)
        try configuration.add("url", "\(scheme)://\(mail.server):\(mail.port)/\(name)", of: "the mail server's name")
        try configuration.add("proto", "=\(scheme)", of: "the protocol")
        if mail.security == .startTLS { configuration.add("ssl-reqd") }
        configuration.add("tlsv1.2")
        if let file = mail.authorityFile { try configuration.add("cacert", file, of: "the file of authorities") }
        try configuration.add("noproxy", "*", of: "the proxy")
        try configuration.add("mail-from", "<\(mail.sender.address)>", of: "the sender")
        for recipient in mail.recipients {
            try configuration.add("mail-rcpt", "<\(recipient.address)>", of: "a recipient")
        }
        var secrets: [String] = []
        if let user = mail.user, let file = mail.passwordFile {
            let password = try secret(file, "the password of \(user) at \(mail.server)")
            try configuration.add("user", "\(user):\(password)", of: "the user or password in \(file)")
            secrets = [password]
        }
        try configuration.add("upload-file", "/dev/fd/3", of: "the message")
        return CurlRequest(configuration: configuration, body: text.bytes, secrets: secrets)
    }

    // MARK: Webhook

    private func post(_ message: NoticeMessage, _ hook: WebhookTarget) throws(NoticeError) {
        let address: String
        if let file = hook.addressFile {
            address = try secret(file, "the address of a webhook")
        } else {
            address = hook.address ?? ""
        }
        let place = try WebhookAddress(address, isSecret: hook.addressFile != nil)
        guard
            place.isProtected || place.isLoopback
                || hook.addressFile == nil && hook.headers.allSatisfy({ $0.file == nil })
        else {
            throw NoticeError(
                .settings, "the webhook at \(place.host) would be told a secret without TLS: use https", .askOperator)
        }
        let document = NoticeText.document(
            message.notices, host: host, isDigest: message.isDigest, lost: message.lost, at: clock.wall())
        var configuration = CurlConfiguration()
        try configuration.add("url", address, of: "the address of the webhook")
        try configuration.add("proto", "=\(place.isProtected ? "https" : "http")", of: "the protocol")
        configuration.add("globoff")
        configuration.add("tlsv1.2")
        if let file = hook.authorityFile { try configuration.add("cacert", file, of: "the file of authorities") }
        try configuration.add("noproxy", "*", of: "the proxy")
        try configuration.add("user-agent", "dozo", of: "our name")
        try configuration.add("header", "Content-Type: application/json", of: "a header")
        // Nothing waits for a server's leave to send.
        try configuration.add("header", "Expect:", of: "a header")
        var secrets = hook.addressFile == nil ? [] : [address, place.rest]
        for header in hook.headers {
            var value = header.value ?? ""
            if let file = header.file {
                let content = try secret(file, "the header \(header.name) of the webhook at \(place.host)")
                secrets.append(content)
                value = header.prefix + content
            }
            try configuration.add("header", "\(header.name): \(value)", of: "the header \(header.name)")
        }
        try configuration.add("data-binary", "@/dev/fd/3", of: "the message")
        try configuration.add("output", "/dev/null", of: "the answer")
        try configuration.add("write-out", "%{http_code}", of: "the status")
        let request = CurlRequest(configuration: configuration, body: document.encoded, secrets: secrets)
        let said = try program().run(request, target: "webhook at \(place.host)")
        try NoticeCourier.judge(Int(said) ?? 0, place.host)
    }

    /// Redirections are not followed: what is sent is not for whoever else is named there.
    private static func judge(_ status: Int, _ host: String) throws(NoticeError) {
        let sentence = "webhook at \(host) answered with status \(status)"
        switch status {
        case 200..<300: return
        case 300..<400:
            throw NoticeError(.refused, "\(sentence): it is somewhere else, and that is not followed", .askOperator)
        // Not now: a login or address that is being changed, too many requests, a server in trouble.
        case 401, 403, 404, 407, 408, 425, 429, 500...: throw NoticeError(.target, sentence, .retry)
        case 400..<500: throw NoticeError(.refused, sentence, .askOperator)
        default: throw NoticeError(.target, "webhook at \(host) gave no proper answer", .retry)
        }
    }

    // MARK: Journal

    private func log(_ message: NoticeMessage, _ socket: String) throws(NoticeError) {
        let hasJournal = HostPaths.exists(socket)
        for notice in message.notices {
            let entry = NoticeText.journalEntry(notice)
            guard hasJournal, entry.count <= SystemLog.longestEntry else {
                NoticeCourier.write(notice, SystemLog.daemonFacility)
                continue
            }
            do { try SystemLog.journal(entry, at: socket) } catch {
                throw NoticeError(.target, error.sentence, .retry)
            }
        }
    }

    private static func write(_ notice: Notice, _ facility: Int32) {
        let level = SystemLog.Level(rawValue: NoticeText.level(notice)) ?? .error
        SystemLog.write(
            "\(notice.kind.rawValue) \(notice.phase.word): \(notice.sentence)", level, facility: facility)
    }

    // MARK: Command

    private func run(_ message: NoticeMessage, _ target: CommandTarget) throws(NoticeError) {
        let name = PlainText.line(target.command.first ?? "")
        let document = NoticeText.document(
            message.notices, host: host, isDigest: message.isDigest, lost: message.lost, at: clock.wall())
        let input = ProgramInput(
            standardInput: document.encoded + [0x0A],
            environment: NoticeText.environment(
                message.notices, host: host, isDigest: message.isDigest, path: "/usr/sbin:/usr/bin:/sbin:/bin"))
        let answer: ProgramAnswer
        do {
            answer = try HostProgram.ask(
                target.command, input: input, outputLimit: NoticeCourier.commandOutputLimit, limit: target.limit,
                clock: clock)
        } catch { throw NoticeError(.program, "\(name) is not run: \(error.sentence)", .retry) }
        if answer.isLate {
            throw NoticeError(.target, "\(name) was ended after \(PlainText.duration(target.limit))", .retry)
        }
        if answer.status < 0 { throw NoticeError(.program, "\(name) could not be started", .askOperator) }
        guard answer.status == 0 else {
            let said = answer.errorText.split(separator: "\n").last.map {
                ": \(PlainText.line(String($0), limit: 200))"
            }
            throw NoticeError(.target, "\(name) ended with status \(answer.status)\(said ?? "")", .retry)
        }
    }
}

/// The address of a webhook, as far as it has to be understood here.
struct WebhookAddress {
    let isProtected: Bool
    let host: String
    let isLoopback: Bool
    /// What stands behind the host.
    let rest: String

    static let longest = 2048

    /// - Parameter isSecret: whether nothing of a wrong one may be said.
    init(_ text: String, isSecret: Bool = false) throws(NoticeError) {
        let shown = isSecret ? "the address in the file" : PlainText.line(text, limit: 200)
        func refuse(_ why: String) -> NoticeError {
            NoticeError(.settings, "\(shown) is no address of a webhook (\(why)): https://host/path is", .askOperator)
        }
        guard text.utf8.count <= WebhookAddress.longest, text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw refuse("it is too long, or has spaces or letters that an address cannot have")
        }
        let scheme = ["https://", "http://"].first { text.hasPrefix($0) }
        guard let scheme else { throw refuse("it begins neither with https:// nor with http://") }
        isProtected = scheme == "https://"
        let behind = text.dropFirst(scheme.count)
        let authority = behind.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        rest = String(behind.dropFirst(authority.count))
        guard !authority.contains("@") else { throw refuse("put a password into a header's file") }
        var name = authority
        if let colon = authority.lastIndex(of: ":"), authority.last != "]" {
            guard UInt16(authority[authority.index(after: colon)...]) ?? 0 > 0 else { throw refuse("its port is none") }
            name = authority[..<colon]
        }
        guard HostText.isHost(name) else { throw refuse("its host is none") }
        host = String(name)
        isLoopback = HostText.isLoopback(name)
    }
}
