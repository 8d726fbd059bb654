import Catalog
import ChunkEncryption
import Effects
import GuestMemory
import GuestSource
import Hypervisors
import ObjectStorage
import Repository
import RepositoryFormat

/// Published exit statuses (design §7).
package enum ExitStatus: Int32, Sendable {
    /// Done.
    case done = 0
    /// Failed.
    case failed = 1
    /// The command line was wrong.
    case usage = 2
    /// Done in part; what is missing was said.
    case partial = 3
    /// There is no repository, or it cannot be read.
    case notFound = 4
    /// The passphrase or credential is wrong, or its role may not do this.
    case wrongKey = 5
    /// Damaged data was found.
    case damaged = 6
    /// Refused because it would not be safe.
    case refused = 7
    /// Interrupted.
    case interrupted = 130
}

/// An error of a command itself: the sentence to print and the status to exit with.
package struct CommandFailure: Error {
    /// What the process ends with.
    package let status: ExitStatus
    /// What is printed.
    package let sentence: String

    init(_ status: ExitStatus, _ sentence: String) {
        self.status = status
        self.sentence = sentence
    }

    /// What any error of the layers below comes to.
    init(_ error: any Error) {
        switch error {
        case let error as CommandFailure: self = error
        case let error as RepositoryError:
            self.init(ExitStatus(rawValue: error.exitStatus) ?? .failed, error.sentence)
        case let error as SourceError:
            self.init(ExitStatus(rawValue: error.exitStatus) ?? .failed, error.sentence)
        case let error as MemoryError:
            self.init(ExitStatus(rawValue: error.exitStatus) ?? .failed, error.sentence)
        case let error as FormatError:
            self.init(CommandFailure(RepositoryError.format(error)).status, error.sentence)
        case let error as FileError:
            // EEXIST and EBUSY: something is in the way that is not ours to remove.
            self.init(error.number == 17 || error.number == 16 ? .refused : .failed, error.sentence)
        case let error as GuestError:
            self.init(error.code == .busy || error.code == .wrongState ? .refused : .failed, error.sentence)
        case let error as StorageError: self.init(.failed, error.sentence)
        case let error as CatalogError:
            self.init(ExitStatus(rawValue: error.exitStatus) ?? .failed, error.description)
        case let error as EncryptionError: self.init(.failed, error.description)
        case is CancellationError: self.init(.interrupted, "interrupted")
        default: self.init(.failed, "\(error)")
        }
    }
}
