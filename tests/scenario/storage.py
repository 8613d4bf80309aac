"""The disk is full, the database is locked: no answer without its receipt, and all is well again after. storage.py BINARY"""

import concurrent.futures
import pathlib
import resource
import sqlite3
import subprocess
import tempfile
import time

import tap
from wire import BINARY, Site, SiteCase, request, trust, wait_for  # noqa: F401 (BINARY: for the site)


class Storage(SiteCase):
    """What must hold whatever is wrong with the storage. A subclass breaks and mends it."""

    worker_count = 1

    def break_it(self):
        raise NotImplementedError

    def mend_it(self):
        raise NotImplementedError

    def check_broken(self):
        self.check_error(self.admin_ask("POST", "/v1/admin/users", {"name": "half"}), 503, "audit_unavailable")
        self.check_error(self.ask("GET", "/readyz"), 503, "database")
        with concurrent.futures.ThreadPoolExecutor(4) as crowd:
            whole = crowd.submit(self.chat)
            stream = crowd.submit(self.chat, stream=True)
            changes = [crowd.submit(self.admin_ask, "POST", path, body) for path, body in (
                ("/v1/admin/join-tokens", {"owner": "half"}), (f"/v1/admin/keys/{self.victim_id}/revoke", None))]
        self.check_error(whole.result(), 503, "receipt_not_stored")
        stream = stream.result()
        self.assertEqual(stream.status, 200)
        self.assertTrue(stream.complete)
        self.assertNotIn("[DONE]", stream.events)
        self.assertIn("receipt_not_stored", stream.events[-1])
        for change in changes:
            self.check_error(change.result(), 503, "audit_unavailable")
        # What can't be entered in the audit log isn't done.
        self.assertEqual(self.ask("GET", "/v1/models", key=self.victim_key).status, 200)
        self.assertEqual(self.ask("GET", "/healthz").status, 200)
        self.assertEqual(self.ask("GET", "/v1/models", key=self.site.user_key).status, 200)
        self.assertEqual(self.metrics()["cellule_workers_connected"], 1)

    def check_mended(self, jobs):
        wait_for("it is ready again", lambda: self.ask("GET", "/readyz").status == 200)
        self.check_good_request()
        self.assertEqual(self.admin_ask("POST", f"/v1/admin/keys/{self.victim_id}/revoke").status, 200)
        self.check_error(self.ask("GET", "/v1/models", key=self.victim_key), 401, "invalid_api_key")
        self.add_user("half")
        for job in jobs:
            self.assertEqual(self.ask("GET", f"/v1/receipts/{job}", key=self.site.user_key).status, 200)
        self.check_nothing_left()

    def check_file(self, answers):
        """Nothing half-written: a sound file with what was acknowledged and no more."""
        self.site.stop()
        database = sqlite3.connect(self.site.folder / "pool.db")
        self.assertEqual(database.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
        self.assertEqual(database.execute("PRAGMA foreign_key_check").fetchall(), [])
        names = [name for (name,) in database.execute("SELECT name FROM users ORDER BY id")]
        self.assertEqual(names, ["admin", "demo", "victim", "half"])
        self.assertEqual(database.execute("SELECT count(*) FROM keys WHERE user_id NOT IN (SELECT id FROM users)")
                         .fetchone(), (0,))
        self.assertEqual(database.execute("SELECT count(*) FROM join_tokens WHERE owner = 'half'").fetchone(), (0,))
        self.assertEqual(database.execute("SELECT count(*) FROM receipts").fetchone(), (answers,))
        database.close()

    def run_through(self):
        self.victim_key = self.add_user("victim")["key"]
        self.victim_id = self.admin_ask("GET", "/v1/admin/users/victim/keys").json["keys"][0]["id"]
        jobs = [self.chat().headers["x-cellule-job"] for _ in range(3)]
        self.assertEqual(self.ask("GET", "/readyz").status, 200)
        self.break_it()
        try:
            self.check_broken()
        finally:
            self.mend_it()
        self.check_mended(jobs)
        self.check_file(len(jobs) + 1)
        self.site.start()
        self.assertEqual(self.ask("GET", "/readyz").status, 200)


class FileLimit(Storage):
    """As on a full disk: the kernel takes no byte beyond a file's first page."""

    def limit(self, soft):
        pid = self.site.pool.child.pid
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))

    def break_it(self):
        self.limit(4096)

    def mend_it(self):
        self.limit(resource.RLIM_INFINITY)

    def test_no_room_for_a_file_to_grow(self):
        self.run_through()


class FullDisk(Storage):
    """A disk of its own, filled up. Mounting needs rights that not every machine gives."""

    @classmethod
    def setUpClass(cls):
        cls.disk = tempfile.mkdtemp(prefix="cellule-scenario-")
        cls.addClassCleanup(pathlib.Path(cls.disk).rmdir)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "cellule", cls.disk], check=False,
                                 capture_output=True)
        cls.mounted = mounted.returncode == 0
        if not cls.mounted:
            return
        cls.addClassCleanup(subprocess.run, ["umount", cls.disk], check=True)
        cls.site = Site(pathlib.Path(cls.disk) / "site", BINARY, worker_count=1)
        cls.addClassCleanup(cls.site.stop)
        cls.site.start()
        cls.context = trust(cls.site.ca_file)

    @classmethod
    def tearDownClass(cls):
        if cls.mounted:
            super().tearDownClass()

    def break_it(self):
        with open(pathlib.Path(self.disk) / "ballast", "wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                pass
        # What the log of changes had room for already is used up first.
        wait_for("writing fails", lambda: self.chat().status == 503)

    def mend_it(self):
        (pathlib.Path(self.disk) / "ballast").unlink()

    def check_file(self, answers):
        super().check_file(self.stored())

    def stored(self):
        """Answers completed until the disk was full are stored too: as many as the pool counted."""
        return self.answers

    def check_mended(self, jobs):
        super().check_mended(jobs)
        self.answers = self.metrics()["cellule_answers_total"]

    def test_a_full_disk(self):
        if not self.mounted:
            self.skipTest("no right to mount a small disk")
        self.run_through()


class Locked(Storage):
    """Another program, a backup say, holds the database for itself."""

    def break_it(self):
        self.other = sqlite3.connect(self.site.folder / "pool.db", isolation_level=None)
        self.other.execute("BEGIN EXCLUSIVE")

    def mend_it(self):
        self.other.execute("ROLLBACK")
        self.other.close()

    def test_a_locked_database(self):
        self.run_through()

    def test_a_short_lock_is_waited_out_and_stalls_nobody_else(self):
        self.break_it()
        try:
            with self.connect() as connection:
                connection.send(request("POST", "/v1/chat/completions", self.chat_body(), self.site.user_key))
                wait_for("the receipt waits", lambda: self.metrics()["cellule_store_queued"] > 0)
                start = time.monotonic()
                for _ in range(5):
                    self.assertEqual(self.ask("GET", "/v1/models", key=self.site.user_key).status, 200)
                waited = time.monotonic() - start
                self.mend_it()
                answer = connection.answer()
            if waited < 1.5:  # the store waits for 2 s; a slower machine has shown nothing
                self.assertEqual(answer.status, 200, answer.body)
        finally:
            self.other.close()
        wait_for("it is ready", lambda: self.ask("GET", "/readyz").status == 200)

    def test_a_pool_doesnt_start_on_a_locked_database(self):
        with tempfile.TemporaryDirectory(prefix="cellule-scenario-") as scratch:
            site = Site(scratch, BINARY)
            site.make()
            other = sqlite3.connect(site.folder / "pool.db", isolation_level=None)
            other.execute("PRAGMA locking_mode = EXCLUSIVE")
            other.execute("BEGIN EXCLUSIVE")
            done = site.cellule("pool", "run", "--site", scratch, "--check", check=False)
            other.close()
            self.assertEqual(done.returncode, 1)
            self.assertIn("locked", done.stderr)
            self.assertEqual(site.cellule("pool", "run", "--site", scratch, "--check").returncode, 0)


class Overlap(SiteCase):
    worker_count = 1

    def test_a_revocation_outlives_an_enrolment_that_was_under_way(self):
        """The machine enrols again while it is revoked: what the enrolment read before must not undo it."""
        worker = self.site.admin("worker", "list")["workers"][0]["id"]
        token = self.site.admin("worker", "token", "--owner", "owner1")["token"]
        other = sqlite3.connect(self.site.folder / "pool.db", isolation_level=None)
        with concurrent.futures.ThreadPoolExecutor(2) as crowd:
            other.execute("BEGIN EXCLUSIVE")
            try:
                joining = crowd.submit(self.site.cellule, "worker", "join", token, "--state",
                                       self.site.worker_folder(0), check=False)
                wait_for("it enrols", lambda: joining.done() or self.metrics()["cellule_store_queued"] > 0)
                revoking = crowd.submit(self.admin_ask, "POST", f"/v1/admin/workers/{worker}/revoke")
                wait_for("its entry waits", lambda: joining.done() or self.metrics()["cellule_store_queued"] > 1)
            finally:
                other.execute("ROLLBACK")
                other.close()
            joining.result()
            revoking.result()
        self.assertEqual(self.site.admin("worker", "list")["workers"][0]["state"], "revoked")
        self.assertEqual(self.site.workers[0].child.wait(20), 1)


if __name__ == "__main__":
    tap.main()
