"""A pool on PostgreSQL: it serves; the server goes away and comes back, in good order or killed while it stores; the
pool itself is killed; a second pool is turned away. postgresql.py BINARY"""

import os
import pathlib
import signal
import tempfile
import threading
import time
import unittest

import postgresql_server as postgresql
import tap
from storage import Storage
from wire import BINARY, PATIENCE, Site, SiteCase, SiteError, trust, wait_for, write_private

MISSING = postgresql.missing()


@unittest.skipIf(MISSING, MISSING)
class OnServer(SiteCase):
    """A site whose database is in a server of its own."""

    worker_count = 1

    @classmethod
    def setUpClass(cls):
        cls.server = postgresql.Server(fsync=True)
        cls.addClassCleanup(cls.server.close)
        scratch = tempfile.TemporaryDirectory(prefix="cellule-scenario-")
        cls.addClassCleanup(scratch.cleanup)
        cls.site = Site(pathlib.Path(scratch.name) / "site", BINARY, worker_count=cls.worker_count, settings=cls.settings)
        cls.site.init_options = ["--database", cls.url(pathlib.Path(scratch.name))]
        cls.addClassCleanup(cls.site.stop)
        cls.site.start()
        cls.context = trust(cls.site.ca_file)

    @classmethod
    def url(cls, scratch):
        """What the site is given; `scratch` is a folder for files that it names."""
        return cls.server.url()

    def number(self, query):
        return int(self.server.sql(query, postgresql.USER))


class Stopped(OnServer, Storage):
    """Over TCP, with TLS and a password: what these take is read once, or may still be read by a confined pool."""

    @classmethod
    def url(cls, scratch):
        passwords = scratch / "passwords"
        write_private(passwords, f"127.0.0.1:{cls.server.port}:{postgresql.USER}:site:the secret\n")
        authority = cls.server.demand("site", "the secret")
        return (f"postgresql://site@127.0.0.1:{cls.server.port}/{postgresql.USER}?passfile={passwords}"
                f"&sslmode=verify-full&sslrootcert={authority}")

    def break_it(self):
        self.server.stop()

    def mend_it(self):
        self.server.start()

    def check_file(self, answers):
        self.assertEqual(self.server.sql("SELECT string_agg(name, ' ' ORDER BY id) FROM users", postgresql.USER),
                         "admin demo victim half")
        self.assertEqual(self.number("SELECT count(*) FROM join_tokens WHERE owner = 'half'"), 0)
        self.assertEqual(self.number("SELECT count(*) FROM receipts"), answers)
        self.site.stop()

    def test_a_server_that_is_stopped_and_started_again(self):
        self.assertIn("pool.yaml", os.listdir(self.site.folder))
        self.assertNotIn("pool.db", os.listdir(self.site.folder))
        self.run_through()


class StoppedSocket(Stopped):
    """By a Unix socket."""

    @classmethod
    def url(cls, scratch):
        return cls.server.url()


class Killed(OnServer):
    worker_count = 2

    def ask_on(self, ending, stored):
        while not ending.is_set():
            answer = self.chat()
            if answer.status == 200:
                stored.append(answer.headers["x-cellule-job"])
            else:
                self.assertIn(answer.status, (502, 503, 504), answer.body)

    def check_stored(self, jobs):
        for job in jobs:
            answer = self.ask("GET", f"/v1/receipts/{job}", key=self.site.user_key)
            self.assertEqual(answer.status, 200, answer.body)

    def under_load(self, act):
        """Jobs that were answered before, while and after `act` happened to those that were asking."""
        ending, stored = threading.Event(), []
        askers = [threading.Thread(target=self.ask_on, args=(ending, stored)) for _ in range(4)]
        for asker in askers:
            asker.start()
        try:
            wait_for("some are stored", lambda: len(stored) >= 8)
            act()
            before = len(stored)
            wait_for("more are stored", lambda: len(stored) >= before + 8)
        finally:
            ending.set()
            for asker in askers:
                asker.join()
        return stored

    def test_connections_that_the_server_ends_are_made_anew(self):
        def end_them():
            for _ in range(5):
                self.server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                                "AND application_name = 'cellule'")
                time.sleep(0.3)
        self.check_stored(self.under_load(end_them))

    def test_a_server_that_is_killed_keeps_what_it_said_to_be_kept_but_the_last_moment(self):
        """Receipts survive the death of the pool; of the server's, those of its last moment may not."""
        def kill():
            time.sleep(1)
            self.server.stop(signal.SIGQUIT)
            time.sleep(0.5)
            self.server.start()
        before = [self.chat().headers["x-cellule-job"] for _ in range(3)]
        user = self.add_user("synced")
        time.sleep(1)
        self.under_load(kill)
        self.check_stored(before)
        self.assertEqual(self.ask("GET", "/v1/models", key=user["key"]).status, 200)

    def test_a_second_pool_is_turned_away_and_a_killed_one_makes_room(self):
        done = self.site.cellule("pool", "admin-key", "--site", self.site.folder, check=False)
        self.assertEqual(done.returncode, 1)
        with tempfile.TemporaryDirectory(prefix="cellule-scenario-") as scratch:
            second = Site(scratch, BINARY)
            second.init_options = ["--database", self.server.url()]
            with self.assertRaisesRegex(SiteError, "another pool"):
                second.make()
        stored = [self.chat().headers["x-cellule-job"] for _ in range(3)]
        self.site.pool.child.kill()
        self.site.pool.child.wait(PATIENCE)
        self.site.start_pool()
        wait_for("its workers are back", lambda: self.site.connected_workers() == self.worker_count)
        self.check_stored(stored)
        self.check_good_request()

    def test_a_server_that_hangs_holds_up_nobody_who_does_without(self):
        postmaster = self.server.process.pid
        backends = self.server.sql("SELECT string_agg(pid::text, ' ') FROM pg_stat_activity "
                                   "WHERE application_name = 'cellule'").split()
        for pid in [postmaster, *map(int, backends)]:
            os.kill(pid, signal.SIGSTOP)
        try:
            waiting = threading.Thread(target=self.chat)
            waiting.start()
            for _ in range(20):
                self.assertEqual(self.ask("GET", "/healthz").status, 200)
                self.assertEqual(self.ask("GET", "/v1/models", key=self.site.user_key).status, 200)
        finally:
            for pid in [postmaster, *map(int, backends)]:
                os.kill(pid, signal.SIGCONT)
        waiting.join()
        self.check_good_request()


class Moved(SiteCase):
    """From a file into a server and back."""

    worker_count = 1

    @classmethod
    def setUpClass(cls):
        if MISSING:
            raise unittest.SkipTest(MISSING)
        cls.server = postgresql.Server()
        cls.addClassCleanup(cls.server.close)
        super().setUpClass()

    def copy(self, *places, check=True):
        return self.site.cellule("admin", "database", "copy", *places, check=check)

    def start_on(self, database):
        self.site.start_pool("--database", database)
        self.site.start_worker(0)
        wait_for("its worker is back", lambda: self.site.connected_workers() == 1)

    def test_a_site_moves_and_serves_on(self):
        file, server, back = str(self.site.folder / "pool.db"), self.server.url(tcp=True), str(self.site.folder / "back.db")
        jobs = [self.chat().headers["x-cellule-job"] for _ in range(3)]
        served = self.copy(file, server, check=False)
        self.assertEqual(served.returncode, 1)
        self.assertRegex(served.stderr, "another process|in use")
        for source, target in ((file, server), (server, back)):
            self.site.stop()
            self.assertRegex(self.copy(source, target).stdout, "copied [0-9]+ rows")
            self.assertIn("empty", self.copy(source, target, check=False).stderr)
            self.start_on(target)
            jobs.append(self.chat().headers["x-cellule-job"])
            for job in jobs:
                self.assertEqual(self.ask("GET", f"/v1/receipts/{job}", key=self.site.user_key).status, 200)
        self.assertIn("no file", self.copy(file + ".none", str(self.site.folder / "x.db"), check=False).stderr)


if __name__ == "__main__":
    tap.main()
