#!/usr/bin/env python3
"""The night that a running guest makes: Dozo reads what changed from QEMU, restic and borg read the disk.

    Tests/Benchmarks/live.py --dozo BINARY [--size MIB] [--nights N] [--share PERCENT] [--rates BINARY]

The guest is a QEMU without an operating system, so that nothing but the night's own writes changes the disk: each night
a share of the 64 KiB blocks that hold data is written through QEMU with data of another guest's disk. restic and borg
read the same disk as a file, which is what they can do. CPU seconds are user and system time of the whole process
tree, and for Dozo also with what QEMU spent on serving it. Points are compared with the disk byte for byte.

With --rates the export of a disk is read by nbdcopy and by Dozo's own client in turns, and the ratio is printed.
"""
import argparse
import json
import os
import platform
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import series
import tools
from cost import measured

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BLOCK = 64 << 10
TICKS = os.sysconf("SC_CLK_TCK")


class Guest:
    """A QEMU with one disk that runs nothing."""

    def __init__(self, disk, folder):
        self.disk, self.path = disk, os.path.join(folder, "qmp")
        sockets = [word for name in ("qmp", "control")
                   for word in ("-qmp", f"unix:{os.path.join(folder, name)},server=on,wait=off")]
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-S", "-M", "q35", "-accel", "tcg", "-m", "32", "-nodefaults", "-display", "none",
             "-blockdev", json.dumps({"driver": "raw", "node-name": "disk",
                                      "file": {"driver": "file", "filename": disk}}),
             "-device", "virtio-blk-pci,drive=disk,id=disk", *sockets], stdin=subprocess.DEVNULL)
        control = os.path.join(folder, "control")
        while not os.path.exists(control):
            time.sleep(0.05)
        self.link = socket.socket(socket.AF_UNIX)
        self.link.connect(control)
        self.stream = self.link.makefile("rw", encoding="utf-8")
        self.stream.readline()
        self.ask("qmp_capabilities")

    def ask(self, command, **arguments):
        """One command to the monitor."""
        self.stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.stream.flush()
        while True:
            answer = json.loads(self.stream.readline())
            if "error" in answer:
                raise SystemExit(f"QEMU refused {command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def write(self, offset, source):
        """Writes a block that a file holds, through QEMU's block layer."""
        device = "/machine/peripheral/disk/virtio-backend"
        line = f'qemu-io -d {device} "write -q -s {source} {offset} {BLOCK}"'
        said = self.ask("human-monitor-command", **{"command-line": line})
        if said.strip():
            raise SystemExit(f"QEMU could not write at {offset}: {said}")

    def cpu(self):
        """CPU seconds of the process so far."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def stop(self):
        """Ends it."""
        self.process.kill()
        self.process.wait()


def change(guest, disk, other, share, seed, folder):
    """Writes a share of the blocks that hold data; returns how many bytes."""
    dice = random.Random(seed)
    size = os.path.getsize(disk)
    source = os.path.join(folder, "block")
    with open(disk, "rb") as file:
        full = [number for number in range(size // BLOCK)
                if any(os.pread(file.fileno(), 4096, number * BLOCK))]
    chosen = sorted(dice.sample(full, len(full) * share // 100))
    with open(other, "rb") as file:
        limit = os.path.getsize(other) // BLOCK
        for number in chosen:
            with open(source, "wb") as block:
                block.write(os.pread(file.fileno(), BLOCK, dice.randrange(limit) * BLOCK))
            guest.write(number * BLOCK, source)
    return len(chosen) * BLOCK


def nights(chosen, work):
    """Runs the nights and prints their table."""
    paths = series.make(TOP, os.path.join(TOP, ".build", "bench-series", str(chosen.size)), chosen.size)
    disk = os.path.join(work, "disk.raw")
    subprocess.run(["cp", "--sparse=always", paths["a0"], disk], check=True)
    guest = Guest(disk, work)
    dozo = tools.Dozo(os.path.abspath(chosen.dozo), work)
    borg = os.path.join(TOP, ".build", "bench-tools", "bin", "borg")
    peers = [tool(binary, work) for tool, binary in [(tools.Restic, shutil.which("restic")), (tools.Borg, borg)]
             if binary and os.path.exists(binary)]
    try:
        live = ["backup", "-r", dozo.repository, "--qmp", guest.path, "--guest", "guest", "--sample", "0"]
        for tool in [dozo] + peers:
            tool.begin()
        dozo.run(*live)
        for peer in peers:
            peer.back_up(disk, "first")
        key_only = {name: value for name, value in dozo.environment.items() if name != "DOZO_PASSPHRASE_FILE"}
        ratios = {peer.name: [] for peer in peers}
        print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores; disk of {chosen.size} MiB, "
              f"{series.data_bytes(disk) >> 20} MiB of it data; {', '.join(t.version() for t in [dozo] + peers)}")
        for night in range(chosen.nights):
            written = change(guest, disk, paths["c0"], chosen.share, night, work)
            series.warm(disk)
            before = guest.cpu()
            own = measured([dozo.binary, *live], key_only)
            with_qemu = own.cpu + guest.cpu() - before
            line = (f"night {night + 1}: {written >> 20} MiB written; dozo {own.cpu:.2f} s, with QEMU "
                    f"{with_qemu:.2f} s, wall {own.wall:.2f} s, peak {own.peak:.0f} MiB")
            for peer in peers:
                # A link of another name: borg calls its archives after files.
                cost = peer.back_up(disk, f"night{night}")
                ratios[peer.name].append((cost.cpu / own.cpu, cost.cpu / with_qemu))
                line += f"; {peer.name} {cost.cpu:.2f} s"
            print(line, flush=True)
        for name, pairs in ratios.items():
            print(f"{name} / dozo, CPU, median of {len(pairs)}: {statistics.median(p[0] for p in pairs):.1f}, "
                  f"with QEMU's share {statistics.median(p[1] for p in pairs):.1f}")
        path, _ = os.path.join(series.emptied(dozo.out), "disk.raw"), None
        dozo.run("restore", "-r", dozo.repository, "guest@latest", "--disk", "disk", "--to", path)
        if not series.same(path, disk):
            raise SystemExit("the last point is not the disk")
        print("the last point is the disk, byte for byte")
    finally:
        guest.stop()


def rates(chosen, work):
    """Reads one export with nbdcopy and with Dozo's client in turns."""
    path, disk = os.path.join(work, "nbd"), os.path.join(work, "noise.raw")
    with open(disk, "wb") as file:
        for _ in range(1024):
            file.write(os.urandom(1 << 20))
    server = subprocess.Popen(["qemu-nbd", "-r", "-t", "-e", "8", "-f", "raw", "-k", path, disk])
    try:
        while not os.path.exists(path):
            time.sleep(0.05)
        pairs = []
        for _ in range(7):
            walls = []
            for command in (["nbdcopy", f"nbd+unix:///?socket={path}", "null:"], [chosen.rates, path]):
                walls.append(measured(command, dict(os.environ)).wall)
            pairs.append(walls)
            print(f"1 GiB: nbdcopy {1024 / walls[0]:.0f} MiB/s, dozo's client {1024 / walls[1]:.0f} MiB/s", flush=True)
        print(f"dozo's client / nbdcopy, median of {len(pairs)}: "
              f"{statistics.median(left / right for left, right in pairs):.2f}")
    finally:
        server.kill()
        server.wait()


def main():
    """Runs what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dozo", required=True)
    parser.add_argument("--size", type=int, default=4096, metavar="MIB")
    parser.add_argument("--nights", type=int, default=5)
    parser.add_argument("--share", type=int, default=4, metavar="PERCENT")
    parser.add_argument("--rates")
    chosen = parser.parse_args()
    work = tempfile.mkdtemp(prefix="live-bench-", dir="/var/tmp")
    try:
        nights(chosen, work)
        if chosen.rates:
            rates(chosen, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
