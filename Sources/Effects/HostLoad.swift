import CLinux
import Glibc

/// How much this process stands in the way of others on its host.
package enum HostLoad {
    /// Lets other programs go first: CPU by the nice value, disks by the lowest best-effort priority. What is nicer
    /// already stays so; children inherit it.
    ///
    /// - Parameter nice: 0 (as everybody) to 19.
    package static func yield(nice: Int) {
        guard nice > 0 else { return }
        // On Linux both belong to threads: those that exist are asked one by one, later ones inherit them.
        for thread in threads() {
            errno = 0
            let current = getpriority(__priority_which_t(PRIO_PROCESS.rawValue), thread)
            if errno == 0, current < nice {
                setpriority(__priority_which_t(PRIO_PROCESS.rawValue), thread, Int32(nice))
            }
            lowerDiskPriority(thread)
        }
    }

    private static func threads() -> [id_t] {
        let files = HostFiles(root: "/proc/self/task")
        let names = (try? files.names(in: "")) ?? []
        return names.compactMap { id_t($0) }
    }

    private static func lowerDiskPriority(_ thread: id_t) {
        // linux/ioprio.h: class best effort is 2 above bit 13, and 7 is its lowest level; 1 says that it is a thread.
        let lowest: Int32 = 2 << 13 | 7
        _ = io_priority_set(1, Int32(bitPattern: thread), lowest)
    }
}
