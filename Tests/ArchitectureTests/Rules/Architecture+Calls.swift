extension Architecture {
    private static let worldNames: Set<String> = [
        "clock_gettime", "gettimeofday", "time", "getrandom", "getentropy", "arc4random", "arc4random_buf",
        "arc4random_uniform", "rand", "random", "sleep", "usleep", "nanosleep", "clock_nanosleep",
    ]
    private static let worldTypes: Set<String> = ["SystemRandomNumberGenerator", "ContinuousClock", "SuspendingClock"]
    private static let fileNames: Set<String> = ["open", "openat", "fopen", "creat", "unlink", "unlinkat", "rename"]
    private static let shuffles: Set<String> = ["random", "shuffled", "shuffle", "randomElement"]

    /// Calls that belong behind a door: the world, files, deletion, unstructured tasks.
    func calls(_ text: SwiftText) -> [Violation] {
        let target = target(text.path)
        let isEffects = target == "Effects"
        var found: [Violation] = []
        let own = declaredFunctions(of: target)
        let importsSystem = text.tokens.indices.contains {
            text.isWord($0, "import") && (text.isWord($0 + 1, "Glibc") || text.isWord($0 + 1, "Foundation"))
        }
        for index in text.tokens.indices where text.tokens[index].kind == .word {
            func refuse(_ rule: Rule, _ what: String, _ remedy: String) {
                let line = text.tokens[index].line
                found.append(Violation(rule: rule, path: text.path, line: line, sentence: what, remedy: remedy))
            }
            let word = text.tokens[index].text
            if !isEffects, asksTheWorld(text, index, own, importsSystem) {
                refuse(
                    .doorToTheWorld, "\(word) asks the world here",
                    "clock, randomness and sleep come through Effects, so that a test can give them")
            }
            if !isEffects, target != "GuestSource", Architecture.fileNames.contains(word),
                isSystemCall(text, index, own, importsSystem)
            {
                refuse(.doorToFiles, "\(word)( touches files here", "files are opened by Effects and GuestSource alone")
            }
            if deletes(text, index, target) {
                refuse(.deletion, "delete( is spelled here", "only ObjectStorage and the sweep can spell a deletion")
            }
            if target != "dozo", startsTask(text, index) {
                refuse(
                    .unstructuredTask, "\(word) starts work that nobody waits for",
                    "use a task group or async let; only the main file of dozo starts tasks")
            }
        }
        return found
    }

    /// Names of all functions that a target declares itself.
    private func declaredFunctions(of target: String) -> Set<String> {
        var names: Set<String> = []
        for text in swift where self.target(text.path) == target {
            for index in text.tokens.indices where text.isWord(index, "func") {
                if let name = text.token(index + 1) { names.insert(name.text) }
            }
        }
        return names
    }

    /// Whether the word at `index` calls the C library: qualified, or bare where no function of ours can be meant.
    private func isSystemCall(_ text: SwiftText, _ index: Int, _ own: Set<String>, _ importsSystem: Bool) -> Bool {
        guard text.isSymbol(index + 1, "(") else { return false }
        if text.isWord(index - 1, "func") { return false }
        if text.isSymbol(index - 1, ".") {
            return ["Glibc", "Foundation", "Musl"].contains { text.isWord(index - 2, $0) }
        }
        return importsSystem || !own.contains(text.tokens[index].text)
    }

    private func asksTheWorld(_ text: SwiftText, _ index: Int, _ own: Set<String>, _ importsSystem: Bool) -> Bool {
        let word = text.tokens[index].text
        if Architecture.worldTypes.contains(word) { return true }
        if word == "Date" {
            let isEmptyCall = text.isSymbol(index + 1, "(") && text.isSymbol(index + 2, ")")
            return isEmptyCall || text.isSymbol(index + 1, ".") && text.isWord(index + 2, "now")
        }
        if word == "Task" { return text.isSymbol(index + 1, ".") && text.isWord(index + 2, "sleep") }
        if Architecture.shuffles.contains(word), text.isSymbol(index - 1, "."), text.isSymbol(index + 1, "(") {
            // With a generator that somebody passes in it is no draw from the world.
            let arguments = index + 1...text.closing(index + 1)
            if !arguments.contains(where: { text.isWord($0, "using") && text.isSymbol($0 + 1, ":") }) { return true }
        }
        return Architecture.worldNames.contains(word) && isSystemCall(text, index, own, importsSystem)
    }

    /// Whether `delete(` is called or declared by a target that can see a store, outside the store and the sweep.
    private func deletes(_ text: SwiftText, _ index: Int, _ target: String) -> Bool {
        guard text.isWord(index, "delete"), text.isSymbol(index + 1, "("), target != "ObjectStorage" else {
            return false
        }
        let name = text.path.split(separator: "/").last ?? ""
        let isSweep = target == "Repository" && (name.hasPrefix("Sweep") || text.path.contains("/Sweep/"))
        let seesStores = manifest.target(holding: text.path)?.dependencies.contains("ObjectStorage") ?? false
        return seesStores && !isSweep
    }

    private func startsTask(_ text: SwiftText, _ index: Int) -> Bool {
        let word = text.tokens[index].text
        if word == "DispatchQueue" || word == "pthread_create" { return true }
        guard word == "Task" else { return false }
        if text.isSymbol(index - 1, "."), !text.isWord(index - 2, "Swift"), !text.isWord(index - 2, "_Concurrency") {
            return false
        }
        if text.isSymbol(index + 1, ".") {
            return ["detached", "immediate", "immediateDetached", "init"].contains { text.isWord(index + 2, $0) }
        }
        var next = index + 1
        if text.isSymbol(next, "<") {
            var depth = 0
            while let token = text.token(next) {
                if token.isSymbol("<") { depth += 1 }
                if token.isSymbol(">") { depth -= 1 }
                next += 1
                if depth == 0 { break }
            }
        }
        return text.isSymbol(next, "{") || text.isSymbol(next, "(")
    }

    /// `try!`, `as!` and the bare `!` behind a value or a type.
    func force(_ text: SwiftText) -> [Violation] {
        var found: [Violation] = []
        for index in text.tokens.indices where text.isSymbol(index, "!") && !text.tokens[index].spaceBefore {
            guard let before = text.token(index - 1) else { continue }
            let isEnd = before.kind != .symbol || [")", "]", "}", "?", ">"].contains(before.text)
            // `a!=b`: an operator, however it is set.
            let isOperator = text.isSymbol(index + 1, "=") && !text.tokens[index + 1].spaceBefore
            guard isEnd, !isOperator, !isDirective(text, index) else { continue }
            let rule: Rule = before.isWord("try") ? .forcedTry : before.isWord("as") ? .forcedCast : .forcedUnwrap
            found.append(
                Violation(
                    rule: rule, path: text.path, line: text.tokens[index].line,
                    sentence: "\(before.kind == .word ? before.text : "…")! traps without a sentence",
                    remedy: "throw, return nil, or write a precondition that says what was impossible"))
        }
        return found
    }

    private func isDirective(_ text: SwiftText, _ index: Int) -> Bool {
        ["if", "elseif"].contains { text.isWord(index - 1, $0) } && text.isSymbol(index - 2, "#")
    }
}
