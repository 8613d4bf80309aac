"""Clients that leave, or never read. Covers the holes "a client that left keeps a worker generating; a concurrency slot
is never given back" and "a slow client stalls other clients' streams from the same worker"."""

import os
import pathlib
import time

import tap
from fleet import FleetCase, eventually

ROUNDS = 1000
WARM_UP = 300
GROWTH_MIB = 3
SLOW_GROWTH_MIB = 16  # half of the answer may wait in sockets and as text; all of it twice would be more
TRIES = 5
PROMPT_MS = 100  # the worker is told within this; the best of some tries, since the machine may be busy
# A sanitizer's quarantine keeps what was freed: with a small one, what the process keeps is what it holds.
os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1:thread_local_quarantine_size_kb=16"


def resident_mib(pid):
    pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 1048576


class Leaving(FleetCase):
    settings = {"first_token_timeout_ms": 3600000}  # some workers never answer, and aren't to be missed for it

    def calm(self):
        eventually("every slot is free and no job is left",
                   lambda: self.metric("slots_busy") + self.metric("jobs_running") + self.metric("jobs_queued") == 0)

    def assert_told_of_leaving(self, worker, ask):
        """The worker of each client that leaves is told at once, and its slot is free."""
        delays = []
        for n in range(TRIES):
            left = self.metric("clients_left_total")
            answer = ask()
            job = worker.wait("job", count=n + 1)
            at_ms = time.time() * 1000
            answer.leave()
            delays.append(worker.wait("cancel", id=job["id"])["at_ms"] - at_ms)
            self.calm()
            self.assertEqual(self.metric("clients_left_total"), left + 1)
        self.assertLess(min(delays), PROMPT_MS)
        self.assertEqual(worker.of("done"), [])
        self.assertEqual(worker.of("closed"), [])

    def test_a_client_that_leaves_before_the_first_token_cancels_its_job(self):
        worker = self.fake("--behave", "never-answer")
        for_stream = self.fake("--behave", "never-answer", "--model", "streamed")

        def ask(model, **members):
            answer = self.question(model=model, **members)
            eventually("it is with a worker", lambda: self.metric("jobs_running") == 1)
            return answer

        self.assert_told_of_leaving(worker, lambda: ask("demo", stream=False))
        self.assert_told_of_leaving(for_stream, lambda: ask("streamed"))

    def test_a_client_that_leaves_in_mid_answer_cancels_its_job(self):
        worker = self.fake("--events-per-second", 20)
        self.assert_told_of_leaving(worker, lambda: self.question().wait_for_text())

    def test_a_client_that_leaves_in_mid_answer_without_a_stream_cancels_its_job(self):
        worker = self.fake("--behave", "answer-then-hang")

        def ask():
            tokens = self.metric("completion_tokens_total")
            answer = self.question(stream=False)
            eventually("tokens came", lambda: self.metric("completion_tokens_total") > tokens)
            return answer

        self.assert_told_of_leaving(worker, ask)

    def test_a_client_that_leaves_the_queue_is_forgotten_and_the_next_moves_up(self):
        worker = self.fake("--slots", 1, "--events-per-second", 30)
        first = self.question()
        first.wait_for_text()
        queued = [self.question(stream=stream) for stream in [True, False]]
        last = self.question()
        eventually("three wait", lambda: self.metric("jobs_queued") == 3)
        for answer in queued:
            answer.leave()
        eventually("one waits", lambda: self.metric("jobs_queued") == 1)
        self.assert_whole(first)
        self.assert_whole(last)
        self.assertEqual(len(worker.of("job")), 2)
        self.assertEqual(worker.of("cancel"), [])

    def leave_in_each_stage(self, count):
        """Connection after connection; every fourth leaves as early, as late, as often."""
        for n in range(count):
            kind = n % 4
            if kind == 0:  # with a worker that is silent, streamed or whole
                answer = self.question(model="silent", stream=n % 8 == 0)
                self.silent_jobs += 1
                self.silent.wait("job", count=self.silent_jobs)
            elif kind == 1:  # in the queue of a worker that is busy
                answer = self.question(model="busy")
            elif kind == 2:  # in mid-answer
                answer = self.question(model="slow", read=False)
                while b"content" not in answer.socket.recv(65536):
                    pass
            else:  # before anything
                answer = self.question(model="slow", stream=False)
            answer.leave()

    def test_a_thousand_clients_that_leave_cost_no_memory_and_no_slot(self):
        self.silent = self.fake("--behave", "never-answer", "--model", "silent")
        self.silent_jobs = 0
        busy = self.fake("--behave", "never-answer", "--model", "busy", "--slots", 1)
        slow = self.fake("--events-per-second", 5, "--model", "slow", "--slots", 64)
        holder = self.question(model="busy")
        busy.wait("job")
        self.leave_in_each_stage(WARM_UP)
        before = resident_mib(self.site.pool.child.pid)
        self.leave_in_each_stage(ROUNDS)
        eventually("one slot is busy", lambda: self.metric("slots_busy") == 1)
        self.assertEqual(self.metric("jobs_queued"), 0)
        self.assertEqual(self.metric("jobs_running"), 1)
        grown = resident_mib(self.site.pool.child.pid) - before
        print(f"# memory: {before:.1f} MiB, grown by {grown:.1f}")
        self.assertLess(grown, GROWTH_MIB)
        eventually("every silent job was cancelled", lambda: len(self.silent.of("cancel")) == self.silent_jobs)
        self.assertEqual(len(slow.of("done")), 0)
        holder.leave()
        self.calm()


class NeverReading(FleetCase):
    """The slow client's answer is far more than sockets hold; the others' answers are small."""

    settings = {"write_timeout_ms": 2000, "queue_limit_per_user": 100}
    OTHERS = 50

    def test_a_client_that_never_reads_costs_the_others_nothing(self):
        worker = self.fake("--slots", 64, "--tokens", 32768, "--reply-bytes", 8 * 1048576)
        before = resident_mib(self.site.pool.child.pid)
        slow = self.question(read=False, max_tokens=32768)
        worker.wait("job")
        job = worker.of("job")[0]["id"]
        others = [self.question(seed=n % 5, max_tokens=300) for n in range(self.OTHERS)]
        for answer in others:
            self.assert_whole(answer)
            self.assertEqual(len(answer.text), 300 * 256)
        for same in range(5):
            self.assertEqual(len({answer.text for answer in others[same::5]}), 1)
        cancel = worker.wait("cancel", id=job)
        self.assertLess(cancel["sent_tokens"], 32768)
        self.assertLess(resident_mib(self.site.pool.child.pid) - before, SLOW_GROWTH_MIB)
        self.assert_cut_off(slow)

    def assert_cut_off(self, slow):
        slow.go_on()
        slow.thread.join(30)
        self.assertNotIn(b"[DONE]", slow.raw)
        self.assertFalse(slow.complete)


class Pausing(FleetCase):
    settings = {"write_timeout_ms": 600000}

    def test_a_client_that_pauses_gets_all_of_it(self):
        worker = self.fake("--slots", 64, "--tokens", 8192, "--reply-bytes", 8 * 1048576)
        slow = self.question(read=False, max_tokens=8192)
        worker.wait("credit")
        others = [self.question(max_tokens=100) for _ in range(4)]
        for answer in others:
            self.assert_whole(answer)
        self.assertEqual(worker.of("done")[0]["tokens"], 100)
        slow.go_on()
        self.assert_whole(slow)
        self.assertEqual(len(slow.text), 8 * 1048576)
        self.assert_receipt_holds(slow)


if __name__ == "__main__":
    tap.main()
