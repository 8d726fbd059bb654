"""Runs commands and says what they and all their children cost."""
import dataclasses
import os
import resource
import subprocess
import threading
import time


@dataclasses.dataclass
class Cost:
    """What one command cost: user and system seconds of the process tree, seconds on the wall, peak memory in MiB."""
    cpu: float
    wall: float
    peak: float


class Failed(Exception):
    """A measured command did not succeed."""


SAMPLE_SECONDS = 0.01


def _resident(pid):
    """RssAnon + RssShmem of a process in KiB; page cache that it maps is not its memory."""
    total = 0
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith(("RssAnon:", "RssShmem:")):
                    total += int(line.split()[1])
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
            total += sum(_resident(child) for child in children.read().split())
    except (OSError, ValueError):
        pass
    return total


def measured(command, environment, cwd=None):
    """The cost of a command that must succeed. The peak is sampled every 10 ms, so a shorter one can be missed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    child = subprocess.Popen(command, env=environment, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT)
    peak = 0
    over = threading.Event()

    def watch():
        nonlocal peak
        while not over.wait(SAMPLE_SECONDS):
            peak = max(peak, _resident(child.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    said = child.communicate()[0]
    over.set()
    watcher.join()
    wall = time.monotonic() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    if child.returncode != 0:
        raise Failed(f"{os.path.basename(command[0])} {command[1]} ended with {child.returncode}: "
                     + said.decode(errors="replace").strip()[-500:])
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    return Cost(cpu, wall, peak / 1024)
