"""The pool's Unix clock is put forward and back while it runs. clock_jumps.py BINARY TOP FAKE_WORKER COMPILER…"""

import os
import struct
import subprocess
import sys

import tap
from wire import HERE, SiteCase, frozen, request, wait_for

COMPILER = sys.argv[4:]
DAY = 24 * 3600


class ClockJumps(SiteCase):
    worker_count = 1
    settings = {"beat_ms": 300}

    @classmethod
    def prepare(cls):
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
        self.jump(0)
        self.sessions = self.metrics()["cellule_worker_sessions_total"]

    def tearDown(self):
        self.jump(0)

    def check_session_stayed(self):
        self.assertEqual(self.metrics()["cellule_worker_sessions_total"], self.sessions)
        self.assertEqual(self.site.connected_workers(), 1)

    def test_answers_and_sessions_go_on_through_jumps(self):
        for jump in (DAY, -DAY, 0):
            for stream in (True, False):
                with self.subTest(jump=jump, stream=stream), self.connect() as connection:
                    with frozen(self.site):
                        connection.send(request("POST", "/v1/chat/completions", self.long_body(stream=stream),
                                                self.site.user_key))
                        wait_for("it runs", lambda: self.metrics()["cellule_jobs_running"] == 1)
                        self.jump(jump)
                    answer = connection.answer()
                    self.assertEqual(answer.status, 200)
                    self.assertTrue(answer.complete)
                    if stream:
                        self.assertEqual(answer.events[-1], "[DONE]")
                    job = answer.headers["x-cellule-job"]
                    self.assertEqual(self.ask("GET", f"/v1/receipts/{job}", key=self.site.user_key).status, 200)
                    self.check_good_request()
                    self.check_session_stayed()
        self.check_nothing_left()

    def test_keys_with_an_end_follow_the_date(self):
        key = self.add_user("hourly", days=1)["key"]
        for jump, status in ((0, 200), (DAY - 60, 200), (DAY + 60, 401), (-DAY, 200), (0, 200)):
            self.jump(jump)
            self.assertEqual(self.ask("GET", "/v1/models", key=key).status, status, jump)
        self.check_session_stayed()

    def test_a_join_token_follows_the_date(self):
        token = self.admin_ask("POST", "/v1/admin/join-tokens", {"owner": "x"}).json["token"]
        self.jump(3600)
        late = self.site.cellule("worker", "join", token, "--state", self.site.folder / "late", check=False)
        self.assertEqual(late.returncode, 1)
        self.assertIn("expired", late.stderr)

    def test_an_enrolment_follows_the_date(self):
        """Its end comes when the date does, not when as much time has passed: and not before."""
        token = self.admin_ask("POST", "/v1/admin/join-tokens", {"owner": "owner2", "days": 1}).json["token"]
        self.site.cellule("worker", "join", token, "--state", self.site.worker_folder(1))
        self.jump(DAY - 60)
        worker = self.site.start_worker(1)
        wait_for("both are connected", lambda: self.site.connected_workers() == 2)
        self.jump(0)
        self.check_good_request()
        self.assertEqual(self.site.connected_workers(), 2)
        self.jump(DAY + 1)
        self.assertEqual(worker.child.wait(20), 1)
        self.assertIn("expired", worker.last_lines())
        self.assertEqual(self.site.connected_workers(), 1)
        self.check_good_request()


if __name__ == "__main__":
    tap.main()
