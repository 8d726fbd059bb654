import Glibc

/// The address of a unix socket.
struct SocketAddress {
    /// Most bytes of its path: the kernel's structure has 108, the last of them zero.
    static let longestPath = 107

    private var address = sockaddr_un()

    /// `nil` for a path that is too long.
    init?(path: String) {
        let bytes = Array(path.utf8)
        guard bytes.count <= SocketAddress.longestPath else { return nil }
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
        // Safety: the structure lives through the call, and is as long as it is said to be.
        unsafe withUnsafePointer(to: address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { general in
                unsafe call(general, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }
}
