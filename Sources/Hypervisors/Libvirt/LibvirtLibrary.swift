import Glibc

/// libvirt's C functions, found when the first of them is needed.
///
/// The library is not linked: a host without libvirt backs up images and restores all the same
/// (`docs/design/0007-libvirt-on-first-use.md`). The prototypes are those of libvirt's published interface, which keeps
/// them for good; a library without one of them is too old and said to be.
// Safety: every pointer was given out by dlsym under the name whose published prototype it has, and the library is
// never unloaded. Calls may come from any thread: libvirt locks its objects itself.
@safe struct LibvirtLibrary: @unchecked Sendable {
    /// A connection, a domain or a checkpoint.
    typealias Object = OpaquePointer
    typealias Text = UnsafePointer<CChar>
    typealias OwnText = UnsafeMutablePointer<CChar>
    typealias Number = UnsafeMutablePointer<CInt>
    typealias List = UnsafeMutablePointer<OpaquePointer?>
    /// Called with an error that nobody asked for.
    typealias ErrorHandler = @convention(c) (UnsafeMutableRawPointer?, UnsafeMutableRawPointer?) -> Void

    let setErrorFunction: @convention(c) (UnsafeMutableRawPointer?, ErrorHandler?) -> Void
    let lastErrorCode: @convention(c) () -> CInt
    let lastErrorMessage: @convention(c) () -> Text?

    let open: @convention(c) (Text) -> Object?
    let close: @convention(c) (Object) -> CInt
    let isAlive: @convention(c) (Object) -> CInt
    let hypervisorVersion: @convention(c) (Object, UnsafeMutablePointer<CUnsignedLong>) -> CInt
    let ownVersion: @convention(c) (Object, UnsafeMutablePointer<CUnsignedLong>) -> CInt
    let type: @convention(c) (Object) -> Text?
    let capabilities: @convention(c) (Object, Text?, Text?, Text?, Text?, CUnsignedInt) -> OwnText?
    let listDomains: @convention(c) (Object, UnsafeMutablePointer<List?>, CUnsignedInt) -> CInt
    let domainByName: @convention(c) (Object, Text) -> Object?
    let domainByUUID: @convention(c) (Object, Text) -> Object?
    let compareProcessor: @convention(c) (Object, Text?, Text?, Text?, Text?, Text, CUnsignedInt) -> CInt
    let define: @convention(c) (Object, Text) -> Object?
    let restore: @convention(c) (Object, Text, Text?, CUnsignedInt) -> CInt

    let networkByName: @convention(c) (Object, Text) -> Object?
    let isNetworkActive: @convention(c) (Object) -> CInt
    let freeNetwork: @convention(c) (Object) -> CInt
    let poolByName: @convention(c) (Object, Text) -> Object?
    let isPoolActive: @convention(c) (Object) -> CInt
    let poolXML: @convention(c) (Object, CUnsignedInt) -> OwnText?
    let refreshPool: @convention(c) (Object, CUnsignedInt) -> CInt
    let freePool: @convention(c) (Object) -> CInt
    let volumeByName: @convention(c) (Object, Text) -> Object?
    let volumePath: @convention(c) (Object) -> OwnText?
    let freeVolume: @convention(c) (Object) -> CInt

    let freeDomain: @convention(c) (Object) -> CInt
    let domainName: @convention(c) (Object) -> Text?
    let domainUUID: @convention(c) (Object, OwnText) -> CInt
    let domainState: @convention(c) (Object, Number, Number?, CUnsignedInt) -> CInt
    let domainInfo: @convention(c) (Object, UnsafeMutableRawPointer) -> CInt
    let domainXML: @convention(c) (Object, CUnsignedInt) -> OwnText?
    let blockInfo: @convention(c) (Object, Text, UnsafeMutablePointer<UInt64>, CUnsignedInt) -> CInt
    let freeze: @convention(c) (Object, UnsafeMutablePointer<Text?>?, CUnsignedInt, CUnsignedInt) -> CInt
    let thaw: @convention(c) (Object, UnsafeMutablePointer<Text?>?, CUnsignedInt, CUnsignedInt) -> CInt
    /// Of the library beside it, `libvirt-qemu.so.0`; `nil` without that.
    let agentCommand: (@convention(c) (Object, Text, CInt, CUnsignedInt) -> OwnText?)?
    let beginBackup: @convention(c) (Object, Text, Text?, CUnsignedInt) -> CInt
    let backupXML: @convention(c) (Object, CUnsignedInt) -> OwnText?
    let abortJob: @convention(c) (Object) -> CInt
    let suspend: @convention(c) (Object) -> CInt
    let resume: @convention(c) (Object) -> CInt
    let start: @convention(c) (Object) -> CInt
    let hasSavedMemory: @convention(c) (Object, CUnsignedInt) -> CInt
    let jobInfo: @convention(c) (Object, UnsafeMutableRawPointer) -> CInt

    let listCheckpoints: @convention(c) (Object, UnsafeMutablePointer<List?>, CUnsignedInt) -> CInt
    let checkpointByName: @convention(c) (Object, Text, CUnsignedInt) -> Object?
    let checkpointName: @convention(c) (Object) -> Text?
    let checkpointXML: @convention(c) (Object, CUnsignedInt) -> OwnText?
    let createCheckpoint: @convention(c) (Object, Text, CUnsignedInt) -> Object?
    let removeCheckpoint: @convention(c) (Object, CUnsignedInt) -> CInt
    let freeCheckpoint: @convention(c) (Object) -> CInt
    let createSnapshot: @convention(c) (Object, Text, CUnsignedInt) -> Object?
    let freeSnapshot: @convention(c) (Object) -> CInt

    /// Numbers of `virDomainBlockInfo`: size as the guest sees it, bytes taken, size of the container.
    static let blockInfoCount = 3
    /// Bytes of `virDomainInfo`: a byte, two longs, a short and a number of 64 bits.
    static let domainInfoByteCount = 40
    /// Bytes of `virDomainJobInfo`: an int and eleven longs; its first int is the kind of job.
    static let jobInfoByteCount = 96
    /// Seconds in which an agent answers to a command of ours.
    static let agentSeconds: CInt = 20
    /// Bytes of a UUID as text with its end (`VIR_UUID_STRING_BUFLEN`).
    static let uuidByteCount = 37

    /// The library, or why there is none.
    static let shared: Result<LibvirtLibrary, GuestError> = Result { () throws(GuestError) in
        try LibvirtLibrary()
    }

    private init() throws(GuestError) {
        // Safety: the name is terminated; the handle is kept for good.
        guard let handle = unsafe dlopen("libvirt.so.0", RTLD_NOW | RTLD_LOCAL) else {
            throw GuestError(
                .missing,
                "libvirt is not installed on this host (libvirt.so.0 was not found); install it (Debian: libvirt0), or "
                    + "back up the guest's images")
        }
        let find = unsafe LibvirtSymbols(handle: handle)
        unsafe setErrorFunction = try find("virSetErrorFunc")
        unsafe lastErrorCode = try find("virGetLastErrorCode")
        unsafe lastErrorMessage = try find("virGetLastErrorMessage")
        unsafe open = try find("virConnectOpen")
        unsafe close = try find("virConnectClose")
        unsafe isAlive = try find("virConnectIsAlive")
        unsafe hypervisorVersion = try find("virConnectGetVersion")
        unsafe ownVersion = try find("virConnectGetLibVersion")
        unsafe type = try find("virConnectGetType")
        unsafe capabilities = try find("virConnectGetDomainCapabilities")
        unsafe listDomains = try find("virConnectListAllDomains")
        unsafe domainByName = try find("virDomainLookupByName")
        unsafe domainByUUID = try find("virDomainLookupByUUIDString")
        unsafe compareProcessor = try find("virConnectCompareHypervisorCPU")
        unsafe define = try find("virDomainDefineXML")
        unsafe restore = try find("virDomainRestoreFlags")
        unsafe networkByName = try find("virNetworkLookupByName")
        unsafe isNetworkActive = try find("virNetworkIsActive")
        unsafe freeNetwork = try find("virNetworkFree")
        unsafe poolByName = try find("virStoragePoolLookupByName")
        unsafe isPoolActive = try find("virStoragePoolIsActive")
        unsafe poolXML = try find("virStoragePoolGetXMLDesc")
        unsafe refreshPool = try find("virStoragePoolRefresh")
        unsafe freePool = try find("virStoragePoolFree")
        unsafe volumeByName = try find("virStorageVolLookupByName")
        unsafe volumePath = try find("virStorageVolGetPath")
        unsafe freeVolume = try find("virStorageVolFree")
        unsafe freeDomain = try find("virDomainFree")
        unsafe domainName = try find("virDomainGetName")
        unsafe domainUUID = try find("virDomainGetUUIDString")
        unsafe domainState = try find("virDomainGetState")
        unsafe domainInfo = try find("virDomainGetInfo")
        unsafe domainXML = try find("virDomainGetXMLDesc")
        unsafe blockInfo = try find("virDomainGetBlockInfo")
        unsafe freeze = try find("virDomainFSFreeze")
        unsafe thaw = try find("virDomainFSThaw")
        // Safety: as above; it is loaded beside the library that it belongs to and kept for good.
        if let beside = unsafe dlopen("libvirt-qemu.so.0", RTLD_NOW | RTLD_LOCAL) {
            unsafe agentCommand = try? LibvirtSymbols(handle: beside)("virDomainQemuAgentCommand")
        } else {
            unsafe agentCommand = nil
        }
        unsafe beginBackup = try find("virDomainBackupBegin")
        unsafe backupXML = try find("virDomainBackupGetXMLDesc")
        unsafe abortJob = try find("virDomainAbortJob")
        unsafe suspend = try find("virDomainSuspend")
        unsafe resume = try find("virDomainResume")
        unsafe start = try find("virDomainCreate")
        unsafe hasSavedMemory = try find("virDomainHasManagedSaveImage")
        unsafe jobInfo = try find("virDomainGetJobInfo")
        unsafe listCheckpoints = try find("virDomainListAllCheckpoints")
        unsafe checkpointByName = try find("virDomainCheckpointLookupByName")
        unsafe checkpointName = try find("virDomainCheckpointGetName")
        unsafe checkpointXML = try find("virDomainCheckpointGetXMLDesc")
        unsafe createCheckpoint = try find("virDomainCheckpointCreateXML")
        unsafe removeCheckpoint = try find("virDomainCheckpointDelete")
        unsafe freeCheckpoint = try find("virDomainCheckpointFree")
        unsafe createSnapshot = try find("virDomainSnapshotCreateXML")
        unsafe freeSnapshot = try find("virDomainSnapshotFree")
        // It would print every error, also those that are handled. Safety: the handler ignores what it is given.
        unsafe setErrorFunction(nil) { _, _ in }
    }
}

/// Names in the loaded library.
// Safety: the handle is used to look names up and never closed.
@unsafe private struct LibvirtSymbols {
    let handle: UnsafeMutableRawPointer

    /// The function of that name, as the type that the caller knows it has.
    @unsafe func callAsFunction<Function>(_ name: String) throws(GuestError) -> Function {
        // Safety: the caller vouches for the type; an address and a C function have one size.
        guard let address = unsafe dlsym(handle, name) else {
            throw GuestError(
                .missing, "the libvirt on this host is too old: it has no \(name); version 7.2 or newer is needed")
        }
        return unsafe unsafeBitCast(address, to: Function.self)
    }
}
