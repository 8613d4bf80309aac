"""The pool's own secrets: exchanged while it serves, and sealed on disk. secrecy.py BINARY TOP FAKE_WORKER"""

import json
import os
import pathlib
import ssl
import subprocess
import tempfile

import tap
from wire import BINARY, Connection, Site, SiteCase, children, frozen, request, trust, wait_for

KEYS = ("ca.key", "server.key", "pool.key", "verify.key")
PASSPHRASE = "correct horse battery staple"


def reads(path):
    return pathlib.Path(path).read_bytes()


class Certificates(SiteCase):
    worker_count = 2
    keep_alive = False

    def presented(self, ca_file=None):
        """The server's certificate, as a client that trusts this authority sees it."""
        with Connection(self.site.address, trust(ca_file or self.site.ca_file)) as connection:
            return connection.socket.getpeercert(True), connection.socket.getpeercert()

    def rotate(self, *words, check=True):
        done = self.site.cellule("admin", "secrets", "rotate", *words, "--json", key=self.site.admin_key, check=check)
        return json.loads(done.stdout) if check else done

    def shown(self):
        return self.site.admin("secrets", "show")

    def while_answering(self, act):
        """An answer that is under way before, and ends behind it."""
        body = self.long_body(seed=5)
        whole = self.ask("POST", "/v1/chat/completions", body, self.site.user_key)
        with self.connect() as connection:
            connection.send(request("POST", "/v1/chat/completions", body, self.site.user_key))
            self.assertEqual(connection.head()[0], 200)
            text = connection.chunk()
            with frozen(self.site):
                result = act()
            while chunk := connection.chunk():
                text += chunk
        self.assertTrue(text.rstrip().endswith(b"[DONE]"), text[-200:])
        said = [json.loads(line[6:]) for line in text.decode().split("\n") if line.startswith("data: {")]
        self.assertEqual("".join(choice["delta"].get("content", "") for event in said
                                 for choice in event.get("choices", ())), whole.text)
        self.assertEqual(self.metrics()["cellule_jobs_redispatched_total"], 0, "nobody had to begin anew")
        return result

    def test_1_another_server_certificate_has_the_same_names_and_no_answer_is_lost(self):
        before, named = self.presented()
        key = reads(self.site.folder / "server.key")
        shown = self.while_answering(lambda: self.rotate("server"))
        after, names = self.presented()
        self.assertNotEqual(after, before)
        self.assertEqual(names["subjectAltName"], named["subjectAltName"])
        self.assertNotEqual(reads(self.site.folder / "server.key"), key)
        self.assertEqual((self.site.folder / "server.key").stat().st_mode & 0o777, 0o600)
        self.assertFalse(shown["ca"]["former"])
        self.assertEqual(list(self.site.folder.glob("*.next")), [])
        self.check_good_request()
        self.assertEqual(self.metrics()["cellule_workers_connected"], 2)

    def test_2_another_authority_is_trusted_by_workers_and_nobody_is_shut_out_before_the_end(self):
        old_ca = self.site.folder / "old.pem"
        old_ca.write_bytes(reads(self.site.ca_file))
        token = self.admin_ask("POST", "/v1/admin/join-tokens", {"owner": "early"}).json["token"]
        self.assertEqual(self.shown()["ca"]["know"], 2)
        self.while_answering(lambda: self.rotate("ca"))
        self.assertNotEqual(reads(self.site.ca_file), reads(old_ca))
        self.assertEqual(reads(self.site.ca_file).count(b"BEGIN"), 1)
        for file in (old_ca, self.site.ca_file):
            self.presented(file)
        wait_for("the workers have it", lambda: all(reads(self.site.worker_folder(index) / "ca.pem") == reads(self.site.ca_file)
                                                    for index in range(2)))
        shown = self.shown()["ca"]
        self.assertEqual((shown["former"], shown["workers"], shown["know"], shown["away"]), (True, 2, 2, 0))
        refused = self.rotate("ca", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("--finish", refused.stderr)
        self.rotate("server")  # in between: it keeps what is presented with it
        for file in (old_ca, self.site.ca_file):
            self.presented(file)
        # A token that pins the authority before, and one that pins the new one.
        self.site.cellule("worker", "join", token, "--state", self.site.folder / "early")
        self.assertEqual(reads(self.site.folder / "early" / "ca.pem"), reads(self.site.ca_file))
        late = self.admin_ask("POST", "/v1/admin/join-tokens", {"owner": "late"}).json["token"]
        self.site.cellule("worker", "join", late, "--state", self.site.folder / "late")
        # A pool and workers that start anew go by it.
        self.site.pool.stop()
        self.site.start_pool()
        wait_for("they are back", lambda: self.metrics()["cellule_workers_connected"] == 2)
        self.rotate("ca", "--finish")
        self.presented()
        with self.assertRaises(ssl.SSLError):
            self.presented(old_ca)
        self.assertEqual(self.rotate("ca", "--finish", check=False).returncode, 1)
        self.context = trust(self.site.ca_file)
        self.check_good_request()
        entries = [json.loads(text) for text in self.admin_ask("GET", "/v1/audit/entries?from=0").json["entries"]]
        self.assertIn(("secret_rotate", "allowed"), [(entry["action"], entry["outcome"]) for entry in entries])

    def test_3_a_worker_that_was_away_is_told_when_it_comes(self):
        type(self).context = trust(self.site.ca_file)
        self.site.workers.pop().stop()
        self.rotate("ca")
        self.assertEqual(self.shown()["ca"]["away"], 3)  # it, and the two that joined only
        self.site.start_worker(1)
        wait_for("it has it", lambda: reads(self.site.worker_folder(1) / "ca.pem") == reads(self.site.ca_file))
        wait_for("and is said to", lambda: self.shown()["ca"]["know"] == 2)

    def test_4_the_others_and_who_may_not(self):
        self.context = trust(self.site.ca_file)
        path = "/v1/admin/secrets/%s/rotate"
        keys = self.ask("GET", "/.well-known/jwks.json").json["keys"]
        self.rotate("session")
        self.assertEqual(len(self.ask("GET", "/.well-known/jwks.json").json["keys"]), len(keys) + 1)
        self.rotate("session", "--now")
        self.check_error(self.admin_ask("POST", path % "database"), 409)
        self.check_error(self.admin_ask("POST", path % "pope"), 404)
        self.check_error(self.admin_ask("POST", path % "ca", {"finish": "yes"}), 400)
        for kind in ("ca", "server", "pool", "session", "database"):
            self.check_error(self.ask("POST", path % kind, {}, self.site.user_key), 403)
        self.check_error(self.ask("GET", "/v1/admin/secrets", key=self.site.user_key), 403)
        wrong = self.site.cellule("admin", "secrets", "rotate", "server", "--finish", key=self.site.admin_key, check=False)
        self.assertEqual(wrong.returncode, 2)

    def test_5_a_certificate_from_elsewhere_is_left_alone(self):
        with tempfile.TemporaryDirectory() as scratch:
            other = Site(pathlib.Path(scratch) / "other", BINARY)
            other.make()
            for name in ("server.key", "server.pem"):
                self.site.folder.joinpath(name).write_bytes(reads(other.folder / name))
            self.context = trust(self.site.ca_file)
            refused = self.admin_ask("POST", "/v1/admin/secrets/server/rotate")
            self.assertIn("authority", self.check_error(refused, 409)["message"])
            self.assertEqual(reads(self.site.folder / "server.pem"), reads(other.folder / "server.pem"))


class Sealed(SiteCase):
    """A whole site whose keys are sealed, as a service with a systemd credential has them."""

    worker_count = 1
    keep_alive = False

    @classmethod
    def setUpClass(cls):
        scratch = tempfile.TemporaryDirectory(prefix="cellule-credential-")
        cls.addClassCleanup(scratch.cleanup)
        cls.credential = pathlib.Path(scratch.name) / "cellule.passphrase"
        cls.credential.write_text(PASSPHRASE + "\n")
        cls.credential.chmod(0o600)
        os.environ["CREDENTIALS_DIRECTORY"] = scratch.name
        cls.addClassCleanup(os.environ.pop, "CREDENTIALS_DIRECTORY")
        super().setUpClass()

    def check_sealed(self, folder, names):
        for name in names:
            path = pathlib.Path(folder) / name
            self.assertTrue(reads(path).startswith(b"cellule sealed key 1\n"), name)
            self.assertNotIn(b"PRIVATE", reads(path))
            self.assertEqual(path.stat().st_mode & 0o777, 0o600)

    def test_1_keys_are_sealed_and_stay_so(self):
        self.check_sealed(self.site.folder, KEYS)
        self.check_sealed(self.site.worker_folder(0), ["worker.key"])
        self.check_good_request()
        before = {name: reads(self.site.folder / name) for name in KEYS}
        self.site.admin("secrets", "rotate", "ca")
        self.site.admin("secrets", "rotate", "pool")
        self.site.admin("worker", "rotate", "--all")
        self.check_sealed(self.site.folder, KEYS)
        self.check_sealed(self.site.worker_folder(0), ["worker.key"])
        changed = {name for name in KEYS if reads(self.site.folder / name) != before[name]}
        self.assertEqual(changed, {"ca.key", "server.key", "pool.key"})
        self.context = trust(self.site.ca_file)
        self.check_good_request()

    def test_2_nothing_secret_is_in_listings_of_processes_or_logs(self):
        secrets = [PASSPHRASE, self.site.admin_key, self.site.user_key]
        pool, worker = self.site.pool.child.pid, self.site.workers[0].child.pid
        for pid in (pool, worker, *children(worker)):
            for name in ("cmdline", "environ"):
                listed = reads(f"/proc/{pid}/{name}").decode(errors="replace")
                for secret in secrets:
                    self.assertNotIn(secret, listed)
        for log in (self.site.pool.log, self.site.workers[0].log):
            for secret in secrets:
                self.assertNotIn(secret, pathlib.Path(log).read_text(errors="replace"))

    def test_3_a_client_doesnt_leave_its_key_in_its_environment(self):
        with frozen(self.site):
            asking = subprocess.Popen([self.site.binary, "ask", "--model", self.site.model.stem, "How?"], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                      env={**os.environ, **self.site.environment(self.site.user_key)})
            try:
                self.context = trust(self.site.ca_file)
                wait_for("it asks", lambda: self.metrics()["cellule_jobs_running"] == 1)
                environment = reads(f"/proc/{asking.pid}/environ")
            finally:
                asking.kill()
                asking.wait()
        self.assertIn(b"CELLULE_KEY=", environment)
        self.assertNotIn(self.site.user_key.encode(), environment)

    def test_4_only_with_the_passphrase(self):
        self.site.stop()
        folder = os.environ.pop("CREDENTIALS_DIRECTORY")
        try:
            self.offline()
        finally:
            os.environ["CREDENTIALS_DIRECTORY"] = folder

    def offline(self):
        site = ["--site", self.site.folder]
        refused = self.site.cellule("pool", "run", *site, "--check", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("--passphrase-file", refused.stderr)
        refused = self.site.cellule("worker", "run", "--model", self.site.model, "--state", self.site.worker_folder(0), check=False)
        self.assertEqual(refused.returncode, 1)
        other = self.credential.with_name("other")
        other.write_text("quite another passphrase")
        other.chmod(0o600)
        refused = self.site.cellule("pool", "run", *site, "--check", "--passphrase-file", other, check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertNotIn("quite another", refused.stderr)
        self.site.cellule("pool", "run", *site, "--check", "--passphrase-file", self.credential)
        # Another one, and none.
        self.assertEqual(self.site.cellule("pool", "seal", *site, check=False).returncode, 1)
        self.site.cellule("pool", "seal", *site, "--passphrase-file", self.credential, "--new-passphrase-file", other)
        self.check_sealed(self.site.folder, KEYS)
        self.site.cellule("pool", "run", *site, "--check", "--passphrase-file", other)
        refused = self.site.cellule("pool", "run", *site, "--check", "--passphrase-file", self.credential, check=False)
        self.assertEqual(refused.returncode, 1)
        self.site.cellule("pool", "seal", *site, "--passphrase-file", other, "--plain")
        for name in KEYS:
            self.assertFalse(reads(self.site.folder / name).startswith(b"cellule sealed"), name)
            self.assertEqual((self.site.folder / name).stat().st_mode & 0o777, 0o600)
        self.site.cellule("pool", "run", *site, "--check")
        other.chmod(0o644)
        refused = self.site.cellule("pool", "seal", *site, "--passphrase-file", other, check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("chmod 600", refused.stderr)


if __name__ == "__main__":
    tap.main()
