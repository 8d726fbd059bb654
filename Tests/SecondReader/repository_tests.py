"""Tests of whole repositories: what make_example.py writes comes back, and nothing else is believed."""

import contextlib
import io
import os
import random
import shutil
import tempfile
import unittest

import cbor
import maps
from crypto import sha256
from make_example import PASSPHRASE, Example, fingerprint, make_example, sign
from objects import LEDGER, Store
from packs import BlobReader, pack_name
from refusals import Damaged, Unsupported
from restore import Repository, main

SEED = int(os.environ.get("SECOND_READER_SEED", "1"))
DOUBLED = ("owner/", "store/", "keys/", "spare/")  # what stands twice


class RepositoryTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.repository = os.path.join(cls.folder.name, "repository")
        cls.passphrase = os.path.join(cls.folder.name, "passphrase")
        with open(cls.passphrase, "wb") as file:
            file.write(PASSPHRASE + b"\n")
        cls.images, cls.point = make_example(cls.repository)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def run_program(self, directory, *arguments, passphrase=None):
        output, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            status = main(["--repository", directory, "--passphrase-file", passphrase or self.passphrase, *arguments])
        return status, output.getvalue(), errors.getvalue()

    def restored(self, directory, name):
        target = os.path.join(self.folder.name, "restored")
        status, _, errors = self.run_program(directory, "--point", self.point.hex()[:8], "--disk", name, "--to", target)
        if status != 0:
            self.assertFalse(os.path.exists(target))
            return status, errors
        with open(target, "rb") as file:
            data = file.read()
        os.unlink(target)
        return status, data

    @contextlib.contextmanager
    def changed_copy(self):
        with tempfile.TemporaryDirectory() as folder:
            copy = os.path.join(folder, "repository")
            shutil.copytree(self.repository, copy)
            yield copy

    def objects(self):
        for folder, _, files in os.walk(self.repository):
            for name in files:
                yield os.path.relpath(os.path.join(folder, name), self.repository)

    def test_every_disk_comes_back_byte_for_byte(self):
        for name, image in self.images.items():
            self.assertEqual(self.restored(self.repository, name), (0, image), name)

    def test_a_restored_disk_is_sparse(self):
        target = os.path.join(self.folder.name, "sparse")
        self.run_program(self.repository, "--point", self.point.hex(), "--disk", "main", "--to", target)
        self.assertLess(os.stat(target).st_blocks * 512, 4 << 20)
        os.unlink(target)

    def test_the_list_names_every_disk(self):
        status, output, errors = self.run_program(self.repository, "--list")
        self.assertEqual((status, errors), (0, ""))
        self.assertEqual([line.split("\t")[0::3] for line in output.splitlines()],
                         [[self.point.hex(), name] for name in self.images])

    def test_one_seed_gives_one_repository(self):
        with tempfile.TemporaryDirectory() as folder:
            make_example(folder)
            for name in self.objects():
                again = Store(folder).get(name)
                self.assertEqual(again, Store(self.repository).get(name), name)

    def test_the_main_disk_has_what_it_is_there_for(self):
        reader_report = []
        repository = Repository(self.repository, PASSPHRASE, reader_report.append)
        images = repository.points()[self.point].bodies("images")
        image = next(image for image in images if image.text("name") == "main")
        reader = repository.blobs()
        root = maps.ImageReader(reader, 0, image.octets("root", 32))
        self.assertEqual(root.root.depth, 2)
        boundary, cut_chunks, repeats = 4 << 20, 0, 0
        parse = maps.parse_leaf

        def counting(blob, covered, what):
            nonlocal cut_chunks, repeats
            entries = parse(blob, covered, what)
            repeats += sum(repeat > 1 for *_, repeat in entries)
            cut_chunks += sum(entry[0] != maps.HOLE and entry[1] > 0 for entry in entries)
            return entries

        maps.parse_leaf = counting
        try:
            total = sum(len(piece) for _, piece in root.pieces())
        finally:
            maps.parse_leaf = parse
        self.assertGreaterEqual(cut_chunks, 1, f"no chunk lies over {boundary}")
        self.assertGreaterEqual(repeats, 1)
        self.assertLess(total, len(self.images["main"]) // 4)
        codecs = {entry.codec for pack in reader.packs.values() for entry in pack.entries}
        self.assertEqual((codecs, reader_report), ({0, 1}, []))

    def test_another_passphrase_opens_nothing(self):
        for wrong in (b"", PASSPHRASE + b"\n\n", PASSPHRASE[:-1]):
            path = os.path.join(self.folder.name, "wrong")
            with open(path, "wb") as file:
                file.write(wrong)
            self.assertEqual(self.run_program(self.repository, "--list", passphrase=path)[0], 5)

    def test_what_is_not_there_is_a_failure(self):
        target = os.path.join(self.folder.name, "nothing")
        arguments = ["--point", "zz", "--disk", "main", "--to", target]
        self.assertEqual(self.run_program(self.repository, *arguments)[0], 1)
        self.assertEqual(self.restored(self.repository, "other")[0], 1)
        self.assertEqual(self.run_program(os.path.join(self.folder.name, "none"), "--list")[0], 1)

    def test_an_unknown_read_feature_forbids_reading(self):
        with tempfile.TemporaryDirectory() as folder:
            make_example(folder, read_features=["later"])
            status, _, errors = self.run_program(folder, "--list")
            self.assertEqual(status, 7)
            self.assertIn("'later'", errors)

    def test_a_close_keeps_what_its_ledger_names_and_hides_the_rest(self):
        with tempfile.TemporaryDirectory() as folder:
            make_example(folder, close=True)
            self.assertEqual(self.restored(folder, "main"), (0, self.images["main"]))
        with tempfile.TemporaryDirectory() as folder:
            make_example(folder, close=True, forget=True)
            self.assertEqual(self.run_program(folder, "--list")[:2], (0, ""))

    def test_a_slot_of_a_stranger_is_void_and_the_log_goes_on(self):
        with tempfile.TemporaryDirectory() as folder:
            example = Example(folder)
            example.begin()
            example.log_slot(example.random.octets(32), 0, 0, "open", session=bytes(16), bases=[])
            example.log_slot(example.writer, 0, 1, "open", session=bytes(16), bases=[])
            reports = []
            history = Repository(folder, PASSPHRASE, reports.append).history
            self.assertEqual([slot.place for slot in history.slots], [(0, 0, 1)])
            self.assertEqual(len(reports), 1)
            self.assertIn("not enrolled", str(reports[0]))

    def test_no_missing_object_gives_wrong_bytes(self):
        for name in self.objects():
            with self.subTest(name), self.changed_copy() as copy:
                os.unlink(os.path.join(copy, name))
                status, data = self.restored(copy, "main")
                self.assertTrue(status != 0 or data == self.images["main"])
                self.assertTrue(status != 0 or name.startswith(("runs/",) + DOUBLED), status)

    def test_no_changed_byte_goes_unseen(self):
        dice = random.Random(SEED)
        for name in self.objects():
            size = os.path.getsize(os.path.join(self.repository, name))
            places = sorted({0, 8, 15, 20, 90, 95, 96, size - 1, size - 8, size - 70, dice.randrange(size)})
            for place in (place for place in places if place < size):
                with self.subTest(name, place=place, seed=SEED), self.changed_copy() as copy:
                    with open(os.path.join(copy, name), "r+b") as file:
                        file.seek(place)
                        old = file.read(1)[0]
                        file.seek(place)
                        file.write(bytes([old ^ 1 << dice.randrange(8)]))
                    status, data = self.restored(copy, "main")
                    if status == 0:
                        # What a run or a slot says, other objects say again.
                        self.assertTrue(name.startswith(("runs/", "log/") + DOUBLED), status)
                        self.assertEqual(data, self.images["main"])
                        arguments = ["--point", self.point.hex(), "--disk", "main", "--to", os.path.join(copy, "again")]
                        self.assertIn(name, self.run_program(copy, *arguments)[2])
                    else:
                        self.assertIn(status, (1, 5, 6, 7))

    def test_no_truncation_is_accepted(self):
        dice = random.Random(SEED)
        for name in self.objects():
            size = os.path.getsize(os.path.join(self.repository, name))
            for length in (0, 95, 96, size - 1, dice.randrange(size)):
                with self.subTest(name, length=length, seed=SEED), self.changed_copy() as copy:
                    os.truncate(os.path.join(copy, name), length)
                    status, _ = self.restored(copy, "one")
                    self.assertTrue(status != 0 or name.startswith(("runs/", "log/") + DOUBLED), status)

    def test_another_copy_of_a_damaged_pack_is_used(self):
        with self.changed_copy() as copy:
            reports = []
            repository = Repository(copy, PASSPHRASE, reports.append)
            (outcome,) = repository.history.outcomes()
            reader = BlobReader(repository.store, repository.chain, reports.append)
            for pack_hash, *_ in outcome.body.body("inventory").tuples("packs", "hnnnn"):
                sound, later = (os.path.join(copy, pack_name(pack_hash, generation)) for generation in (0, 1))
                shutil.copy(sound, later)
                with open(sound, "r+b") as file:
                    file.seek(200)
                    file.write(b"damage!!")
                reader.name_pack(pack_hash, 0)
                reader.name_pack(pack_hash, 1)
            reader.load()
            self.assertEqual(len(reports), 2)
            image = next(iter(repository.points().values())).bodies("images")[0]
            disk = bytearray(image.number("length"))
            for offset, piece in maps.ImageReader(reader, 0, image.octets("root", 32)).pieces():
                disk[offset:offset + len(piece)] = piece
            self.assertEqual(bytes(disk), self.images["main"])


class HistoryTests(unittest.TestCase):
    """Repositories without packs: what the owner chain, the log and the sessions make count."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.example = Example(folder.name)
        self.example.begin()
        self.reports = []

    def history(self):
        return Repository(self.example.directory, PASSPHRASE, lambda refusal: self.reports.append(str(refusal))).history

    def two_entries(self):
        """A session with a checkpoint and a commit; returns (session, slot hash, hashes of the entries)."""
        session = self.example.random.octets(16)
        slot = self.example.log_slot(self.example.writer, 0, 0, "open", session=session, bases=[])
        first = self.example.session_entry(session, 0, slot, [0, 0, 0], "checkpoint")
        return session, slot, [first, self.example.session_entry(session, 1, first, [0, 0, 0], "commit")]

    def counting(self):
        return [entry.k for entry in self.history().outcomes()]

    def revoke(self, **fields):
        self.example.statement("revoke", key=fingerprint(self.example.writer), **fields)

    def test_checkpoint_and_commit_count(self):
        self.two_entries()
        self.assertEqual(self.counting(), [0, 1])
        self.assertEqual(self.reports, [])

    def test_a_revocation_without_a_slot_accepts_nothing(self):
        self.two_entries()
        self.revoke()
        self.assertEqual(self.counting(), [])
        self.assertIn("revoked", self.reports[0])

    def test_a_revocation_accepts_up_to_the_entry_it_names(self):
        session, slot, entries = self.two_entries()
        self.revoke(slot=[0, 0, 0, slot], sessions=[[session, 0, entries[0]]])
        self.assertEqual(self.counting(), [0])

    def test_a_revocation_accepts_no_other_slot_under_the_same_number(self):
        self.two_entries()
        self.revoke(slot=[0, 0, 0, bytes(32)])
        self.assertEqual(self.counting(), [])

    def test_of_several_revocations_each_must_accept(self):
        session, slot, entries = self.two_entries()
        self.revoke(slot=[0, 0, 0, slot], sessions=[[session, 0, entries[0]]])
        self.revoke(slot=[0, 0, 0, slot], sessions=[])
        self.assertEqual(self.counting(), [0])

    def test_what_a_revocation_does_not_accept_is_not_missed(self):
        session, slot, entries = self.two_entries()
        self.second_session(slot)
        writer = fingerprint(self.example.writer)[:16]
        self.example.log_slot(self.example.maintainer, 0, 2, "open", session=bytes(16), bases=[], heads={
            "owner": [0, self.example.chain[0]], "sessions": [[writer, session, 1, entries[1]]]})
        self.revoke()
        self.assertEqual(self.counting(), [])
        self.assertFalse([report for report in self.reports if "known to exist" in report])

    def remove(self, name):
        os.unlink(os.path.join(self.example.directory, name))

    def test_one_copy_of_what_stands_twice_is_enough(self):
        self.two_entries()
        names = ["owner/00000000", "owner/00000001", "store/00000000"]
        names += [f"keys/{name}" for name in os.listdir(os.path.join(self.example.directory, "keys"))]
        for name in names:
            for copy in (name, f"spare/{name}"):
                path = os.path.join(self.example.directory, copy)
                with open(path, "rb") as file:
                    data = file.read()
                self.spoil(copy)
                self.assertEqual(self.counting(), [0, 1], copy)
                self.remove(copy)
                self.assertEqual(self.counting(), [0, 1], copy)
                self.example.put(copy, data)

    def test_places_that_somebody_filled_are_passed_over(self):
        self.two_entries()
        first = len(self.example.chain)
        for n in range(first, first + 20):
            self.example.put(f"owner/{n:08d}", b"squat")
            self.example.put(f"store/{n - first + 1:08d}", b"")
        self.assertEqual(self.counting(), [0, 1])
        self.example.passed_over = 20
        self.revoke()
        self.assertEqual(self.counting(), [])
        self.assertTrue([report for report in self.reports if f"owner/{first:08d} is passed over" in report])

    def test_places_that_were_cleaned_again_hide_nothing(self):
        self.two_entries()
        self.example.passed_over = 20
        self.revoke()
        self.assertEqual(self.counting(), [])

    def test_what_a_revoked_writer_has_seen_is_not_missed(self):
        session, slot, _ = self.two_entries()
        stranger = bytes(16)
        self.example.log_slot(self.example.writer, 0, 1, "open", session=bytes(16), bases=[],
                              writer_previous=[0, 0, slot], heads={
                                  "owner": [0, self.example.chain[0]], "sessions": [[stranger, session, 5, bytes(32)]]})
        self.history()
        self.assertIn("known to exist", self.reports[0])
        self.reports.clear()
        self.revoke(slot=[0, 0, 1, self.example.last_slot], sessions=[])
        self.history()
        self.assertEqual(self.reports, [])

    def test_a_lost_statement_is_missed(self):
        self.two_entries()
        self.remove("owner/00000001")
        self.remove("spare/owner/00000001")
        with self.assertRaisesRegex(Damaged, "one between was lost"):
            self.history()

    def test_nothing_behind_an_abandon_counts(self):
        session, _, entries = self.two_entries()
        end = self.example.session_entry(session, 2, entries[1], [0, 0, 0], "abandon")
        self.example.session_entry(session, 3, end, [0, 0, 0], "commit")
        self.assertEqual(self.counting(), [0, 1])

    def test_an_entry_that_does_not_follow_is_shown(self):
        session, *_ = self.two_entries()
        self.example.session_entry(session, 2, bytes(32), [0, 0, 0], "commit")
        self.history()
        self.assertIn("does not follow", self.reports[0])

    def test_what_was_ended_and_is_gone_is_shown(self):
        session, slot, entries = self.two_entries()
        self.example.log_slot(self.example.writer, 0, 1, "open", session=bytes(16), bases=[],
                              writer_previous=[0, 0, slot], ended=[[session, 2, bytes(32)]])
        self.history()
        self.assertEqual(len(self.reports), 1)
        self.assertIn("known to exist, not shown", self.reports[0])

    def test_one_identity_used_twice_is_shown(self):
        self.two_entries()
        self.example.log_slot(self.example.writer, 0, 1, "open", session=bytes(16), bases=[])
        self.history()
        self.assertIn("used twice", self.reports[0])

    def spoil(self, name, place=200):
        path = os.path.join(self.example.directory, name)
        with open(path, "r+b") as file:
            file.seek(place)
            old = file.read(1)[0]
            file.seek(place)
            file.write(bytes([old ^ 1]))

    def entry_path(self, session, k):
        return f"s/{fingerprint(self.example.writer)[:16].hex()}/{session.hex()}/{k:08d}"

    def second_session(self, after):
        session = self.example.random.octets(16)
        slot = self.example.log_slot(self.example.writer, 0, 1, "open", session=session, bases=[],
                                     writer_previous=[0, 0, after])
        self.example.session_entry(session, 0, slot, [0, 0, 1], "commit")

    def test_behind_a_spoiled_entry_the_next_counts(self):
        session, *_ = self.two_entries()
        self.spoil(self.entry_path(session, 0))
        self.assertEqual(self.counting(), [1])
        self.assertEqual(len(self.reports), 1)
        self.assertIn(self.entry_path(session, 0), self.reports[0])

    def test_behind_a_missing_entry_the_next_counts(self):
        session, *_ = self.two_entries()
        os.unlink(os.path.join(self.example.directory, self.entry_path(session, 0)))
        self.assertEqual(self.counting(), [1])
        self.assertIn("is missing", self.reports[0])

    def test_an_entry_that_does_not_follow_a_sound_one_is_void(self):
        session, *_ = self.two_entries()
        self.example.session_entry(session, 2, bytes(32), [0, 0, 0], "commit")
        self.assertEqual(self.counting(), [0, 1])

    def test_garbage_at_the_end_of_a_session_takes_nothing(self):
        session, *_ = self.two_entries()
        self.example.put(self.entry_path(session, 2), b"garbage")
        self.assertEqual(self.counting(), [0, 1])

    def test_a_spoiled_slot_voids_neither_its_session_nor_the_next_slot(self):
        _, slot, _ = self.two_entries()
        self.second_session(slot)
        for place in (200, 97, 50, 20):
            self.spoil("log/00000000/00000000/00000000", place)
            self.reports.clear()
            self.assertEqual(self.counting(), [0, 1, 0])
            self.assertEqual([report for report in self.reports if "log/00000000/00000000/00000000" not in report], [])
            self.assertTrue(self.reports)
            self.spoil("log/00000000/00000000/00000000", place)

    def test_a_missing_slot_voids_neither_its_session_nor_the_next_slot(self):
        _, slot, _ = self.two_entries()
        self.second_session(slot)
        os.unlink(os.path.join(self.example.directory, "log/00000000/00000000/00000000"))
        self.assertEqual(self.counting(), [0, 1, 0])

    def test_a_session_whose_slot_was_another_by_the_next_slot_s_word_does_not_count(self):
        _, slot, _ = self.two_entries()
        self.second_session(slot)
        self.spoil("log/00000000/00000000/00000000")
        session = self.example.random.octets(16)
        self.example.session_entry(session, 0, bytes(32), [0, 0, 0], "commit")
        self.assertEqual(self.counting(), [0, 1, 0])

    def test_a_revoked_writer_s_session_under_a_spoiled_slot_must_be_named(self):
        session, slot, _ = self.two_entries()
        self.revoke(slot=[0, 0, 0, slot], sessions=[])
        self.spoil("log/00000000/00000000/00000000")
        self.assertEqual(self.counting(), [])

    def test_a_stranger_s_session_under_a_spoiled_slot_does_not_count(self):
        self.example.log_slot(self.example.random.octets(32), 0, 0, "open", session=bytes(16), bases=[])
        true_writer, self.example.writer = self.example.writer, self.example.random.octets(32)
        self.example.session_entry(bytes(16), 0, self.example.last_slot, [0, 0, 0], "commit")
        self.example.writer = true_writer
        self.assertEqual(self.counting(), [])

    def test_a_lost_close_is_refused_and_never_an_old_state(self):
        session, slot, entries = self.two_entries()
        plain = cbor.encode({"points": [], "horizon": [], "generation": [], "condemned_fresh": [],
                             "condemned_carried": []})
        data = self.example.header(LEDGER, self.example.maintainer, len(plain)) + plain
        data += sign(self.example.maintainer, b"dozo/1 object\0", data)
        self.example.put(f"ledger/{sha256(data).hex()}", data)
        self.example.log_slot(self.example.maintainer, 0, 1, "close", ledger=sha256(data))
        self.example.put("log/00000000/00000001/00000000", b"garbage of somebody without a key")
        self.example.log_slot(self.example.writer, 1, 1, "open", session=bytes(16), bases=[],
                              writer_previous=[0, 0, slot])
        self.assertEqual(self.counting(), [0, 1])
        self.spoil("log/00000000/00000000/00000001")
        with self.assertRaises(Damaged) as caught:
            self.history()
        self.assertIn("log/00000000/00000000/00000001", str(caught.exception))
        os.unlink(os.path.join(self.example.directory, "log/00000000/00000000/00000001"))
        with self.assertRaises(Damaged):
            self.history()

    def test_garbage_in_the_next_epoch_is_no_lost_close(self):
        self.two_entries()
        self.example.put("log/00000000/00000001/00000000", b"garbage of somebody without a key")
        self.assertEqual(self.counting(), [0, 1])
        self.assertEqual(self.reports, [])

    def test_a_writer_may_not_close(self):
        self.two_entries()
        self.example.log_slot(self.example.writer, 0, 1, "close", ledger=bytes(32))
        self.assertEqual(self.counting(), [0, 1])
        self.assertIn("may not close", self.reports[0])

    def test_a_shortened_owner_chain_is_refused(self):
        self.remove("owner/00000002")
        self.remove("spare/owner/00000002")
        with self.assertRaises(Damaged):
            self.history()

    def test_a_statement_of_somebody_else_is_passed_over(self):
        self.example.owner = self.example.writer
        self.example.statement("revoke", key=fingerprint(self.example.maintainer))
        self.assertEqual(len(self.history().chain.hashes), 3)
        self.assertIn("owner/00000003 is passed over", self.reports[0])

    def test_a_critical_field_that_is_not_known_is_refused(self):
        self.example.statement("features", features={"read": [], "write": [], "sweep": []}, **{"!later": 1})
        with self.assertRaises(Unsupported):
            self.history()
