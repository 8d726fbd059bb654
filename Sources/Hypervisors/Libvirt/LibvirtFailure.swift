/// What libvirt says went wrong, in its own number and words.
struct LibvirtFailure: Error, Hashable, Sendable {
    /// Numbers of `virErrorNumber` that are told apart here; all others are passed on as `refused`.
    enum Code {
        static let notSupported: CInt = 3
        static let noConnection: CInt = 5
        static let invalidConnection: CInt = 6
        static let invalidArgument: CInt = 8
        static let systemError: CInt = 38
        static let remoteCall: CInt = 39
        static let noDomain: CInt = 42
        static let noNetwork: CInt = 43
        static let noPool: CInt = 49
        static let notNow: CInt = 55
        static let timeout: CInt = 68
        static let agentSilent: CInt = 86
        static let unfitProcessor: CInt = 91
        static let agentConfused: CInt = 97
        static let noCheckpoint: CInt = 103
        static let noBackup: CInt = 104
    }

    /// One of `virErrorNumber`.
    let code: CInt
    /// In libvirt's words.
    let message: String

    /// As an error of this target. - Parameter sentence: what was tried, with the guest's name; the reason is added.
    func guestError(_ sentence: String, remedy: String? = nil) -> GuestError {
        let kind: GuestError.Code =
            switch code {
            case Code.noConnection, Code.invalidConnection, Code.remoteCall: .unreachable
            case Code.noDomain: .noGuest
            case Code.notNow: .wrongState
            case Code.timeout: .busy
            case Code.agentSilent, Code.agentConfused: .agent
            default: .refused
            }
        return GuestError(kind, "\(sentence): \(message)" + (remedy.map { "; \($0)" } ?? ""))
    }
}
