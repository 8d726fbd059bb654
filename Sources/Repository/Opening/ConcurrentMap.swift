extension RandomAccessCollection where Self: Sendable, Element: Sendable, Index == Int {
    /// The results of a task for each element, in the order of the elements; so many run at once.
    ///
    /// - Throws: the first error that a task throws; the others are cancelled.
    func concurrentMap<Result: Sendable>(
        width: Int, _ transform: @escaping @Sendable (Element) async throws -> Result
    ) async throws -> [Result] {
        guard count > 1 else {
            var results: [Result] = []
            for element in self { results.append(try await transform(element)) }
            return results
        }
        return try await withThrowingTaskGroup(of: (Int, Result).self) { group in
            var results = [Result?](repeating: nil, count: count)
            var next = 0
            while next < Swift.min(width, count) {
                let number = next
                let element = self[startIndex + number]
                group.addTask { (number, try await transform(element)) }
                next += 1
            }
            while let (number, result) = try await group.next() {
                results[number] = result
                guard next < count else { continue }
                let following = next
                let element = self[startIndex + following]
                group.addTask { (following, try await transform(element)) }
                next += 1
            }
            return results.compactMap(\.self)
        }
    }
}
