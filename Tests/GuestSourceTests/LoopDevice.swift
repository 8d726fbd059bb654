import Glibc
import Testing

/// A file as a block device. The kernel gives it back when the last descriptor closes, also after `kill -9`.
final class LoopDevice {
    let path: String
    private let file: String
    private let descriptor: CInt

    /// Why there can be none here; `nil` when there can.
    static let refusal: String? = {
        guard geteuid() == 0 else { return "loop devices need root" }
        do {
            let folder = try TemporaryFolder()
            return try LoopDevice(folder, "trial", [UInt8](repeating: 1, count: 4096)) == nil
                ? "losetup gives no loop device here" : nil
        } catch {
            return "a loop device could not be tried: \(error)"
        }
    }()

    /// `nil` when losetup gives none.
    ///
    /// - Parameters:
    ///   - sector: logical sector size in bytes.
    ///   - isReadOnly: whether the file cannot be written through the device.
    convenience init?(
        _ folder: TemporaryFolder, _ name: String, _ bytes: [UInt8], sector: Int = 512, isReadOnly: Bool = false
    ) throws {
        let file = try folder.write(bytes, to: name)
        try self.init(attaching: file, sector: sector, isReadOnly: isReadOnly)
    }

    /// The device of a file that is there; `nil` when losetup gives none.
    init?(attaching file: String, sector: Int = 512, isReadOnly: Bool = false) throws {
        self.file = file
        let answer = file + ".device"
        let attach = "PATH=$PATH:/usr/sbin:/sbin; exec losetup --find --show \"$@\" >\"$0\""
        let options = ["--sector-size", "\(sector)"] + (isReadOnly ? ["--read-only"] : [])
        guard Tool.run(["/bin/sh", "-c", attach, answer] + options + [file]) == 0 else { return nil }
        path = String(decoding: try TestFile.read(answer).dropLast(), as: UTF8.self)
        // Safety: the path is a terminated copy for the call.
        descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        // While it is open this only marks it to be given back with the last descriptor.
        LoopDevice.losetup("--detach", path)
        guard descriptor >= 0 else { return nil }
    }

    deinit { close(descriptor) }

    /// Makes the file and the device longer or shorter.
    func resize(to size: Int) -> Bool {
        TestFile.resize(file, to: size) && LoopDevice.losetup("--set-capacity", path) == 0
    }

    @discardableResult
    private static func losetup(_ arguments: String...) -> CInt {
        Tool.run(["/bin/sh", "-c", "PATH=$PATH:/usr/sbin:/sbin; exec losetup \"$@\"", "losetup"] + arguments)
    }
}
