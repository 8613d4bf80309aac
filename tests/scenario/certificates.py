"""Workers show the pool a short-lived TLS certificate (mutual TLS). certificates.py BINARY TOP FAKE_WORKER COMPILER…"""

import base64
import hashlib
import json
import os
import struct
import subprocess
import sys
import tempfile
import time

import tap
from fleet import FakeWorker
from wire import HERE, Connection, SiteCase, frame, trust, upgrade, wait_for

COMPILER = sys.argv[4:]
TEXT = 1
HOUR = 3600


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*arguments, data=None):
    return subprocess.run(["openssl", *map(str, arguments)], input=data, check=True, capture_output=True).stdout


def envelope(*fields):
    return b"".join(len(field).to_bytes(4, "big") + field for field in fields)


class CertificateCase(SiteCase):
    """A worker of the real kind, and attackers by hand."""

    worker_count = 1
    settings = {"worker_certificate_minutes": 60, "beat_ms": 300, "log_level": "debug"}

    @classmethod
    def prepare(cls):
        """The pool's date can be moved."""
        folder = cls.site.folder
        cls.shift_file = folder / "shift"
        cls.jump(0)
        shim = folder / "clock.so"
        subprocess.run([*COMPILER, "-shared", "-fPIC", "-O1", "-o", shim, HERE / "clock.c"], check=True)
        cls.site.pool_environment = {"LD_PRELOAD": str(shim), "CLOCK_SHIFT": str(cls.shift_file),
                                     "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}

    @classmethod
    def jump(cls, seconds):
        with open(cls.shift_file, "r+b" if cls.shift_file.exists() else "w+b") as file:
            file.write(struct.pack("=q", seconds))

    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="cellule-keys-")
        self.addCleanup(scratch.cleanup)
        self.keys = scratch.name

    def sessions(self):
        return self.metrics()["cellule_worker_sessions_total"]

    def enrol(self, name):
        """A worker that is enrolled and doesn't run: (its folder, its id)."""
        token = self.admin_ask("POST", "/v1/admin/join-tokens", {"owner": name}).json["token"]
        folder = self.site.folder / name
        self.site.cellule("worker", "join", token, "--state", folder)
        return folder, json.loads((folder / "pool.json").read_text())["worker_id"]

    def tls_key(self):
        """A key file, and its public half in DER."""
        file = f"{self.keys}/{len(os.listdir(self.keys))}.key"
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", file)
        return file, openssl("pkey", "-in", file, "-pubout", "-outform", "DER")

    def sign(self, folder, worker, public, pool=None):
        """As docs/protocol.md says."""
        pool = pool or self.ask("GET", "/v1/pool").json["pool_id"]
        file = f"{self.keys}/{len(os.listdir(self.keys))}.bytes"
        with open(file, "wb") as signed:
            signed.write(envelope(b"cellule certificate v1", bytes.fromhex(pool), bytes.fromhex(worker), public))
        return openssl("pkeyutl", "-sign", "-rawin", "-inkey", folder / "worker.key", "-in", file)

    def ask_for(self, worker, public, signature):
        return self.ask("POST", "/v1/worker/certificate", {"worker_id": worker, "tls_key": base64url(public),
                                                           "signature": base64url(signature)})

    def certificate(self, folder, worker):
        """What this worker gets: a context that shows it."""
        file, public = self.tls_key()
        answer = self.ask_for(worker, public, self.sign(folder, worker, public))
        self.assertEqual(answer.status, 201, answer.body)
        self.assertEqual(answer.json["lifetime_ms"], HOUR * 1000)
        return self.showing(answer.json["certificate"], file)

    def showing(self, certificate, key_file):
        file = f"{self.keys}/{len(os.listdir(self.keys))}.pem"
        with open(file, "w", encoding="ascii") as pem:
            pem.write(certificate)
        context = trust(self.site.ca_file)
        context.load_cert_chain(file, key_file)
        return context

    def hello(self, folder, worker, context):
        """What the pool says to this worker's hello on a connection of this context."""
        public = openssl("pkey", "-in", folder / "worker.key", "-pubout", "-outform", "DER")[-32:]
        self.assertEqual(hashlib.sha256(public).hexdigest()[:32], worker)
        hello = {"type": "hello", "worker_id": worker, "public_key": base64url(public),
                 "nonce": base64url(os.urandom(32)), "build": base64url(bytes(32)),
                 "host": {"os": "linux", "arch": "x86_64", "isa": "avx2", "cores": 4, "ram": 1 << 33}, "class": "cpu",
                 "models": [{"name": "demo", "digest": base64url(bytes(32)), "context": 512, "profile": "exact-1",
                             "slots": 1, "tokens_per_second": 10}]}
        with Connection(self.site.address, context) as connection:
            connection.send(upgrade())
            self.assertEqual(connection.head()[0], 101)
            connection.send(frame(TEXT, json.dumps(hello).encode()))
            head = connection.exactly(2)
            length = head[1] & 127
            if length == 126:
                length = int.from_bytes(connection.exactly(2), "big")
            return json.loads(connection.exactly(length))


class Certificates(CertificateCase):
    def test_the_worker_gets_one_by_itself_and_answers(self):
        self.check_good_request()
        self.assertIn("certificate issued", self.pool_log())
        self.assertIn("code=certificate", self.pool_log())
        state = self.site.worker_folder(0)
        self.assertNotIn("PRIVATE KEY", "".join(file.read_text(errors="replace") for file in state.iterdir()
                                                if file.is_file() and file.name != "worker.key"))

    def test_without_ones_own_nobody_gets_as_far_as_a_challenge(self):
        folder, worker = self.enrol("ann")
        other_folder, other = self.enrol("bert")
        file, _ = self.tls_key()
        self_made = openssl("req", "-x509", "-new", "-key", file, "-subj", f"/CN={worker}", "-days", "1").decode()
        contexts = {"none": self.context, "another worker's": self.certificate(other_folder, other),
                    "a self-made one": self.showing(self_made, file)}
        for what, context in contexts.items():
            with self.subTest(what):
                answer = self.hello(folder, worker, context)
                self.assertEqual((answer["type"], answer.get("code")), ("refuse", "certificate"))
        own = self.certificate(folder, worker)
        self.assertNotEqual(self.hello(folder, worker, own).get("code"), "certificate")

    def test_one_that_is_over_is_none(self):
        folder, worker = self.enrol("otto")
        own = self.certificate(folder, worker)
        self.assertNotEqual(self.hello(folder, worker, own).get("code"), "certificate")
        self.jump(HOUR + 10)
        self.addCleanup(self.jump, 0)
        self.assertEqual(self.hello(folder, worker, own)["code"], "certificate")

    def test_a_certificate_is_for_who_signs(self):
        folder, worker = self.enrol("paul")
        other_folder, other = self.enrol("quentin")
        file, public = self.tls_key()
        good = self.sign(folder, worker, public)
        wrong = {"another worker's signature": (worker, public, self.sign(other_folder, worker, public)),
                 "for another worker": (other, public, good),
                 "for another key": (worker, self.tls_key()[1], good),
                 "for another pool": (worker, public, self.sign(folder, worker, public, "00" * 32)),
                 "a worker nobody knows": ("ab" * 16, public, good)}
        for what, request in wrong.items():
            with self.subTest(what):
                self.check_error(self.ask_for(*request), 403)
        self.check_error(self.ask_for(worker, public[:-1], good), 400)
        junk = bytes(91)
        self.check_error(self.ask_for(worker, junk, self.sign(folder, worker, junk)), 400)
        self.assertEqual(self.ask_for(worker, public, good).status, 201)

    def test_who_is_revoked_gets_none(self):
        folder, worker = self.enrol("rudi")
        _, public = self.tls_key()
        signature = self.sign(folder, worker, public)
        self.assertEqual(self.admin_ask("POST", f"/v1/admin/workers/{worker}/revoke").status, 200)
        self.check_error(self.ask_for(worker, public, signature), 403)
        runs = self.site.cellule("worker", "run", "--model", self.site.model, "--state", folder, check=False)
        self.assertEqual(runs.returncode, 1)
        self.assertIn("may not serve", runs.stderr)

    def test_a_worker_without_certificates_is_refused(self):
        folder, _ = self.enrol("sven")
        fake = FakeWorker(self.site.folder, folder.name, "--once")
        self.addCleanup(fake.stop)
        self.assertEqual(fake.wait("refused")["text"], "certificate")

    def test_a_session_ends_with_its_certificate_and_comes_back_with_another(self):
        self.check_good_request()
        before = self.sessions()
        self.jump(HOUR + 10)
        self.addCleanup(self.jump, 0)
        wait_for("it is back", lambda: self.sessions() > before and self.site.connected_workers() == 1)
        self.assertIn("its certificate has ended", self.site.workers[0].last_lines(100))
        self.check_good_request()

    def test_after_a_restart_of_the_pool_all_get_new_ones(self):
        folder, worker = self.enrol("tina")
        own = self.certificate(folder, worker)
        self.site.pool.stop()
        self.site.start_pool()
        wait_for("the worker is back", lambda: self.site.connected_workers() == 1)
        self.assertEqual(self.hello(folder, worker, own)["code"], "certificate")
        self.check_good_request()


class Renewal(SiteCase):
    worker_count = 1
    settings = {"worker_certificate_minutes": 1, "beat_ms": 300, "log_level": "debug"}

    def test_half_of_its_life_before_the_end_the_next_one_is_there(self):
        wait_for("it is connected", lambda: self.site.connected_workers() == 1)
        first = time.monotonic()
        before = self.metrics()["cellule_worker_sessions_total"]
        wait_for("the third one is issued", lambda: self.pool_log().count("certificate issued") >= 3)
        self.assertGreaterEqual(time.monotonic() - first, 55, "two half lives")
        time.sleep(5)  # the first would be over by now
        self.assertEqual(self.metrics()["cellule_worker_sessions_total"], before, "the session is the same")
        self.check_good_request()


class NotAsked(SiteCase):
    worker_count = 0

    def test_without_the_setting_none_is_given(self):
        body = {"worker_id": "ab" * 16, "tls_key": base64url(bytes(91)), "signature": base64url(bytes(64))}
        self.check_error(self.ask("POST", "/v1/worker/certificate", body), 404)


if __name__ == "__main__":
    tap.main()
