#!/usr/bin/env python3
"""Nights of seconds: the real agent, three guests under QEMU that are written all the time, and kill -9.

    agent_nights.py DOZO FOLDER [KILLS]

FOLDER is empty; the environment has DOZO_PASSPHRASE_FILE and XDG_STATE_HOME. Prints "pass: ..." or "FAIL: ..." for each
case. The guests have no operating system: each disk is written through QEMU's own monitor, step by step, so that what
a disk looks like after step n is known, and a restored point must be the state after one single n.
"""
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time

from agent_process import AgentProcess, case, until

BLOCK = 64 << 10
SIZE = 32 << 20
BLOCKS = SIZE // BLOCK
PLACES = 48      # blocks that are written, one after the other


class Guest:
    """A QEMU whose one disk is written by its monitor."""

    def __init__(self, folder, name, seed):
        self.name, self.folder = name, folder
        self.disk = os.path.join(folder, f"{name}.qcow2")
        self.qmp = os.path.join(folder, f"{name}.qmp")
        control = os.path.join(folder, f"{name}.control")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", self.disk, str(SIZE)], check=True)
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-machine", "q35,accel=tcg", "-m", "16", "-display", "none", "-nodefaults",
             "-name", name, "-blockdev",
             json.dumps({"driver": "qcow2", "node-name": "disk0", "discard": "unmap",
                         "file": {"driver": "file", "filename": self.disk}}),
             "-device", "virtio-blk-pci,drive=disk0,id=vda",
             "-qmp", f"unix:{self.qmp},server=on,wait=off", "-qmp", f"unix:{control},server=on,wait=off"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(f"{self.disk}.err", "w"))
        until(lambda: os.path.exists(control))
        self.link = socket.socket(socket.AF_UNIX)
        self.link.connect(control)
        self.reader = self.link.makefile("rb")
        self.reader.readline()
        self.ask("qmp_capabilities")
        self.step, self.origin = 0, seed
        self.isOver = threading.Event()
        self.thread = threading.Thread(target=self.write, daemon=True)
        self.thread.start()

    def ask(self, command, arguments=None):
        self.link.sendall(json.dumps({"execute": command, "arguments": arguments or {}}).encode() + b"\n")
        while True:
            answer = json.loads(self.reader.readline())
            if "return" in answer or "error" in answer:
                return answer

    def place(self, step):
        return (step * 7 + self.origin) % PLACES, step % 251 + 1

    def write(self):
        while not self.isOver.is_set():
            place, pattern = self.place(self.step)
            answer = self.ask("human-monitor-command", {
                "command-line":
                    f'qemu-io -d /machine/peripheral/vda/virtio-backend "write -P {pattern} {place * BLOCK} {BLOCK}"'})
            if "error" in answer or answer.get("return"):
                print(f"note: {self.name} does not take writes: {answer}", flush=True)
                return
            self.step += 1
            time.sleep(0.02)

    def steps_of(self, image):
        """The step after which the disk looked like this; None when it never did."""
        with open(image, "rb") as file:
            data = file.read()
        if len(data) != SIZE or any(data[PLACES * BLOCK:]):
            return None
        found = []
        for place in range(PLACES):
            block = data[place * BLOCK:(place + 1) * BLOCK]
            if block != block[:1] * BLOCK:
                return None
            found.append(block[0])
        # Each place is written every PLACES steps: the state after n steps is known, and n is searched.
        state = [0] * PLACES
        if found == state:
            return 0
        for step in range(self.step + 1):
            place, pattern = self.place(step)
            state[place] = pattern
            if state == found:
                return step + 1
        return None

    def end(self):
        self.isOver.set()
        self.thread.join(timeout=10)
        self.process.kill()
        self.process.wait()


class Trial(AgentProcess):
    def __init__(self, dozo, folder, kills):
        super().__init__(dozo, folder)
        self.kills = kills
        self.repository = os.path.join(folder, "repository")
        self.dice = random.Random(20281)
        self.told = os.path.join(folder, "told")
        self.hooks = os.path.join(folder, "hooks")

    def configure(self, window=None, schedule="every 3s"):
        program = os.path.join(self.folder, "tell")
        hook = os.path.join(self.folder, "hook")
        for path, text in [
                (program, f'#!/bin/sh\necho "$DOZO_KIND $DOZO_PHASE $DOZO_GUEST" >>"{self.told}"\n'),
                (hook, '#!/bin/sh\n'
                       f'echo "$DOZO_STAGE $DOZO_GUEST ${{DOZO_OUTCOME:-}} ${{DOZO_POINT:-}}" >>"{self.hooks}"\n')]:
            with open(path, "w") as file:
                file.write(text)
            os.chmod(path, 0o755)
        guests = "".join(
            f"  {g.name}:\n    connection: qmp\n    names: [{g.name}]\n    socket: {g.qmp}\n" for g in self.guests)
        text = f"""time-zone: UTC
repositories:
  main:
    location: "{self.repository}"
    credential-file: "{self.folder}/writer"
    maintainer-credential-file: "{self.folder}/maintainer"
guests:
{guests}tiers:
  1:
    name: first
    largest-rpo: 1h
  2:
    name: second
    largest-rpo: 24h
policies:
  often:
    guests: [{self.guests[0].name}]
    repository: main
    tier: 1
    schedule: {schedule}
    sample-percent: 0
    retention:
      last: 1000
    hooks:
      before:
        command: ["{hook}"]
        time-limit: 20s
      after:
        command: ["{hook}"]
        time-limit: 20s
  seldom:
    guests: [{', '.join(g.name for g in self.guests[1:])}]
    repository: main
    tier: 2
    schedule: {schedule}
{window or ''}    sample-percent: 0
    limits:
      concurrency: 2
    retention:
      last: 1000
notifications:
  targets:
    file:
      kind: command
      command: ["{program}"]
  rules:
    all:
      targets: [file]
"""
        self.write_config(text)

    def points(self):
        # Not by the passphrase: each use of that costs what a guess is meant to cost.
        return json.loads(self.run(
            "points", "-r", self.repository, "--json", "--key-file", f"{self.folder}/maintainer").stdout)

    def count(self, guest):
        return sum(point["guest"] == guest for point in self.points())

    def backups(self):
        """Processes that make backups into this repository."""
        found = []
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    with open(f"/proc/{name}/cmdline", "rb") as file:
                        words = file.read().split(b"\0")
                except OSError:
                    continue
                if b"backup" in words[1:2] and self.repository.encode() in words:
                    found.append(int(name))
        return found

    def records(self):
        records = {}
        folder = os.path.join(os.environ["XDG_STATE_HOME"], "dozo", "agent", "runs")
        for path, _, names in os.walk(folder):
            for name in sorted(names):
                with open(os.path.join(path, name), "rb") as file:
                    for line in file:
                        try:
                            record = json.loads(line)
                        except ValueError:
                            continue
                        if "run" in record:
                            records[record["run"]] = record
        return records

    # The cases.

    def prepare(self):
        self.run("init", "-r", self.repository)
        for role in ["writer", "maintainer"]:
            self.run("key", "enroll", "-r", self.repository, "--role", role, "--to", f"{self.folder}/{role}",
                     "--label", role)
        self.guests = [Guest(self.folder, name, number) for number, name in enumerate(["bank", "shop", "blog"])]
        self.configure()

    def schedule(self):
        case("the agent begins its work", self.start())
        case("three guests are backed up by themselves, again and again (S49)",
             until(lambda: all(self.count(g.name) >= 2 for g in self.guests)), open(self.log).read()[-600:])
        second = self.run("agent", "run", "--config", self.config, "--socket", self.socket + "2", check=False)
        case("a second agent of the host is refused (7)", second.returncode == 7, second.stderr[-200:])
        done = self.run("status", "--socket", self.socket, check=False)
        case("status says that all is well, with 0", done.returncode == 0 and "kept of" in done.stdout,
             done.stdout[-300:] + done.stderr[-300:])

    def orders(self):
        self.run("pause", "--all", "--socket", self.socket)
        until(lambda: not self.backups() and not self.status()["runs"])
        before = len(self.points())
        time.sleep(4)
        case("paused, nothing begins by itself", len(self.points()) == before, f"{before}")
        self.run("run", "shop", "--socket", self.socket)
        case("but what a person asks for", until(lambda: self.count("shop") > 0 and len(self.points()) == before + 1))
        who = [r for r in self.records().values() if r["started-by"].startswith("person ")]
        case("and it is on record who did", len(who) == 1 and who[0]["guest"] == "shop", str(who))
        self.run("pause", "--off", "--all", "--socket", self.socket)
        case("resumed, it goes on", until(lambda: len(self.points()) > before + 1))
        wrong = self.run("run", "nobody", "--socket", self.socket, check=False)
        case("a guest that nobody knows is refused", wrong.returncode == 1 and "no policy covers" in wrong.stdout,
             wrong.stdout + wrong.stderr)

    def reload(self):
        before = self.agent.pid
        with open(self.config, "a") as file:
            file.write("policise: {}\n")
        self.agent.send_signal(signal.SIGHUP)
        case("a wrong file is told and the one before counts",
             until(lambda: (self.status() or {}).get("config_problem")), open(self.log).read()[-300:])
        count = len(self.points())
        case("and backups go on", until(lambda: len(self.points()) > count))
        self.configure(schedule="every 2s")
        self.agent.send_signal(signal.SIGHUP)
        case("a right one counts at once", until(lambda: not self.status().get("config_problem"))
             and self.agent.pid == before and self.agent.poll() is None)

    def killed(self):
        for number in range(self.kills):
            # Every second one falls on a backup that is under way.
            if number % 2 and until(self.backups, 20):
                victims = self.backups()
                if victims:
                    try:
                        os.kill(self.dice.choice(victims), signal.SIGKILL)
                    except ProcessLookupError:
                        pass
            else:
                until(self.backups, 20)
                self.agent.kill()
                self.agent.wait()
                if not case(f"kill {number + 1}: the next agent begins", self.start(), open(self.log).read()[-300:]):
                    return
            counts = [self.count(g.name) for g in self.guests]
            case(f"kill {number + 1}: each guest gets another point",
                 until(lambda: all(self.count(g.name) > c for g, c in zip(self.guests, counts))),
                 open(self.log).read()[-900:])

    def window(self):
        # A window must be a quarter of an hour long; this one closes at the next full minute.
        now = time.time()
        if 60 - now % 60 < 8:
            time.sleep(60 - now % 60 + 0.1)
            now = time.time()
        clock = lambda t: time.strftime("%H:%M", time.gmtime(t))
        self.configure(window=f'    window:\n      from: "{clock(now - 900)}"\n      to: "{clock(now + 60)}"\n',
                       schedule="every 1s")
        self.agent.send_signal(signal.SIGHUP)
        end = now - now % 60 + 60
        until(lambda: time.time() > end + 0.5, 70)
        until(lambda: not [r for r in self.status()["runs"] if r["policy"] == "seldom"])
        seldom = [self.count(g.name) for g in self.guests[1:]]
        often = self.count("bank")
        case("outside of its window a policy begins nothing, and the others go on",
             until(lambda: self.count("bank") >= often + 2)
             and [self.count(g.name) for g in self.guests[1:]] == seldom)
        late = [r for r in self.records().values()
                if r["policy"] == "seldom" and r["began"] > (end + 1) * 1e9]
        case("no run of it began behind its end", not late, str(late[:1]))
        self.configure(schedule="every 2s")
        self.agent.send_signal(signal.SIGHUP)

    def end(self):
        until(self.backups, 20)
        began = time.monotonic()
        self.agent.terminate()
        status = self.agent.wait()
        case("SIGTERM ends it cleanly, with 0 or 130", status in (0, 130), str(status))
        case("within a minute, with no backup left behind", time.monotonic() - began < 60 and not self.backups())
        dead = self.run("status", "--socket", self.socket, check=False)
        case("status notices a dead agent (1), and says since when (S36)",
             dead.returncode == 1 and "last at work" in dead.stderr, dead.stderr[-200:])
        records = self.records()
        open_runs = [r for r in records.values() if r["outcome"] == "running"]
        case("every run came to an end on record", not open_runs, str(open_runs[:2]))
        complete = {r["point"]: r for r in records.values() if r["outcome"] in ("complete", "partial")}
        there = {point["id"] for point in self.points()}
        case("no point that was reported is lost", set(complete) <= there, str(set(complete) - there)[:200])
        case("no guest was backed up twice at once", not self.overlaps(records), str(self.overlaps(records))[:300])
        one = next(iter(complete.values()))
        case("a record has its revision, phases, sizes, trust and consistency",
             "@" in one["policy-revision"] and one["phases"] and one["bytes-read"] >= 0 and one["trust"]
             and one["consistency"], str(one)[:400])
        with open(self.hooks) as file:
            lines = [line.split() for line in file]
        befores = sum(line[0] == "before" for line in lines)
        afters = sum(line[0] == "after" for line in lines)
        case("the commands around runs were run, the one behind with the outcome",
             befores > 2 and afters > 2 and any(line[2:3] == ["complete"] for line in lines if line[0] == "after"),
             f"{befores} {afters}")
        with open(self.told) as file:
            kinds = {line.split()[0] for line in file}
        case("notices reached their target", "agent-started" in kinds, str(kinds))

    @staticmethod
    def overlaps(records):
        runs = sorted((r for r in records.values() if r.get("ended") and r["outcome"] != "skipped"),
                      key=lambda r: (r["guest"], r["began"]))
        return [(a["run"], b["run"]) for a, b in zip(runs, runs[1:])
                if a["guest"] == b["guest"] and b["began"] < a["ended"]]

    def whole(self):
        for guest in self.guests:
            guest.isOver.set()
            guest.thread.join(timeout=10)
        wrong, last = [], {}
        points = sorted(self.points(), key=lambda p: p["taken_at"])
        chosen = self.dice.sample(points, min(len(points), 30))
        for point in sorted(chosen, key=lambda p: p["taken_at"]):
            out = os.path.join(self.folder, "out.raw")
            if os.path.exists(out):
                os.remove(out)
            self.run("restore", "-r", self.repository, point["id"], "--disk", point["disks"][0]["name"], "--to", out)
            guest = next(g for g in self.guests if g.name == point["guest"])
            step = guest.steps_of(out)
            if step is None or step < last.get(guest.name, 0):
                wrong.append((point["guest"], point["id"], step, last.get(guest.name)))
            else:
                last[guest.name] = step
        case(f"each of {len(chosen)} points is the state of one instant, and the instants go forward", not wrong,
             str(wrong)[:300])
        done = self.run("verify", "-r", self.repository, "--content", check=False)
        case("no damage", done.returncode == 0, done.stderr[-200:])

    def close(self):
        self.kill()
        until(lambda: not self.backups(), 30)
        for guest in self.guests:
            guest.end()


def main():
    trial = Trial(os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]),
                  int(sys.argv[3]) if len(sys.argv) > 3 else 5)
    trial.prepare()
    try:
        trial.schedule()
        trial.orders()
        trial.reload()
        trial.killed()
        trial.window()
        trial.end()
        trial.whole()
    finally:
        trial.close()


main()
