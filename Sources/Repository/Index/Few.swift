/// Values of which there is mostly one: the first lies inline, and only more are allocated.
package struct Few<Element>: Sequence {
    private var one: Element?
    private var others: [Element] = []

    init() {}

    /// How many there are.
    package var count: Int { one == nil ? 0 : 1 + others.count }
    /// Whether there are none.
    package var isEmpty: Bool { one == nil }

    mutating func append(_ value: Element) {
        if one == nil { one = value } else { others.append(value) }
    }

    package func makeIterator() -> Iterator { Iterator(next: one, others: others) }

    /// Goes through the values in the order they were added.
    package struct Iterator: IteratorProtocol {
        private var upcoming: Element?
        private let others: [Element]
        private var position = 0

        fileprivate init(next: Element?, others: [Element]) {
            upcoming = next
            self.others = others
        }

        package mutating func next() -> Element? {
            let value = upcoming
            upcoming = position < others.count ? others[position] : nil
            position += 1
            return value
        }
    }
}

extension Few: Sendable where Element: Sendable {}
