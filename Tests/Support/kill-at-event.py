#!/usr/bin/env python3
"""Runs a command, follows what it does in some folders, and kills it with signal 9 when the n-th thing happens there.

usage: kill-at-event.py [--at N] [--events FILE] FOLDER... -- COMMAND...

A thing is a name that appears, a file that was written and closed, or a name that goes; they are counted from 1 over
all folders and everything below them, folders that appear meanwhile included. The kernel tells (inotify), so no time
enters. FILE gets one line for each, "create|written|delete PATH", in order. Only the command's own process is killed,
and it never outlives this one. The status is the command's, or 137 when it was killed.
"""
import argparse
import ctypes
import os
import select
import signal
import struct
import subprocess
import sys

WRITTEN, MOVED, CREATE, DELETE = 0x8, 0x80, 0x100, 0x200
OVERFLOW, IGNORED, IS_FOLDER = 0x4000, 0x8000, 0x40000000
HEADER = struct.Struct("iIII")
libc = ctypes.CDLL(None, use_errno=True)


class Follower:
    """The events below some folders, in the order in which the kernel tells them."""

    def __init__(self, folders):
        self.descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.descriptor < 0:
            sys.exit("kill-at-event: inotify is not to be had")
        self.paths, self.known, self.events = {}, set(), []
        for folder in folders:
            self.watch(folder, quietly=True)

    def watch(self, folder, quietly):
        """Watches the folder and all below. What it held before it was watched counts now, unless quietly."""
        mask = WRITTEN | MOVED | CREATE | DELETE
        watch = libc.inotify_add_watch(self.descriptor, os.fsencode(folder), mask)
        if watch < 0:
            return  # gone again
        self.paths[watch] = folder
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except FileNotFoundError:
            return
        for entry in entries:
            if not quietly:
                self.appeared(entry.path)
            if entry.is_dir(follow_symlinks=False):
                self.watch(entry.path, quietly)

    def appeared(self, path):
        if path not in self.known:
            self.known.add(path)
            self.events.append(("create", path))

    def read(self):
        """Takes all events that wait."""
        while True:
            try:
                data = os.read(self.descriptor, 1 << 16)
            except BlockingIOError:
                return
            offset = 0
            while offset < len(data):
                watch, mask, _, length = HEADER.unpack_from(data, offset)
                name = data[offset + HEADER.size:offset + HEADER.size + length].rstrip(b"\0")
                offset += HEADER.size + length
                self.take(watch, mask, os.fsdecode(name))

    def take(self, watch, mask, name):
        if mask & OVERFLOW:
            sys.exit("kill-at-event: the kernel lost events")
        if mask & IGNORED or watch not in self.paths:
            return
        path = os.path.join(self.paths[watch], name)
        if mask & (CREATE | MOVED):
            self.appeared(path)
            if mask & IS_FOLDER:
                self.watch(path, quietly=False)
        elif mask & DELETE:
            self.known.discard(path)
            self.events.append(("delete", path))
        elif mask & WRITTEN:
            self.events.append(("written", path))


def follow(command, follower, limit):
    """Runs the command and kills it at the event of that number; returns its status as a shell would."""
    def die_with_parent():
        libc.prctl(1, signal.SIGKILL)

    process = subprocess.Popen(command, preexec_fn=die_with_parent)
    ended = os.pidfd_open(process.pid)
    poll = select.poll()
    poll.register(follower.descriptor, select.POLLIN)
    poll.register(ended, select.POLLIN)
    while True:
        ready = dict(poll.poll())
        if follower.descriptor in ready:
            follower.read()
            if limit and len(follower.events) >= limit:
                process.send_signal(signal.SIGKILL)
                limit = None
        if ended in ready:
            status = process.wait()
            follower.read()
            return 128 - status if status < 0 else status


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--at", type=int)
    parser.add_argument("--events")
    parser.add_argument("folders", nargs="+")
    if "--" not in sys.argv:
        parser.error("a command is needed behind --")
    split = sys.argv.index("--")
    options, command = parser.parse_args(sys.argv[1:split]), sys.argv[split + 1:]
    follower = Follower(options.folders)
    status = follow(command, follower, options.at)
    if options.events:
        with open(options.events, "w", encoding="utf-8", errors="surrogateescape") as file:
            for event in follower.events:
                print(*event, file=file)
    return status


if __name__ == "__main__":
    sys.exit(main())
