/// What Xen 4.17's `xl` and LVM 2.03 wrote in the lab, cut to what is of interest.
enum XenSample {
    /// Of `xl list -l`, with a CD-ROM and odd disks put in.
    static let list = """
        [
            {"domid": 0, "config": {
                "c_info": {"type": "pv", "name": "Domain-0"},
                "b_info": {"max_memkb": 655360, "target_memkb": 655359, "type.pv": {}, "arch_arm": {}}}},
            {"domid": 2, "config": {
                "c_info": {"type": "pv", "name": "web01", "domid": 4294967295,
                    "uuid": "6AD3C0AA-1d2f-4d0e-9f0a-000000000001", "run_hotplug_scripts": "True"},
                "b_info": {"max_vcpus": 2, "avail_vcpus": [0, 1], "max_memkb": 131072, "target_memkb": 131072,
                    "video_memkb": 0, "sched_params": {"sched": "credit2", "weight": 256, "cap": 0},
                    "claim_mode": "True", "kernel": "/guest/kernel", "cmdline": "console=hvc0 quiet",
                    "ramdisk": "/tools/disks-initrd", "type.pv": {}, "arch_x86": {"msr_relaxed": "False"}},
                "disks": [
                    {"pdev_path": "/x/a.raw", "vdev": "xvda", "format": "raw", "readwrite": 1,
                        "colo_restore_enable": "False"},
                    {"pdev_path": "/dev/vg/b", "vdev": "xvdb", "format": "raw", "readwrite": 1},
                    {"pdev_path": "/iso/cd.iso", "vdev": "xvdc", "format": "raw", "removable": 1, "is_cdrom": 1},
                    {"vdev": "xvdd", "format": "empty", "removable": 1, "is_cdrom": 1},
                    {"pdev_path": "/x/ro.raw", "vdev": "xvde", "format": "raw"},
                    {"pdev_path": "/x/q.qcow2", "vdev": "xvdf", "format": "qcow2", "backend": "qdisk", "readwrite": 1},
                    {"pdev_path": "/x/s.raw", "vdev": "xvdg", "format": "raw", "readwrite": 1, "backend_domid": 3},
                    {"pdev_path": "iqn.x", "vdev": "xvdh", "format": "raw", "readwrite": 1, "script": "block-iscsi"},
                    {"pdev_path": "../x.raw", "vdev": "xvdi", "format": "raw", "readwrite": 1},
                    {"pdev_path": "/x/t.raw", "vdev": "../xvdj", "format": "raw", "readwrite": 1}
                ],
                "nics": [{"devid": 0, "mac": "00:16:3e:01:02:03", "bridge": "xenbr0", "script": "vif-bridge"}],
                "on_reboot": "restart", "on_soft_reset": "soft_reset"}}
        ]
        """

    /// Of `xl list`, with a name that has spaces and looks like the rest of a line.
    static let table = """
        Name                                        ID   Mem VCPUs\tState\tTime(s)
        Domain-0                                     0   640     1     r-----     154.5
        web01                                        2   128     1     --p---      15.2
        an 9 128 1 r----- 1.0 odd name               3   128     1     -b----       1.2
        saved                                        4   128     1     ---ss-      30.3
        gone                                         5   128     1     ---s--      30.3
        broken                                       6   128     1     ---sc-      30.3
        dying                                        7     0     1     --ps-d      30.3
        """

    /// Of `lvs`: a volume, a snapshot of it, one that ran full, and a thin volume.
    static let volumes = """
        {"report": [{"lv": [
            {"vg_name":"vg", "lv_name":"b", "lv_path":"/dev/vg/b", "lv_kernel_major":"253", "lv_kernel_minor":"0",
             "lv_size":"67108864", "segtype":"linear", "origin":"", "lv_attr":"owi-aos---", "vg_free":"436207616"},
            {"vg_name":"vg", "lv_name":"dozo-1", "lv_path":"/dev/vg/dozo-1", "lv_kernel_major":"253",
             "lv_kernel_minor":"3", "lv_size":"16777216", "segtype":"linear", "origin":"b", "lv_attr":"sri-a-s---",
             "vg_free":"436207616"},
            {"vg_name":"vg", "lv_name":"full", "lv_path":"/dev/vg/full", "lv_kernel_major":"253",
             "lv_kernel_minor":"4", "lv_size":"4194304", "segtype":"linear", "origin":"b", "lv_attr":"sri-I-s---",
             "vg_free":"436207616"},
            {"vg_name":"vg", "lv_name":"t", "lv_path":"/dev/vg/t", "lv_kernel_major":"-1", "lv_kernel_minor":"-1",
             "lv_size":"67108864", "segtype":"thin", "origin":"", "lv_attr":"Vwi---tz--", "vg_free":"436207616"},
            {"vg_name":"vg", "lv_name":"-x", "lv_path":"/dev/vg/-x", "lv_size":"1", "segtype":"linear"}
        ]}]}
        """
}
