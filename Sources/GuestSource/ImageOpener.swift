package import Effects

/// How an image is read.
package struct OpenOptions: Sendable {
    /// Reads that may be under way at once on an image served by QEMU, 1 to 16; further ones wait. Use the number of
    /// workers.
    package var connections: Int
    /// What reading does to the host's page cache; block devices are always left to the kernel.
    package var cacheUse: CacheUse
    /// Read what a virtual machine writes or what is mounted. What changes while it is read is refused all the same, as
    /// far as it can be noticed: of a device it cannot.
    package var ignoresUse: Bool

    /// - Precondition: `connections` is 1 to 16. The defaults suit two workers beside running guests.
    package init(connections: Int = 2, cacheUse: CacheUse = .leaveAsFound, ignoresUse: Bool = false) {
        precondition((1...16).contains(connections), "an image is read over 1 to 16 connections")
        self.ignoresUse = ignoresUse
        self.connections = connections
        self.cacheUse = cacheUse
    }
}

/// Opens disk images of any format this program reads.
package enum ImageOpener {
    /// Opens a raw disk that was put into a file without a name; it reads as nothing once that is emptied.
    ///
    /// - Parameter name: what it is a view of, for messages.
    /// - Throws: `readFailed`.
    package static func open(
        view file: borrowing PassedDescriptor, name: String
    ) throws(SourceError) -> any ImageSource {
        let opened = try HostFile(of: file, name: name)
        let summary = ImageSummary(
            format: .raw, formatOrigin: .stated, path: name, resolvedPath: name, isBlockDevice: false,
            allocatedBytes: opened.allocated, chain: [], hasAllocationMap: opened.tellsHoles, notes: [])
        return RawImageSource(ImagePart(opened), summary: summary, cacheUse: .leaveAsFound)
    }

    /// Opens the image `path`: a file, a block device, or a member of an appliance (see ``Appliance``).
    ///
    /// - Parameter format: what the operator states; wins over everything else and is believed.
    /// - Parameter allowBacking: which other files the image may stand on.
    /// - Parameter recordedFormat: what an earlier run recorded for this disk (`summary.format`); believed, never
    ///   probed again, so that a guest that writes a forged header later changes nothing.
    /// - Throws: `notFound`, `notReadable`, `notAnImage`; `ambiguousFormat` and `wrongFormat` (state a format);
    ///   `unsupported`, `damagedHeader`; `referenceRefused`; `inUse`; `serverMissing`, `serverFailed` (QEMU's own
    ///   words).
    package static func open(
        path: String, format: ImageFormat? = nil, allowBacking: BackingPolicy = .ownFolder,
        recordedFormat: ImageFormat? = nil, options: OpenOptions = OpenOptions()
    ) async throws(SourceError) -> any ImageSource {
        let inside = Appliance.split(path)
        let file = try HostFile(opening: inside?.archive ?? path, use: options.ignoresUse ? .ignored : .held)
        let part: ImagePart
        if let inside { part = try Appliance.part(inside.member, of: file) } else { part = ImagePart(file) }
        let bytes = HeaderBytes(part)
        let decided = try ContentLook.decide(
            name: path, isBlockDevice: file.isBlockDevice, stated: format, recorded: recordedFormat, bytes)
        let chain = try ImageChain(part, format: decided.format, policy: allowBacking)
        var notes: [String] = []
        if file.path != file.name { notes.append("\(path) is a link, or lies behind one, to \(part.path)") }
        func summary(hasMap: Bool, _ more: [String] = []) -> ImageSummary {
            let sizes = chain.files.map(\.allocated)
            let isUnknown = part.isMember || sizes.contains(nil)
            return ImageSummary(
                format: decided.format, formatOrigin: decided.origin, path: path, resolvedPath: part.path,
                isBlockDevice: file.isBlockDevice,
                allocatedBytes: isUnknown ? nil : sizes.compactMap(\.self).reduce(0, +),
                chain: chain.links, hasAllocationMap: hasMap, notes: notes + more)
        }
        if decided.format == .raw {
            return RawImageSource(part, summary: summary(hasMap: file.tellsHoles), cacheUse: options.cacheUse)
        }
        let server = try NBDServer(chain, connections: options.connections)
        var more: [String] = []
        if let size = chain.levels.first?.header.size, size != server.byteCount {
            more.append(
                "\(path): its header says \(size) bytes, QEMU reads \(server.byteCount): whole cylinders or sectors"
            )
        }
        // QEMU answers "all data" for VHDX.
        let hasMap = server.hasAllocationMap && decided.format != .vhdx
        return ServedImageSource(chain, server, summary: summary(hasMap: hasMap, more))
    }
}
