/// What kind of stream a memory image came as, by the word that records have for it.
package enum MemoryFormat: String, CaseIterable, Hashable, Sendable {
    /// What QEMU writes to migrate a guest.
    case qemuMigration = "qemu-migration"
    /// What `virsh save` writes: a description of the guest and a stream of QEMU's.
    case libvirtSave = "libvirt-save"
    /// A core file of `dump-guest-memory`, `virsh dump --memory-only --format elf` or the kernel's.
    case elfCore = "elf-core"
    /// A core file of `xl dump-core`.
    case xenCore = "xen-core"
    /// What `xl save` writes.
    case xenSave = "xen-save"
    /// The part of it that holds the guest's memory, alone.
    case xenLibxc = "xen-libxc"
    /// Anything else: stored as the bytes that it is.
    case stream = "stream"

    /// The word.
    package var name: String { rawValue }
}
