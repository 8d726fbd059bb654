#!/usr/bin/env python3
"""Runs a command and kills it with signal 9 once a file that it writes takes up so many bytes more than at first.

usage: kill-at-size.py [--server] FILE BYTES -- COMMAND...

What FILE takes up is looked at again and again, from the moment it is there. With --server the qemu-nbd that serves it
is killed as well, before the command: nothing closes the image then. The status is the command's, or 137 when it was
killed.
"""
import os
import signal
import subprocess
import sys


def servers(path):
    """Process numbers of every qemu-nbd that has the file in its command line."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        if os.path.basename(words[0]) == b"qemu-nbd" and os.fsencode(path) in words:
            found.append(int(name))
    return found


def taken(path):
    """Bytes that the file takes up; None while it is not there."""
    try:
        return os.stat(path).st_blocks * 512
    except FileNotFoundError:
        return None


def main():
    split = sys.argv.index("--")
    options, command = sys.argv[1:split], sys.argv[split + 1:]
    kills_server = options[0] == "--server"
    path, limit = options[-2], int(options[-1])
    before = taken(path)
    process = subprocess.Popen(command)
    while process.poll() is None:
        now = taken(path)
        if before is None:
            before = now
        # A file that was begun anew starts below what lay there.
        if now is not None and now < before:
            before = now
        if now is not None and now - before >= limit and servers(path):
            break
    else:
        return process.returncode if process.returncode >= 0 else 128 - process.returncode
    if kills_server:
        for number in servers(path):
            os.kill(number, signal.SIGKILL)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return 137


if __name__ == "__main__":
    sys.exit(main())
