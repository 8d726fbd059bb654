import BackupModel
import RepositoryFormat

extension ChunkIndex {
    /// Builds the filters that this host lacks, beside other work, and removes those of runs that are merged by now.
    ///
    /// Reads each run once in its life on this host: 4 GB for 100 million entries. Ends early when its task is
    /// cancelled, and leaves out what cannot be read: look-ups go without a filter as well.
    package func buildFilters(_ folder: IndexFilterFolder?) async {
        guard let folder else { return }
        let groups = self.groups
        folder.removeOthers(than: Set(groups.flatMap(\.runs)))
        for group in groups {
            for part in group.parts
            where part.filter == nil && part.blocks.entryCount >= IndexFilterFolder.smallestEntryCount {
                guard !Task.isCancelled, let filter = await filter(of: part, in: group, folder) else { return }
                part.filter = filter
                takeFilters()
            }
        }
    }

    /// `nil` when the run cannot be read, or the filter not be kept.
    private func filter(of part: IndexPart, in group: IndexGroup, _ folder: IndexFilterFolder) async -> IndexFilter? {
        var builder = IndexFilter.Builder(run: part.key.hash, entryCount: part.blocks.entryCount)
        var block = 0
        while block < part.blocks.count {
            let range = block..<min(block + IndexMerge.blocksPerRead, part.blocks.count)
            guard !Task.isCancelled,
                let entries = try? await part.entries(ofBlocks: range, access, packCount: group.packs.count)
            else { return nil }
            for entry in entries { builder.add(entry.identifier) }
            block = range.upperBound
        }
        return folder.keep(builder.bytes, of: part.key.hash)
    }
}
