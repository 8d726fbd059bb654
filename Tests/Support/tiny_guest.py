#!/usr/bin/env python3
"""Starts the guest that tiny-guest.sh made, talks to it, and knows what it wrote. Python's standard library only.

  tiny_guest.py start GUEST RUN [--disk FILE[:FORMAT]]... [--memory MIB] [--extra WORD]... [--resume STREAM]
      GUEST is the folder of tiny-guest.sh, RUN a private folder for sockets and logs. Without --disk the guest runs on
      copies of GUEST's disks, which are made in RUN. The disks are vda, vdb, vdc in their order; qcow2 unless told.
      Waits until the guest is ready, or with --resume until it goes on from a stream of its memory. It is emulated
      (TCG): hardware virtualisation is never tried.
  tiny_guest.py run RUN COMMAND           a shell command in the guest, by its serial line; its output and its status
  tiny_guest.py wait RUN                  waits until a guest that somebody else started is ready
  tiny_guest.py qmp RUN COMMAND [JSON]    a command to QEMU, with its arguments; prints the answer
  tiny_guest.py agent RUN COMMAND [JSON]  a command to the agent in the guest
  tiny_guest.py stop RUN [--kill]         ends QEMU: by `quit`, which closes its images, or by SIGKILL
  tiny_guest.py twins FIRST SECOND        the writer's last number on two raw images that were taken at one instant;
                                          fails when they cannot be of one instant
  tiny_guest.py scattered FILE SEED COUNT fails unless the pages of `guest-work scatter` are in the raw image

RUN holds: qmp.sock for the program under test and control.sock for this one, agent.sock, serial.sock, serial.log,
qemu.log and pid. Times are five times what a busy machine was seen to need.
"""
import argparse
import base64
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

READY_SECONDS = 120
COMMAND_SECONDS = 120
PAGE, SLOTS, RESERVED = 4096, 64, 1 << 20
MARK = 0x544F4C534F5A4F44
MASK = (1 << 64) - 1


class GuestProblem(Exception):
    """What went wrong, in a sentence."""


def connected(path, seconds=COMMAND_SECONDS):
    link = socket.socket(socket.AF_UNIX)
    link.settimeout(seconds)
    link.connect(path)
    return link


class Conversation:
    """JSON lines with QEMU, or with the agent in the guest."""

    def __init__(self, path, agent=False):
        self.link, self.rest, self.events = connected(path), b"", []
        if agent:
            # 0xFF makes the agent forget half a command; answers before that of the sync are somebody else's.
            token = int.from_bytes(os.urandom(4), "big")
            self.link.sendall(b"\xff")
            self.send({"execute": "guest-sync-delimited", "arguments": {"id": token}})
            while True:
                line = self.line().lstrip(b"\xff")
                if line.strip() and json.loads(line).get("return") == token:
                    break
        else:
            self.line()
            self.ask("qmp_capabilities")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.link.close()

    def send(self, message):
        self.link.sendall(json.dumps(message).encode() + b"\n")

    def line(self):
        while b"\n" not in self.rest:
            more = self.link.recv(1 << 16)
            if not more:
                raise GuestProblem("the socket was closed")
            self.rest += more
        line, self.rest = self.rest.split(b"\n", 1)
        return line

    def ask(self, command, arguments=None):
        self.send({"execute": command, **({"arguments": arguments} if arguments else {})})
        while True:
            answer = json.loads(self.line().lstrip(b"\xff") or b"{}")
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise GuestProblem(f"{command}: {answer['error'].get('desc', answer['error'])}")
            if "event" in answer:
                self.events.append(answer)


class Guest:
    """A running guest, by its folder."""

    def __init__(self, run):
        self.run_folder = os.path.abspath(run)

    def path(self, name):
        return os.path.join(self.run_folder, name)

    def qmp(self):
        return Conversation(self.path("control.sock"))

    def agent(self):
        return Conversation(self.path("agent.sock"), agent=True)

    def pid(self):
        """QEMU's process, if it runs and is ours."""
        try:
            pid = int(open(self.path("pid")).read())
            words = open(f"/proc/{pid}/cmdline", "rb").read()
        except (OSError, ValueError):
            return None
        return pid if os.fsencode(self.run_folder) in words.replace(b",,", b",") else None

    def start(self, guest, disks, memory, extra, state=None):
        os.makedirs(self.run_folder, mode=0o700, exist_ok=True)
        for name in ("serial.log", "qemu.log", "qmp.sock", "control.sock", "agent.sock", "serial.sock"):
            if os.path.exists(self.path(name)):
                os.unlink(self.path(name))
        if not disks:
            disks = self.copies(guest, "qcow2")
        with open(self.path("qemu.log"), "wb") as log:
            process = subprocess.Popen(
                self.command(guest, disks, memory) + extra, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, cwd="/")
        with open(self.path("pid"), "w") as file:
            file.write(f"{process.pid}\n")
        if state is None:
            self.wait(process)
        else:
            self.resume(process, state)

    def resume(self, process, state):
        """Lets a guest go on from a stream of its memory."""
        end = time.monotonic() + READY_SECONDS
        while not os.path.exists(self.path("control.sock")):
            if process.poll() is not None or time.monotonic() > end:
                raise GuestProblem(f"QEMU ended: {open(self.path('qemu.log'), errors='replace').read()[-400:]}")
            time.sleep(0.05)
        with self.qmp() as talk:
            talk.ask("migrate-incoming", {"uri": f"exec:cat '{state}'"})
            while talk.ask("query-status")["status"] == "inmigrate":
                if process.poll() is not None or time.monotonic() > end:
                    raise GuestProblem(f"QEMU ended: {open(self.path('qemu.log'), errors='replace').read()[-400:]}")
                time.sleep(0.05)
            if talk.ask("query-migrate").get("status") == "failed":
                raise GuestProblem("the memory was not taken")
            talk.ask("cont")

    def copies(self, guest, container):
        disks = []
        for name in ("vda", "vdb", "vdc"):
            target = self.path(f"{name}.{container}")
            source = os.path.join(guest, f"{name}.raw")
            subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", container, source, target], check=True)
            disks.append((target, container))
        return disks

    def command(self, guest, disks, memory):
        def escaped(name):
            return self.path(name).replace(",", ",,")

        words = [
            "qemu-system-x86_64", "-name", "tiny", "-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max",
            "-m", str(memory), "-nodefaults", "-display", "none", "-no-user-config",
            "-kernel", os.path.join(guest, "vmlinuz"), "-initrd", os.path.join(guest, "initrd.gz"),
            "-append", "console=ttyS0 quiet", "-device", "virtio-rng-pci", "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=serial,path={escaped('serial.sock')},server=on,wait=off,"
            f"logfile={escaped('serial.log')}", "-serial", "chardev:serial",
            "-chardev", f"socket,id=agent,path={escaped('agent.sock')},server=on,wait=off",
            "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
            "-qmp", f"unix:{escaped('qmp.sock')},server=on,wait=off",
            "-qmp", f"unix:{escaped('control.sock')},server=on,wait=off",
        ]
        for index, (path, container) in enumerate(disks):
            name = "vd" + chr(ord("a") + index)
            node = {
                "driver": container, "node-name": f"node-{name}", "discard": "unmap",
                "file": {"driver": "file", "filename": os.path.abspath(path), "node-name": f"file-{name}"}}
            words += ["-blockdev", json.dumps(node), "-device", f"virtio-blk-pci,id={name},drive=node-{name}"]
        return words

    def wait(self, process=None):
        """Until the guest says that it is ready; a guest that ended is told."""
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            try:
                said = open(self.path("serial.log"), "rb").read()
            except OSError:
                said = b""
            if b"GUEST-READY" in said.rsplit(b"GUEST-FAILED", 1)[-1]:
                return
            if process is not None and process.poll() is not None:
                log = open(self.path("qemu.log"), errors="replace").read().strip()
                raise GuestProblem(f"QEMU ended with status {process.returncode}: {log[-400:]}")
            time.sleep(0.1)
        raise GuestProblem(f"the guest was not ready after {READY_SECONDS} s; see {self.path('serial.log')}")

    def run(self, command):
        """Output and status of a shell command in the guest. Works also while its file systems are frozen."""
        token = os.urandom(6).hex()
        text = base64.b64encode(command.encode()).decode()
        # The shell reads one line; what it says of itself stands between two marks that the line does not contain.
        line = (
            f"echo '{token}''<'; echo {text} | base64 -d >/run/{token}; sh /run/{token} </dev/null 2>&1; "
            f"echo '{token}''>'$?; rm -f /run/{token}\n")
        answer = b""
        with connected(self.path("serial.sock")) as link:
            link.sendall(line.encode())
            while True:
                found = re.search(rf"{token}<\r?\n(.*?){token}>(\d+)\r?\n".encode(), answer, re.DOTALL)
                if found:
                    return found.group(1), int(found.group(2))
                more = link.recv(1 << 16)
                if not more:
                    raise GuestProblem("the serial line was closed")
                answer += more

    def stop(self, kill):
        pid = self.pid()
        if pid is None:
            return
        if kill:
            os.kill(pid, signal.SIGKILL)
        else:
            try:
                with self.qmp() as talk:
                    talk.ask("quit")
            except (OSError, GuestProblem):
                os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + COMMAND_SECONDS
        while self.pid() is not None and time.monotonic() < end:
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass
            time.sleep(0.05)
        if self.pid() is not None:
            os.kill(pid, signal.SIGKILL)
        os.unlink(self.path("pid"))


def numbers(seed):
    """The generator of guest-work.c."""
    state = seed & MASK
    while True:
        state = (state + 0x9E3779B97F4A7C15) & MASK
        value = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
        yield value ^ (value >> 31)


def page_of(seed, index):
    source = numbers((seed * 0x9E3779B97F4A7C15 + index) & MASK)
    return struct.pack("<512Q", *(next(source) for _ in range(512)))


def slot_page(number):
    return struct.pack("<QQ", MARK, number) + page_of(MARK, number)[16:]


def last_number(path):
    """The highest number among an image's slots; fails when a slot is torn or one before it is missing."""
    with open(path, "rb") as image:
        pages = [image.read(PAGE) for _ in range(SLOTS)]
    found = {}
    for slot, page in enumerate(pages):
        if page == bytes(PAGE):
            continue
        mark, number = struct.unpack_from("<QQ", page)
        if mark != MARK or page != slot_page(number) or number % SLOTS != slot:
            raise GuestProblem(f"{path}: slot {slot} is torn")
        found[number] = slot
    last = max(found, default=0)
    for number in range(max(1, last - SLOTS + 1), last + 1):
        if number not in found:
            raise GuestProblem(f"{path} holds {last} but not {number}, which was written before it")
    return last


def twins(first, second):
    """The last number on both; the second disk is written after the first one."""
    one, other = last_number(first), last_number(second)
    if one - other not in (0, 1):
        raise GuestProblem(f"{first} holds {one} and {second} holds {other}: they are not of one instant")
    return other


def scattered(path, seed, count):
    """Fails unless the pages of a scatter are there; pages that were written twice hold what came last."""
    size = os.path.getsize(path)
    source, last = numbers(seed), {}
    for index in range(count):
        last[RESERVED + next(source) % ((size - RESERVED) // PAGE) * PAGE] = index
    with open(path, "rb") as image:
        for at, index in sorted(last.items()):
            image.seek(at)
            if image.read(PAGE) != page_of(seed, index):
                raise GuestProblem(f"{path}: the page at {at} is not what seed {seed} wrote there")


def disk_argument(text):
    path, colon, container = text.rpartition(":")
    return (path, container) if colon and container in ("raw", "qcow2") else (text, "qcow2")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("start")
    verb.add_argument("guest")
    verb.add_argument("run")
    verb.add_argument("--disk", action="append", default=[], type=disk_argument)
    verb.add_argument("--memory", type=int, default=160)
    verb.add_argument("--extra", action="append", default=[])
    verb.add_argument("--resume")
    for name in ("qmp", "agent"):
        verb = verbs.add_parser(name)
        verb.add_argument("run")
        verb.add_argument("command")
        verb.add_argument("arguments", nargs="?", default="{}")
    for name, words in {"run": ["run", "command"], "wait": ["run"], "twins": ["first", "second"]}.items():
        verb = verbs.add_parser(name)
        for word in words:
            verb.add_argument(word)
    verb = verbs.add_parser("stop")
    verb.add_argument("run")
    verb.add_argument("--kill", action="store_true")
    verb = verbs.add_parser("scattered")
    verb.add_argument("file")
    verb.add_argument("seed", type=int)
    verb.add_argument("count", type=int)
    asked = parser.parse_args()
    if asked.verb == "start":
        if shutil.which("qemu-system-x86_64") is None:
            raise GuestProblem("qemu-system-x86_64 is missing; as root: apt-get install -y qemu-system-x86")
        extra = asked.extra + (["-incoming", "defer"] if asked.resume else [])
        Guest(asked.run).start(os.path.abspath(asked.guest), asked.disk, asked.memory, extra, asked.resume)
    elif asked.verb == "run":
        output, status = Guest(asked.run).run(asked.command)
        sys.stdout.buffer.write(output)
        return status
    elif asked.verb == "wait":
        Guest(asked.run).wait()
    elif asked.verb in ("qmp", "agent"):
        guest = Guest(asked.run)
        with guest.qmp() if asked.verb == "qmp" else guest.agent() as talk:
            print(json.dumps(talk.ask(asked.command, json.loads(asked.arguments)), indent=1))
    elif asked.verb == "stop":
        Guest(asked.run).stop(asked.kill)
    elif asked.verb == "twins":
        print(twins(asked.first, asked.second))
    else:
        scattered(asked.file, asked.seed, asked.count)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (GuestProblem, OSError) as problem:
        sys.exit(f"tiny_guest: {problem}")
