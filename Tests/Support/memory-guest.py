#!/usr/bin/env python3
"""A guest without an operating system, for streams of memory as QEMU really writes them.

    memory-guest.py make FOLDER [MIB]       streams into FOLDER: core, paging, kdump, migration, live, save
    memory-guest.py resume FOLDER STREAM    takes a migration stream up in a new QEMU and looks that the guest goes on

The guest is a boot sector that counts in its memory and writes each number to the serial line; a part of its memory is
filled with noise. `make` writes the number at which the guest was stopped to FOLDER/counter; a guest that was resumed
goes on from there. `save` is the migration stream behind a header as libvirt writes it.
"""
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import time

# Real mode: clears the word at 0x7E00, then forever adds one to it, writes its four hexadecimal digits and a line feed
# to the first serial port, and counts two million down.
BOOT = bytes.fromhex(
    "fa31c08ed88ed0bc007ca3007eff06007e8b1e007eb90400c1c30488d8240f04303c39760204"
    "07baf803eee2ebb00aee66b900002000664975fcebd1")
PATIENCE = 120


class Guest:
    """A QEMU that runs in a folder, by its QMP socket; ended when it is left."""

    def __init__(self, folder, mib, *more):
        self.folder, self.serial = folder, f"serial-{os.getpid()}-{time.monotonic_ns()}"
        name = f"qmp-{time.monotonic_ns()}"
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-M", "q35", "-accel", "tcg,thread=multi", "-m", str(mib), "-nodefaults", "-display",
             "none", "-serial", f"file:{self.serial}", "-qmp", f"unix:{name},server=on,wait=off", "-S",
             "-drive", "file=boot.raw,format=raw,if=none,id=boot,file.locking=off", "-device", "ide-hd,drive=boot",
             *more], cwd=folder, stdin=subprocess.DEVNULL)
        # The name is relative, because names of sockets are short.
        self.connection = socket.socket(socket.AF_UNIX)
        os.chdir(folder)
        self.wait(lambda: os.path.exists(name), "its QMP socket")
        self.wait(lambda: self.connection.connect_ex(name) == 0, "its QMP socket")
        self.lines = self.connection.makefile("rb")
        json.loads(self.lines.readline())
        self.run("qmp_capabilities")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def wait(self, holds, what):
        end = time.monotonic() + PATIENCE
        while not holds():
            if self.process.poll() is not None or time.monotonic() > end:
                sys.exit(f"QEMU ended, or {what} did not come in {PATIENCE} s")
            time.sleep(0.05)

    def run(self, command, **arguments):
        message = {"execute": command, "arguments": {key.replace("_", "-"): value for key, value in arguments.items()}}
        self.connection.sendall(json.dumps(message).encode())
        while True:
            answer = json.loads(self.lines.readline())
            if "error" in answer:
                sys.exit(f"{command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def numbers(self):
        """The whole numbers on the serial line."""
        with open(os.path.join(self.folder, self.serial), "rb") as file:
            return [int(line, 16) for line in file.read().split(b"\n")[:-1] if len(line) == 4]

    def counter(self):
        """The last of them; 0 before the first."""
        return (self.numbers() or [0])[-1]

    def migrate(self, name):
        # Unlimited, so that it converges although the guest goes on.
        self.run("migrate-set-parameters", max_bandwidth=1 << 40)
        self.run("migrate", uri=f"exec:cat >{name}")
        self.wait(lambda: self.run("query-migrate").get("status") in ("completed", "failed"), "the end of a migration")
        if self.run("query-migrate")["status"] != "completed":
            sys.exit("the migration failed")


def make(folder, mib):
    with open(os.path.join(folder, "boot.raw"), "wb") as file:
        file.write(BOOT.ljust(510, b"\0") + b"\x55\xAA" + bytes((1 << 20) - 512))
    with open(os.path.join(folder, "noise"), "wb") as file:
        file.write(random.Random(5).randbytes(mib << 18))
    noise = ["-device", "loader,file=noise,addr=0x1000000,force-raw=on"]
    with Guest(folder, mib, *noise) as guest:
        guest.run("cont")
        guest.wait(lambda: guest.counter() >= 3, "the guest's third number")
        guest.migrate("live")
    with Guest(folder, mib, *noise) as guest:
        guest.run("cont")
        guest.wait(lambda: guest.counter() >= 20, "the guest's twentieth number")
        guest.run("stop")
        guest.run("dump-guest-memory", paging=False, protocol=f"file:{folder}/core")
        guest.run("dump-guest-memory", paging=True, protocol=f"file:{folder}/paging")
        guest.run("dump-guest-memory", paging=False, protocol=f"file:{folder}/kdump", format="kdump-zlib")
        guest.migrate("migration")
        with open(os.path.join(folder, "counter"), "w", encoding="ascii") as file:
            file.write(f"{guest.counter()} {mib}\n")
    description = b"<domain type='qemu'><name>counter</name></domain>\0"
    with open(os.path.join(folder, "migration"), "rb") as stream, open(os.path.join(folder, "save"), "wb") as file:
        header = b"LibvirtQemudSave" + struct.pack("<5I", 2, len(description), 0, 0, 0)
        file.write(header.ljust(92, b"\0") + description + stream.read())


def resume(folder, stream):
    with open(os.path.join(folder, "counter"), encoding="ascii") as file:
        stopped, mib = (int(word) for word in file.read().split())
    with Guest(folder, mib, "-incoming", "defer") as guest:
        with open(stream, "rb") as file:
            data = file.fileno()
            os.set_inheritable(data, True)
            socket.send_fds(
                guest.connection, [b'{"execute":"getfd","arguments":{"fdname":"stream"}}'], [data])
            while "return" not in json.loads(guest.lines.readline()):
                pass
        guest.run("migrate-incoming", uri="fd:stream")
        guest.wait(lambda: guest.run("query-status")["status"] in ("paused", "prelaunch", "running"), "the guest")
        guest.wait(lambda: guest.run("query-migrate").get("status") == "completed", "the guest's memory")
        guest.run("cont")
        guest.wait(lambda: guest.counter() > stopped, f"a number above {stopped}")
        first = guest.numbers()[0]
        if not stopped <= first <= stopped + 2:
            sys.exit(f"the guest was stopped at {stopped} and went on at {first}")
        print(f"stopped at {stopped}, went on at {first}")


if __name__ == "__main__":
    if len(sys.argv) in (3, 4) and sys.argv[1] == "make":
        make(os.path.abspath(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) == 4 else 64)
    elif len(sys.argv) == 4 and sys.argv[1] == "resume":
        resume(os.path.abspath(sys.argv[2]), os.path.abspath(sys.argv[3]))
    else:
        sys.exit(__doc__)
