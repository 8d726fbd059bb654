import Effects
import Jobs

/// The agent's file, read by whoever goes by it.
enum ConfigurationFile {
    /// Its bytes.
    ///
    /// - Throws: ``FileError`` for one that cannot be read or is too long, and for a pipe or a device in its place,
    ///   which would keep the reader waiting for whoever writes it.
    static func bytes(_ file: String) throws(FileError) -> [UInt8] {
        let path = HostPaths.absolute(file)
        guard !HostPaths.exists(path) || HostPaths.isRegularFile(path) else {
            throw FileError(
                number: 22, sentence: "\(Console.printable(file)) is no file but something else", remedy: .inspect)
        }
        return try HostPaths.read(path, limit: AgentConfiguration.mostBytes)
    }
}
