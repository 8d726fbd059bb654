#!/usr/bin/env python3
"""Files of an ext4 image that are changed where they lie, for Tests/Integration/churn.sh.

    churn-files.py TREE make MEBIBYTES       a folder of text files, 4 KiB to 2 MiB, the same each time
    churn-files.py IMAGE change PERCENT SEED new text in so many percent of the files, in their own blocks
    churn-files.py IMAGE upgrade MEBIBYTES SEED
                                             so many of packages, and three times as much that they unpack to, new files
    churn-files.py IMAGE encrypt PERCENT     so many percent of the files, by openssl, in their own blocks; prints the
                                             first byte of each block. Files that are encrypted already are passed over
    churn-files.py STATE pass                what runs have met and a host keeps of it becomes a day older

Blocks come from debugfs, so that nothing has to be mounted. Text is hexadecimal digits: it compresses to about a half.
"""
import datetime
import glob
import json
import math
import os
import random
import subprocess
import sys
import tempfile

BLOCK = 4096


def text(generator, length):
    return generator.randbytes(length // 2).hex().encode()


def make(tree, mebibytes):
    generator = random.Random(1)
    left, number = mebibytes << 20, 0
    while left > 0:
        size = int(math.exp(generator.uniform(math.log(4096), math.log(2 << 20)))) // 2 * 2
        folder = f"{tree}/{number % 20}"
        os.makedirs(folder, exist_ok=True)
        with open(f"{folder}/{number}", "wb") as out:
            out.write(text(generator, size))
        left -= size
        number += 1
    return 0


def debugfs(image, commands, write=False):
    with tempfile.NamedTemporaryFile("w", suffix=".debugfs") as script:
        script.write("\n".join(commands) + "\n")
        script.flush()
        answer = subprocess.run(["debugfs", *(["-w"] if write else []), "-f", script.name, image],
                                capture_output=True, text=True, check=True)
    return answer.stdout


def places(image):
    """The blocks of each file, by its path."""
    listing = debugfs(image, [f"ls -p /{number}" for number in range(20)])
    paths = []
    folder = None
    for line in listing.splitlines():
        if line.startswith("debugfs: ls -p "):
            folder = line.split()[-1]
        parts = line.split("/")
        if len(parts) > 5 and parts[5].isdigit() and folder:
            paths.append(f"{folder}/{parts[5]}")
    found, path = {}, None
    for line in debugfs(image, [f"blocks {path}" for path in paths]).splitlines():
        if line.startswith("debugfs: blocks "):
            path = line.split()[-1]
        elif path and line.strip():
            found[path] = [int(word) for word in line.split()]
    return found


def chosen(found, percent, seed):
    paths = sorted(found)
    return random.Random(seed).sample(paths, max(1, len(paths) * percent // 100))


def change(image, percent, seed):
    found = places(image)
    generator = random.Random(seed + 1000)
    with open(image, "r+b") as disk:
        for path in chosen(found, percent, seed):
            for block in found[path]:
                disk.seek(block * BLOCK)
                disk.write(text(generator, BLOCK))
    return 0


def upgrade(image, mebibytes, seed):
    generator = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        commands = ["mkdir /new"]
        for name, count, content in [("package", mebibytes, lambda: generator.randbytes(1 << 20)),
                                     ("unpacked", 3 * mebibytes, lambda: text(generator, 1 << 20))]:
            with open(f"{folder}/{name}", "wb") as out:
                for _ in range(count):
                    out.write(content())
            commands.append(f"write {folder}/{name} /new/{name}")
        debugfs(image, commands, write=True)
    return 0


def encrypt(image, percent):
    found = places(image)
    seen = f"{image}.encrypted"
    done = set(open(seen).read().split()) if os.path.exists(seen) else set()
    left = {path: blocks for path, blocks in found.items() if path not in done}
    # Of all files, not of those that are left.
    paths = random.Random(99).sample(sorted(left), len(found) * percent // 100)
    with open(image, "r+b") as disk:
        for path in paths:
            plain = b""
            for block in found[path]:
                disk.seek(block * BLOCK)
                plain += disk.read(BLOCK)
            key, start = os.urandom(32).hex(), os.urandom(16).hex()
            sealed = subprocess.run(["openssl", "enc", "-aes-256-ctr", "-K", key, "-iv", start], input=plain,
                                    capture_output=True, check=True).stdout
            for index, block in enumerate(found[path]):
                disk.seek(block * BLOCK)
                disk.write(sealed[index * BLOCK:(index + 1) * BLOCK])
                print(block * BLOCK)
    with open(seen, "a") as out:
        out.write("\n".join(paths) + "\n")
    return 0


def age(state):
    for folder in glob.glob(f"{glob.escape(state)}/*/churn"):
        lines = []
        for name in sorted(glob.glob(f"{glob.escape(folder)}/*.jsonl")):
            lines += open(name).read().splitlines()
            os.remove(name)
        for line in lines:
            sample = json.loads(line)
            sample["at"] -= 86400 * 10**9
            day = datetime.datetime.fromtimestamp(sample["at"] / 1e9, datetime.timezone.utc)
            with open(f"{folder}/{day:%Y-%m-%d}.jsonl", "a") as out:
                out.write(json.dumps(sample) + "\n")
    return 0


if __name__ == "__main__":
    place, verb, numbers = sys.argv[1], sys.argv[2], [int(word) for word in sys.argv[3:]]
    verbs = {"make": make, "change": change, "upgrade": upgrade, "encrypt": encrypt, "pass": age}
    sys.exit(verbs[verb](place, *numbers))
