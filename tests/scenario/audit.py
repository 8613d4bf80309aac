"""The audit log: what is in it, its proofs, and that a changed log is found. audit.py BINARY"""

import base64
import concurrent.futures
import contextlib
import hashlib
import json
import pathlib
import shutil
import sqlite3
import subprocess
import tempfile
import unittest

import tap
from key_chain import Key, Succession
from wire import BINARY, SiteCase, scratch_site, wait_for


def leaf(entry):
    return hashlib.sha256(b"\0" + entry).digest()


def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def tree(leaves):
    """RFC 9162 §2.1.1, as it is written there."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return node(tree(leaves[:split]), tree(leaves[split:]))


def path(index, leaves):
    """RFC 9162 §2.1.3.1"""
    if len(leaves) == 1:
        return []
    split = 1 << (len(leaves) - 1).bit_length() - 1
    if index < split:
        return path(index, leaves[:split]) + [tree(leaves[split:])]
    return path(index - split, leaves[split:]) + [tree(leaves[:split])]


def consistency(old, leaves, whole=True):
    """RFC 9162 §2.1.4.1"""
    if old == len(leaves):
        return [] if whole else [tree(leaves)]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    if old <= split:
        return consistency(old, leaves[:split], whole) + [tree(leaves[split:])]
    return consistency(old - split, leaves[split:], False) + [tree(leaves[:split])]


def from_base64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Log(SiteCase):
    worker_count = 0

    def checkpoint(self):
        answer = self.ask("GET", "/v1/audit/checkpoint", key=self.site.user_key)
        self.assertEqual(answer.status, 200, answer.body)
        origin, size, root = answer.json["note"].split("\n")[:3]
        self.assertTrue(origin.startswith("cellule/"))
        self.assertEqual(int(size), answer.json["size"])
        return int(size), base64.b64decode(root)

    def texts(self):
        """All entries; asking for them adds one for each page."""
        found, size = [], 1
        while len(found) < size:
            answer = self.admin_ask("GET", f"/v1/audit/entries?from={len(found)}")
            self.assertEqual(answer.status, 200, answer.body)
            size = answer.json["size"]
            found += [text.encode() for text in answer.json["entries"]]
        return found

    def entries(self, **wanted):
        parsed = [json.loads(text) for text in self.texts()]
        return [entry for entry in parsed if all(entry.get(name) == value for name, value in wanted.items())]

    def prove(self, kind, query):
        answer = self.ask("GET", f"/v1/audit/proof/{kind}?{query}", key=self.site.user_key)
        self.assertEqual(answer.status, 200, answer.body)
        return [from_base64url(text) for text in answer.json["hashes"]]

    def test_the_first_entry_says_which_program_started(self):
        first = json.loads(self.texts()[0])
        self.assertEqual((first["action"], first["outcome"]), ("pool_boot", "noted"))
        digest = hashlib.sha256(pathlib.Path(BINARY).read_bytes()).hexdigest()
        self.assertEqual(first["detail"], f"program {digest}, release check: off")

    def test_an_act_is_written_with_who_and_to_whom_as_hashes(self):
        self.add_user("clara", "employee")
        entry = self.entries(action="user_add")[-1]
        self.assertEqual(entry["outcome"], "allowed")
        self.assertEqual(entry["role"], "it_admin")
        self.assertEqual(entry["target"], "POST /v1/admin/users role employee")
        self.assertEqual(len(entry["request"]), 32)
        self.assertNotIn(b"clara", b"".join(self.texts()))
        with contextlib.closing(sqlite3.connect(f"file:{self.site.folder}/pool.db?mode=ro", uri=True)) as db:
            salts = dict(db.execute("SELECT person, salt FROM audit_salts"))
        label = b"cellule audit person v1"
        parts = [label, salts["clara"], b"clara"]
        digest = hashlib.sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).digest()
        self.assertEqual(from_base64url(entry["person"]), digest)

    def test_what_an_act_gives_is_written_and_no_name_that_stands_in_a_wrong_place(self):
        self.add_user("wilma", "it_admin")
        self.assertEqual(self.entries(action="user_add")[-1]["target"], "POST /v1/admin/users role it_admin")
        for path, body, status in (("keys/emilia/revoke", {}, 404), ("workers/emilia/revoke", {}, 404),
                                   ("sessions/emilia/end", {}, 404), ("approvals/emilia/refuse", {}, 404),
                                   ("approvals/1/approve", {"hash": "emilia"}, 400),
                                   ("blacklist", {"kind": "person", "value": "emilia", "reason": "x"}, 400),
                                   ("blacklist", {"kind": "emilia", "value": "x", "reason": "x"}, 400),
                                   ("users", {"name": "x", "role": "emilia"}, 400),
                                   ("keys/1/verify", {"verify": "emilia"}, 400)):
            answer = self.admin_ask("POST", f"/v1/admin/{path}", body)
            self.assertEqual(answer.status, status, (path, answer.body))
        self.assertEqual(self.admin_ask("POST", "/v1/admin/keys/1/verify", {"verify": "spot"}).status, 200)
        self.assertEqual(self.entries(action="key_add")[-1]["target"], "POST /v1/admin/keys/1/verify verify spot")
        self.assertNotIn(b"emilia", b"".join(self.texts()))

    def test_a_refusal_is_written_and_names_the_role(self):
        before = len(self.entries(outcome="refused", action="user_list"))
        self.check_error(self.ask("GET", "/v1/admin/users", key=self.site.user_key), 403)
        refused = self.entries(outcome="refused", action="user_list")
        self.assertEqual(len(refused), before + 1)
        self.assertEqual(refused[-1]["role"], "employee")

    def test_a_stranger_is_written_but_cannot_fill_the_log(self):
        before = len(self.texts())
        for _ in range(200):
            self.ask("GET", "/v1/admin/users", key="ck_" + "A" * 43)
        strangers = [entry for entry in self.entries(outcome="refused") if "actor" not in entry]
        self.assertTrue(strangers)
        self.assertIn("origin", strangers[-1])
        self.assertLess(len(self.texts()) - before, 200)

    def test_an_act_that_fails_has_a_second_entry(self):
        self.check_error(self.admin_ask("POST", "/v1/admin/users/nobody-there/disable", {}), 404)
        allowed = self.entries(action="user_disable", outcome="allowed")[-1]
        failed = self.entries(action="user_disable", outcome="failed")[-1]
        self.assertEqual(allowed["request"], failed["request"])
        self.assertEqual(failed["detail"], "status 404")

    def test_questions_are_not_written(self):
        before = len(self.texts())
        self.ask("GET", "/v1/models", key=self.site.user_key)
        self.checkpoint()
        self.assertEqual(len(self.texts()), before + 1)  # the reading itself

    def test_figures_are_read_without_an_entry_but_not_by_everybody(self):
        before = len(self.texts())
        self.assertEqual(self.metrics()["cellule_audit_entries"], before)
        self.assertEqual(self.admin_ask("GET", "/v1/admin/status").status, 200)
        self.assertEqual(len(self.texts()), before + 1)  # the reading itself
        self.check_error(self.ask("GET", "/metrics", key=self.site.user_key), 403)
        self.assertTrue(self.entries(outcome="refused", action="metrics_read"))

    def test_proofs_are_the_ones_of_the_rfc(self):
        for _ in range(300):  # more than one tile
            self.admin_ask("GET", "/v1/admin/users")
        size, root = self.checkpoint()
        leaves = [leaf(text) for text in self.texts()[:size]]
        self.assertEqual(tree(leaves), root)
        for index in (0, 1, 255, 256, size - 1):
            self.assertEqual(self.prove("inclusion", f"index={index}&size={size}"), path(index, leaves))
        self.assertEqual(self.prove("inclusion", "index=3&size=100"), path(3, leaves[:100]))
        for old in (1, 2, 255, 256, 257, size - 1, size):
            self.assertEqual(self.prove("consistency", f"from={old}&size={size}"), consistency(old, leaves))
        for query in (f"index={size}&size={size}", "index=x", "", f"index=0&size={2 ** 60}"):
            answer = self.ask("GET", f"/v1/audit/proof/inclusion?{query}", key=self.site.user_key)
            self.check_error(answer, 400)

    def test_only_who_may_reads_entries(self):
        self.check_error(self.ask("GET", "/v1/audit/entries", key=self.site.user_key), 403)
        self.check_error(self.ask("GET", "/v1/audit/entries"), 401)
        self.check_error(self.ask("GET", "/v1/audit/checkpoint"), 401)

    def test_a_person_can_be_erased(self):
        officer = self.add_user("officer", "security_officer")["key"]
        self.add_user("dora", "employee")
        before = self.entries(action="user_add")[-1]["person"]
        self.check_error(self.admin_ask("POST", "/v1/audit/persons/dora/erase", {}), 403)
        answer = self.ask("POST", "/v1/audit/persons/dora/erase", {}, officer)
        self.assertEqual(answer.status, 200, answer.body)
        with contextlib.closing(sqlite3.connect(f"file:{self.site.folder}/pool.db?mode=ro", uri=True)) as db:
            self.assertFalse(db.execute("SELECT 1 FROM audit_salts WHERE person = 'dora'").fetchall())
        self.admin_ask("POST", "/v1/admin/users/dora/disable", {})
        after = self.entries(action="user_disable", outcome="allowed")[-1]["person"]
        self.assertNotEqual(before, after)
        size, root = self.checkpoint()
        self.assertEqual(tree([leaf(text) for text in self.texts()[:size]]), root)


class Tampered(unittest.TestCase):
    """A log that was changed while the pool stood still is found when it starts."""

    @classmethod
    def setUpClass(cls):
        scratch = tempfile.TemporaryDirectory(prefix="cellule-audit-")
        cls.addClassCleanup(scratch.cleanup)
        cls.folder = pathlib.Path(scratch.name)
        cls.good = cls.folder / "good"
        cls.old = cls.folder / "old"
        with scratch_site(worker_count=0) as site:
            for _ in range(150):
                site.admin("user", "list")
            site.pool.stop()
            shutil.copytree(site.folder, cls.old)
            site.start_pool()
            for _ in range(200):
                site.admin("user", "list")
            site.pool.stop()
            shutil.copytree(site.folder, cls.good)

    def start(self, change, checkpoint=True, origin=None):
        """What a pool says that starts on a changed copy."""
        site = self.folder / "site"
        shutil.rmtree(site, ignore_errors=True)
        shutil.copytree(origin or self.good, site)
        if not checkpoint:
            (site / "audit.checkpoint").unlink()
        with contextlib.closing(sqlite3.connect(site / "pool.db")) as db, db:
            for statement in change:
                db.execute(statement)
        return subprocess.run([BINARY, "pool", "run", "--site", str(site), "--check"], capture_output=True, text=True,
                              timeout=300, check=False)

    def check_refused(self, *change, **more):
        done = self.start(change, **more)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("audit log", done.stderr)
        self.assertIn("pool.db", done.stderr)  # says what to do

    def test_an_untouched_log_is_taken(self):
        done = self.start(())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.start((), checkpoint=False).returncode, 0)  # a site of an older version has none

    def test_an_edited_entry_is_found(self):
        edit = "UPDATE audit_entries SET entry = CAST(replace(CAST(entry AS TEXT), 'it_admin', 'employee') AS BLOB)"
        self.check_refused(f"{edit} WHERE place = 20")
        self.check_refused(f"{edit} WHERE place = (SELECT max(place) FROM audit_entries) - 1")

    def test_a_truncated_log_is_found(self):
        self.check_refused("DELETE FROM audit_entries WHERE place = (SELECT max(place) FROM audit_entries)")
        self.check_refused("DELETE FROM audit_entries WHERE place > 10")
        self.check_refused("DELETE FROM audit_entries WHERE place = 10")
        self.check_refused("DELETE FROM audit_entries")

    def test_a_reordered_log_is_found(self):
        self.check_refused("UPDATE audit_entries SET place = 1000000 WHERE place = 5",
                           "UPDATE audit_entries SET place = 5 WHERE place = 6",
                           "UPDATE audit_entries SET place = 6 WHERE place = 1000000")

    def test_an_entry_that_nobody_signed_is_found(self):
        self.check_refused("INSERT INTO audit_entries SELECT max(place) + 1, entry FROM audit_entries")

    def test_changed_and_missing_tiles_are_found(self):
        self.check_refused("UPDATE audit_tiles SET hashes = zeroblob(8192)")
        self.check_refused("DELETE FROM audit_tiles")
        self.check_refused("INSERT INTO audit_tiles VALUES (7, zeroblob(8192))")

    def test_a_checkpoint_of_nobody_is_found(self):
        self.check_refused("UPDATE audit_checkpoint SET note = CAST('x' AS BLOB)")
        self.check_refused("DELETE FROM audit_checkpoint")
        self.check_refused("DELETE FROM audit_entries", "DELETE FROM audit_tiles", "DELETE FROM audit_checkpoint")

    def test_an_older_database_is_found(self):
        site = self.folder / "rolled-back"
        shutil.rmtree(site, ignore_errors=True)
        shutil.copytree(self.old, site)
        shutil.copy(self.good / "audit.checkpoint", site / "audit.checkpoint")
        self.check_refused(origin=site)

    def test_a_forked_log_is_found(self):
        """Two pools go on from one copy; one's database beside the other's checkpoint."""
        with tempfile.TemporaryDirectory(prefix="cellule-fork-") as fork:
            shutil.rmtree(fork)
            shutil.copytree(self.old, fork)
            with scratch_site(worker_count=0, folder=fork) as site:
                for _ in range(300):
                    site.admin("worker", "list")
                site.pool.stop()
                shutil.copy(self.good / "audit.checkpoint", pathlib.Path(fork) / "audit.checkpoint")
                self.check_refused(origin=pathlib.Path(fork))


class Witness:
    """Somebody who signs what a log says of itself (C2SP tlog-cosignature), by OpenSSL."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.private = folder / f"{name}.pem"
        self.openssl("genpkey", "-algorithm", "ed25519", "-out", self.private)
        public = self.openssl("pkey", "-in", self.private, "-pubout", "-outform", "DER")[-32:]
        blob = b"\x04" + public
        self.id = hashlib.sha256(f"{name}\n".encode() + blob).digest()[:4]
        self.key = f"{name}+{self.id.hex()}+{base64.b64encode(blob).decode()}"

    def openssl(self, *arguments):
        return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True).stdout

    def sign(self, text, seconds=1700000000):
        """The line of a note."""
        message = self.folder / f"{self.name}.message"
        message.write_text(f"cosignature/v1\ntime {seconds}\n{text}")
        signature = self.openssl("pkeyutl", "-sign", "-inkey", self.private, "-rawin", "-in", message)
        blob = base64.b64encode(self.id + seconds.to_bytes(8, "big") + signature).decode()
        return f"\u2014 {self.name} {blob}\n"


class Exported(unittest.TestCase):
    """A copy of the log can be checked anywhere, and a changed one is refuted."""

    @classmethod
    def setUpClass(cls):
        scratch = tempfile.TemporaryDirectory(prefix="cellule-export-")
        cls.addClassCleanup(scratch.cleanup)
        cls.folder = pathlib.Path(scratch.name)
        cls.log = cls.folder / "log"
        with scratch_site(worker_count=0) as site:
            cls.older = cls.folder / "older"
            cls.older.write_text(site.admin("audit", "checkpoint")["note"])
            cls.early = cls.folder / "early"
            site.cellule("admin", "audit", "export", cls.early, key=site.admin_key)
            for _ in range(600):
                site.admin("user", "list")
            cls.shown = site.cellule("admin", "audit", "show", "3", key=site.admin_key).stdout
            cls.listed = site.cellule("admin", "audit", "list", "--from", "0", key=site.admin_key).stdout
            site.cellule("admin", "audit", "export", cls.log, key=site.admin_key)
            cls.key = Key(shutil.copy(site.folder / "pool.key", cls.folder / "pool.key"))
            cls.pool_id = json.loads(site.cellule("admin", "status", "--json", key=site.admin_key).stdout)["pool_id"]
            cls.size = int((cls.log / "checkpoint").read_text().split("\n")[1])

    def verify(self, folder, *options):
        return subprocess.run([BINARY, "verify", "audit", "--pool-id", self.pool_id, *options, str(folder)],
                              capture_output=True, text=True, timeout=300, check=False)

    def changed(self, name, change):
        copy = self.folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.log, copy)
        change(copy / name)
        return self.verify(copy)

    def check_refuted(self, name, change):
        done = self.changed(name, change)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("refuted", done.stderr)

    @staticmethod
    def flip(file):
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)

    def test_a_whole_copy_holds(self):
        done = self.verify(self.log, "--json")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(json.loads(done.stdout)["size"], self.size)
        self.assertEqual(self.verify(self.log, "--older", str(self.older)).returncode, 0)
        key = (self.log / "log.key").read_text().strip()
        only_key = subprocess.run([BINARY, "verify", "audit", "--key", key, str(self.log)], check=False, timeout=300)
        self.assertEqual(only_key.returncode, 0)

    def test_the_copy_is_laid_out_as_tiles(self):
        leaves = []
        for bundle in sorted((self.log / "tile" / "entries").glob("**/*")):
            data = bundle.read_bytes() if bundle.is_file() else b""
            while data:
                length = int.from_bytes(data[:2], "big")
                leaves.append(leaf(data[2:2 + length]))
                data = data[2 + length:]
        self.assertEqual(len(leaves), self.size)
        self.assertEqual(tree(leaves), base64.b64decode((self.log / "checkpoint").read_text().split("\n")[2]))
        self.assertEqual((self.log / "tile/0/001").read_bytes(), b"".join(leaves[256:512]))
        rest = self.size % 256
        self.assertEqual((self.log / f"tile/0/{self.size // 256:03}.p/{rest}").read_bytes(), b"".join(leaves[-rest:]))
        self.assertEqual((self.log / f"tile/1/000.p/{self.size // 256}").read_bytes(),
                         b"".join(tree(leaves[i:i + 256]) for i in range(0, self.size - rest, 256)))

    def test_an_entry_is_shown_with_its_proof(self):
        entry = json.loads(self.shown.splitlines()[0])
        self.assertIn(entry["outcome"], ("allowed", "noted", "refused"))
        self.assertIn("entry 3 is proved", self.shown)
        self.assertIn("pool_boot", self.listed)

    def test_a_changed_copy_is_refuted(self):
        for name in ("tile/entries/000", "tile/0/000", "tile/0/001", f"tile/0/{self.size // 256:03}.p/{self.size % 256}",
                     f"tile/1/000.p/{self.size // 256}", "checkpoint", "log.key"):
            with self.subTest(name):
                if name == "log.key":
                    done = self.changed(name, self.flip)
                    self.assertNotEqual(done.returncode, 0)
                else:
                    self.check_refuted(name, self.flip)

    def test_a_shortened_copy_is_refuted_and_a_part_is_not_checked(self):
        self.check_refuted("tile/entries/001", lambda file: file.write_bytes(file.read_bytes()[:-5]))
        done = self.changed("tile/entries/001", lambda file: file.unlink())
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertEqual(self.verify(self.folder / "nothing").returncode, 2)

    def test_another_log_is_refuted(self):
        wrong = subprocess.run([BINARY, "verify", "audit", "--pool-id", "0" * 64, str(self.log)], check=False,
                               capture_output=True, timeout=300)
        self.assertEqual(wrong.returncode, 1)
        older = self.folder / "forged"
        older.write_text(self.older.read_text().replace("\n", "\n\n", 1))
        self.assertEqual(self.verify(self.log, "--older", str(older)).returncode, 1)
        older.write_text("something else")
        self.assertEqual(self.verify(self.log, "--older", str(older)).returncode, 2)

    def test_a_witness_signs_what_goes_on_from_what_it_signed(self):
        copy = self.folder / "witnessed"
        shutil.copytree(self.log, copy)
        key = self.folder / "council.key"
        sign = ("--cosign", str(key), "--as", "council.example", "--json")
        signed = self.verify(copy, *sign)
        self.assertEqual(signed.returncode, 0, signed.stdout + signed.stderr)
        self.assertEqual(key.stat().st_mode & 0o777, 0o600)
        witness = json.loads(signed.stdout)["signed_as"]
        self.assertEqual(self.verify(copy, "--witness", witness).returncode, 0)
        before = (copy / "checkpoint").read_text()
        self.assertEqual(self.verify(copy, *sign).returncode, 0)
        self.assertEqual((copy / "checkpoint").read_text(), before)  # once is enough
        memory = next(self.folder.glob("council.key.cellule.*.checkpoint"))
        self.assertEqual(memory.read_text(), before)
        early = (self.early / "checkpoint").read_text()
        self.assertEqual(self.verify(self.early).returncode, 0)
        refused = self.verify(self.early, *sign[:-1])
        self.assertEqual(refused.returncode, 1, refused.stdout)
        self.assertIn("shorter than it was", refused.stderr)
        self.assertEqual((self.early / "checkpoint").read_text(), early)
        self.assertEqual(self.verify(self.log, "--cosign", str(key)).returncode, 2)  # as whom?

    def test_only_witnesses_that_signed_this_checkpoint_count(self):
        text = (self.log / "checkpoint").read_text().split("\n\n")[0] + "\n"
        first, second = (Witness(self.folder, name) for name in ("first.example", "second.example"))
        cosigned = self.folder / "cosigned"
        shutil.copytree(self.log, cosigned)
        with open(cosigned / "checkpoint", "a", encoding="utf-8") as file:
            file.write(first.sign(text))
        one = self.verify(cosigned, "--witness", first.key, "--json")
        self.assertEqual(one.returncode, 0, one.stdout)
        self.assertEqual(json.loads(one.stdout)["witnesses"], 1)
        both = ("--witness", first.key, "--witness", second.key)
        self.assertEqual(self.verify(cosigned, *both, "--quorum", "1").returncode, 0)
        for missed in (self.verify(cosigned, *both), self.verify(self.log, "--witness", first.key)):
            self.assertEqual(missed.returncode, 1, missed.stderr)
            self.assertIn("too few of the witnesses", missed.stderr)
        with open(cosigned / "checkpoint", "a", encoding="utf-8") as file:
            file.write(second.sign(text.replace("\n", "\n1", 1)))  # it signed another one
        self.assertEqual(self.verify(cosigned, *both, "--quorum", "1").returncode, 1)


    def copy_of(self, name, keys=None, signer=None, **files):
        """The log as a pool would give it that has had `keys`, of which the last, or `signer`, signed it."""
        copy = self.folder / name
        shutil.copytree(self.log, copy)
        origin, text = f"cellule/{self.pool_id}", (copy / "checkpoint").read_text().split("\n\n")[0] + "\n"
        if keys is not None:
            signer = signer or keys.keys[-1]
            (copy / "keys.json").write_text(keys.json())
            (copy / "checkpoint").write_text(signer.note(origin, text))
            (copy / "log.key").write_text(signer.note_key(origin) + "\n")
        for file, content in files.items():
            (copy / file.replace("_", ".")).write_text(content)
        return copy

    def keys(self, name, count):
        """The pool's, exchanged so many times."""
        keys = Succession(self.key)
        for number in range(count):
            keys.append(Key(self.folder / f"{name}{number}.key"), 1700000000000 + number)
        return keys

    def check(self, status, words, folder, *options):
        done = self.verify(folder, *options)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        for word in [words] if isinstance(words, str) else words:
            self.assertIn(word, done.stdout + done.stderr)

    def test_keys_json_has_the_key_that_signs(self):
        keys = json.loads((self.log / "keys.json").read_text())
        self.assertEqual((keys["pool"], keys["steps"]), (self.pool_id, []))
        self.assertEqual(keys, json.loads(Succession(self.key).json()))
        alone = self.copy_of("alone")
        (alone / "keys.json").unlink()
        self.check(0, "holds", alone)
        self.check(0, "holds", alone, "--keys", self.log / "keys.json")

    def test_the_last_of_the_pool_s_keys_signs_the_log_and_any_what_was_seen_earlier(self):
        keys = self.keys("last", 3)
        copy = self.copy_of("succeeded", keys)
        self.check(0, ["holds", "the last of the pool's 4 keys"], copy, "--older", self.older)
        name, text = f"cellule/{self.pool_id}", self.older.read_text().split("\n\n")[0] + "\n"
        stranger = Key(self.folder / "stranger.key")
        seen = self.folder / "seen_earlier"
        seen.write_text(keys.keys[2].note(name, text))
        self.check(0, "goes on from", copy, "--older", seen)
        seen.write_text(stranger.note(name, text))
        self.check(1, "none of the pool's keys", copy, "--older", seen)
        for key in keys.keys:  # whoever trusts one of them trusts those that it named
            done = subprocess.run([BINARY, "verify", "audit", "--key", key.note_key(name), copy], check=False,
                                  capture_output=True, timeout=300)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.check(1, "the key of --key isn't one of the pool's keys, of 4", copy, "--key", stranger.note_key(name))

    def test_a_witness_goes_on_when_the_key_is_exchanged(self):
        sign = ("--cosign", self.folder / "changing.key", "--as", "changing.example")
        before = self.copy_of("before")
        self.check(0, "signed as", before, *sign)
        after = self.copy_of("after", self.keys("witness", 1))
        self.check(0, ["goes on from", "signed as"], after, *sign)
        self.assertIn("changing.example", (after / "checkpoint").read_text())

    def test_keys_that_do_not_lead_to_the_one_that_signed_are_refused(self):
        keys = self.keys("bad", 2)
        stranger = Succession(Key(self.folder / "other.key"))
        edited = [{**keys.steps[0], "made_ms": keys.steps[0]["made_ms"] - 1}, keys.steps[1]]
        for number, (words, content) in enumerate((
                ("another pool's", stranger.json()),
                ("another pool's", json.dumps({**json.loads(stranger.json()), "pool": self.pool_id})),
                ("log.key isn't one of the pool's keys, of 2", keys.json(keys.steps[:1])),  # cut at its end
                ("keys before and after", keys.json(keys.steps[1:])),
                ("keys before and after", keys.json(keys.steps[::-1])),
                ("keys before and after", keys.json(edited)),
                ("keys.json", "{}"), ("keys.json", ""), ("keys.json", " " * 40000))):
            with self.subTest(number):
                self.check(1, ["refuted", words], self.copy_of(f"bad{number}", keys, keys_json=content))
        last, name = keys.keys[-1], f"cellule/{self.pool_id}"
        cut = self.copy_of("cut", keys, keys_json=keys.json(keys.steps[:1]), log_key=keys.keys[1].note_key(name))
        self.check(1, ["refuted", "none of the pool's keys has signed it, of 2 that are known"], cut)
        without = self.copy_of("without", keys)
        (without / "keys.json").unlink()
        self.check(2, ["cannot be checked here", "/v1/pool/keys", "--keys"], without)
        full = self.folder / "full.json"
        full.write_text(keys.json())
        self.check(0, "holds", without, "--keys", full)
        self.check(0, "holds", cut, "--keys", full, "--key", last.note_key(name))
        full.write_text(keys.json(keys.steps[:1]))  # it ends too early, for all that can be told
        self.check(2, ["cannot be checked here", "log.key isn't one of", "/v1/pool/keys"], without, "--keys", full)
        (without / "log.key").write_text(keys.keys[1].note_key(name))
        self.check(2, ["cannot be checked here", "none of the pool's keys has signed it, of 2", "/v1/pool/keys"], without,
                   "--keys", full)
        full.write_text(stranger.json())
        self.check(2, ["cannot be checked here", "another pool's"], without, "--keys", full)
        self.check(2, "cannot be checked here", without, "--keys", self.folder / "nothing")

    def test_a_key_that_was_replaced_signs_no_log_any_more(self):
        keys = self.keys("old", 2)
        for number, former in enumerate(keys.keys[:-1]):
            with self.subTest(number):
                stale = self.copy_of(f"stale{number}", keys, signer=former)
                self.check(1, ["refuted", "replaced"], stale)
                (stale / "log.key").write_text(keys.keys[-1].note_key(f"cellule/{self.pool_id}"))
                self.check(1, ["refuted", "had replaced the key that signed it"], stale)
        cut = self.copy_of("thief", keys, signer=keys.keys[1], keys_json=keys.json(keys.steps[:1]))
        self.check(0, "holds", cut)  # nothing in it says that there is a newer key
        newest = self.folder / "newest.json"
        newest.write_text(keys.json())
        self.check(1, "replaced", cut, "--keys", newest)
        seen = self.folder / "seen"
        seen.write_text((self.copy_of("honest", keys) / "checkpoint").read_text())
        self.check(1, "none of the pool's keys", cut, "--older", seen)


class Succeeded(unittest.TestCase):
    """Copies of the log of a pool that exchanges its own key while it serves."""

    @classmethod
    def setUpClass(cls):
        scratch = tempfile.TemporaryDirectory(prefix="cellule-export-")
        cls.addClassCleanup(scratch.cleanup)
        cls.folder = pathlib.Path(scratch.name)
        stack = contextlib.ExitStack()
        cls.addClassCleanup(stack.close)
        cls.site = stack.enter_context(scratch_site(worker_count=0))
        cls.pool_id = cls.site.admin("status")["pool_id"]
        cls.before = cls.export("before")
        cls.site.cellule("admin", "secrets", "rotate", "pool", key=cls.site.admin_key)
        cls.after = cls.export("after")

    @classmethod
    def export(cls, name):
        cls.site.cellule("admin", "audit", "export", cls.folder / name, key=cls.site.admin_key)
        return cls.folder / name

    def check(self, status, words, folder, *options):
        done = subprocess.run([BINARY, "verify", "audit", "--pool-id", self.pool_id, *map(str, options), str(folder)],
                              capture_output=True, text=True, timeout=300, check=False)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        self.assertIn(words, done.stdout + done.stderr)

    def mixed(self, name, copy, keys):
        """The copy with another one's keys.json."""
        shutil.copytree(copy, self.folder / name)
        shutil.copy(keys / "keys.json", self.folder / name / "keys.json")
        return self.folder / name

    def test_copies_from_before_and_after_hold_and_one_goes_on_from_the_other(self):
        self.check(0, "holds", self.before)
        self.check(0, "the last of the pool's ", self.after, "--older", self.before / "checkpoint")
        self.check(0, "holds", self.after, "--keys", self.after / "keys.json", "--key", (self.before / "log.key").read_text().strip())

    def test_a_copy_holds_with_the_keys_of_its_time_alone(self):
        self.check(1, "log.key is a key that the pool has replaced", self.mixed("late", self.before, self.after))
        self.check(1, "replaced", self.before, "--keys", self.after / "keys.json")
        self.check(1, "log.key isn't one of the pool's keys, of 1", self.mixed("short", self.after, self.before))
        stale = self.mixed("stale", self.after, self.after)
        shutil.copy(self.before / "checkpoint", stale / "checkpoint")
        self.check(1, "had replaced the key that signed it", stale)
        with scratch_site(worker_count=0) as other:
            other.cellule("admin", "audit", "export", self.folder / "other", key=other.admin_key)
        self.check(1, "another pool's", self.mixed("foreign", self.after, self.folder / "other"))

    def test_a_copy_made_while_the_key_is_exchanged_holds(self):
        with concurrent.futures.ThreadPoolExecutor(1) as beside:
            rotations = beside.submit(lambda: [self.site.cellule("admin", "secrets", "rotate", "pool", key=self.site.admin_key)
                                               for _ in range(5)])
            number = 0
            while number == 0 or not rotations.done():
                self.check(0, "holds", self.export(f"while{number}"), "--older", self.before / "checkpoint")
                number += 1
            rotations.result()
        self.check(0, "keys", self.export("at_last"), "--older", self.after / "checkpoint")


class Remembered(unittest.TestCase):
    """A worker remembers what the pool showed it, and doesn't serve one that takes it back."""

    def remembered(self, site):
        """Entries that the worker has seen."""
        notes = list(site.worker_folder(0).glob("audit-*.checkpoint"))
        return int(notes[0].read_text().split("\n")[1]) if notes else 0

    def restart_pool(self, site, copy_to=None, put_back=None):
        site.pool.stop()
        if copy_to is not None:
            shutil.copytree(site.folder, copy_to, ignore=shutil.ignore_patterns("worker*", "*.log"))
        if put_back is not None:
            for name in ("pool.db", "audit.checkpoint"):
                shutil.copy(put_back / name, site.folder / name)
            for name in ("pool.db-wal", "pool.db-shm"):
                (site.folder / name).unlink(missing_ok=True)
        site.start_pool()

    def compare(self, site, copy, kind):
        """What a fresh copy of the log is beside what the worker keeps."""
        site.cellule("admin", "audit", "export", copy, key=site.admin_key)
        note = next(site.worker_folder(0).glob(f"audit-*.{kind}"))
        return subprocess.run([BINARY, "verify", "audit", "--pool-id", site.admin("status")["pool_id"], "--older", str(note),
                               str(copy)], capture_output=True, text=True, timeout=300, check=False)

    def check_alarm(self, site, worker):
        wait_for("the worker stops", lambda: not worker.alive())
        self.assertEqual(worker.child.returncode, 3)
        self.assertIn("ALARM", pathlib.Path(worker.log).read_text())
        self.assertEqual(len(list(site.worker_folder(0).glob("audit-*.forked"))), 1)

    def test_a_worker_follows_a_log_that_grows_and_leaves_one_that_was_put_back(self):
        with tempfile.TemporaryDirectory(prefix="cellule-old-") as scratch, scratch_site(worker_count=1) as site:
            old = pathlib.Path(scratch) / "old"
            first = wait_for("the worker remembers a checkpoint", lambda: self.remembered(site))
            self.restart_pool(site, copy_to=old)
            for _ in range(300):
                site.admin("user", "list")
            self.restart_pool(site)
            wait_for("the worker believes the longer log", lambda: self.remembered(site) > first + 300)
            self.assertTrue(site.workers[0].alive())
            compared = self.compare(site, pathlib.Path(scratch) / "copy", "checkpoint")
            self.assertEqual(compared.returncode, 0, compared.stderr)
            self.restart_pool(site, put_back=old)
            self.check_alarm(site, site.workers[0])

    def test_a_worker_leaves_a_log_that_went_another_way(self):
        with tempfile.TemporaryDirectory(prefix="cellule-old-") as scratch, scratch_site(worker_count=1) as site:
            old = pathlib.Path(scratch) / "old"
            self.restart_pool(site, copy_to=old)
            for _ in range(50):
                site.admin("user", "list")
            self.restart_pool(site)
            wait_for("the worker believes the longer log", lambda: self.remembered(site) > 50)
            site.workers[0].stop()
            known = self.remembered(site)
            self.restart_pool(site, put_back=old)
            for _ in range(known + 10):
                site.admin("worker", "list")
            worker = site.start_worker(0)
            self.check_alarm(site, worker)
            rewritten = self.compare(site, pathlib.Path(scratch) / "copy", "checkpoint")
            self.assertEqual(rewritten.returncode, 1, rewritten.stdout)
            self.assertIn("isn't a continuation", rewritten.stderr)
            shown = self.compare(site, pathlib.Path(scratch) / "another", "forked")
            self.assertEqual(shown.returncode, 0, shown.stderr)


class FullDisk(SiteCase):
    """When an entry can't be written, the act doesn't happen, and it goes on when there is room again."""

    worker_count = 0

    def test_an_act_without_an_entry_does_not_happen(self):
        users = len(self.admin_ask("GET", "/v1/admin/users").json["users"])
        pid = self.site.pool.child.pid
        size = max((self.site.folder / name).stat().st_size for name in ("pool.db", "pool.db-wal"))
        subprocess.run(["prlimit", f"--pid={pid}", f"--fsize={size // 4096 * 4096}:"], check=True)
        refused = wait_for("the log is full", lambda: self.refused_for_want_of_room())
        self.check_error(refused, 503, "audit_unavailable")
        for index in range(5):
            answer = self.admin_ask("POST", "/v1/admin/users", {"name": f"full{index}", "role": "employee"})
            self.check_error(answer, 503, "audit_unavailable")
        self.assertEqual(self.ask("GET", "/v1/models", key=self.site.user_key).status, 200)
        self.assertEqual(self.ask("GET", "/v1/admin/users", key=self.site.user_key).status, 503)
        self.assertEqual(self.metrics()["cellule_audit_failing"], 1)
        subprocess.run(["prlimit", f"--pid={pid}", "--fsize=unlimited:"], check=True)
        listed = wait_for("room again", lambda: self.listed())
        self.assertEqual(self.metrics()["cellule_audit_failing"], 0)
        self.assertEqual(len(listed), users)
        self.assertEqual(self.add_user("after")["user"], "after")

    def refused_for_want_of_room(self):
        answer = self.admin_ask("GET", "/v1/admin/users")
        return answer if answer.status == 503 else None

    def listed(self):
        answer = self.admin_ask("GET", "/v1/admin/users")
        return answer.json["users"] if answer.status == 200 else None


if __name__ == "__main__":
    tap.main()
