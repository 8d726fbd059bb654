#!/bin/sh
# Several backups of one host into one repository at once, from one state folder, on the real binary: guests beside each
# other, never one guest twice; kill -9 of one while the others go on; first starts that come all at once. Disks come
# through pipes that stay open, so that a backup runs as long as the case needs it.
. "$(dirname -- "$0")/cases.sh"
python=${DOZO_PYTHON:-python3}
holds "init" "$dozo" init --quiet
"$python" - "$dozo" "$folder" <<'PY'
import json, os, random, signal, subprocess, sys, time
dozo, folder = sys.argv[1:3]
repository, state = os.environ["DOZO_REPOSITORY"], os.path.join(os.environ["XDG_STATE_HOME"], "dozo")
running = []

def case(name, ok, why=""):
    print(f"pass: {name}" if ok else f"FAIL: {name} ({str(why).strip()[-300:]})", flush=True)

def noise(mib, seed):
    return random.Random(seed).randbytes(mib << 20)

def run(*arguments):
    done = subprocess.run([dozo, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr

def files(below):
    return {os.path.join(path, name) for path, _, names in os.walk(os.path.join(repository, below)) for name in names}

def noted():
    """What this host has noted of finished packs: it does so once a pack lies in the repository."""
    return {name for _, _, names in os.walk(os.path.join(state, "repositories")) for name in names
            if name.count("-") == 2 and "." in name and not name.startswith(("maps-", "name-"))}

def until(what, limit=60):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.05)
    return None

class Backup:
    """A backup whose disk comes through a pipe; its session has claimed its slot when this returns."""
    def __init__(self, guest):
        self.guest, self.sent = guest, b""
        before = files("log")
        self.process = subprocess.Popen(
            [dozo, "backup", "--json", "--jobs", "1", "--guest", guest, "--disk", "d=-"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        running.append(self.process)
        self.claimed = until(lambda: files("log") - before or self.process.poll() is not None)
        self.alive = self.process.poll() is None

    def feed(self, data):
        self.sent += data
        try:
            self.process.stdin.write(data)
            self.process.stdin.flush()
        except BrokenPipeError:
            pass

    def end(self):
        out, err = self.process.communicate()
        self.status, self.said = self.process.returncode, err.decode()
        self.document = json.loads(out) if self.status == 0 else None
        return self.status

def restores(guest, data):
    target = os.path.join(folder, f"back-{guest}")
    status, _, said = run("restore", "--quiet", *reading, f"{guest}@latest", "--disk", "d", "--to", target)
    with open(target, "rb") if status == 0 else open(os.devnull, "rb") as back:
        same = back.read() == data
    if os.path.exists(target):
        os.remove(target)
    return status == 0 and same, f"status {status}: {said}"

try:
    # --- the first starts of a host, all at once: it is enrolled once, and nobody is refused
    statements = len(files("owner"))
    disks = {f"g{number}": noise(1, number) for number in range(20)}
    for guest, data in disks.items():
        with open(os.path.join(folder, guest), "wb") as disk:
            disk.write(data)
    starts = {guest: subprocess.Popen(
        [dozo, "backup", "--quiet", "--jobs", "1", "--guest", guest, "--format", "raw", "--disk",
         f"d={os.path.join(folder, guest)}"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True) for guest in disks}
    running += starts.values()
    ends = {guest: (start.communicate()[0], start.returncode) for guest, start in starts.items()}
    wrong = {guest: end for guest, end in ends.items() if end[1] != 0}
    case("twenty first starts at once all make their points", not wrong, wrong)
    case("and the host was enrolled once", len(files("owner")) == statements + 1, len(files("owner")))
    key = os.path.join(folder, "reader.key")
    run("key", "enroll", "--role", "reader", "--to", key, "--quiet")
    reading = ("--key-file", key)
    points = {point["guest"]: point for point in json.loads(run("points", "--json", *reading)[1])}
    case("each guest has its own point and id", len({points[guest]["guest_id"] for guest in disks}) == 20, points)
    bad = [guest for guest, data in disks.items() if not restores(guest, data)[0]]
    case("and every one restores byte for byte", not bad, bad)
    # From here on the host's own key alone, as a service has it: no passphrase is asked for.
    secret = os.environ.pop("DOZO_PASSPHRASE_FILE")
    known = [run("backup", "--quiet", "--guest", guest, "--format", "raw", "--disk",
                 f"d={os.path.join(folder, guest)}")[0] for guest in ("g0", "g1")]
    case("this host knows its guests afterwards", known == [0, 0], known)
    listed = json.loads(run("points", "--json", *reading)[1])
    case("by the same ids", len({p["guest_id"] for p in listed}) == 20 and len(listed) == 22, len(listed))

    # --- three guests at once
    three = [Backup(guest) for guest in ("g0", "g1", "fresh")]
    case("three backups of three guests run at once", all(b.claimed and b.alive for b in three),
         [b.process.poll() for b in three])
    for number, backup in enumerate(three):
        backup.feed(noise(3, 100 + number))
    image = os.path.join(folder, "g0")
    refused = run("backup", "--guest", "g0", "--format", "raw", "--disk", f"d={image}")
    case("the same guest twice is refused", refused[0] == 7 and "another backup of g0" in refused[2], refused)
    by_id = run("backup", "--guest", points["g0"]["guest_id"], "--format", "raw", "--disk", f"d={image}")
    case("also when it is named by its id", by_id[0] == 7 and "another backup of" in by_id[2], by_id)
    new = run("backup", "--guest", "fresh", "--format", "raw", "--disk", f"d={image}")
    case("also a guest that has no point yet", new[0] == 7 and "another backup of fresh" in new[2], new)
    opened = ("--passphrase-file", secret)
    renewal = run("key", "enroll", "--renew", *opened)
    case("the host gets no new key meanwhile", renewal[0] == 7 and "a backup of this host" in renewal[2], renewal)
    looks = [run(*command, *reading)[0] for command in (["points"], ["verify", "--quiet"], ["show", "g1@latest"])]
    looks.append(run("doctor", *opened)[0])
    case("points, verify, show and doctor work beside them", looks == [0, 0, 0, 0], looks)
    swept = run("sweep", "--yes", "--quiet", *opened)
    case("a sweep beside them ends none of them", swept[0] in (0, 3), swept)
    for number, backup in enumerate(three):
        backup.feed(noise(2, 110 + number))
    statuses = [backup.end() for backup in three]
    case("all three make their points", statuses == [0, 0, 0], [b.said for b in three])
    for backup in three:
        case(f"the point of {backup.guest} restores byte for byte", *restores(backup.guest, backup.sent))

    # --- kill -9 of one of two; the next one begins while the other still runs
    entries = files("s")
    killed, living = Backup("killed"), Backup("living")
    living.feed(noise(2, 200))
    packs = noted()
    large = noise(48, 201)
    killed.feed(large)
    stored = until(lambda: noted() - packs)
    case("one of two has stored a pack that no entry names yet", stored and files("s") == entries, len(files("s")))
    os.kill(killed.process.pid, signal.SIGKILL)
    killed.end()
    third = Backup("third")
    case("it is killed, and a third begins beside the living one", third.alive and living.process.poll() is None,
         third.process.poll())
    ends = files("s") - entries
    case("exactly one session was ended, and it is the dead one", len(ends) == 1, ends)
    third.feed(noise(2, 202))
    case("the third makes its point", third.end() == 0, third.said)
    again = Backup("killed")
    again.feed(large)
    case("the killed guest is backed up again while the other still runs", again.end() == 0, again.said)
    case("and what was stored is not stored again",
         again.document and again.document["stored_bytes"] < len(large) - (16 << 20),
         again.document and again.document["stored_bytes"])
    living.feed(noise(2, 203))
    case("the living one was never ended", living.end() == 0, living.said)
    for backup in (third, again, living):
        case(f"the point of {backup.guest} restores byte for byte", *restores(backup.guest, backup.sent))
    verified = run("verify", "--quiet", "--content", *reading)
    case("verify agrees", verified[0] == 0, verified)
finally:
    for process in running:
        if process.poll() is None:
            process.kill()
            process.wait()
PY
echo done
