import BackupModel

/// A disk drawn as a strip, its first byte at the top left: how much of each part changed.
struct DiskStrip {
    /// Cells of the picture.
    static let cellCount = 1024

    private let byteCount: UInt64
    /// Changed bytes of each cell.
    private(set) var changed: [UInt64]
    private let cellByteCount: UInt64

    /// - Parameters:
    ///   - byteCount: size of the disk.
    ///   - cellCount: parts it is drawn in; fewer when it has fewer bytes.
    init(byteCount: UInt64, cellCount: Int = cellCount) {
        self.byteCount = byteCount
        let count = max(1, min(UInt64(cellCount), byteCount))
        cellByteCount = max(1, (byteCount + count - 1) / count)
        changed = [UInt64](repeating: 0, count: Int(max(1, (byteCount + cellByteCount - 1) / cellByteCount)))
    }

    /// Adds a stretch that changed.
    mutating func add(_ extent: Extent) {
        var position = extent.start
        while position < extent.end {
            let cell = Int(position / cellByteCount)
            let end = min(extent.end, UInt64(cell + 1) * cellByteCount)
            if cell < changed.count { changed[cell] += end - position }
            position = end
        }
    }

    private func share(_ cell: Int) -> Double {
        let length = min(cellByteCount, byteCount - min(byteCount, UInt64(cell) * cellByteCount))
        return length == 0 ? 0 : Double(changed[cell]) / Double(length)
    }

    /// A line of blocks for a terminal: the fuller, the more changed; a dot where nothing did.
    var line: String {
        changed.indices.map { cell in
            let share = share(cell)
            if share == 0 { return "·" }
            let blocks = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"]
            return blocks[min(7, Int(share * 8))]
        }.joined()
    }

    /// A picture as SVG: rows of cells from left to right, then down; darker is more changed.
    ///
    /// - Parameter title: printed above; any text.
    func svg(title: String) -> String {
        let columns = 64
        let side = 12
        let rows = (changed.count + columns - 1) / columns
        let (width, height) = (columns * side + 20, rows * side + 74)
        var lines = [
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"\(width)\" height=\"\(height)\" "
                + "viewBox=\"0 0 \(width) \(height)\" font-family=\"sans-serif\">",
            "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>",
            "<text x=\"10\" y=\"22\" font-size=\"15\">\(DiskStrip.escaped(title))</text>",
        ]
        for cell in changed.indices {
            let (x, y) = (10 + cell % columns * side, 34 + cell / columns * side)
            let start = UInt64(cell) * cellByteCount
            let tip =
                "\(Console.size(changed[cell])) changed of \(Console.size(min(cellByteCount, byteCount - start))) at "
                + Console.size(start)
            lines.append(
                "<rect x=\"\(x)\" y=\"\(y)\" width=\"\(side - 1)\" height=\"\(side - 1)\" fill=\"\(colour(cell))\">"
                    + "<title>\(tip)</title></rect>")
        }
        let legend = "one cell is \(Console.size(cellByteCount)); grey: unchanged, red: the darker the more changed"
        lines.append("<text x=\"10\" y=\"\(height - 14)\" font-size=\"12\">\(legend)</text>")
        return lines.joined(separator: "\n") + "\n</svg>\n"
    }

    private func colour(_ cell: Int) -> String {
        let share = share(cell)
        guard share > 0 else { return "#e6e6e6" }
        // From a light to a dark red; the lightest is still told from grey.
        let part = UInt8(200 - Int(160 * min(1, share)))
        return "#" + [UInt8(232 - Int(80 * min(1, share))), part, part].hexadecimal
    }

    private static func escaped(_ text: String) -> String {
        var result = ""
        for character in Console.printable(text) {
            switch character {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            default: result.append(character)
            }
        }
        return result
    }
}
