package import BackupModel
package import RepositoryFormat

/// Is told the maps that a run makes, for whoever keeps them on the host. Called by the task that runs the backup.
package protocol MapRecorder: AnyObject {
    /// Whether it wants the leaves; else they are not collected for it.
    var keepsMaps: Bool { get }

    /// A leaf that was cut anew; its bytes as the repository has them.
    func took(leaf identifier: Hash256, bytes: [UInt8], disk: String)

    /// A region is given out to be read, all of it or what changed.
    func begins(_ region: Extent, disk: String)

    /// What a disk was is of no use: it is read anew, whole.
    func gaveUp(disk: String, isLie: Bool)

    /// A disk is complete as far as its first leaves go, and what was read is still vouched for; `nil` for holes. The
    /// root has the disk's size and how it was cut, and no map.
    func reached(disk: String, root: [UInt8], leaves: [Hash256?])

    /// Whether what was reached should be kept now, should the run be killed.
    var isProgressDue: Bool { get }

    /// Keeps what was reached of all disks.
    func keepProgress()

    /// A disk is complete: the ids of all its leaves in order, `nil` for holes, those too that are as they were.
    func finished(disk: String, root: [UInt8], leaves: [Hash256?], isWholeRead: Bool, liedAbout: Bool)

    /// The point is true.
    func committed(_ point: PointID, by entry: SessionHead)
}

/// What is not believed of a list of changes without a look.
package struct ChangeSampling: Hashable, Sendable {
    /// Of a thousand regions that a list calls unchanged, so many are read and compared.
    package var perMille: Int
    /// Chooses which; another each time, so that in the end all come to be looked at.
    package var seed: UInt64

    /// - Parameter perMille: 0 … 1,000.
    package init(perMille: Int, seed: UInt64) {
        precondition((0...1000).contains(perMille), "a share in thousandths")
        self.perMille = perMille
        self.seed = seed
    }

    /// Whether a region is looked at: by a mix of its number and the seed (splitmix64, Steele, Lea and Flood, 2014).
    func takes(region number: Int) -> Bool {
        var word = seed &+ UInt64(bitPattern: Int64(number)) &* 0x9e37_79b9_7f4a_7c15
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        word ^= word >> 31
        return word % 1000 < UInt64(perMille)
    }
}

/// An earlier map, or the list of changes since, is no good; the disk is read whole, and nothing is lost.
package struct EarlierImageUnusable: Error, Hashable, Sendable {
    /// In words, for the operator.
    package let reason: String
    /// Whether the list of changes was caught lying, which somebody should look into.
    package let isLie: Bool

    /// A reason.
    package init(_ reason: String, isLie: Bool) {
        self.reason = reason
        self.isLie = isLie
    }
}
