// Reads disk images of any container format as plain disks.
//
// What is guaranteed: a source's size is fixed when it is opened; every read gives exactly the bytes asked for or
// throws; an extent called a hole reads as zeros; `confirmUnchanged` throws when a file of the chain is seen to have
// changed. No byte inside an image chooses what else is opened: the format comes from the operator, a record, or a
// name and content that agree, and every other file an image names is checked before QEMU is given the whole graph,
// spelled out.
//
// What may run at the same time: `extents` and `read` from any number of tasks. `confirmUnchanged` and `close` come
// last.
package import BackupModel

/// A stretch of an image whose bytes are either known to be zero or must be read.
package struct SourceExtent: Hashable, Sendable {
    /// What is known of the bytes before they are read.
    package enum Kind: Sendable {
        /// Must be read; may still hold zeros.
        case data
        /// Reads as zeros; known without reading.
        case hole
    }
    /// Where it lies, in bytes of the image.
    package let extent: Extent
    /// Whether its bytes are known to be zero.
    package let kind: Kind

    /// A stretch of one kind.
    package init(extent: Extent, kind: Kind) {
        self.extent = extent
        self.kind = kind
    }
}

/// What was opened, for records and for people.
package struct ImageSummary: Sendable {
    /// One file the image consists of or stands on.
    package struct Link: Hashable, Sendable {
        /// Absolute, symbolic links resolved.
        package let path: String
        /// The container this file is kept in.
        package let format: ImageFormat
    }

    /// The container of the image itself; record it, so that the next run need not look at the content.
    package let format: ImageFormat
    /// Why that format was believed.
    package let formatOrigin: FormatOrigin
    /// As given by the caller.
    package let path: String
    /// Absolute, symbolic links resolved; differs from `path` when the name was a link.
    package let resolvedPath: String
    /// A block device rather than a file: it has no times to compare, so a change during the read goes unseen.
    package let isBlockDevice: Bool
    /// Bytes all files of the chain take on their file systems; `nil` for block devices and members of archives.
    package let allocatedBytes: UInt64?
    /// The image itself first, then what it stands on; extent files of a VMDK follow the image they belong to.
    package let chain: [Link]
    /// False when the format or the file system cannot tell holes from data: everything is then read.
    package let hasAllocationMap: Bool
    /// Sentences an operator should see once: a followed link, a rounded size.
    package let notes: [String]

    /// A summary from its fields.
    package init(
        format: ImageFormat, formatOrigin: FormatOrigin, path: String, resolvedPath: String, isBlockDevice: Bool,
        allocatedBytes: UInt64?, chain: [Link], hasAllocationMap: Bool, notes: [String]
    ) {
        self.format = format
        self.formatOrigin = formatOrigin
        self.path = path
        self.resolvedPath = resolvedPath
        self.isBlockDevice = isBlockDevice
        self.allocatedBytes = allocatedBytes
        self.chain = chain
        self.hasAllocationMap = hasAllocationMap
        self.notes = notes
    }

    /// Last component of `path`.
    package var fileName: String { path.split(separator: "/").last.map(String.init) ?? path }
}

/// One disk image being read.
///
/// Made for a pipeline of several workers, each with its own reused buffer of a region (16 MiB): a read fills the
/// caller's memory directly, from the page cache or the socket, without an array or a zero fill in between. Reads
/// block the calling thread, as files do; they run on the caller's executor and never hop. A buffer is used only
/// during the call.
package protocol ImageSource: AnyObject, Sendable {
    /// Exact size of the disk in bytes: any value, including 0, 1 and odd ones.
    var byteCount: UInt64 { get }
    /// What was opened; fixed from then on.
    var summary: ImageSummary { get }

    /// Ascending, adjoining extents that cover `range` exactly; neighbours differ in kind. Empty for an empty range.
    ///
    /// Costs one step per change between data and hole, so ask for large windows (1 GiB and more), not for each region.
    /// - Throws: `outOfRange` when `range` leaves the image; `readFailed`, `serverFailed`.
    func extents(in range: Extent) async throws(SourceError) -> [SourceExtent]

    /// Fills the whole of `buffer` with the bytes from `offset` on, in bytes. May be called from several tasks at once.
    ///
    /// - Throws: `outOfRange` when fewer bytes exist; `shrank` when they no longer do; `readFailed`, `serverFailed`.
    ///   What the buffer holds is then undefined.
    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) async throws(SourceError)

    /// Called after the last read: throws `changed`, `shrank` or `inUse` when what was read cannot be trusted.
    ///
    /// Regular files are compared by device, inode, size, modification and status-change time, each file of the chain.
    /// The limits: of a block device only the size is compared; a program that writes through a memory map it had
    /// already dirtied moves the time only at write-back; a network file system may show old times. A live guest needs
    /// a snapshot.
    func confirmUnchanged() async throws(SourceError)

    /// Gives everything back and stops the server, if there is one. Later reads throw `closed`. May be called twice.
    func close() async
}
