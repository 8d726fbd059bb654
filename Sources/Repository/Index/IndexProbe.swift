import BackupModel
import Effects
import RepositoryFormat

/// The filters of all parts of an index side by side: which of them an id may stand in, with nothing counted, locked or
/// allocated on the way. Immutable; made anew when a part or a filter comes.
///
/// An id is asked for in every group, so at 100 million chunks a look-up asks a dozen filters that lie far apart in
/// memory: their lines are all asked for first, so that the processor fetches them together.
// Safety: the slots are this object's own from the initialiser on, written there alone and freed once; the mapped files
// that they point into live as long as this object, which holds them.
@safe final class IndexProbe: @unchecked Sendable {
    /// What is asked, the largest first. Kept here, so that a look-up holds one reference and not two.
    let groups: [IndexGroup]

    /// A part that may hold an id, by its group's number and its own in the group.
    struct Candidate {
        let group: Int
        let part: Int
    }

    /// Where a search goes on.
    struct Position {
        fileprivate var group = 0
        /// Number of the next part among those of all groups.
        fileprivate var slot = 0
    }

    /// The filter of a part; `nil` without one.
    @unsafe private struct Slot {
        let filter: UnsafeRawPointer?
        let lineCount: UInt64
    }

    /// The leading word of each part's first id.
    private let firstWords: UnsafeMutableBufferPointer<UInt64>
    private let slots: UnsafeMutableBufferPointer<Slot>
    /// Number of each group's first part, and of all parts at the end.
    private let starts: UnsafeMutableBufferPointer<Int>
    private let filters: [IndexFilter]

    init(_ groups: [IndexGroup]) {
        self.groups = groups
        let parts = groups.flatMap(\.parts)
        let filters = parts.map(\.filter)
        self.filters = filters.compactMap(\.self)
        // Safety: each is as long as what is put into it below, once for each place.
        unsafe firstWords = .allocate(capacity: parts.count)
        unsafe slots = .allocate(capacity: parts.count)
        unsafe starts = .allocate(capacity: groups.count + 1)
        for (number, part) in parts.enumerated() {
            let filter = filters[number]
            unsafe firstWords.initializeElement(at: number, to: part.blocks.prefixes.first ?? 0)
            unsafe slots.initializeElement(
                at: number, to: Slot(filter: filter?.start, lineCount: filter?.lineCount ?? 0))
        }
        var start = 0
        for (number, group) in groups.enumerated() {
            unsafe starts.initializeElement(at: number, to: start)
            start += group.parts.count
        }
        unsafe starts.initializeElement(at: groups.count, to: start)
    }

    deinit {
        // Safety: allocated by the initialiser, and they hold nothing that needs more than their memory.
        unsafe firstWords.deallocate()
        unsafe slots.deallocate()
        unsafe starts.deallocate()
    }

    /// The parts of a group in which an id can stand: mostly one.
    private func candidates(_ word: UInt64, _ group: Int) -> Range<Int> {
        let start = unsafe starts[group]
        let end = unsafe starts[group + 1]
        guard end - start > 1 else { return start..<end }
        // Safety: the group's parts lie in the buffer.
        let words = unsafe UnsafeBufferPointer(rebasing: firstWords[start..<end])
        let found = unsafe words.pieces(thatMayHold: word)
        return start + found.lowerBound..<start + found.upperBound
    }

    /// Says that ``next(_:from:)`` is asked for an id soon.
    func expect(_ identifier: Hash256) {
        let word = identifier.leadingWord
        for group in 0..<(unsafe starts.count - 1) {
            for number in candidates(word, group) {
                // Safety: the number is one of a slot, and its filter lives as long as this object.
                let slot = unsafe slots[number]
                if let filter = unsafe slot.filter {
                    unsafe IndexFilter.expect(identifier, filter, lineCount: slot.lineCount)
                }
            }
        }
    }

    /// The next part whose filter lets an id through; `nil` is certain as long as no filter is damaged.
    func next(_ identifier: Hash256, from position: inout Position) -> Candidate? {
        let word = identifier.leadingWord
        while unsafe position.group < starts.count - 1 {
            let candidates = candidates(word, position.group)
            var number = max(position.slot, candidates.lowerBound)
            while number < candidates.upperBound {
                // Safety: as in ``expect(_:)``.
                let slot = unsafe slots[number]
                let mayHold =
                    if let filter = unsafe slot.filter {
                        unsafe IndexFilter.mayContain(identifier, filter, lineCount: slot.lineCount)
                    } else { true }
                number += 1
                if mayHold {
                    position.slot = number
                    return unsafe Candidate(group: position.group, part: number - 1 - starts[position.group])
                }
            }
            position.group += 1
        }
        return nil
    }
}
