#!/usr/bin/env python3
"""Runs Dozo, restic and borg back to back over six guest disks and prints what each cost, the ratios, and the bound.

    Tests/Benchmarks/bench.py [--quick | --size MIB] [--rotations N] [--dozo BINARY] [--stages BINARY]
                              [--json FILE] [--compare FILE]

In each rotation every tool gets a new repository and another one goes first. CPU seconds are user and system time of
the whole process tree; every restore is compared byte for byte. --quick takes disks of 512 MiB. --compare fails when a
ratio got worse than a committed table by more than its noise; --json writes such a table.
"""
import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time

import series
import table
import tools
from cost import Failed

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# What opens a repository; restic and borg pay it as well.
OPENING = "passphrase"
FORTH = [OPENING, "read", "cut", "identity", "compress", "seal", "checksum", "packHash", "write"]
BACK = [OPENING, "readStored", "open", "decompress", "identityBack", "writeBack"]


def arguments():
    """What the user asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--size", type=int, default=4096, metavar="MIB")
    parser.add_argument("--rotations", type=int, default=3)
    parser.add_argument("--dozo", required=True)
    parser.add_argument("--stages", required=True)
    parser.add_argument("--json")
    parser.add_argument("--compare")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.size = 512
    if not 192 <= chosen.size <= 65536 or not 1 <= chosen.rotations <= 99:
        parser.error("--size is 192 to 65536 MiB, --rotations 1 to 99")
    return chosen


def present(work, dozo):
    """The tools that are here; a missing peer is said and left out."""
    found = [tools.Dozo(os.path.abspath(dozo), work)]
    borg = os.path.join(TOP, ".build", "bench-tools", "bin", "borg")
    for kind, binary, remedy in [
            (tools.Restic, shutil.which("restic"), "apt-get install restic"),
            (tools.Borg, borg if os.path.exists(borg) else shutil.which("borg"),
             "apt-get install python3-venv python3-dev gcc pkg-config libssl-dev liblz4-dev libzstd-dev libxxhash-dev "
             "libacl1-dev && python3 -m venv .build/bench-tools && "
             ".build/bench-tools/bin/pip install borgbackup==1.4.4")]:
        if binary:
            found.append(kind(binary, work))
        else:
            print(f"skip: {kind.name} ({remedy})")
    return found


def stages(binary, image, work):
    """Seconds and bytes of each stage alone, by name."""
    said = subprocess.run([binary, image, work], capture_output=True, text=True, check=True).stdout
    return {name: (float(seconds), int(count)) for name, seconds, count in map(str.split, said.splitlines())}


def rotate(order, paths, results):
    """One rotation over the whole series."""
    for tool in order:
        tool.begin()
    for name, guest, row in series.IMAGES:
        series.warm(paths[name])
        for tool in order:
            results.add(tool.name, row, tool.back_up(paths[name], guest))
        if name == "a0":
            for tool in order:
                restored, cost = tool.restore(paths[name], guest)
                if not series.same(paths[name], restored):
                    raise Failed(f"{tool.name} gave back another disk")
                results.add(tool.name, "restore", cost)
                shutil.rmtree(tool.out)
    for tool in order:
        results.stored.setdefault(tool.name, []).append(tool.stored())
        cost = tool.verify()
        results.add(tool.name, "verify", cost)
        # Both of Dozo's checks stand against the one that a peer has for reading everything.
        results.add(tool.name, "verify content", tool.verify_content() if tool.verify_content else cost)
    # Last, so that it is not among what was stored: nothing has changed since the first day of the clone.
    name, guest, _ = series.IMAGES[-1]
    series.warm(paths[name])
    for tool in order:
        if tool.name == "borg":
            continue    # it refuses a second archive of one name, and under another it is the same work as a night
        results.add(tool.name, "same again", tool.back_up(paths[name], guest))


def one_worker(dozo, path, results):
    """Walls of a first full with one worker and with two."""
    walls = []
    for jobs in ("1", "2"):
        dozo.begin()
        series.warm(path)
        walls.append(dozo.back_up(path, "guest-a", "--jobs", jobs).wall)
    results.one_worker.append(tuple(walls))


def set_bounds(results, best):
    """The sums of the best stages; those of a verification scaled by what is stored."""
    results.bounds["first full"] = sum(best[stage][0] for stage in FORTH)
    results.bounds["restore"] = sum(best[stage][0] for stage in BACK)
    share = min(results.stored["dozo"]) / best["readStored"][1]
    tags = best["readStored"][0] + best["open"][0] + best["packHash"][0]
    opening = best[OPENING][0]
    results.bounds["verify"] = opening + tags * share
    results.bounds["verify content"] = opening + (tags + best["decompress"][0] + best["identityBack"][0]) * share


def describe(chosen, found, paths, load):
    """The machine, the programs and the disks, for the page."""
    processor = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
                      if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    commit = subprocess.run(["git", "-C", TOP, "describe", "--always", "--dirty"], capture_output=True, text=True,
                            check=False).stdout.strip() or "unknown"
    print(f"\nmachine: {os.cpu_count()} x {processor}, {memory:.0f} GiB, Linux {platform.release()}")
    print(f"date: {time.strftime('%Y-%m-%dT%H:%MZ', time.gmtime())}; commit {commit}; "
          + ", ".join(tool.version() for tool in found))
    print(f"disks: six of {chosen.size} MiB, {series.data_bytes(paths['a0']) / 2**20:.0f} MiB of data in the first; "
          f"{chosen.rotations} rotations; load at the start {load:.1f}\n")


def main():
    """Runs everything; the status says whether a committed table still holds."""
    chosen = arguments()
    load = os.getloadavg()[0]
    paths = series.make(TOP, os.path.join(TOP, ".build", "bench-series", str(chosen.size)), chosen.size)
    results = table.Results()
    best = {}
    with tempfile.TemporaryDirectory(prefix="dozo bench.") as work:
        found = present(work, chosen.dozo)
        for rotation in range(chosen.rotations):
            print(f"rotation {rotation + 1} of {chosen.rotations}", file=sys.stderr, flush=True)
            series.warm(paths["a0"])
            for name, (seconds, count) in stages(chosen.stages, paths["a0"], work).items():
                best[name] = (min(seconds, best.get(name, (seconds,))[0]), count)
            shift = rotation % len(found)
            rotate(found[shift:] + found[:shift], paths, results)
            one_worker(found[0], paths["a0"], results)
        set_bounds(results, best)
        describe(chosen, found, paths, load)
    print(table.markdown(results))
    print("\nbest stages over the first disk, CPU s: " + ", ".join(
        f"{name} {best[name][0]:.2f} ({best[name][1] / 2**20:.0f} MiB)" for name in FORTH + BACK[1:]) + "\n")
    print("\n".join(table.verdicts(results)))
    if chosen.json:
        with open(chosen.json, "w", encoding="utf-8") as file:
            json.dump(results.as_json(), file, indent=2)
            file.write("\n")
    complaints = table.worse(results, chosen.compare) if chosen.compare else []
    for sentence in complaints:
        print("WORSE: " + sentence)
    return 1 if complaints else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Failed, subprocess.CalledProcessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(1)
