#!/usr/bin/env python3
"""What the memory of a guest costs after its disks were backed up, against the pages that are really new.

    memory.py --dozo BINARY [--disk FILE]... CORE...

The disks are backed up raw, then each ELF core file of the guest in turn, into one new repository. For each core file
it prints the pages that are not zero, how many distinct ones equal no page of the disks or of earlier core files
(counted here, from the files), and what the backup had to store for it. The core files are QEMU's: 64 bits, lowest byte
first.
"""
import argparse
import hashlib
import json
import os
import struct
import subprocess
import sys
import tempfile
import time

PAGE = 4096
ZERO = bytes(PAGE)


def digest(page):
    return hashlib.blake2b(page, digest_size=16).digest()


def pages(file, start, length):
    file.seek(start)
    while length >= PAGE:
        piece = file.read(min(length // PAGE, 1024) * PAGE)
        if not piece:
            return
        length -= len(piece)
        for place in range(0, len(piece) - PAGE + 1, PAGE):
            page = piece[place:place + PAGE]
            if page != ZERO:
                yield page


def core_pages(path):
    with open(path, "rb") as file:
        head = file.read(64)
        if head[:6] != b"\x7fELF\x02\x01":
            sys.exit(f"{path} is no ELF core file of 64 bits")
        start, size, count = struct.unpack_from("<Q", head, 32)[0], *struct.unpack_from("<HH", head, 54)
        for number in range(count):
            file.seek(start + number * size)
            kind, _, offset, _, address, length, _, _ = struct.unpack("<IIQQQQQQ", file.read(56))
            if kind == 1:
                shift = -address % PAGE
                yield from pages(file, offset + shift, length - shift)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--dozo", required=True)
    parser.add_argument("--disk", action="append", default=[])
    parser.add_argument("cores", nargs="+", metavar="CORE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as folder:
        secret = os.path.join(folder, "secret")
        with open(os.open(secret, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
            file.write("horse\n")
        environment = dict(
            os.environ, XDG_STATE_HOME=os.path.join(folder, "state"), DOZO_PASSPHRASE_FILE=secret,
            DOZO_REPOSITORY=os.path.join(folder, "repository"))

        def dozo(*arguments):
            command = [os.path.abspath(options.dozo), *arguments]
            done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
            return done.stdout

        os.mkdir(environment["XDG_STATE_HOME"])
        dozo("init")
        known = set()
        if options.disk:
            named = [word for number, disk in enumerate(options.disk) for word in ("--disk", f"d{number}={disk}")]
            dozo("backup", "--guest", "g", "--format", "raw", *named)
        for disk in options.disk:
            with open(disk, "rb") as file:
                known.update(digest(page) for page in pages(file, 0, os.path.getsize(disk)))
        print("core file | pages MiB | new pages MiB | new bytes MiB | stored MiB | stored / new pages | backup s | "
              "restore s")
        for core in options.cores:
            found = [digest(page) for page in core_pages(core)]
            new = set(found) - known
            known |= new
            started = time.monotonic()
            told = json.loads(dozo("backup", "--guest", "g", "--memory", core, "--json"))
            took = time.monotonic() - started
            back = os.path.join(folder, "back")
            started = time.monotonic()
            dozo("restore", "g@latest", "--memory-to", back)
            restored = time.monotonic() - started
            subprocess.run(["cmp", core, back], check=True)
            os.unlink(back)
            new_pages = len(new) * PAGE
            ratio = told["stored_bytes"] / new_pages if new_pages else float("nan")
            print(f"{os.path.basename(core)} | {len(found) * PAGE / 2**20:.1f} | {new_pages / 2**20:.1f} | "
                  f"{told['new_bytes'] / 2**20:.1f} | {told['stored_bytes'] / 2**20:.1f} | {ratio:.2f} | {took:.1f} | "
                  f"{restored:.1f}", flush=True)


if __name__ == "__main__":
    main()
