import Foundation
import Glibc
import Synchronization

/// Something that listens on a socket and says what it is told to, for what no real QEMU says.
// Safety: the descriptor is set once; the thread ends when it is shut down, and closes it.
final class FakeMonitor: @unchecked Sendable {
    let path: String
    private let folder: String
    private let descriptor: Int32

    /// - Parameter answers: what is sent at once, and then what is sent for each line that comes; `nil` hangs up.
    init(greeting: [UInt8], answers: [[UInt8]?]) throws {
        var template = Array("/tmp/monitor-XXXXXX".utf8CString)
        guard unsafe mkdtemp(&template) != nil else { throw CocoaError(.fileWriteUnknown) }
        folder = template.dropLast().map { String(UnicodeScalar(UInt8(bitPattern: $0))) }.joined()
        path = folder + "/s"
        descriptor = socket(AF_UNIX, Int32(bitPattern: SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        // Safety: the path is short; the structure lives through the calls.
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { room in
            unsafe room.copyBytes(from: Array(path.utf8))
        }
        let status = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { general in
                unsafe bind(descriptor, general, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard status == 0, listen(descriptor, 4) == 0 else { throw CocoaError(.fileWriteUnknown) }
        let listening = descriptor
        Thread.detachNewThread {
            while true {
                let link = accept(listening, nil, nil)
                guard link >= 0 else { break }
                FakeMonitor.serve(link, greeting, answers)
                close(link)
            }
            // Here and not by whoever holds it: the number would become another monitor's, whose callers this one took.
            close(listening)
        }
    }

    private static func serve(_ link: Int32, _ greeting: [UInt8], _ answers: [[UInt8]?]) {
        func send(_ bytes: [UInt8]) {
            // Safety: the array lives through the call.
            _ = unsafe Glibc.send(link, bytes, bytes.count, Int32(MSG_NOSIGNAL))
        }
        send(greeting)
        var byte: UInt8 = 0
        for answer in answers {
            repeat {
                // Safety: one byte of the stack is filled.
                guard unsafe recv(link, &byte, 1, 0) == 1 else { return }
            } while byte != UInt8(ascii: "\n")
            guard let answer else { return }
            send(answer)
        }
        // Whoever waits for more waits.
        while unsafe recv(link, &byte, 1, 0) == 1 {}
    }

    deinit {
        shutdown(descriptor, Int32(SHUT_RDWR))
        // Safety: both paths live through the calls.
        unsafe unlink(path)
        unsafe rmdir(folder)
    }
}
