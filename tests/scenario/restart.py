"""The pool's own end and return: killed, stopped, told to reread, started twice, checked. restart.py BINARY"""

import concurrent.futures
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

import tap
from fleet import FleetCase
from wire import (BINARY, Connection, Site, SiteCase, children, free_port, frozen, request, scratch_site, trust,
                  wait_for)

BACK_SECONDS = 15  # the bound for workers to be back


class Killed(SiteCase):
    worker_count = 2

    def load(self, done, stop):
        """Asks on and on; notes the jobs whose answer was complete."""
        stream = True
        while not stop.is_set():
            stream = not stream
            try:
                with Connection(self.site.address, self.context) as connection:
                    answer = connection.ask("POST", "/v1/chat/completions", self.chat_body(stream=stream),
                                            self.site.user_key)
            except OSError:
                continue
            if answer.status == 200 and answer.complete and (not stream or answer.events[-1:] == ["[DONE]"]):
                done.append(answer.headers["x-cellule-job"])
            elif answer.status == 200 and answer.complete:
                self.assertIn("error", answer.body.decode(), "a clean end without [DONE]")

    def change(self, done, stop):
        """Adds users, keys and tokens, and revokes keys; notes what was acknowledged."""
        number = 0
        while not stop.is_set():
            number += 1
            try:
                user = self.admin_ask("POST", "/v1/admin/users", {"name": f"user{number}"})
                if user.status == 201 and user.complete:
                    done.append(("key", user.json["key"]))
                key = self.admin_ask("POST", f"/v1/admin/users/user{number}/keys", {})
                gone = self.admin_ask("POST", f"/v1/admin/keys/{key.json['key_id']}/revoke")
                if gone.status == 200 and gone.complete:
                    done.append(("revoked", key.json["key"]))
                token = self.admin_ask("POST", "/v1/admin/join-tokens", {"owner": f"owner{number}"})
                if token.status == 201 and token.complete:
                    done.append(("token", token.json["token"]))
            except (OSError, ValueError):
                continue

    def test_nothing_that_was_acknowledged_is_lost(self):
        jobs, changes, stop = [], [], threading.Event()
        with concurrent.futures.ThreadPoolExecutor(5) as crowd:
            workload = [crowd.submit(self.load, jobs, stop) for _ in range(4)]
            workload.append(crowd.submit(self.change, changes, stop))
            try:
                for _ in range(2):
                    seen = len(jobs), len(changes)
                    wait_for("there is load", lambda: len(jobs) > seen[0] + 15 and len(changes) > seen[1] + 6)
                    self.site.pool.child.kill()
                    self.site.pool.child.wait()
                    self.site.start_pool()
                    self.site.wait_for("the workers are back", lambda: self.site.connected_workers() == 2,
                                       [self.site.pool, *self.site.workers], BACK_SECONDS)
            finally:
                stop.set()
            for one in workload:
                one.result()
        self.check_jobs(jobs)
        self.check_changes(changes)
        self.check_good_request()
        self.check_nothing_left()

    def check_jobs(self, jobs):
        pool_id = self.ask("GET", "/v1/pool").json["pool_id"]
        path = self.site.folder / "receipt.json"
        with self.connect() as connection:
            for job in jobs:
                receipt = connection.ask("GET", f"/v1/receipts/{job}", key=self.site.user_key)
                self.assertEqual(receipt.status, 200, f"the receipt of {job} is lost: {receipt.body}")
                if job in jobs[::25]:
                    path.write_bytes(receipt.body)
                    self.site.cellule("verify", "receipt", "--pool-id", pool_id, path)

    def check_changes(self, changes):
        with self.connect() as connection:
            for kind, value in changes:
                if kind != "token":
                    status = connection.ask("GET", "/v1/models", key=value).status
                    self.assertEqual(status, 200 if kind == "key" else 401, f"{kind} is lost")
        token = [value for kind, value in changes if kind == "token"][-1]
        self.site.cellule("worker", "join", token, "--state", self.site.folder / "late")
        self.site.pool.child.kill()
        self.site.pool.child.wait()
        self.site.start_pool()
        self.assertEqual(len(self.site.admin("worker", "list")["workers"]), 3, "an enrolment is lost")
        self.site.wait_for("the workers are back", lambda: self.site.connected_workers() == 2, [self.site.pool],
                           BACK_SECONDS)


class Stopped(unittest.TestCase):
    def long_stream(self, site, **more):
        connection = Connection(site.address, trust(site.ca_file))
        self.addCleanup(connection.close)
        body = {"model": site.model.stem, "messages": [{"role": "user", "content": "Tell me everything."}],
                "temperature": 2, "max_tokens": 400, "stream": True, **more}
        connection.send(request("POST", "/v1/chat/completions", body, site.user_key))
        self.assertEqual(connection.head()[0], 200)
        self.assertTrue(connection.chunk())
        return connection

    @staticmethod
    def finish(connection):
        last = b""
        while chunk := connection.chunk():
            last = chunk
        return last

    def test_sigterm_lets_answers_end_and_takes_no_new_connection(self):
        with scratch_site() as site:
            idle = Connection(site.address, trust(site.ca_file))
            self.assertEqual(idle.ask("GET", "/healthz").status, 200)
            stream = self.long_stream(site)
            with frozen(site):
                site.pool.signal(signal.SIGTERM)
                wait_for("the door is shut", lambda: self.refused(site))
                self.assertEqual(idle.rest(), b"")
            last = self.finish(stream)
            self.assertTrue(last.rstrip().endswith(b"data: [DONE]"), last)
            self.assertEqual(site.pool.child.wait(20), 0)
            self.assertIn("draining", (site.folder / "pool.log").read_text())
            self.assertTrue(site.workers[0].alive(), "the worker waits for its pool")

    def test_a_pool_ends_well_while_a_certificate_is_exchanged(self):
        for kind in ("server", "ca"):
            with self.subTest(kind), scratch_site(worker_count=0) as site:
                pool = site.pool.child
                (keeper,) = [child for child in children(pool.pid)
                             if "keeper" in pathlib.Path(f"/proc/{child}/comm").read_text()]
                os.kill(keeper, signal.SIGSTOP)
                try:
                    with Connection(site.address, trust(site.ca_file)) as connection:
                        connection.send(request("POST", f"/v1/admin/secrets/{kind}/rotate", {}, site.admin_key))
                        time.sleep(0.5)  # a thread asks the keeper
                        pool.send_signal(signal.SIGTERM)
                        pool.send_signal(signal.SIGINT)  # at once
                        time.sleep(0.3)
                finally:
                    os.kill(keeper, signal.SIGCONT)
                self.assertEqual(pool.wait(), 0, site.pool.last_lines(150))
                site.start_pool()

    @staticmethod
    def refused(site):
        host, _, port = site.address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), 2).close()
        except ConnectionRefusedError:
            return True
        except (ConnectionResetError, TimeoutError):
            pass  # reached a listener that was just being closed
        return False


class Drained(FleetCase):
    settings = {"drain_timeout_ms": 0}

    def test_what_takes_longer_than_the_drain_ends_with_an_error_event(self):
        self.fake("--behave", "answer-then-hang")
        answer = self.question()
        answer.wait_for_text()
        self.site.pool.signal(signal.SIGTERM)
        self.assert_broken_off(answer, "pool_stopping")
        self.assertEqual(self.site.pool.child.wait(60), 0)
        self.site.start_pool()  # what follows each case looks at it


class Reread(SiteCase):
    settings = {"max_tokens_limit": 100, "max_tokens_default": 50}

    def certificate(self):
        return Connection(self.site.address, self.context).socket.getpeercert(True)

    def reread(self):
        lines = len(self.pool_log().splitlines())
        self.site.pool.signal(signal.SIGHUP)
        return wait_for("it has reread", lambda: [line for line in self.pool_log().splitlines()[lines:]
                                                  if "reloaded" in line])

    def settings_file(self, change):
        path = self.site.folder / "pool.yaml"
        path.write_text(change(path.read_text()))

    def openssl(self, *arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, cwd=self.site.folder)

    def new_certificate(self):
        folder = self.site.folder
        (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "new.key",
                     "-subj", "/CN=localhost", "-out", "new.csr")
        self.openssl("x509", "-req", "-in", "new.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days",
                     "30", "-extfile", "names", "-out", "new.pem")
        (folder / "new.pem").write_text((folder / "new.pem").read_text() + (folder / "ca.pem").read_text())

    def test_a_new_certificate_is_served_after_sighup_and_a_bad_one_is_not(self):
        old = self.certificate()
        self.new_certificate()
        with self.connect() as kept:
            shutil.copy(self.site.folder / "new.pem", self.site.folder / "server.pem")
            self.reread()
            self.assertEqual(self.certificate(), old, "the key doesn't fit: the old pair serves on")
            self.assertIn("certificate not reloaded", self.pool_log())
            shutil.copy(self.site.folder / "new.key", self.site.folder / "server.key")
            (self.site.folder / "server.key").chmod(0o600)
            self.reread()
            self.assertNotEqual(self.certificate(), old)
            self.assertEqual(kept.ask("GET", "/healthz").status, 200, "connections stay")
        new = self.certificate()
        (self.site.folder / "server.pem").write_text("rubbish")
        self.reread()
        self.assertEqual(self.certificate(), new)
        shutil.copy(self.site.folder / "new.pem", self.site.folder / "server.pem")
        self.check_good_request()
        self.assertEqual(self.site.connected_workers(), 1)

    def test_settings_count_after_sighup_and_bad_ones_do_not(self):
        self.assertEqual(self.chat(max_tokens=101).status, 400)
        self.settings_file(lambda text: text.replace("max_tokens_limit: 100", "max_tokens_limit: 200")
                           + "log_level: debug\n")
        self.reread()
        self.assertEqual(self.chat(max_tokens=101).status, 200)
        self.assertEqual(self.chat(max_tokens=201).status, 400)
        for bad in ("max_tokens_limit: 0\n", "nonsense: 1\n", "log_level: loud\n", "\t\0", "max_tokens_limit: [1]\n"):
            good = (self.site.folder / "pool.yaml").read_text()
            with self.subTest(bad):
                self.settings_file(lambda text: text.replace("max_tokens_limit: 200\n", "") + bad)
                self.site.pool.signal(signal.SIGHUP)
                wait_for("it says no", lambda: self.pool_log().count("settings not reloaded") > self.refusals)
                self.refusals += 1
                self.assertEqual(self.chat(max_tokens=200).status, 200)
                self.assertEqual(self.chat(max_tokens=201).status, 400)
            (self.site.folder / "pool.yaml").write_text(good)
        (self.site.folder / "pool.yaml").rename(self.site.folder / "away.yaml")
        self.site.pool.signal(signal.SIGHUP)
        wait_for("it says no", lambda: self.pool_log().count("settings not reloaded") > self.refusals)
        (self.site.folder / "away.yaml").rename(self.site.folder / "pool.yaml")
        self.assertEqual(self.chat(max_tokens=200).status, 200)

    refusals = 0


class Twice(SiteCase):
    worker_count = 0

    def test_a_second_pool_on_the_same_site_is_refused(self):
        second = self.site.cellule("pool", "run", "--site", self.site.folder, check=False, timeout=20)
        self.assertEqual(second.returncode, 1)
        self.assertIn("another", second.stderr)
        self.assertIn(str(self.site.folder), second.stderr)
        moved = self.site.folder / "linked"
        moved.symlink_to(self.site.folder)
        self.assertEqual(self.site.cellule("pool", "run", "--site", moved, check=False, timeout=20).returncode, 1)
        self.assertEqual(self.ask("GET", "/readyz").status, 200)

    def test_settings_are_checked_while_the_pool_runs(self):
        """As pool.yaml says: after a change, --check, then SIGHUP."""
        def check(*options):
            return self.site.cellule("pool", "run", "--site", self.site.folder, "--check", *options, check=False,
                                     timeout=60)
        done = check()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        wrong = self.site.folder / "wrong.yaml"
        wrong.write_text("verify: sometimes\n")
        self.assertEqual(check("--config", wrong).returncode, 1)
        key = self.site.folder / "server.key"
        before = key.read_bytes()
        key.write_text("none")
        self.addCleanup(key.write_bytes, before)
        done = check()
        self.assertEqual(done.returncode, 1)
        self.assertIn("server.key", done.stderr)
        self.assertEqual(self.ask("GET", "/readyz").status, 200)

    def test_a_second_init_leaves_the_site_as_it_is(self):
        before = (self.site.folder / "ca.pem").read_bytes()
        again = self.site.cellule("pool", "init", "--site", self.site.folder, check=False)
        self.assertEqual(again.returncode, 1)
        self.assertIn("already", again.stderr)
        self.assertEqual((self.site.folder / "ca.pem").read_bytes(), before)


class Checked(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="cellule-scenario-")
        self.addCleanup(scratch.cleanup)
        self.site = Site(pathlib.Path(scratch.name) / "site", BINARY)
        self.site.make()
        self.yaml = self.site.folder / "pool.yaml"

    def check(self, *options):
        return self.site.cellule("pool", "run", "--site", self.site.folder, "--check", *options, check=False, timeout=20)

    def test_a_good_site_is_in_order(self):
        done = self.check()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.yaml.write_text("# nothing but defaults\n")
        own = self.site.folder / "own.yaml"
        own.write_text(f'listen: "127.0.0.1:{free_port()}"\nlog_format: json\n')
        self.assertEqual(self.check("--config", own).returncode, 0)

    def test_bad_settings_are_named(self):
        good = self.yaml.read_text()
        for line, words in {
            "nonsense: 1": ("nonsense",),
            "Log_level: info": ("Log_level",),
            "beat_ms: 99": ("beat_ms", "100", "60000"),
            "beat_ms: 1.5": ("beat_ms",),
            "beat_ms: ten": ("beat_ms",),
            "beat_ms: [1000]": ("beat_ms",),
            "beat_ms:": ("beat_ms",),
            "beat_ms: 18446744073709551616": ("beat_ms",),
            "beat_ms: 1000\nbeat_ms: 2000": ("beat_ms",),
            "log_level: loud": ("log_level", "debug"),
            "log_format: xml": ("log_format", "json"),
            "max_tokens_limit: 10\nmax_tokens_default: 20": ("max_tokens_default", "max_tokens_limit"),
            "public_address: " + "a" * 2000: ("public_address",),
            'public_address: "https://pool.example"': ("public_address", "HOST:PORT"),
            'public_address: "pool.example"': ("public_address", "HOST:PORT"),
            "- a list": ("pool.yaml",),
            "beat_ms: &a 1000\nidle_timeout_ms: *a": ("pool.yaml",),
            '"unclosed': ("pool.yaml",),
        }.items():
            with self.subTest(line[:30]):
                self.yaml.write_text(good + line + "\n")
                done = self.check()
                self.assertEqual(done.returncode, 1, done.stdout)
                for word in words:
                    self.assertIn(word, done.stderr)
                self.assertLess(len(done.stderr.splitlines()), 3)

    def test_a_listen_address_that_is_none_is_named(self):
        for listen in ("8443", "127.0.0.1", "127.0.0.1:", "127.0.0.1:99999", "pool:https", "256.1.1.1:8443", "",
                       "203.0.113.7:8443"):
            with self.subTest(listen):
                self.yaml.write_text(f'listen: "{listen}"\n')
                done = self.check()
                self.assertEqual(done.returncode, 1)
                self.assertIn("listen", done.stderr)

    def test_what_is_missing_or_damaged_is_named(self):
        """No guard is left out because its file is not there (or says nothing)."""
        for name in ("pool.yaml", "ca.pem", "server.pem", "server.key", "pool.key"):
            path = self.site.folder / name
            good = path.read_bytes()
            for content in (None, b"", good[:len(good) // 2]):
                if name == "pool.yaml" and content is not None:
                    continue
                with self.subTest(name, content=content and content[:10]):
                    path.unlink()
                    if content is not None:
                        path.write_bytes(content)
                        path.chmod(0o600)
                    done = self.check()
                    self.assertEqual(done.returncode, 1)
                    self.assertIn(name if name != "pool.yaml" else "no site", done.stderr)
                    self.assertFalse(path.exists() and content is None, "made anew without being asked")
                path.write_bytes(good)
                path.chmod(0o600)
        self.assertEqual(self.check().returncode, 0)

    def test_a_site_without_verify_key_gets_one_and_a_damaged_one_is_named(self):
        path = self.site.folder / "verify.key"
        good = path.read_bytes()
        self.assertEqual(len(good), 32)
        for content in (b"", good[:16], good + b"x", good * 10):
            with self.subTest(content[:20]):
                path.write_bytes(content)
                done = self.check()
                self.assertEqual(done.returncode, 1)
                self.assertIn("verify.key", done.stderr)
                self.assertEqual(path.read_bytes(), content)
        path.unlink()
        self.assertEqual(self.check().returncode, 0)
        self.assertEqual(len(path.read_bytes()), 32)
        self.assertNotEqual(path.read_bytes(), good)
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)

    def test_secrets_that_others_can_read_are_refused(self):
        for name in ("pool.key", "server.key", "verify.key"):
            with self.subTest(name):
                (self.site.folder / name).chmod(0o644)
                done = self.check()
                self.assertEqual(done.returncode, 1)
                self.assertIn(name, done.stderr)
                (self.site.folder / name).chmod(0o600)

    def test_a_damaged_database_is_named(self):
        path = self.site.folder / "pool.db"
        good = path.read_bytes()
        for content in (b"rubbish" * 1000, good[:100] + bytes(4000) + good[4100:]):
            path.write_bytes(content)
            done = self.check()
            self.assertEqual(done.returncode, 1)
            self.assertIn("pool.db", done.stderr)


if __name__ == "__main__":
    tap.main()
