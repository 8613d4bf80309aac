"""The pool's own key, exchanged while it serves; its id and all that it has signed stay. succession.py BINARY TOP FAKE_WORKER"""

import concurrent.futures
import contextlib
import json
import pathlib
import random
import shutil
import tempfile
import time
import unittest

import tap
from wire import SiteCase, frozen, request, scratch_site, trust, wait_for

FILES = ("pool.db", "pool.key", "audit.checkpoint", "succession.json")


def shown(site, ask):
    """The pool's id, and the chain that leads to the key it has now."""
    pool = ask("GET", "/v1/pool").json
    keys = ask("GET", "/v1/pool/keys").json
    current = keys["steps"][-1]["key"] if keys["steps"] else keys["first_key"]
    assert pool["public_key"] == current, (pool, keys)
    assert pool["pool_id"] == keys["pool"], (pool, keys)
    return pool["pool_id"], keys


def remembered(site, index):
    """The steps of the chain that a worker keeps."""
    kept = list(site.worker_folder(index).glob("keys-*.json"))
    return len(json.loads(kept[0].read_text())["steps"]) if kept else 0


def rotate(site, **more):
    return site.cellule("admin", "secrets", "rotate", "pool", "--json", key=site.admin_key, **more)


class Exchanged(SiteCase):
    worker_count = 2
    keep_alive = False

    def chain(self):
        return shown(self.site, self.ask)

    def receipt(self, name):
        """Of an answer of now: its file."""
        job = self.chat().headers["x-cellule-job"]
        path = self.site.folder / name
        wait_for("its receipt is there", lambda: self.ask("GET", f"/v1/receipts/{job}", key=self.site.user_key).status == 200)
        path.write_bytes(self.ask("GET", f"/v1/receipts/{job}", key=self.site.user_key).body)
        return path

    def verify(self, path, *more, check=True):
        return self.site.cellule("verify", "receipt", "--pool-id", self.pool_id, *more, path, check=check)

    def entries(self):
        return [json.loads(text) for text in self.admin_ask("GET", "/v1/audit/entries?from=0").json["entries"]]

    def workers_know(self, count):
        wait_for("the workers know the key", lambda: all(remembered(self.site, index) == count for index in range(2)))

    def setUp(self):
        type(self).context = trust(self.site.ca_file)
        self.pool_id = self.ask("GET", "/v1/pool").json["pool_id"]

    def test_1_an_answer_that_is_under_way_ends_and_both_keys_receipts_hold(self):
        old = self.receipt("old.json")
        unfetched = self.chat().headers["x-cellule-job"]
        before = self.chain()
        self.assertEqual(before[1]["steps"], [])
        key = (self.site.folder / "pool.key").read_bytes()
        with self.connect() as connection:
            connection.send(request("POST", "/v1/chat/completions", self.long_body(), self.site.user_key))
            self.assertEqual(connection.head()[0], 200)
            text = connection.chunk()
            with frozen(self.site):
                self.assertEqual(rotate(self.site).returncode, 0)
            while chunk := connection.chunk():
                text += chunk
        self.workers_know(1)
        self.assertTrue(text.rstrip().endswith(b"[DONE]"), text[-200:])
        after = self.chain()
        self.assertEqual(after[0], before[0])
        self.assertEqual(len(after[1]["steps"]), 1)
        self.assertNotEqual((self.site.folder / "pool.key").read_bytes(), key)
        self.assertEqual((self.site.folder / "pool.key").stat().st_mode & 0o777, 0o600)
        self.assertEqual(list(self.site.folder.glob("*.next")), [])
        self.assertEqual(self.metrics()["cellule_workers_connected"], 2)
        chain = self.site.folder / "keys.json"
        chain.write_bytes(self.ask("GET", "/v1/pool/keys").body)
        new = self.receipt("new.json")
        late = self.site.folder / "late.json"
        late.write_bytes(self.ask("GET", f"/v1/receipts/{unfetched}", key=self.site.user_key).body)
        self.verify(old)
        for path in (old, new, late):
            self.verify(path, "--keys", chain)
        refused = self.verify(new, check=False)
        self.assertEqual(refused.returncode, 2)  # that says nothing of the receipt
        self.assertIn("/v1/pool/keys", refused.stderr)

    def test_2_what_is_done_is_in_the_log_that_the_new_key_signs(self):
        acts = [(entry["action"], entry["outcome"]) for entry in self.entries()]
        self.assertIn(("secret_rotate", "allowed"), acts)
        self.assertIn(("pool_rekeyed", "noted"), acts)
        copy = self.site.folder / "copy"
        self.site.cellule("admin", "audit", "export", copy, key=self.site.admin_key)
        self.site.cellule("verify", "audit", "--pool-id", self.pool_id, copy)

    def test_3_ask_needs_nothing_new(self):
        told = self.site.cellule("ask", "--json", "--max-tokens", "4", "How?", key=self.site.user_key)
        self.assertEqual(json.loads(told.stdout)["receipt"], "valid")

    def test_4_a_worker_that_was_away_and_one_that_joins_later_learn_it(self):
        self.site.workers.pop().stop()
        rotate(self.site)
        rotate(self.site)
        self.site.start_worker(1)
        self.workers_know(3)
        token = self.admin_ask("POST", "/v1/admin/join-tokens", {"owner": "late"}).json["token"]
        self.site.cellule("worker", "join", token, "--state", self.site.folder / "late")
        wait_for("both serve", lambda: self.metrics()["cellule_workers_connected"] == 2)
        self.check_good_request()

    def test_5_workers_trust_another_authority_by_the_new_key(self):
        self.site.cellule("admin", "secrets", "rotate", "ca", key=self.site.admin_key)
        wait_for("the workers have it", lambda: all(
            (self.site.worker_folder(index) / "ca.pem").read_bytes() == pathlib.Path(self.site.ca_file).read_bytes()
            for index in range(2)))

    def test_6_it_is_as_it_was_after_a_restart(self):
        before = self.chain()
        self.site.pool.stop()
        self.site.start_pool()
        wait_for("the workers are back", lambda: self.metrics()["cellule_workers_connected"] == 2)
        self.assertEqual(self.chain(), before)
        self.check_good_request()
        rotate(self.site)
        self.workers_know(len(before[1]["steps"]) + 1)
        self.check_error(self.ask("POST", "/v1/admin/secrets/pool/rotate", {}, self.site.user_key), 403)
        self.assertIn("key number", self.site.cellule("admin", "secrets", "show", key=self.site.admin_key).stdout)


class BrokenOff(SiteCase):
    """The pool is killed again and again while its key is exchanged: whatever counts is whole."""

    worker_count = 1
    keep_alive = False

    def test_a_pool_that_is_killed_comes_back_with_one_key_or_the_other(self):
        seed = random.SystemRandom().randrange(1 << 32)
        print(f"# seed {seed}")
        draw = random.Random(seed)
        for _ in range(12):
            before = shown(self.site, self.ask)
            with concurrent.futures.ThreadPoolExecutor(1) as other:
                asked = other.submit(self.rotate_quietly)
                time.sleep(draw.uniform(0.05, 0.35))  # from before the request until behind the exchange
                self.site.pool.child.kill()
                self.site.pool.child.wait()
                asked.result()
            self.site.start_pool()
            after = shown(self.site, self.ask)
            self.assertEqual(after[0], before[0])
            self.assertIn(len(after[1]["steps"]) - len(before[1]["steps"]), (0, 1))
            self.assertEqual(after[1]["steps"][:len(before[1]["steps"])], before[1]["steps"])
            self.assertEqual(list(self.site.folder.glob("*.next")), [])
        self.site.wait_for("the worker is back", lambda: self.site.connected_workers() == 1, [self.site.pool, *self.site.workers])
        rotate(self.site)
        self.check_good_request()

    def rotate_quietly(self):
        with contextlib.suppress(OSError, ValueError):
            rotate(self.site, check=False)


class PutBack(unittest.TestCase):
    def test_workers_leave_a_pool_that_shows_a_key_it_no_longer_has(self):
        with tempfile.TemporaryDirectory(prefix="cellule-old-") as scratch, scratch_site(worker_count=1) as site:
            old = pathlib.Path(scratch)
            site.pool.stop()
            for name in FILES:
                if (site.folder / name).exists():
                    shutil.copy(site.folder / name, old / name)
            site.start_pool()
            rotate(site)
            wait_for("the worker knows the key", lambda: remembered(site, 0) == 1)
            site.pool.stop()
            for name in (*FILES, "pool.db-wal", "pool.db-shm"):
                (site.folder / name).unlink(missing_ok=True)
                if (old / name).exists():
                    shutil.copy(old / name, site.folder / name)
            site.start_pool()
            worker = site.workers[0]
            wait_for("the worker stops", lambda: not worker.alive())
            self.assertEqual(worker.child.returncode, 3)
            self.assertIn("ALARM", pathlib.Path(worker.log).read_text())

    def test_a_pool_refuses_files_of_different_backups(self):
        with tempfile.TemporaryDirectory(prefix="cellule-old-") as scratch, scratch_site(worker_count=1) as site:
            old = pathlib.Path(scratch) / "pool.key"
            shutil.copy(site.folder / "pool.key", old)
            rotate(site)
            site.pool.stop()
            new = (site.folder / "pool.key").read_bytes()
            shutil.copy(old, site.folder / "pool.key")
            refused = site.cellule("pool", "run", "--site", site.folder, "--check", check=False)
            self.assertEqual(refused.returncode, 1)
            self.assertIn("backup", refused.stderr)
            (site.folder / "pool.key").write_bytes(new)
            site.cellule("pool", "run", "--site", site.folder, "--check")


class Sealed(unittest.TestCase):
    def test_a_key_whose_exchange_broke_off_is_sealed_too(self):
        with scratch_site(worker_count=1) as site:
            old = (site.folder / "pool.key").read_bytes()
            wait_for("a checkpoint is kept", (site.folder / "audit.checkpoint").exists)
            checkpoint = (site.folder / "audit.checkpoint").read_bytes()
            rotate(site)
            site.pool.stop()
            key = (site.folder / "pool.key").read_bytes()
            for name, before in (("pool.key", old), ("audit.checkpoint", checkpoint), ("succession.json", None)):
                (site.folder / name).rename(site.folder / f"{name}.next")  # as a crash leaves it
                if before is not None:
                    (site.folder / name).write_bytes(before)
                    (site.folder / name).chmod(0o600)
            (site.folder / "passphrase").write_text("a passphrase of these keys")
            (site.folder / "passphrase").chmod(0o600)
            site.cellule("pool", "seal", "--site", site.folder, "--passphrase-file", site.folder / "passphrase")
            self.assertEqual(list(site.folder.glob("*.next")), [])
            for path in site.folder.iterdir():
                if path.is_file():
                    self.assertNotIn(key, path.read_bytes(), path.name)
            site.cellule("pool", "run", "--site", site.folder, "--check", "--passphrase-file", site.folder / "passphrase")


class Unconfined(unittest.TestCase):
    def test_a_pool_that_keeps_its_rights_exchanges_its_key_too(self):
        with scratch_site(worker_count=1) as site:
            site.pool.stop()
            site.start_pool("--unconfined")
            rotate(site)
            rotate(site)
            self.assertEqual(len(json.loads((site.folder / "succession.json").read_text())["steps"]), 2)
            site.pool.stop()
            site.start_pool()


if __name__ == "__main__":
    tap.main()
