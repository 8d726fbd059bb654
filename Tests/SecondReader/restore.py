#!/usr/bin/python3
"""The second reader: lists and restores from a repository, written from docs/format/repository-v1.md alone.

    restore.py --repository DIR --passphrase-file F --list
    restore.py --repository DIR --passphrase-file F --point ID-OR-PREFIX --disk NAME --to FILE
    restore.py --repository DIR --passphrase-file F --point ID-OR-PREFIX --memory-to FILE

Exit status: 0 done; 1 failed; 5 wrong passphrase; 6 damaged; 7 a version or feature that this reader does not know.
"""

import argparse
import contextlib
import os
import sys
import tempfile

from history import History
from keys import open_key_slots, parse_secret_file
from maps import ImageReader
from memory import stream
from objects import Store
from owners import OwnerChain
from packs import BlobReader, check_run, fetch, join_parts, read_run, run_name
from refusals import Damaged, Refusal, require


class Repository:
    """A repository, opened with a secret."""

    def __init__(self, directory, secret_file, report):
        self.report = report
        self.store = Store(directory)
        self.credential = open_key_slots(self.store, parse_secret_file(secret_file), report)
        self.chain = OwnerChain(self.store, self.credential, report)
        self.chain.refuse_unknown_features()
        self.history = History(self.store, self.chain, report)

    def points(self):
        """{id: restore point body}, in the order of the log."""
        points = {}
        for entry, point in self.history.restore_points():
            point_id = point.octets("id", 16)
            if point_id in points:
                self.report(Damaged(f"{entry.name} names restore point {point_id.hex()} again; the first one is used"))
            points.setdefault(point_id, point)
        return points

    def blobs(self):
        """A reader of all blobs in the packs that count: named by an inventory or by an index run that counts."""
        reader = BlobReader(self.store, self.chain, self.report)
        outcomes, runs = list(self.history.outcomes()), set(self.history.generation)
        named = []
        for outcome in outcomes:
            inventory = outcome.body.body("inventory", optional=True)
            if inventory is None:
                continue
            named += [(pack, outcome.name) for pack in inventory.tuples("packs", "hnnnn")]
            runs.update((run_hash, generation) for run_hash, generation, _ in inventory.tuples("runs", "hnn"))
        for (pack_hash, generation, *_), _ in named:
            reader.name_pack(pack_hash, generation)
        sound_runs = list(self._runs(sorted(runs)))
        for run in sound_runs:
            for pack_hash, generation in run.packs:
                reader.name_pack(pack_hash, generation)
        if self.history.spoiled_slots or self.history.spoiled_entries:
            # What is spoiled may have named more: chunks are compared with their ids wherever they are found.
            for pack_hash, generation in sorted(self.store.pack_keys()):
                reader.name_pack(pack_hash, generation)
        reader.load()
        for pack, name in named:
            self._attempt(reader.check_inventory, *pack, name)
        for run in sound_runs:
            self._attempt(check_run, run, reader)
        return reader

    def _runs(self, keys):
        runs = {}
        for run_hash, generation in keys:
            name = run_name(run_hash, generation)
            run = self._attempt(lambda: read_run(fetch(self.store, name, run_hash), name, self.chain))
            if run is not None:
                runs[run_hash] = run
        for head in runs.values():
            if head.packs:
                run = self._attempt(join_parts, head, runs)
                if run is not None:
                    yield run

    def _attempt(self, act, *arguments):
        try:
            return act(*arguments)
        except Refusal as refusal:
            self.report(refusal)
            return None


def list_points(repository):
    """Prints one line for each image of each restore point."""
    for point_id, point in repository.points().items():
        for image in point.bodies("images"):
            print(point_id.hex(), point.number("taken_at"), point.text("label"), image.text("name"),
                  image.number("length"), sep="\t")


def find_point(repository, prefix):
    """The restore point whose id begins so."""
    points = repository.points()
    found = [point for point_id, point in points.items() if point_id.hex().startswith(prefix.lower())]
    if len(found) != 1:
        raise Refusal(f"{len(found) or 'no'} restore points begin with {prefix!r}")
    return found[0]


def find_image(point, member, wanted, what):
    """The only image of a point whose `member` is the wanted text."""
    images = [image for image in point.bodies("images") if image.text(member) == wanted]
    if len(images) != 1:
        names = ", ".join(repr(image.text("name")) for image in point.bodies("images"))
        raise Refusal(f"the restore point has no single {what}; it has {names}")
    return images[0]


def write_image(blobs, image, file):
    """Writes an image into an empty file, sparsely."""
    reader = ImageReader(blobs, image.number("domain", 0xFFFFFFFF), image.octets("root", 32))
    require(reader.root.length == image.number("length"), "image root and restore point differ in the image's length")
    file.truncate(reader.root.length)
    for offset, piece in reader.pieces():
        file.seek(offset)
        file.write(piece)


def restore(repository, prefix, disk, target):
    """Writes one disk into a new sparse file. A file that could not be completed is removed."""
    image = find_image(find_point(repository, prefix), "name", disk, f"disk {disk!r}")
    blobs = repository.blobs()
    with new_file(target) as file:
        write_image(blobs, image, file)


def restore_memory(repository, prefix, target):
    """Writes the stream that a point's memory came as. A file that could not be completed is removed."""
    point = find_point(repository, prefix)
    pages = find_image(point, "kind", "memory", "memory")
    blobs = repository.blobs()
    with new_file(target) as file:
        if pages.text("format") == "stream":
            write_image(blobs, pages, file)
            return
        with tempfile.TemporaryFile(dir=os.path.dirname(os.path.abspath(target))) as memory, \
                tempfile.TemporaryFile(dir=os.path.dirname(os.path.abspath(target))) as skeleton:
            write_image(blobs, pages, memory)
            write_image(blobs, find_image(point, "kind", "memory-skeleton", "skeleton of its memory"), skeleton)
            for piece in stream(skeleton, memory):
                file.write(piece)


@contextlib.contextmanager
def new_file(target):
    """A new file, removed when it could not be completed."""
    try:
        file = open(target, "xb")
    except OSError as error:
        raise Refusal(f"{target} cannot be made: {error.strerror}") from None
    try:
        with file:
            yield file
    except (Refusal, OSError):
        os.unlink(target)
        raise


def main(arguments):
    """Runs the program; returns its exit status."""
    parser = argparse.ArgumentParser(description="Lists and restores from a repository (format version 1, draft 1).")
    parser.add_argument("--repository", required=True, metavar="DIR")
    parser.add_argument("--passphrase-file", required=True, metavar="FILE")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--point", metavar="ID-OR-PREFIX")
    parser.add_argument("--disk", metavar="NAME")
    parser.add_argument("--to", metavar="FILE")
    parser.add_argument("--memory-to", metavar="FILE")
    options = parser.parse_args(arguments)
    whole = options.point and (bool(options.disk and options.to) != bool(options.memory_to))
    if options.list == bool(whole):
        parser.error("give either --list, or --point with --disk and --to, or with --memory-to")
    problems = []

    def report(refusal):
        problems.append(refusal)
        print(f"note: {refusal}", file=sys.stderr)

    try:
        with open(options.passphrase_file, "rb") as file:
            repository = Repository(options.repository, file.read(), report)
        if options.list:
            list_points(repository)
            return 6 if any(isinstance(problem, Damaged) for problem in problems) else 0
        if options.memory_to:
            restore_memory(repository, options.point, options.memory_to)
        else:
            restore(repository, options.point, options.disk, options.to)
        return 0
    except Refusal as refusal:
        print(f"error: {refusal}", file=sys.stderr)
        return refusal.status
    except OSError as error:
        print(f"error: {error.filename or ''}: {error.strerror}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
