package import Repository

/// A map that the repository itself holds, for whoever may read structure. An agent without the structure key keeps its
/// own map instead.
extension ImageMap: EarlierMap {}
