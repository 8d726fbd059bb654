// swift-tools-version:6.2
import PackageDescription

/// One set of rules for every Swift target of ours; a warning is an error.
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .strictMemorySafety(),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

/// The modules that touch every byte are optimised in debug builds too, so that one build serves tests and benchmarks.
let hot: [SwiftSetting] = strict + [.unsafeFlags(["-O"], .when(configuration: .debug))]

let package = Package(
    name: "dozo",
    products: [.executable(name: "dozo", targets: ["dozo"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser.git", exact: "1.8.2"),
        .package(url: "https://github.com/groue/GRDB.swift.git", exact: "7.10.0"),
        .package(url: "https://github.com/jpsim/Yams.git", exact: "6.2.2"),
    ],
    targets: [
        // C libraries, each used by exactly one module.
        .systemLibrary(name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        .target(name: "CLinux"),
        .systemLibrary(name: "CChecksum"),
        .systemLibrary(name: "CNBD", pkgConfig: "libnbd", providers: [.apt(["libnbd-dev"])]),

        // In the order data flows; each may use rows above it that it names.
        .target(name: "BackupModel", swiftSettings: hot),
        .target(name: "Effects", dependencies: ["CLinux"], swiftSettings: hot),
        .target(name: "GuestSource", dependencies: ["BackupModel", "Effects", "CNBD"], swiftSettings: strict),
        .target(
            name: "Hypervisors", dependencies: ["BackupModel", "Effects", "GuestSource"], swiftSettings: strict),
        .target(name: "GuestMemory", dependencies: ["BackupModel", "GuestSource"], swiftSettings: hot),
        .target(name: "Chunking", dependencies: ["BackupModel"], swiftSettings: hot),
        .target(name: "ChunkCompression", dependencies: ["CZstd"], swiftSettings: hot),
        .target(name: "ChunkEncryption", dependencies: ["BackupModel", "COpenSSL"], swiftSettings: hot),
        .target(
            name: "RepositoryFormat", dependencies: ["BackupModel", "Effects", "ChunkEncryption", "CChecksum"],
            swiftSettings: hot),
        .target(
            name: "ObjectStorage", dependencies: ["BackupModel", "Effects", "RepositoryFormat"], swiftSettings: hot),
        .target(
            name: "Repository",
            dependencies: [
                "BackupModel", "Effects", "ChunkCompression", "ChunkEncryption", "RepositoryFormat", "ObjectStorage",
            ], swiftSettings: hot),
        .target(
            name: "CatalogSchema", path: "catalog", exclude: ["README.md", "erd.md", "queries", "schema.sql"],
            resources: [.embedInCode("migrations")], swiftSettings: strict),
        .target(
            name: "Catalog",
            dependencies: [
                "BackupModel", "Effects", "ChunkEncryption", "RepositoryFormat", "Repository", "CatalogSchema",
                .product(name: "GRDB", package: "GRDB.swift"),
            ], swiftSettings: strict),
        .target(
            name: "Capture",
            dependencies: [
                "BackupModel", "Effects", "GuestSource", "Chunking", "ChunkCompression", "ChunkEncryption",
                "RepositoryFormat", "Repository",
            ], swiftSettings: hot),
        .target(
            name: "MapCache",
            dependencies: [
                "BackupModel", "Effects", "ChunkEncryption", "RepositoryFormat", "Capture",
                .product(name: "GRDB", package: "GRDB.swift"),
            ], swiftSettings: hot),
        .target(
            name: "Recovery",
            dependencies: [
                "BackupModel", "Effects", "GuestSource", "GuestMemory", "RepositoryFormat", "Repository",
            ],
            swiftSettings: hot),
        .target(name: "Notices", dependencies: ["BackupModel", "Effects", "GuestSource"], swiftSettings: hot),
        .target(
            name: "Jobs", dependencies: ["BackupModel", "Effects", "Notices", .product(name: "Yams", package: "Yams")],
            swiftSettings: strict),
        .target(
            name: "Commands",
            dependencies: [
                "BackupModel", "Effects", "GuestSource", "GuestMemory", "ChunkEncryption", "RepositoryFormat",
                "ObjectStorage", "Hypervisors", "MapCache", "Repository", "Capture", "Recovery", "Catalog",
                "Notices", "Jobs", .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], swiftSettings: strict),
        .executableTarget(name: "dozo", dependencies: ["Commands"], swiftSettings: strict),

        // Tests.
        .testTarget(name: "BackupModelTests", dependencies: ["BackupModel"], swiftSettings: strict),
        .testTarget(
            name: "GuestSourceTests", dependencies: ["GuestSource", "BackupModel", "Effects", "TestKit"],
            swiftSettings: strict),
        .testTarget(
            name: "GuestMemoryTests", dependencies: ["BackupModel", "GuestMemory", "GuestSource", "TestKit"],
            exclude: ["Streams"], swiftSettings: strict),
        .testTarget(
            name: "RepositoryFormatTests",
            dependencies: ["BackupModel", "ChunkEncryption", "Effects", "RepositoryFormat", "TestKit"],
            exclude: ["Golden"], swiftSettings: strict),
        .target(name: "TestKit", dependencies: ["Effects"], path: "Tests/TestKit", swiftSettings: hot),
        .target(
            name: "Simulation",
            dependencies: [
                "BackupModel", "Effects", "GuestSource", "ChunkEncryption", "RepositoryFormat", "ObjectStorage",
                "Repository", "Capture", "Hypervisors", "MapCache", "TestKit",
            ], path: "Tests/Simulation", swiftSettings: hot),
        .testTarget(
            name: "SimulationTests", dependencies: ["Repository", "Simulation", "TestKit"], swiftSettings: strict),
        .testTarget(name: "SoakTests", dependencies: ["Simulation"], swiftSettings: strict),
        .executableTarget(
            name: "StageRates",
            dependencies: [
                "BackupModel", "Effects", "Chunking", "ChunkCompression", "ChunkEncryption", "RepositoryFormat",
            ], path: "Tests/Benchmarks/StageRates", swiftSettings: hot),
        .executableTarget(
            name: "RepositoryAtScale",
            dependencies: [
                "BackupModel", "Effects", "GuestSource", "ChunkEncryption", "RepositoryFormat", "ObjectStorage",
                "Repository", "Capture", "TestKit",
            ], path: "Tests/Benchmarks/RepositoryAtScale", swiftSettings: hot),
        .executableTarget(
            name: "SizedRepository",
            dependencies: ["ChunkEncryption", "Effects", "RepositoryFormat", "ObjectStorage", "Repository"],
            path: "Tests/Benchmarks/SizedRepository", swiftSettings: strict),
        .executableTarget(
            name: "GuestProbe", dependencies: ["BackupModel", "GuestSource", "Hypervisors"],
            path: "Tests/GuestProbe", swiftSettings: strict),
        .executableTarget(
            name: "ExportRates", dependencies: ["BackupModel", "GuestSource"],
            path: "Tests/Benchmarks/ExportRates", swiftSettings: strict),
        .target(name: "CCallCounts", path: "Tests/CallCounts/Interposer"),
        .executableTarget(
            name: "CallCounts",
            dependencies: [
                "BackupModel", "CCallCounts", "Effects", "ChunkEncryption", "Chunking", "RepositoryFormat",
                "ObjectStorage", "Repository", "Capture", "Recovery", "Simulation", "TestKit",
            ], path: "Tests/CallCounts/Measure", swiftSettings: hot),
        .testTarget(
            name: "HypervisorsTests", dependencies: ["BackupModel", "Effects", "Hypervisors", "TestKit"],
            swiftSettings: strict),
        .testTarget(
            name: "MapCacheTests",
            dependencies: [
                "BackupModel", "ChunkEncryption", "RepositoryFormat", "MapCache", "TestKit",
                .product(name: "GRDB", package: "GRDB.swift"),
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "NoticeProbe", dependencies: ["Effects", "Notices"], path: "Tests/NoticeProbe",
            swiftSettings: strict),
        .testTarget(
            name: "NoticesTests", dependencies: ["BackupModel", "Effects", "Notices", "TestKit"],
            swiftSettings: strict),
        .testTarget(
            name: "JobsTests", dependencies: ["BackupModel", "Jobs", "Notices", "TestKit"], swiftSettings: strict),
        .testTarget(name: "ArchitectureTests", swiftSettings: strict),
        .testTarget(
            name: "ObjectStorageTests",
            dependencies: ["BackupModel", "Effects", "ObjectStorage", "RepositoryFormat", "TestKit"],
            swiftSettings: strict),
        .testTarget(
            name: "CommandTests",
            dependencies: ["BackupModel", "RepositoryFormat", "Repository", "Commands", "TestKit"],
            swiftSettings: strict),
        .testTarget(
            name: "RepositoryTests",
            dependencies: [
                "BackupModel", "Effects", "GuestSource", "GuestMemory", "ChunkEncryption", "RepositoryFormat",
                "ObjectStorage", "Repository", "Capture", "Recovery", "Simulation", "TestKit",
            ], swiftSettings: strict),
        .testTarget(
            name: "RecoveryTests",
            dependencies: [
                "BackupModel", "Effects", "ChunkEncryption", "RepositoryFormat", "ObjectStorage", "Repository",
                "Recovery",
            ], exclude: ["Golden"], swiftSettings: strict),
        .testTarget(
            name: "CatalogTests",
            dependencies: [
                "BackupModel", "Effects", "ChunkEncryption", "RepositoryFormat", "ObjectStorage", "Repository",
                "CatalogSchema", "Catalog", "TestKit",
                .product(name: "GRDB", package: "GRDB.swift"),
            ], swiftSettings: strict),
        .testTarget(
            name: "ChunkingTests", dependencies: ["BackupModel", "Chunking", "ChunkEncryption", "TestKit"],
            swiftSettings: hot),
        .testTarget(
            name: "ChunkCompressionTests", dependencies: ["ChunkCompression", "TestKit"], swiftSettings: strict),
        .testTarget(
            name: "ChunkEncryptionTests", dependencies: ["BackupModel", "ChunkEncryption"], swiftSettings: strict),
    ]
)
