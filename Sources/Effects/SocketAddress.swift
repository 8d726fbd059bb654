import Glibc

/// The address of a unix socket.
struct SocketAddress {
    /// Most bytes of its path: the kernel's structure has 108, the last of them zero.
    static let longestPath = 107

    private var address = sockaddr_un()
    private let byteCount: Int

    /// `nil` for a path that is too long. One that begins with "@" is of Linux's abstract names (unix(7)).
    init?(path: String) {
        var bytes = Array(path.utf8)
        guard bytes.count <= SocketAddress.longestPath else { return nil }
        let size = MemoryLayout<sockaddr_un>.size
        let isAbstract = bytes.first == UInt8(ascii: "@")
        // The length is part of an abstract name; the zero at the end of the room ends every other.
        byteCount = isAbstract ? size - SocketAddress.longestPath - 1 + bytes.count : size
        if isAbstract { bytes[0] = 0 }
        address.sun_family = sa_family_t(AF_UNIX)
        // Safety: the path fits, as was checked; the rest of the structure is zero.
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { room in unsafe room.copyBytes(from: bytes) }
    }

    /// A new socket of the kind; negative, with `errno`, when there is none.
    static func socket() -> Int32 {
        Glibc.socket(AF_UNIX, Int32(bitPattern: SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    }

    /// Calls what takes a general address and its length. - Returns: what it returns.
    func with(_ call: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        // Safety: the structure lives through the call, and is at least as long as it is said to be.
        unsafe withUnsafePointer(to: address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { general in
                unsafe call(general, socklen_t(byteCount))
            }
        }
    }
}
