#!/usr/bin/env python3
"""A guest under backup: costs beside virtnbdbackup, what the guest's writes wait, and how long it stands.

    Tests/Benchmarks/guest.py --dozo BINARY [--size MIB] [--nights N] [--seconds S] [--points N]

The guest is the small one of the tests, emulated, in a libvirt of its own; its second disk holds the benchmarks'
system. Both programs back it up whole and then each night, when the guest has written 4 KiB at 1,600 places (100 MiB
of what QEMU's lists of changes call changed). virtnbdbackup (Debian) copies; Dozo dedups, compresses, encrypts, signs.
CPU seconds are those of the process tree, and with what QEMU spent on serving it.

The guest's writes: 4 KiB each, durably, at places of chance, alone and while each program reads the whole guest again
and again. The pauses are the points' own records, guests of a bare QEMU.
"""
import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading

import series
import tools
from cost import measured

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SUPPORT = os.path.join(TOP, "Tests", "Support")
LAB = os.path.join(SUPPORT, "libvirt-lab.sh")
TINY = os.path.join(SUPPORT, "tiny_guest.py")
TICKS = os.sysconf("SC_CLK_TCK")


def said(*command):
    """What a command prints; it must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: {(done.stdout + done.stderr).strip()[-600:]}")
    return done.stdout


def cpu_of(pid):
    """CPU seconds of a process so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Lab:
    """A libvirt of our own."""

    def __init__(self, work):
        self.folder = os.path.join(work, "lab")
        self.uri = said(LAB, "start", self.folder).strip()
        self.scratch = os.path.join(self.folder, "scratch")
        os.makedirs(self.scratch)
        os.chmod(self.scratch, 0o777)

    def stop(self):
        """Ends its guests and libvirt."""
        said(LAB, "stop", self.folder)


class Machine:
    """A guest whose second disk is large. Each program has its own: virtnbdbackup refuses others' checkpoints."""

    def __init__(self, lab, name, guest, large):
        self.lab, self.name, self.run = lab, name, os.path.join(lab.folder, name)
        said(LAB, "define", lab.folder, name, guest)
        self.disk = os.path.join(self.run, "vdb.qcow2")
        said("qemu-img", "convert", "-O", "qcow2", large, self.disk)
        if os.geteuid() == 0:
            shutil.chown(self.disk, 65534, 65534)
        said(LAB, "boot", lab.folder, name)
        with open(os.path.join(lab.folder, "run", "libvirt", "qemu", "run", name + ".pid"), encoding="ascii") as file:
            self.pid = int(file.read())

    def work(self, command):
        """A command inside of it."""
        return said(TINY, "run", self.run, command)


class Virtnbdbackup(tools.Tool):
    """Copies of disks and what changed of them, as virtnbdbackup makes them."""
    name = "virtnbdbackup"

    def init(self):
        os.makedirs(self.repository)

    def back_up(self, machine, level):
        """Costs of one backup."""
        lab = machine.lab
        # It asks for credentials of any libvirt whose URI names a socket; the socket asks for none.
        return self.run("-U", lab.uri, "--user", "none", "--password", "none", "-d", machine.name, "-l", level, "-o",
                        self.repository, "-S", lab.scratch, "-f", os.path.join(lab.scratch, "socket"), "-n")


class DozoLive(tools.Dozo):
    """Dozo on the same guest."""

    def back_up(self, machine, _):
        """Costs of one backup."""
        return self.run("backup", "-r", self.repository, "--connect", machine.lab.uri, "--domain", machine.name,
                        "--guest", "one", "--scratch", machine.lab.scratch, "--sample", "0", "--quiesce", "never")


def throughput(chosen, machines):
    """A whole backup, then nights."""
    rows = {}
    for night in range(chosen.nights + 1):
        for program, machine in machines:
            if night > 0:
                machine.work(f"guest-work scatter /dev/vdb {night} 1600")
            before = cpu_of(machine.pid)
            cost = program.back_up(machine, "full" if night == 0 else "inc")
            row = (cost.cpu, cost.cpu + cpu_of(machine.pid) - before, cost.wall)
            rows.setdefault((program.name, night > 0), []).append(row)
            print(f"{f'night {night}' if night else 'whole'}: {program.name} {row[0]:.2f} s CPU, with QEMU "
                  f"{row[1]:.2f} s, wall {row[2]:.2f} s", flush=True)
    print("| work | program | CPU s | with QEMU | wall s |\n|---|---|---|---|---|")
    for late in (False, True):
        for program, _ in machines:
            middle = [statistics.median(row[index] for row in rows[program.name, late]) for index in range(3)]
            print(f"| {'night' if late else 'whole'} | {program.name} | {middle[0]:.2f} | {middle[1]:.2f} "
                  f"| {middle[2]:.2f} |", flush=True)


def compare(dozo, machine, work):
    """The last point is the disk."""
    frozen, out = os.path.join(work, "frozen.raw"), os.path.join(work, "restored.raw")
    said(LAB, "virsh", machine.lab.folder, "suspend", machine.name)
    dozo.back_up(machine, "inc")
    said("qemu-img", "convert", "-U", "-O", "raw", machine.disk, frozen)
    said(LAB, "virsh", machine.lab.folder, "resume", machine.name)
    dozo.run("restore", "-r", dozo.repository, "one@latest", "--disk", "vdb", "--to", out)
    if not series.same(frozen, out):
        raise SystemExit("the last point is not the disk")
    print("the last point is the disk, byte for byte", flush=True)
    os.unlink(frozen)
    os.unlink(out)


def latency(chosen, machines):
    """What the guest's writes wait."""
    print("| writes beside | writes a second | half, µs | 99 in 100, µs | longest, µs |\n|---|---|---|---|---|")
    for program, machine in [(None, machines[0][1])] + machines + [(None, machines[0][1])]:
        over = threading.Event()

        def again(program=program, machine=machine):
            while not over.is_set():
                program.begin()
                program.back_up(machine, "copy")

        reader = threading.Thread(target=again)
        if program:
            reader.start()
        count, half, most, longest = machine.work(f"guest-work latency /dev/vdc {chosen.seconds}").split()
        over.set()
        if program:
            reader.join()
        print(f"| {program.name if program else 'nothing'} | {int(count) / chosen.seconds:.0f} | {half} | {most} "
              f"| {longest} |", flush=True)


def stood(chosen, dozo, guest, words):
    """The pauses that points of a guest record, least, median and most of them in ms."""
    found = []
    for _ in range(chosen.points):
        dozo.run("backup", "-r", dozo.repository, "--guest", guest, *words)
        point = subprocess.run([dozo.binary, "show", "-r", dozo.repository, f"{guest}@latest", "--json"],
                               env=dozo.environment, capture_output=True, text=True, check=True).stdout
        found.append(json.loads(point)["machine"]["pause_ms"])
    return f"{min(found):.1f} | {statistics.median(found):.1f} | {max(found):.1f}"


def pauses(chosen, dozo, lab, work, guest):
    """How long a guest stands for an instant."""
    print("| instant | memory MiB | pause, ms: least | median | most |\n|---|---|---|---|---|")
    dozo.begin()
    ways = [("disks", []), ("disks and memory, live", ["--with-memory=live"]),
            ("disks and memory, stopped", ["--with-memory=stopped"])]
    for memory in (160, 512):
        run = os.path.join(work, f"pause-{memory}")
        said(TINY, "start", guest, run, "--memory", str(memory))
        try:
            for name, words in ways:
                pause = stood(chosen, dozo, f"pause{memory}", ["--qmp", os.path.join(run, "qmp.sock"), *words])
                print(f"| {name} | {memory} | {pause} |", flush=True)
        finally:
            said(TINY, "stop", run, "--kill")
    # The lab's guests have 256 of at most 512 MiB; libvirt saves what is there.
    said(LAB, "define", lab.folder, "three", guest)
    said(LAB, "boot", lab.folder, "three")
    for name, words in [("libvirt: disks", []), ("libvirt: disks and memory", ["--with-memory"])]:
        pause = stood(chosen, dozo, "three", ["--connect", lab.uri, "--domain", "three", "--scratch", lab.scratch,
                                              "--quiesce", "never", *words])
        print(f"| {name} | 256 | {pause} |", flush=True)


def main():
    """Runs what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dozo", required=True)
    parser.add_argument("--size", type=int, default=4096, metavar="MIB")
    parser.add_argument("--nights", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=15, help="of the guest's writes, each time")
    parser.add_argument("--points", type=int, default=7)
    chosen = parser.parse_args()
    large = series.make(TOP, os.path.join(TOP, ".build", "bench-series", str(chosen.size)), chosen.size)["a0"]
    guest = os.path.join(TOP, ".build", "bench-guest")
    said(os.path.join(SUPPORT, "tiny-guest.sh"), guest)
    # Where QEMU's user may look, and short enough for sockets.
    work = tempfile.mkdtemp(prefix="dozo-bg.", dir="/var/tmp")
    os.chmod(work, 0o711)
    lab = None
    try:
        dozo = DozoLive(os.path.abspath(chosen.dozo), work)
        peer = shutil.which("virtnbdbackup")
        programs = [dozo] + ([Virtnbdbackup(peer, work)] if peer else [])
        if not peer:
            print("virtnbdbackup is not installed (Debian: virtnbdbackup): not compared")
        lab = Lab(work)
        machines = [(program, Machine(lab, name, guest, large))
                    for program, name in zip(programs, ["one", "two"])]
        print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores; vdb of {chosen.size} MiB, "
              f"{series.data_bytes(large) >> 20} MiB of it data; load {os.getloadavg()[0]:.1f}", flush=True)
        for program in programs:
            program.begin()
        throughput(chosen, machines)
        compare(dozo, machines[0][1], work)
        latency(chosen, machines)
        pauses(chosen, dozo, lab, work, guest)
    finally:
        if lab:
            lab.stop()
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
