/// Domains as administrators have them; written for these tests after what libvirt's own tools make.
enum DomainSample {
    static let all = [modern, network, old, xen]

    /// Secure boot, a TPM, an image on a backing image, an installation medium, a running agent.
    static let modern = """
        <?xml version="1.0"?>
        <!-- Edited with virsh edit. -->
        <domain type='kvm' id='7' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
          <name>mail &amp; web</name>
          <uuid>8C6A2F0E-47B5-4D0B-9C55-1D2C0F6E7A11</uuid>
          <metadata><os:info xmlns:os="http://libosinfo.org/xmlns/libvirt/domain/1.0"/></metadata>
          <memory unit='GiB'>4</memory>
          <currentMemory unit='KiB'>2097152</currentMemory>
          <os firmware='efi'>
            <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
            <loader readonly='yes' secure='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.ms.fd</loader>
            <nvram template='/usr/share/OVMF/OVMF_VARS_4M.ms.fd'>/var/lib/libvirt/qemu/nvram/mail_VARS.fd</nvram>
          </os>
          <cpu mode='custom' match='exact'><model fallback='forbid'>Skylake-Client</model></cpu>
          <devices>
            <emulator>/usr/bin/qemu-system-x86_64</emulator>
            <disk type='file' device='disk'>
              <driver name='qemu' type='qcow2' discard='unmap'/>
              <source file='/srv/vm/mail&apos;s.qcow2' index='2'/>
              <backingStore type='file' index='3'>
                <format type='raw'/>
                <source file='/srv/vm/base.raw'/>
                <backingStore/>
              </backingStore>
              <target dev='vda' bus='virtio'/>
            </disk>
            <disk type='file' device='cdrom'>
              <driver name='qemu' type='raw'/>
              <source file='/srv/iso/debian.iso'/>
              <target dev='sda' bus='sata'/>
              <readonly/>
            </disk>
            <disk type='file' device='cdrom'><target dev='sdb' bus='sata'/><readonly/></disk>
            <channel type='unix'>
              <source mode='bind' path='/run/libvirt/qemu/channel/7-mail/org.qemu.guest_agent.0'/>
              <target type='virtio' name='org.qemu.guest_agent.0' state='connected'/>
            </channel>
            <tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>
          </devices>
          <seclabel type='dynamic' model='apparmor' relabel='yes'><label>libvirt-8c6a</label></seclabel>
          <seclabel type='dynamic' model='dac' relabel='yes'><label>+64055:+64056</label></seclabel>
          <qemu:commandline><qemu:arg value='-foo'/></qemu:commandline>
        </domain>
        """

    /// Disks that are no files here.
    static let network = """
        <domain type='kvm'>
          <name>ceph</name>
          <uuid>0c0f6f33-3f0d-4be1-8a45-58d5a6ae90d2</uuid>
          <memory>1048576</memory>
          <os><type arch='x86_64' machine='pc-q35-6.0'>hvm</type>
            <nvram type='file' format='qcow2'><source file='/var/lib/libvirt/qemu/nvram/ceph.qcow2'/></nvram></os>
          <cpu mode='host-passthrough'/>
          <devices>
            <disk type='network' device='disk'>
              <driver name='qemu' type='raw'/>
              <auth username='libvirt'><secret type='ceph' uuid='2ec115d7-3a88-3ceb-bc12-0ac909a6fd87'/></auth>
              <source protocol='rbd' name='pool/image'><host name='mon1' port='6789'/><host name='mon2'/></source>
              <target dev='vda' bus='virtio'/>
            </disk>
            <disk type='network' device='disk'>
              <driver name='qemu' type='raw'/>
              <source protocol='iscsi' name='iqn.2013-07.com.example:iscsi/2'><host name='10.0.0.5'/></source>
              <target dev='vdb' bus='virtio'/>
            </disk>
            <disk type='block' device='disk'>
              <driver name='qemu' type='raw'/><source dev='/dev/vg/ceph'/><target dev='vdc' bus='virtio'/>
            </disk>
            <disk type='volume' device='disk'>
              <driver name='qemu' type='qcow2'/><source pool='default' volume='ceph.qcow2'/><target dev='vdd'/>
            </disk>
            <disk type='vhostuser' device='disk'>
              <driver name='qemu' type='raw'/><source type='unix' path='/run/spdk.sock'/><target dev='vde'/>
            </disk>
            <disk type='nvme' device='disk'>
              <driver name='qemu' type='raw'/>
              <source type='pci' managed='yes' namespace='1'>
                <address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>
              </source>
              <target dev='vdf' bus='virtio'/>
            </disk>
          </devices>
        </domain>
        """

    /// An old machine with one of everything that is left out.
    static let old = """
        <domain type='qemu'>
          <name>old</name><uuid>6dfd0f6c-9b4c-4d84-8a73-b2b8a5aa6f11</uuid><memory unit='parsec'>1</memory>
          <os><type arch='i686' machine='pc-i440fx-2.8'>hvm</type><nvram>../../etc/shadow</nvram></os>
          <devices>
            <disk type='file' device='floppy'><source file='/srv/boot.img'/><target dev='fda' bus='fdc'/></disk>
            <disk type='file' device='disk'><source file='/srv/a.img'/><target dev='hda' bus='ide'/></disk>
            <disk type='file' device='disk'><source file='/srv/b.img'/><target dev='hdb'/><shareable/></disk>
            <disk type='file' device='disk'><source file='/srv/c.img'/><target dev='hdc'/><readonly/></disk>
            <disk type='file' device='disk'><source file='/srv/d.img'/><target dev='hdd'/><transient/></disk>
            <disk type='block' device='lun'><source dev='/dev/sdq'/><target dev='sda' bus='scsi'/></disk>
            <disk type='file' device='disk'><target dev='sdb' bus='scsi'/></disk>
            <disk type='file' device='disk'><source file='/srv/e.img'/><target dev='../x' bus='scsi'/></disk>
            <disk type='file' device='disk'><source file='/srv/f.img'/></disk>
            <hostdev mode='subsystem' type='scsi' rawio='yes'>
              <source><adapter name='scsi_host0'/><address bus='0' target='3' unit='1'/></source>
              <alias name='hostdev0'/>
            </hostdev>
            <hostdev mode='subsystem' type='usb'><source><vendor id='0x1234'/></source></hostdev>
          </devices>
          <seclabel type='static' model='dac'><label>libvirt-qemu:kvm</label></seclabel>
        </domain>
        """

    /// A guest of Xen.
    static let xen = """
        <domain type='xen' id='3'>
          <name>pv</name><uuid>f81d4fae-7dec-11d0-a765-00a0c91e6bf6</uuid>
          <memory unit='MiB'>512</memory>
          <os><type arch='x86_64' machine='xenpv'>linux</type><kernel>/boot/vmlinuz</kernel></os>
          <devices>
            <disk type='block' device='disk'><driver name='phy'/><source dev='/dev/vg/pv'/><target dev='xvda'/></disk>
          </devices>
        </domain>
        """
}
