import BackupModel
import GuestSource
import Testing

/// Reads like the pipeline does: extents first, data in regions by several tasks, holes left zero.
enum Reading {
    static func whole(_ source: any ImageSource, region: Int = 192 * 1024 + 7) async throws -> [UInt8] {
        let size = Int(source.byteCount)
        let extents = try await source.extents(in: Extent(start: 0, length: source.byteCount))
        try checkCover(extents, Extent(start: 0, length: source.byteCount))
        var pieces: [Range<Int>] = []
        for extent in extents where extent.kind == .data {
            var start = Int(extent.extent.start)
            while start < Int(extent.extent.end) {
                let end = min(start + region, Int(extent.extent.end))
                pieces.append(start..<end)
                start = end
            }
        }
        var bytes = [UInt8](repeating: 0, count: size)
        try await withThrowingTaskGroup(of: (Int, [UInt8]).self) { group in
            for worker in 0..<3 {
                let mine = pieces.enumerated().filter { $0.offset % 3 == worker }.map(\.element)
                group.addTask {
                    var all: [UInt8] = []
                    for piece in mine {
                        all += try await part(source, at: UInt64(piece.lowerBound), count: piece.count)
                    }
                    return (worker, all)
                }
            }
            for try await (worker, all) in group {
                var position = 0
                for (index, piece) in pieces.enumerated() where index % 3 == worker {
                    bytes.replaceSubrange(piece, with: all[position..<(position + piece.count)])
                    position += piece.count
                }
            }
        }
        return bytes
    }

    static func part(_ source: any ImageSource, at offset: UInt64, count: Int) async throws -> [UInt8] {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 4096)
        defer { unsafe buffer.deallocate() }
        // Filled with something, so that an untouched byte shows.
        unsafe buffer.initializeMemory(as: UInt8.self, repeating: 0xa5)
        try await unsafe source.read(at: offset, into: buffer)
        return unsafe Array(buffer)
    }

    static func checkCover(_ extents: [SourceExtent], _ range: Extent) throws {
        var position = range.start
        var last: SourceExtent.Kind?
        for extent in extents {
            try #require(extent.extent.start == position && extent.extent.length > 0 && extent.kind != last)
            position = extent.extent.end
            last = extent.kind
        }
        try #require(position == range.end)
    }

    /// The code of the error that `work` throws; `nil` when it throws none.
    static func code(_ work: () async throws -> Void) async throws -> SourceError.Code? {
        do {
            try await work()
            return nil
        } catch let error as SourceError {
            #expect(!error.sentence.isEmpty)
            return error.code
        }
    }
}
