package import GuestSource
package import RepositoryFormat

/// One of the images that a stream of a guest's memory is stored as.
package struct MemoryPart: Sendable {
    /// What it is called in the point.
    package let name: String
    /// `memory` or `memory-skeleton`.
    package let kind: String
    /// The format of the stream.
    package let format: String
    /// Its bytes; closed by whoever opened it.
    package let source: any ImageSource

    /// Whether it consists of the pages of a guest.
    let isPaged: Bool

    /// The pages of a guest, or the stream itself.
    ///
    /// - Parameter isPaged: whether they are pages; else nothing is looked for among those of its disks.
    package static func memory(_ source: any ImageSource, format: String, isPaged: Bool) -> MemoryPart {
        let kind = RestorePointRecord.Image.memoryKind
        return MemoryPart(name: kind, kind: kind, format: format, source: source, isPaged: isPaged)
    }

    /// What puts the pages together to the stream again.
    package static func skeleton(_ source: any ImageSource, format: String) -> MemoryPart {
        let kind = RestorePointRecord.Image.skeletonKind
        return MemoryPart(name: kind, kind: kind, format: format, source: source, isPaged: false)
    }
}

extension BackupDisk {
    /// Whether its bytes come when they please: nobody can say when a region of it is complete.
    package var isInput: Bool {
        if case .standardInput = self { true } else { false }
    }

    /// Whether its pages are noted, so that those of the guest's memory are found among them.
    var isLogged: Bool {
        switch self {
        case .image, .standardInput: true
        case .definition, .memory: false
        }
    }

    /// How it is cut, where `usual` is how disks are: memory finer, because its pages lie in no order that lasts, and
    /// each zero page is a hole of its own (docs/design/0006).
    func parameters(_ usual: ImageParameters) -> ImageParameters {
        guard case .memory = self else { return usual }
        return .memory(usual)
    }
}

extension ImageParameters {
    /// The sizes for memory where `usual` are those for disks.
    package static func memory(_ usual: ImageParameters) -> ImageParameters {
        var parameters = usual
        parameters.minimum = min(usual.minimum, 4 << 10)
        parameters.maximum = min(usual.maximum, 64 << 10)
        parameters.zeroRunMinimum = min(usual.zeroRunMinimum, 4 << 10)
        // A chunk ends behind each fourth page, on average.
        parameters.threshold = max(usual.threshold, UInt64.max / 4)
        return parameters
    }
}
