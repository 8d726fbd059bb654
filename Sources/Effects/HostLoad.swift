import CLinux
import Glibc

/// How much this process stands in the way of others on its host.
package enum HostLoad {
    /// Lets other programs go first: CPU by the nice value, disks by the lowest best-effort priority. What is nicer
    /// already stays so; children inherit it.
    ///
    /// On Linux both belong to the calling thread, and threads that it starts later inherit them: to reach the whole
    /// process it must be called before there is a second one. The threads that Swift's runtime starts set a nice value
    /// of their own, 0 or even below; so the right to lower it is given up with it, for root too.
    ///
    /// - Parameter nice: 0 (as everybody) to 19.
    package static func yield(nice: Int) {
        guard nice > 0 else { return }
        errno = 0
        let current = getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0)
        if errno == 0, current < nice { setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, Int32(nice)) }
        _ = priority_privilege_drop()
        let niceLimit = __rlimit_resource_t(__RLIMIT_NICE.rawValue)
        var limit = rlimit()
        // Safety: the structure lives through both calls. getrlimit(2): the ceiling is 20 less the nice value.
        if unsafe getrlimit(niceLimit, &limit) == 0 {
            limit.rlim_cur = min(limit.rlim_cur, rlim_t(20 - nice))
            unsafe setrlimit(niceLimit, &limit)
        }
        // linux/ioprio.h: class best effort is 2 above bit 13, and 7 is its lowest level; 1 means a thread, 0 this one.
        let lowest: Int32 = 2 << 13 | 7
        _ = io_priority_set(1, 0, lowest)
    }
}
