#!/usr/bin/env python3
"""Stands between a program and QEMU's monitor, and kills the program with signal 9 behind the n-th command.

usage: kill-at-command.py [--at N] [--commands FILE] MONITOR -- COMMAND...

A word {} of COMMAND is replaced by the socket it is to use instead of MONITOR. Commands are counted from 1 over all
connections; behind means that QEMU has done it and the program has not heard so. Open files are passed on. FILE gets
the names of the commands, one a line, in order. Only the program's own process is killed; what it started is served
until it ends (at most 60 s). The status is the program's, or 137 when it was killed.
"""
import argparse
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

SUBREAPER = 36
LINGER_SECONDS = 60


class Between:
    """Passes on what the program and QEMU say, and counts."""

    def __init__(self, monitor, limit):
        self.monitor, self.limit, self.names, self.program = monitor, limit, [], None
        self.lock = threading.Lock()

    def serve(self, listener):
        while True:
            client, _ = listener.accept()
            server = socket.socket(socket.AF_UNIX)
            server.connect(self.monitor)
            numbers = {}
            for source, target, seen in ((client, server, self.told), (server, client, self.answered)):
                threading.Thread(target=self.pump, args=(source, target, seen, numbers), daemon=True).start()

    def pump(self, source, target, seen, numbers):
        rest = b""
        try:
            while True:
                data, files, _, _ = socket.recv_fds(source, 1 << 16, 8)
                if not data:
                    break
                rest += data
                *lines, rest = rest.split(b"\n")
                for line in lines:
                    if line.strip():
                        seen(json.loads(line), numbers)
                if files:
                    socket.send_fds(target, [data[:1]], files)
                    data = data[1:]
                    for file in files:
                        os.close(file)
                target.sendall(data)
        except OSError:
            pass  # one of them is gone
        for link in (source, target):
            try:
                link.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def told(self, line, numbers):
        if "execute" in line:
            with self.lock:
                self.names.append(line["execute"])
                numbers[line.get("id")] = len(self.names)

    def answered(self, line, numbers):
        if self.limit and "event" not in line and numbers.get(line.get("id")) == self.limit:
            os.kill(self.program.pid, signal.SIGKILL)
            self.program.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--at", type=int)
    parser.add_argument("--commands")
    parser.add_argument("monitor")
    if "--" not in sys.argv:
        parser.error("a command is needed behind --")
    split = sys.argv.index("--")
    options, command = parser.parse_args(sys.argv[1:split]), sys.argv[split + 1:]
    ctypes.CDLL(None).prctl(SUBREAPER, 1)
    between = Between(options.monitor, options.at)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(options.monitor)) as folder:
        path = os.path.join(folder, "m")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        with between.lock:
            between.program = subprocess.Popen([path if word == "{}" else word for word in command])
            threading.Thread(target=between.serve, args=(listener,), daemon=True).start()
        status = between.program.wait()
        deadline = time.monotonic() + LINGER_SECONDS
        try:
            while time.monotonic() < deadline:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    time.sleep(0.02)
        except ChildProcessError:
            pass
    if options.commands:
        with open(options.commands, "w", encoding="utf-8") as file:
            print(*between.names, sep="\n", file=file)
    return 128 - status if status < 0 else status


if __name__ == "__main__":
    sys.exit(main())
