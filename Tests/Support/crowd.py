"""Hosts, sweeps, readers and a person who enrols, all at once on one repository, some of them killed.

crowd.py DOZO FOLDER SECONDS SEED: prints a line "pass: …" or "FAIL: …" for each claim. What happens when is up to the
machine; the seed decides what is written, forgotten and killed.
"""

import collections
import hashlib
import json
import os
import random
import subprocess
import sys
import threading
import time

WRITERS = 3
GUESTS_EACH = 2
SWEEPERS = 2
DISK_BYTES = 300_000
WRITTEN_AT_ONCE = 30_000
FEWEST_KEPT = 6
LONGEST_WAIT = 300  # seconds
# Statuses that are right beside others, and why any but 0 may come.
RIGHT = {
    "backup": {0},
    "sweep": {0, 3, 7},  # 3: waits for a backup; 7: the other one was faster
    "forget": {0},
    "restore": {0},
    "points": {0},
    "verify": {0},
    "enroll": {0},
}


class Crowd:
    def __init__(self, dozo, folder, seconds, seed):
        self.dozo, self.folder, self.seed = dozo, folder, seed
        self.lock = threading.RLock()
        self.counts = collections.Counter()
        self.wrong = []
        self.committed = {}
        self.forgotten = set()
        self.secret = os.path.join(folder, "passphrase")
        with open(self.secret, "w") as file:
            file.write("correct horse\n")
        os.chmod(self.secret, 0o600)
        self.must("init")
        for name, role in [("m", "maintainer"), ("r", "reader")] + [(f"w{n}", "writer") for n in range(WRITERS)]:
            self.must("key", "enroll", "--role", role, "--label", name, "--to", self.key(name))
        self.end = time.monotonic() + seconds

    def key(self, name):
        return os.path.join(self.folder, name + ".key")

    def run(self, who, *arguments, within=None):
        """Runs the program as somebody; None for the owner. Killed when it takes longer than `within` seconds."""
        environment = dict(os.environ, DOZO_REPOSITORY=os.path.join(self.folder, "repository"))
        environment["XDG_STATE_HOME"] = os.path.join(self.folder, f"state-{who}")
        environment.pop("DOZO_PASSPHRASE_FILE", None)
        if who is None:
            environment["DOZO_PASSPHRASE_FILE"] = self.secret
        else:
            credential = who.split("-")[0]
            arguments = (arguments[0], "--key-file", self.key(credential)) + arguments[1:]
        process = subprocess.Popen(
            (self.dozo,) + arguments, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, errors="replace")
        try:
            output, said = process.communicate(timeout=within)
        except subprocess.TimeoutExpired:
            process.kill()
            output, said = process.communicate()
        return process.returncode, output, said

    def must(self, *arguments):
        status, _, said = self.run(None, *arguments)
        if status:
            raise SystemExit(f"FAIL: {' '.join(arguments)}: {said}")

    def note(self, kind, status, said, isKilled=False):
        with self.lock:
            self.counts[kind if status >= 0 else "killed"] += 1
            isRight = status in RIGHT[kind] and (status != 7 or "another host has swept meanwhile" in said)
            if not isRight and not (isKilled and status == -9):
                self.wrong.append(f"{kind} ends with {status}: {said[-600:].strip()}")

    def kept(self):
        with self.lock:
            return sorted(set(self.committed) - self.forgotten)

    def goes_on(self):
        """For the time that was given, and on a busy machine until everybody had a turn."""
        late = time.monotonic() - self.end
        return late < 0 or (late < LONGEST_WAIT and any(not self.counts[kind] for kind in RIGHT))

    # Who is there.

    def writer(self, number):
        dice = random.Random(f"{self.seed} writer {number}")
        disks = [bytearray(dice.randbytes(DISK_BYTES)) for _ in range(GUESTS_EACH)]
        while self.goes_on():
            guest = dice.randrange(GUESTS_EACH)
            disk = disks[guest]
            for _ in range(dice.randrange(1, 4)):
                start = dice.randrange(DISK_BYTES - WRITTEN_AT_ONCE)
                disk[start : start + WRITTEN_AT_ONCE] = dice.randbytes(WRITTEN_AT_ONCE)
            path = os.path.join(self.folder, f"disk-{number}-{guest}.raw")
            with open(path, "wb") as file:
                file.write(disk)
            within = dice.choice([None, None, dice.uniform(0.05, 0.6)])
            status, output, said = self.run(
                f"w{number}", "backup", "--quiet", "--json", "--guest", f"guest{number}-{guest}",
                "--disk", "disk=" + path, within=within)
            self.note("backup", status, said, within is not None)
            if status == 0:
                with self.lock:
                    self.committed[json.loads(output)["point"]["id"]] = hashlib.sha256(disk).digest()

    def sweeper(self, number):
        dice = random.Random(f"{self.seed} sweeper {number}")
        while self.goes_on():
            with self.lock:
                kept = self.kept()
                going = dice.sample(kept, 2) if len(kept) > FEWEST_KEPT else []
                self.forgotten.update(going)
            for point in going:
                status, _, said = self.run(f"m-{number}", "forget", "--yes", "--last", point)
                self.note("forget", status, said)
            within = dice.choice([None, None, dice.uniform(0.05, 0.5)])
            status, _, said = self.run(f"m-{number}", "sweep", "--yes", "--quiet", within=within)
            self.note("sweep", status, said, within is not None)

    def reader(self):
        dice = random.Random(f"{self.seed} reader")
        turn = 0
        while self.goes_on():
            kept = self.kept()
            if not kept:
                time.sleep(0.05)
                continue
            turn += 1
            point = dice.choice(kept)
            path = os.path.join(self.folder, f"back-{turn}.raw")
            status, _, said = self.run("r", "restore", "--quiet", point, "--disk", "disk", "--to", path)
            # Who forgot it meanwhile has no right to it any more.
            if point in self.kept():
                self.note("restore", status, said)
                if status == 0:
                    with open(path, "rb") as file:
                        if hashlib.sha256(file.read()).digest() != self.committed[point]:
                            with self.lock:
                                self.wrong.append(f"point {point} restores with other bytes")
            if os.path.exists(path):
                os.unlink(path)
            if turn % 2 == 0:
                status, _, said = self.run("r", "points", "--json")
                self.note("points", status, said)
                if said.strip():
                    with self.lock:
                        self.wrong.append(f"points says: {said.strip()[-300:]}")
            if turn % 3 == 0:
                status, output, said = self.run("r", "verify")
                self.note("verify", status, output + said)

    def enroller(self):
        number = 0
        while self.goes_on():
            number += 1
            status, _, said = self.run(
                None, "key", "enroll", "--role", "writer", "--label", f"new{number}", "--to", self.key(f"new{number}"))
            self.note("enroll", status, said)
            path = os.path.join(self.folder, f"new-{number}.raw")
            with open(path, "wb") as file:
                file.write(os.urandom(DISK_BYTES))
            status, _, said = self.run(
                f"new{number}", "backup", "--quiet", "--guest", f"new{number}", "--disk", "disk=" + path)
            self.note("backup", status, said)

    def play(self):
        everybody = [threading.Thread(target=self.writer, args=(n,)) for n in range(WRITERS)]
        everybody += [threading.Thread(target=self.sweeper, args=(n,)) for n in range(SWEEPERS)]
        everybody += [threading.Thread(target=self.reader), threading.Thread(target=self.enroller)]
        for one in everybody:
            one.start()
        for one in everybody:
            one.join()


def verdict(name, problem):
    print(f"FAIL: {name} ({problem})" if problem else f"pass: {name}", flush=True)


def main():
    dozo, folder, seconds, seed = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
    crowd = Crowd(dozo, folder, seconds, seed)
    crowd.play()
    print(f"crowd: seed {seed}: {dict(sorted(crowd.counts.items()))}, {len(crowd.committed)} points of the writers, "
          f"{len(crowd.forgotten)} forgotten")
    few = [kind for kind in RIGHT if not crowd.counts[kind]]
    verdict("everybody had a turn", few and f"nobody came to {', '.join(few)}")
    verdict("nobody takes what others do for damage or a lie", "; ".join(crowd.wrong[:3]))
    status, output, said = crowd.run("r", "verify", "--content")
    verdict("all is whole in the end", status and (output + said)[-300:])
    listed = {point["id"] for point in json.loads(crowd.run("r", "points", "--json")[1])}
    lost = [point for point in crowd.kept() if point not in listed]
    verdict("no point that nobody forgot is gone", lost and f"{len(lost)} are, the first {lost[0]}")


main()
