#!/usr/bin/env python3
"""What a sweep costs in a repository of a million chunks, and how much of it is spared the next time.

    Tests/Benchmarks/sweep.py --dozo BINARY --maker BINARY [--guests N] [--work FOLDER]

Each guest is a disk of 1 GiB that is computed, about 65,000 chunks of 16 KiB on average; 16 of them are a million. The
real program sweeps four times: first, again with nothing new, after one guest was backed up again with 64 MiB changed,
and after that guest's older point was forgotten. Fails when a sweep takes more than 256 MiB (RssAnon + RssShmem), when
the second reads a map at all, or the third more than the one guest's map can have.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

from cost import measured

CHUNKS_PER_GUEST = 65_000
# Leaves of 64 MiB, of 4 MiB each, with the nodes above them and the root.
CHANGED_MAPS = 16 + 4 + 1
PEAK_LIMIT = 256


def main():
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dozo", required=True)
    parser.add_argument("--maker", required=True)
    parser.add_argument("--guests", type=int, default=16)
    parser.add_argument("--work", default=os.environ.get("TMPDIR", "/var/tmp"))
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dozo sweeps.", dir=chosen.work) as folder:
        sys.exit(run(chosen, folder))


def run(chosen, folder):
    """Makes the repository and sweeps it. Returns the exit status."""
    repository = os.path.join(folder, "repository")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("DOZO_")}
    environment.update(XDG_STATE_HOME=os.path.join(folder, "sweeper"), DOZO_REPOSITORY=repository,
                       DOZO_KEY_FILE=os.path.join(folder, "maintainer.key"))
    made = measured([os.path.abspath(chosen.maker), "make-guests", folder, str(chosen.guests)], environment)
    stored = sum(os.path.getsize(os.path.join(path, name)) for path, _, names in os.walk(repository) for name in names)
    print(f"{chosen.guests} guests, {stored / 2**30:.2f} GiB stored, made with {made.cpu:.0f} CPU s", flush=True)

    def dozo(*arguments):
        done = subprocess.run([os.path.abspath(chosen.dozo), *arguments], env=environment, check=True,
                              capture_output=True, text=True)
        return done.stdout

    rows, faults = [], []

    def sweep(name, most):
        out = os.path.join(folder, "said.json")
        command = f'exec "$0" sweep --yes --json >"{out}"'
        cost = measured(["/bin/sh", "-c", command, os.path.abspath(chosen.dozo)], environment)
        with open(out, encoding="utf-8") as file:
            said = json.load(file)
        rows.append((name, cost, said))
        print(f"{name}: {cost.cpu:.2f} CPU s, {cost.wall:.2f} s, {cost.peak:.0f} MiB, {said['maps_read']} maps read, "
              f"{said['maps_known']} known, {said['freed_bytes'] / 2**20:.0f} MiB freed", flush=True)
        if cost.peak > PEAK_LIMIT:
            faults.append(f"{name}: {cost.peak:.0f} MiB is more than {PEAK_LIMIT}")
        if said["maps_read"] > most:
            faults.append(f"{name}: {said['maps_read']} maps were read, more than {most}")

    sweep("first", chosen.guests * 300)
    sweep("nothing new", 0)
    measured([os.path.abspath(chosen.maker), "add-night", folder, "0"], environment)
    sweep("one guest changed", CHANGED_MAPS)
    points = json.loads(dozo("points", "--guest", "guest0", "--json"))
    dozo("forget", "--quiet", "--yes", points[0]["id"])
    sweep("one point forgotten", 0)
    for fault in faults:
        print(f"FAIL: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    main()
