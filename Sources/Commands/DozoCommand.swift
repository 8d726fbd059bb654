import ArgumentParser

/// `dozo`: the command line.
struct DozoCommand: AsyncParsableCommand {
    /// The program's version.
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "dozo", abstract: "Backup and disaster recovery for virtual machines.",
        discussion: """
            Example:
              dozo init -r /backup/dozo
              dozo backup -r /backup/dozo --guest web01 /images/web01.qcow2
              dozo points -r /backup/dozo
              dozo restore -r /backup/dozo web01@latest --to-directory /images/restored

            Exit status: 0 done; 1 failed; 2 wrong usage; 3 done in part; 4 no repository; 5 wrong key; 6 damaged \
            data; 7 refused for safety; 130 interrupted.
            """,
        version: version,
        subcommands: [
            InitCommand.self, BackupCommand.self, PointsCommand.self, RestoreCommand.self, ShowCommand.self,
            DiffCommand.self,
            VerifyCommand.self, ForgetCommand.self, HoldCommand.self, LockCommand.self, UnlockCommand.self,
            ApproveCommand.self, PruneCommand.self,
            SweepCommand.self,
            KeyCommand.self,
            GuestsCommand.self, DoctorCommand.self, CatalogCommand.self, AgentCommand.self, StatusCommand.self,
            RunCommand.self, SkipCommand.self, PauseCommand.self, ReportCommand.self, HoldStillCommand.self,
        ])
}
