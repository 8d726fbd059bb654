import Glibc

/// The device that swallows everything.
package enum NullDevice {
    /// Opens it at the lowest free descriptor and leaves it open.
    ///
    /// - Parameter direction: `O_RDONLY` or `O_WRONLY`.
    package static func open(_ direction: Int32) {
        // Safety: the path lives through the call.
        _ = unsafe Glibc.open("/dev/null", direction)
    }
}
