import Glibc

/// A user and a group of the host, by number, and what belongs to whom.
package struct PathOwner: Hashable, Sendable {
    /// The user's number.
    package var user: UInt32
    /// The group's number.
    package var group: UInt32

    /// An owner from its numbers.
    package init(user: UInt32, group: UInt32) {
        self.user = user
        self.group = group
    }

    /// Who this process acts as.
    package static var own: PathOwner { PathOwner(user: geteuid(), group: getegid()) }

    /// Whom a file or folder belongs to; `nil` when nothing is there.
    package init?(of path: String) {
        var facts = stat()
        // Safety: the path and the facts live through the call.
        guard unsafe stat(path, &facts) == 0 else { return nil }
        self.init(user: facts.st_uid, group: facts.st_gid)
    }

    /// Gives a file or folder to this owner; only root may.
    ///
    /// - Throws: ``FileError``.
    package func take(_ path: String) throws(FileError) {
        // Safety: the path lives through the call.
        guard unsafe chown(path, user, group) == 0 else { throw HostFiles.failure(errno, "cannot give away", path) }
    }

    /// Gives a file the owner and the rights of another one, as far as this user may: it is going to take its place.
    package static func adoptRights(of other: String, for path: String) {
        var facts = stat()
        // Safety: the paths and the facts live through the calls.
        guard unsafe stat(other, &facts) == 0 else { return }
        _ = unsafe chown(path, facts.st_uid, facts.st_gid)
        _ = unsafe chmod(path, facts.st_mode & 0o7777)
    }

    /// The first folder on the way to `path`, itself included, that this owner may not look behind, as far as modes
    /// say: lists of access and further groups of the user are not looked at. `nil` when there is none.
    package func barrier(on path: String) -> String? {
        guard user != 0 else { return nil }
        var position = path.startIndex
        while position < path.endIndex {
            position = path[path.index(after: position)...].firstIndex(of: "/") ?? path.endIndex
            let part = String(path[..<position])
            var facts = stat()
            // Safety: the path and the facts live through the call.
            guard unsafe stat(part, &facts) == 0 else { return nil }
            let bit: mode_t =
                if facts.st_uid == user { S_IXUSR } else if facts.st_gid == group { S_IXGRP } else { S_IXOTH }
            if facts.st_mode & bit == 0 { return part }
        }
        return nil
    }
}
