#!/usr/bin/env python3
"""What other sizes of chunks, leaves and packs, and other numbers of workers, would cost: the numbers behind
docs/design/0005.

    Tests/Benchmarks/sizes.py --dozo BINARY --sized BINARY [--size MIB] [--rotations N] [--only WORD]

Each choice gets a repository of its own in each rotation, over the six images of bench.py; CPU seconds are medians.
"""
import argparse
import os
import statistics
import tempfile

import series
import tools
from cost import Failed

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Name, mean chunk in KiB, leaf in KiB, pack in MiB, workers (None: as many as the program takes).
CHOICES = [
    ("as it is: chunk 64 KiB, leaf 4 MiB, pack 32 MiB", 64, 4096, 32, None),
    ("chunk 16 KiB", 16, 4096, 32, None), ("chunk 32 KiB", 32, 4096, 32, None),
    ("chunk 128 KiB", 128, 4096, 32, None), ("chunk 256 KiB", 256, 4096, 32, None),
    ("leaf 1 MiB", 64, 1024, 32, None), ("leaf 16 MiB", 64, 16384, 32, None),
    ("pack 8 MiB", 64, 4096, 8, None), ("pack 16 MiB", 64, 4096, 16, None), ("pack 56 MiB", 64, 4096, 56, None),
    ("1 worker", 64, 4096, 32, 1), ("3 workers", 64, 4096, 32, 3), ("4 workers", 64, 4096, 32, 4),
]


class Sized(tools.Dozo):
    """Dozo in a repository of chosen sizes."""

    def __init__(self, binary, work, maker, choice):
        self.maker, self.choice = maker, choice
        super().__init__(binary, work)

    def init(self):
        """A new repository."""
        series.emptied(os.path.join(self.work, "dozo-state"))
        _, chunk, leaf, pack, _ = self.choice
        tools.measured([self.maker, self.repository, tools.PASSPHRASE, str(chunk), str(leaf), str(pack)],
                       self.environment)

    def objects(self):
        """Number of files of the repository."""
        return sum(len(names) for _, _, names in os.walk(self.repository))


def run(tool, paths, jobs):
    """Everything once; a value for each column."""
    options = ("--jobs", str(jobs)) if jobs else ()
    tool.begin()
    nights, peak = [], 0
    full = None
    for name, guest, row in series.IMAGES:
        series.warm(paths[name])
        cost = tool.back_up(paths[name], guest, *options)
        peak = max(peak, cost.peak)
        if row == "first full":
            full = cost
        elif row == "night":
            nights.append(cost.cpu)
    restored, back = tool.restore(paths["a0"], "guest-b")
    if not series.same(paths["b0"], restored):
        raise Failed("another disk came back")
    check = tool.verify()
    peak = max(peak, back.peak, check.peak)
    return {"stored MiB": tool.stored() / 2**20, "objects": tool.objects(), "full CPU s": full.cpu,
            "full wall s": full.wall, "night CPU s": statistics.median(nights), "restore CPU s": back.cpu,
            "restore wall s": back.wall, "verify CPU s": check.cpu, "peak MiB": peak}


def main():
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dozo", required=True)
    parser.add_argument("--sized", required=True)
    parser.add_argument("--size", type=int, default=4096, metavar="MIB")
    parser.add_argument("--rotations", type=int, default=1)
    parser.add_argument("--only", default="")
    chosen = parser.parse_args()
    paths = series.make(TOP, os.path.join(TOP, ".build", "bench-series", str(chosen.size)), chosen.size)
    choices = [choice for choice in CHOICES if chosen.only in choice[0]]
    seen = {choice[0]: [] for choice in choices}
    with tempfile.TemporaryDirectory(prefix="dozo sizes.") as work:
        for _ in range(chosen.rotations):
            for choice in choices:
                tool = Sized(os.path.abspath(chosen.dozo), work, os.path.abspath(chosen.sized), choice)
                seen[choice[0]].append(run(tool, paths, choice[4]))
    columns = list(next(iter(seen.values()))[0])
    print("| choice | " + " | ".join(columns) + " |\n|---|" + "---|" * len(columns))
    for name, rounds in seen.items():
        values = [statistics.median(values[column] for values in rounds) for column in columns]
        texts = [f"{value:.0f}" if value >= 100 else f"{value:.2f}" for value in values]
        print(f"| {name} | " + " | ".join(texts) + " |")


if __name__ == "__main__":
    main()
