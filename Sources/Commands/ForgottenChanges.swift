import Effects
import Hypervisors
import Repository
import RepositoryFormat

/// `dozo guests --forget-changes`: takes lists of changes away from guests.
struct ForgottenChanges {
    private let command: GuestsCommand
    private var options: RepositoryOptions { command.options }

    private struct Document: Encodable {
        let guest: String
        let name: String
        let disks: [String]
        let taken_away: Bool
    }

    init(_ command: GuestsCommand) { self.command = command }

    func run() async throws {
        // Before any guest is asked: whose lists they are has to be certain.
        let repository =
            command.allRepositories ? nil : "\(try await options.open().chain.repository)"
        var documents: [Document] = []
        var failures = 0
        for (label, address) in addresses {
            do throws(GuestError) {
                failures += try await forget(at: address, label, repository, &documents)
            } catch {
                failures += 1
                Console.note("error: \(Console.printable(error.sentence))")
            }
        }
        if options.json {
            try Console.json(documents)
        } else if documents.isEmpty, failures == 0 {
            options.note("there are no such lists of changes")
        }
        guard failures == 0 else {
            throw CommandFailure(.partial, "\(Console.count(failures, "thing")) could not be done; see above")
        }
    }

    private var addresses: [(String, GuestAddress)] {
        command.domain.map { ($0, .libvirt(uri: command.connect ?? LibvirtHost.systemURI, domain: $0)) }
            + command.qmp.map { ($0, .monitor(socket: HostPaths.absolute($0), agent: nil)) }
    }

    /// Takes the lists of one guest away. - Returns: how many could not be.
    private func forget(
        at address: GuestAddress, _ label: String, _ repository: String?, _ documents: inout [Document]
    ) async throws(GuestError) -> Int {
        var failures = 0
        do {
            let guest = try await address.open()
            for list in try await guest.changeLists() where repository.map(list.isOf) ?? true {
                let problems = command.dryRun ? [] : try await guest.forget(list)
                for problem in problems { Console.note("error: \(Console.printable(problem))") }
                failures += problems.isEmpty ? 0 : 1
                let isTaken = !command.dryRun && problems.isEmpty
                documents.append(Document(guest: label, name: list.name, disks: list.disks, taken_away: isTaken))
                guard !options.json, problems.isEmpty else { continue }
                let what = command.dryRun ? "would be taken away" : "taken away"
                Console.result(
                    "\(Console.printable(label)): \(Console.printable(list.name)) of "
                        + "\(Console.printable(list.disks.joined(separator: ", "))) \(what)")
            }
        } catch let error as GuestError { throw error } catch {
            throw GuestError(.refused, CommandFailure(error).sentence)
        }
        return failures
    }
}
