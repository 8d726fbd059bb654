import Commands

/// The process: everything it does is in Commands.
@main
struct Main {
    static func main() async { await DozoProcess.run() }
}
