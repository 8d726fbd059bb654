#!/usr/bin/env python3
"""What people and hosts do to the agent: wrong questions, pipes, strangers' files, a second agent, a full disk.

    agent_trouble.py DOZO FOLDER STATE [SMALL]

FOLDER is empty; the environment has DOZO_PASSPHRASE_FILE, and STATE is where XDG_STATE_HOME is to be. SMALL says that
STATE is a file system of a few MiB that may be filled. Prints "pass: ..." or "FAIL: ..." for each case. The guests are
sockets that take connections and say nothing, so that a run lasts as long as somebody waits for an answer.
"""
import errno
import glob
import os
import signal
import socket
import stat
import subprocess
import sys
import time

from agent_process import AgentProcess, case, until


class Trial(AgentProcess):
    def __init__(self, dozo, folder, state):
        super().__init__(dozo, folder)
        self.state = state
        self.agent_folder = os.path.join(state, "dozo", "agent")
        self.repository = os.path.join(folder, "repository")
        self.silent = []

    def prepare(self):
        self.run("init", "-r", self.repository)
        self.run("key", "enroll", "-r", self.repository, "--role", "writer", "--to", f"{self.folder}/writer",
                 "--label", "writer")
        for name in ["bank", "shop"]:
            link = socket.socket(socket.AF_UNIX)
            link.bind(os.path.join(self.folder, f"{name}.qmp"))
            link.listen(8)
            self.silent.append(link)
        self.configure()

    def configure(self, schedule="0 3 1 1 *"):
        guests = "".join(
            f"  {name}:\n    connection: qmp\n    names: [{name}]\n    socket: {self.folder}/{name}.qmp\n"
            for name in ["bank", "shop"])
        policies = "".join(
            f"  {policy}:\n    guests: [{name}]\n    repository: main\n    tier: 1\n    schedule: \"{schedule}\"\n"
            "    retention:\n      last: 2\n" for policy, name in [("yearly", "bank"), ("rarely", "shop")])
        self.write_config(
            f"time-zone: UTC\nrepositories:\n  main:\n    location: \"{self.repository}\"\n"
            f"    credential-file: \"{self.folder}/writer\"\nguests:\n{guests}"
            f"tiers:\n  1:\n    name: all\n    largest-rpo: 366d\npolicies:\n{policies}")

    def send(self, data, wait=2.0):
        """Bytes at the control socket; what it answers, as far as it does within the time."""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(wait)
            answer = b""
            try:
                link.connect(self.socket)
                link.sendall(data)
                while b"\n" not in answer:
                    piece = link.recv(65536)
                    if not piece:
                        break
                    answer += piece
            except OSError:
                pass
            return answer

    def is_well(self):
        return self.agent.poll() is None and self.status() is not None

    # The cases.

    def pipe(self):
        right = self.config
        self.config = os.path.join(self.folder, "pipe.yaml")
        os.mkfifo(self.config, 0o600)
        self.begin()
        try:
            status = self.agent.wait(timeout=20)
        except subprocess.TimeoutExpired:
            status = "it waits"
        self.kill()
        case("a pipe in place of the file is refused, and not waited for", status == 7, str(status))
        checked = self.run("agent", "check", "--config", self.config, check=False, timeout=20)
        case("by the check too", checked.returncode == 1, f"{checked.returncode} {checked.stderr[-200:]}")
        self.config = right

    def questions(self):
        if not case("the agent begins its work", self.start(), self.logged()[-400:]):
            raise SystemExit(1)
        far = str(2 ** 63 - 1)
        for name, line in [
                ("no JSON", b"hello\n"), ("nothing", b"\n"), ("bytes", bytes(range(256)) + b"\n"),
                ("no end", b'{"ask":"status"'), ("an unknown word", b'{"ask":"format"}\n'),
                ("deep nesting", b"[" * 60_000 + b"\n"), ("a long line", b"x" * (8 << 20) + b"\n"),
                ("a wrong type", b'{"ask":"pause","all":"yes","until":"never"}\n'),
                ("a pause until 2^63", b'{"ask":"pause","all":true,"until":%s}\n' % far.encode()),
                ("a pause until before", b'{"ask":"pause","all":true,"until":-%s}\n' % far.encode()),
                ("a number that is none", b'{"ask":"pause","all":true,"until":1e999}\n'),
                ("names of a mebibyte", b'{"ask":"run","guests":["' + b"g" * (1 << 20) + b'"]}\n'),
                ("ten thousand names", b'{"ask":"skip","guests":[' + b",".join([b'"x"'] * 10_000) + b"]}\n")]:
            self.send(line)
            if not case(f"a question with {name} does the agent nothing", self.is_well(), self.logged()[-300:]):
                self.kill()
                self.start()
        paused = self.status()["pauses"]
        case("none of them paused anything", paused == [], str(paused))
        # People who connect and say nothing, more of them than are served at once.
        links = []
        for _ in range(64):
            link = socket.socket(socket.AF_UNIX)
            link.settimeout(1)
            try:
                link.connect(self.socket)
                links.append(link)
            except OSError:
                link.close()
        case("whoever connects and says nothing keeps nobody out for long", until(self.is_well, 60))
        for link in links:
            link.close()

    def orders(self):
        def order(*words):
            return self.run(*words, "--socket", self.socket, check=False)
        order("pause", "bank")
        order("pause", "--policy", "rarely")
        case("two things are paused", len(self.status()["pauses"]) == 2, str(self.status()["pauses"]))
        done = order("pause", "--off", "--all")
        case("pause --off --all lets all of them go on", done.returncode == 0 and not self.status()["pauses"],
             f"{done.returncode} {done.stdout} {self.status()['pauses']}")
        done = order("pause", "--off", "--all")
        case("and says when there is none", done.returncode == 1 and "nothing is paused" in done.stdout, done.stdout)
        order("run", "bank")
        case("a run is under way", until(lambda: self.status()["runs"], 20), self.logged()[-300:])
        done = order("skip", "bank")
        runs = self.status()["runs"]
        case("a skip meanwhile leaves out the next one, and not what is under way",
             "the next run" in done.stdout and (not runs or not runs[0].get("stops_because")), done.stdout + str(runs))

    def second(self):
        other = dict(os.environ, XDG_STATE_HOME=os.path.join(self.folder, "other-state"))
        first = self.status()["process"]
        done = subprocess.run(
            [self.dozo, "agent", "run", "--config", self.config, "--socket", self.socket], env=other, timeout=60,
            capture_output=True, text=True, stdin=subprocess.DEVNULL)
        case("an agent with another state folder does not take the socket of one that answers",
             done.returncode not in (0, 130) and "answers" in done.stderr, f"{done.returncode} {done.stderr[-200:]}")
        case("and the first goes on answering", (self.status() or {}).get("process") == first)

    def hangup(self):
        self.kill()
        self.start(before=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        with open(self.config, "a") as file:
            file.write("policise: {}\n")
        self.agent.send_signal(signal.SIGHUP)
        case("SIGHUP reads the file again also behind nohup", until(lambda: self.status().get("config_problem"), 20))
        self.configure()
        self.agent.send_signal(signal.SIGHUP)
        case("and again", until(lambda: not self.status().get("config_problem"), 20))

    def strangers(self):
        until(lambda: not self.status()["runs"], 60)
        self.kill()
        running = os.path.join(self.agent_folder, "running")
        os.makedirs(running, exist_ok=True)
        with open(os.path.join(running, "notes.txt"), "w") as file:
            file.write("somebody else's\n")
        os.makedirs(os.path.join(running, "no-run"), exist_ok=True)
        case("a stranger's file and folder among the runs do not keep it from starting",
             self.start() and os.path.exists(os.path.join(running, "notes.txt")), self.logged()[-300:])
        self.kill()
        for name, data in [("nothing", b""), ("garbage", b"\0\xff" * 500), ("a list", b"[]"),
                           ("another version", b'{"agenda":{"format":99},"format":99}')]:
            for agenda in glob.glob(os.path.join(self.agent_folder, "agenda.*")):
                with open(agenda, "wb") as file:
                    file.write(data)
            before = self.logged().count("state-lost")
            case(f"state that holds {name} does not keep it from starting, and is told",
                 self.start() and self.logged().count("state-lost") > before, self.logged()[-300:])
            self.kill()

    def full(self):
        self.start()
        filler = os.path.join(self.state, "filler")
        with open(filler, "wb", buffering=0) as file:
            for size in [1 << 16, 1 << 10, 1]:
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
        beat = os.path.join(self.agent_folder, "alive")
        said = self.run("pause", "bank", "--socket", self.socket, check=False)
        case("an order that cannot be written down says so",
             said.returncode != 0 or "not written down" in said.stdout, f"{said.returncode} {said.stdout}")
        time.sleep(3)
        case("with its state folder full it goes on and answers", self.is_well(), self.logged()[-400:])
        case("and says what is wrong", "full" in self.logged() or "No space" in self.logged(), self.logged()[-300:])
        os.remove(filler)
        before = os.stat(beat).st_mtime if os.path.exists(beat) else 0
        case("with room again it gives signs of life again",
             until(lambda: os.path.exists(beat) and os.stat(beat).st_mtime > before, 40), self.logged()[-300:])
        pauses = [pause["name"] for pause in self.status()["pauses"]]
        case("and has kept what it was told", pauses == ["bank"], str(pauses))

    def end(self):
        self.agent.terminate()
        status = self.agent.wait()
        case("SIGTERM ends it cleanly", status in (0, 130, -signal.SIGTERM), str(status))
        left = [name for name in os.listdir(self.folder) if name.endswith(".sock")
                and stat.S_ISSOCK(os.stat(os.path.join(self.folder, name)).st_mode)]
        case("and takes its socket away", "agent.sock" not in left, str(left))


def main():
    trial = Trial(os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), os.path.abspath(sys.argv[3]))
    os.environ["XDG_STATE_HOME"] = trial.state
    trial.prepare()
    try:
        trial.pipe()
        trial.questions()
        trial.orders()
        trial.second()
        trial.hangup()
        trial.strangers()
        if sys.argv[4:] == ["SMALL"]:
            trial.full()
        else:
            print("skip: a full state folder (a private mount namespace is not to be had)")
            trial.start()
        trial.end()
    finally:
        trial.kill()


main()
