"""Real workers that compute by different instruction sets, plain C among them, convict nobody: 2,000 answers, at
temperature 0 and above, all of them checked by another worker or computed by two at once."""

import concurrent.futures
import json
import subprocess
import threading
import unittest

import tap
from fleet import MODEL, FleetCase, eventually
from wire import BINARY, Connection, wait_for

FORMS = ("plain", "avx2", "avx512", "avx512-vnni", "neon")
ANSWERS = 2000
REQUIRED_EVERY = 10  # so many of them are computed by two at once
ASKERS = 12
PATIENCE = 600  # seconds until all is checked, on a machine that may be busy


def can_compute(form):
    done = subprocess.run([BINARY, "engine", "--model", MODEL, "--kernels", form, "--check"],
                          capture_output=True, check=False)
    return done.returncode == 0


@unittest.skipUnless(MODEL.exists(), f"no model {MODEL}")
class Mixed(FleetCase):
    settings = {"check_delay_ms": 0, "verify": "every", "checks_at_once": 64, "check_deadline_ms": 600000,
                "queue_deadline_ms": 600000, "first_token_timeout_ms": 600000, "progress_timeout_ms": 600000}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.forms = [form for form in FORMS if can_compute(form)]
        cls.workers = []
        # Two at least, of which one computes in plain C as on any machine.
        for index, form in enumerate(cls.forms + ["plain"] * (2 - len(cls.forms))):
            worker = cls.site.start_worker(index, "--kernels", form, "--slots", "8", "--threads", "1",
                                           "--engine-timeout-ms", "600000")
            cls.site.wait_for(f"the worker with {form} is connected",
                              lambda count=index: cls.site.connected_workers() > count, [worker])
            cls.workers.append(json.loads((cls.site.worker_folder(index) / "pool.json").read_text())["worker_id"])

    @property
    def connection(self):
        """One of this thread's own, kept alive."""
        if not hasattr(self.threads, "connection"):
            self.threads.connection = Connection(self.site.address, self.context, PATIENCE)
            self.addCleanup(self.threads.connection.close)
        return self.threads.connection

    def ask_one(self, number):
        """Half of them at temperature 0; `required` for some of both."""
        required = number % REQUIRED_EVERY < 2 and number // REQUIRED_EVERY % 2 == 0
        body = self.chat_body(f"What is {number}?", temperature=(number % 2) * 0.5 * (1 + number % 3), seed=number,
                              max_tokens=2 + number % 5)
        answer = self.connection.ask("POST", "/v1/chat/completions", body, self.site.user_key,
                                     ["X-Cellule-Verify: required"] if required else [])
        return required, answer

    def test_whatever_they_compute_by_all_say_the_same(self):
        self.threads = threading.local()
        print(f"# workers compute by {', '.join(self.forms)}", flush=True)
        with concurrent.futures.ThreadPoolExecutor(ASKERS) as askers:
            answers = list(askers.map(self.ask_one, range(ANSWERS)))
        for _, answer in answers:
            self.assertEqual(answer.status, 200, answer.body)
        required = sum(is_required for is_required, _ in answers)
        self.assertEqual(required, ANSWERS // REQUIRED_EVERY)
        wait_for("all is checked", lambda: self.metric("verify_waiting") + self.metric("verify_running") == 0, PATIENCE)
        self.assertGreaterEqual(self.metric("verify_agreed_total"), ANSWERS - required)
        self.assertEqual(self.metric("verify_agreed_total"), self.metric("verify_drawn_total"))
        for name in ("disputed", "worker_wrong", "verifier_wrong", "open", "given_up"):
            self.assertEqual(self.metric(f"verify_{name}_total"), 0, name)
        self.assertEqual(self.metric("workers_convicted_total"), 0)
        for worker in self.workers:
            standing = self.site.admin("worker", "standing", worker)
            self.assertIn(standing["state"], ("new", "regular"), standing)
            self.assertEqual((standing["mismatches"], standing["disputes"]), (0, 0), standing)
            self.assertGreater(standing["answers"], 0, standing)
            self.assertGreater(standing["checks"], 0, standing)

    def check_calm(self):
        """The workers stay for all tests of the class; nothing else may."""
        eventually("no job is left", lambda: self.metric("jobs_running") + self.metric("jobs_queued") == 0)


if __name__ == "__main__":
    tap.main()
