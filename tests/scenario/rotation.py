"""Other keys for workers, while they answer. rotation.py BINARY TOP FAKE_WORKER"""

import contextlib
import json
import pathlib
import subprocess
import sys
import threading
import unittest

import tap
from wire import BINARY, SiteCase, frozen, request, scratch_site, wait_for

FAKE_WORKER = str(pathlib.Path(sys.argv[3]).resolve())


class WithCertificates(SiteCase):
    """Workers that show TLS certificates, which name the key that they had."""
    worker_count = 1
    settings = {"worker_certificate_minutes": 60, "beat_ms": 300}

    def worker(self):
        return self.site.admin("worker", "list")["workers"][0]

    def test_the_session_goes_on_and_the_next_certificate_is_the_new_keys(self):
        before = self.worker()
        sessions = self.metrics()["cellule_worker_sessions_total"]
        self.site.cellule("admin", "worker", "rotate", "--all", "--wait", "120", key=self.site.admin_key, timeout=300)
        after = self.worker()
        self.assertEqual(after["former_id"], before["id"])
        # Some beats on, each of which looks at what the session rests on.
        wait_for("it beats under the new key", lambda: self.worker()["last_seen_ms"] > after["last_seen_ms"] + 1000)
        self.assertEqual(self.metrics()["cellule_worker_sessions_total"], sessions)
        self.check_good_request()
        self.site.workers[0].stop()
        self.site.workers.clear()
        self.site.start_worker(0)
        wait_for("it is back", lambda: self.metrics()["cellule_workers_connected"] == 1)
        self.check_good_request()


class Rotation(SiteCase):
    worker_count = 2

    def workers(self):
        return {worker["owner"]: worker for worker in self.site.admin("worker", "list")["workers"]}

    def rotate(self, *words):
        done = self.site.cellule("admin", "worker", "rotate", *words, "--json", key=self.site.admin_key, timeout=300)
        return json.loads(done.stdout)

    def test_a_question_under_way_goes_on_and_the_receipt_is_the_old_keys(self):
        before = self.workers()
        body = self.long_body(seed=3)
        whole = self.ask("POST", "/v1/chat/completions", body, self.site.user_key)
        with self.connect() as connection:
            connection.send(request("POST", "/v1/chat/completions", body, self.site.user_key))
            status, headers = connection.head()
            self.assertEqual(status, 200)
            text = connection.chunk()
            with frozen(self.site):
                running = next(worker["id"] for worker in self.workers().values() if worker.get("running"))
                done = self.rotate("--all", "--wait", "120")
                self.assertEqual((done["workers"], done["done"], done["away"]), (2, 2, 0))
                after = self.workers()
            while chunk := connection.chunk():
                text += chunk
        self.assertTrue(text.rstrip().endswith(b"[DONE]"), text[-200:])
        said = [json.loads(line[6:]) for line in text.decode().split("\n") if line.startswith("data: {")]
        self.assertEqual("".join(choice["delta"].get("content", "") for event in said
                                 for choice in event.get("choices", ())), whole.text)
        self.assertEqual(self.metrics()["cellule_jobs_redispatched_total"], 0, "nobody had to begin anew")
        receipt = self.ask("GET", f"/v1/receipts/{headers['x-cellule-job']}", key=self.site.user_key)
        self.assertEqual(receipt.status, 200, receipt.body)
        self.assertIn(running.encode(), receipt.body)
        for owner, worker in after.items():
            self.assertNotEqual(worker["id"], before[owner]["id"])
            self.assertEqual(worker["former_id"], before[owner]["id"])
            self.assertEqual((worker["state"], worker["connected"]), ("approved", True))
            self.assertEqual(worker["expires_ms"], before[owner]["expires_ms"])
        self.check_good_request()
        self.after_a_restart(after)

    def after_a_restart(self, after):
        """Pool and workers know the new keys, and the old one is nobody's."""
        for worker in self.site.workers:
            worker.stop()
        self.site.workers.clear()
        self.site.pool.stop()
        self.site.start_pool()
        for index in range(2):
            folder = self.site.worker_folder(index)
            self.assertFalse((folder / "worker.key.next").exists())
            self.assertEqual((folder / "worker.key").stat().st_mode & 0o777, 0o600)
            self.site.start_worker(index)
        wait_for("both are back", lambda: self.metrics()["cellule_workers_connected"] == 2)
        now = self.workers()
        self.assertEqual({owner: worker["id"] for owner, worker in now.items()},
                         {owner: worker["id"] for owner, worker in after.items()})
        self.check_good_request()
        status = self.site.admin("status")
        self.assertEqual(status["workers_enrolled"], 2, "two machines, however many keys")
        # Revoked by the id of a key that it had: the machine is meant.
        former = now["owner1"]["former_id"]
        self.assertEqual(self.admin_ask("POST", f"/v1/admin/workers/{former}/revoke").status, 200)
        self.assertEqual(self.workers()["owner1"]["state"], "revoked")
        wait_for("its process ends", lambda: not all(worker.alive() for worker in self.site.workers))
        entries = [json.loads(text) for text in self.admin_ask("GET", "/v1/audit/entries?from=0").json["entries"]]
        self.assertEqual(sum(entry["action"] == "worker_rekeyed" for entry in entries), 2)
        self.assertIn("worker_rotate", [entry["action"] for entry in entries])

    def test_who_may_not_and_what_is_wrong(self):
        self.check_error(self.ask("POST", "/v1/admin/workers/rotate", {"all": True}, self.site.user_key), 403)
        for wrong in ({}, {"all": False}, {"all": "yes"}):
            with self.subTest(wrong):
                self.check_error(self.admin_ask("POST", "/v1/admin/workers/rotate", wrong), 400)
        self.check_error(self.admin_ask("POST", f"/v1/admin/workers/{'0' * 32}/rotate"), 404)
        self.check_error(self.admin_ask("POST", "/v1/admin/workers/x/rotate"), 404)


class Crashes(unittest.TestCase):
    """Whenever pool or worker stop, the machine comes back."""

    def test_a_worker_that_was_away_is_asked_when_it_comes(self):
        with scratch_site(worker_count=1) as site:
            site.workers[0].stop()
            site.workers.clear()
            done = json.loads(site.cellule("admin", "worker", "rotate", "--all", "--json", key=site.admin_key).stdout)
            self.assertEqual((done["workers"], done["done"], done["away"]), (1, 0, 1))
            before = site.admin("worker", "list")["workers"][0]["id"]
            site.start_worker(0)
            wait_for("it has another key", lambda: site.admin("worker", "list")["workers"][0]["id"] != before)
            again = json.loads(site.cellule("admin", "worker", "rotation", "--json", key=site.admin_key).stdout)
            self.assertEqual((again["done"], again["away"]), (1, 0))

    def test_a_key_that_was_written_and_never_heard_of_does_no_harm(self):
        """The worker stopped after it wrote the next key: the pool doesn't know it."""
        with scratch_site(worker_count=1) as site:
            site.workers[0].stop()
            site.workers.clear()
            folder = site.worker_folder(0)
            other = site.folder / "other"
            token = site.admin("worker", "token", "--owner", "someone")["token"]
            site.cellule("worker", "join", token, "--state", other)
            (folder / "worker.key.next").write_bytes((other / "worker.key").read_bytes())
            (folder / "worker.key.next").chmod(0o600)
            site.admin("worker", "revoke", json.loads((other / "pool.json").read_text())["worker_id"])
            key = (folder / "worker.key").read_bytes()
            stranger = subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519"], capture_output=True, check=True)
            (folder / "worker.key.next").write_bytes(stranger.stdout)
            site.start_worker(0)
            wait_for("it serves", lambda: any(one["connected"] for one in site.admin("worker", "list")["workers"]))
            self.assertEqual((folder / "worker.key").read_bytes(), key)

    def test_a_worker_that_stopped_before_the_last_word_comes_back_with_the_new_key(self):
        with scratch_site(worker_count=1) as site:
            folder = site.worker_folder(0)
            old = {name: (folder / name).read_bytes() for name in ("worker.key", "pool.json")}
            site.cellule("admin", "worker", "rotate", "--all", key=site.admin_key)
            worker = site.workers.pop()
            wait_for("it is on the disk", lambda: (folder / "worker.key").read_bytes() != old["worker.key"])
            worker.stop()
            # As if it had stopped before it heard `rekeyed`.
            (folder / "worker.key").rename(folder / "worker.key.next")
            for name, content in old.items():
                (folder / name).write_bytes(content)
                (folder / name).chmod(0o600)
            site.start_worker(0)
            wait_for("it serves", lambda: site.admin("worker", "list")["workers"][0]["connected"])
            self.assertFalse((folder / "worker.key.next").exists())
            self.assertNotEqual((folder / "worker.key").read_bytes(), old["worker.key"])


class Fakes(SiteCase):
    """Many at once, under load; and those that don't follow."""

    worker_count = 0

    def setUp(self):
        self.running = []
        self.addCleanup(self.stop_all)

    def stop_all(self):
        for child in self.running:
            child.terminate()
            child.wait(60)

    def start(self, name, count, *options):
        tokens = self.site.folder / f"{name}.tokens"
        tokens.write_text("".join(self.site.admin("worker", "token", "--owner", f"{name}{i}")["token"] + "\n"
                                  for i in range(count)))
        log = open(self.site.folder / f"{name}.log", "wb")
        self.addCleanup(log.close)
        child = subprocess.Popen([FAKE_WORKER, "--state", str(self.site.folder / name), "--join", str(tokens), "--count",
                                  str(count), "--model", name, *options], stdout=log, stderr=log,
                                 stdin=subprocess.DEVNULL)
        self.running.append(child)
        wait_for("all serve", lambda: '"event":"serving"' in (self.site.folder / f"{name}.log").read_text())
        return self.site.folder / f"{name}.log"

    def test_many_exchange_their_keys_and_no_question_fails(self):
        self.start("busy", 12, "--slots", "4", "--delay-ms", "20", "--quiet")
        violations = self.metrics()["cellule_worker_violations_total"]
        stop = threading.Event()
        failures, answers = [], []

        def keep_asking():
            with contextlib.suppress(OSError), self.connect() as connection:
                while not stop.is_set():
                    answer = connection.ask("POST", "/v1/chat/completions", self.chat_body() | {"model": "busy"},
                                            self.site.user_key)
                    (answers if answer.status == 200 else failures).append(answer.body)

        crowd = [threading.Thread(target=keep_asking) for _ in range(6)]
        for one in crowd:
            one.start()
        try:
            for _ in range(3):
                before = len(answers)
                done = self.site.cellule("admin", "worker", "rotate", "--all", "--wait", "300", "--json",
                                         key=self.site.admin_key, timeout=320)
                self.assertEqual(json.loads(done.stdout)["done"], 12)
                wait_for("answers come on", lambda before=before: len(answers) > before + 20)
        finally:
            stop.set()
            for one in crowd:
                one.join()
        self.assertEqual(failures, [])
        self.assertEqual(self.metrics()["cellule_worker_violations_total"], violations)

    def test_one_that_keeps_silent_serves_on_and_is_told_of(self):
        self.start("mute", 1, "--behave", "no-new-key", "--quiet")
        done = self.site.cellule("admin", "worker", "rotate", "--all", "--wait", "1", key=self.site.admin_key, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("not all have answered", done.stderr)
        self.assertIn("haven't answered yet", done.stdout)
        answer = self.ask("POST", "/v1/chat/completions", self.chat_body() | {"model": "mute"}, self.site.user_key)
        self.assertEqual(answer.status, 200, answer.body)

    def test_a_key_that_the_old_one_did_not_sign_for_ends_the_session(self):
        log = self.start("forger", 1, "--behave", "forged-new-key")
        worker = [one for one in self.site.admin("worker", "list")["workers"] if one["owner"] == "forger0"][0]["id"]
        self.assertEqual(self.admin_ask("POST", f"/v1/admin/workers/{worker}/rotate").status, 200)
        wait_for("it is closed", lambda: '"code":1002' in log.read_text())
        listed = [one for one in self.site.admin("worker", "list")["workers"] if one["owner"] == "forger0"]
        self.assertEqual([one["id"] for one in listed], [worker])


if __name__ == "__main__":
    tap.main()
