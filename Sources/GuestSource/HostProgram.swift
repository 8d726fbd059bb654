import Glibc

/// Programs of the host, run without a shell.
package enum HostProgram {
    /// The absolute name of the program `name` on PATH, or where the system keeps its own; `nil` when it is in neither.
    package static func find(_ name: String) -> String? {
        // Safety: the environment's text is copied at once; nothing here changes the environment.
        let list = unsafe getenv("PATH").map { unsafe String(cString: $0) } ?? ""
        let folders = list.split(separator: ":").map(String.init) + ["/usr/bin", "/usr/sbin", "/sbin"]
        for folder in folders where folder.hasPrefix("/") {
            let path = "\(folder)/\(name)"
            // Safety: the path is a terminated copy for the call.
            if unsafe access(path, X_OK) == 0 { return path }
        }
        return nil
    }

    /// Runs `command` to its end with nothing on standard input; its output goes nowhere, its messages are returned.
    static func run(_ command: [String]) -> (status: CInt, errorText: String) {
        let answer = ask(command, outputLimit: 0, patience: ProgramPatience(limit: nil, ends: true))
        return (answer.status, answer.errorText)
    }
}
