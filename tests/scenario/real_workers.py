"""Real workers with real engines that die, hang or run twice. Covers the holes "a cut stream ends like a complete one"
and "a hung runtime behind a live heartbeat holds a request for ever"."""

import os
import pathlib
import signal
import unittest

import tap
from fleet import MODEL, FleetCase, eventually

QUESTION = {"question": "What is Cellule?", "model": MODEL.stem, "temperature": 2, "max_tokens": 250}
QUICK = {**QUESTION, "temperature": 0}


def engine_of(worker):
    """The process id of a worker's child, or None while it has none."""
    pid = worker.child.pid
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else None


@unittest.skipUnless(MODEL.exists(), f"no model {MODEL}")
class RealWorkers(FleetCase):
    settings = {"beat_ms": 1000, "first_token_timeout_ms": 4000, "progress_timeout_ms": 4000, "model_grace_ms": 20000}

    def setUp(self):
        super().setUp()
        self.stopped = []
        self.addCleanup(self.stop_workers)

    def stop_workers(self):
        for pid in self.stopped:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass
        for worker in self.site.workers:
            worker.stop()
        self.site.workers.clear()

    def halt(self, pid):
        os.kill(pid, signal.SIGSTOP)
        self.stopped.append(pid)

    def connected(self):
        return self.metric("workers_connected")

    def start(self, index, *options):
        before = self.metric("worker_sessions_total")
        worker = self.site.start_worker(index, *options)
        eventually("the worker is connected", lambda: self.metric("worker_sessions_total") > before)
        return worker

    def undisturbed(self, question):
        answer = self.question(**question)
        self.assert_whole(answer)
        return answer.text

    def lose_in_mid_answer(self, lose):
        """Sixteen answers share an engine, so that each takes its time; it is lost while they are under way."""
        first = self.start(0, "--slots", "16")
        questions = [{**QUESTION, "seed": seed} for seed in range(16)]
        expected = [self.undisturbed(question) for question in questions]
        os.kill(engine_of(first), signal.SIGSTOP)
        answers = [self.question(**question) for question in questions]
        eventually("all are with the worker", lambda: self.metric("jobs_running") == len(answers))
        os.kill(engine_of(first), signal.SIGCONT)
        eventually("some have text", lambda: any(len(answer.text) > 20 for answer in answers))
        lose(first)
        told = [len(answer.text) for answer in answers]
        self.assertTrue(any(0 < now < len(whole) for now, whole in zip(told, expected)), told)
        self.start(1, "--slots", "16")
        for answer, text in zip(answers, expected):
            self.assert_whole(answer)
            self.assertEqual(answer.text, text)
            self.assert_receipt_holds(answer, QUESTION["question"])
        return first

    def test_a_worker_killed_in_mid_answer_is_taken_over_with_the_same_bits(self):
        self.lose_in_mid_answer(lambda worker: worker.child.kill())

    def test_a_killed_engine_s_answers_go_on_elsewhere_and_the_engine_comes_back(self):
        killed = []

        def kill_engine(worker):
            killed.append(engine_of(worker))
            os.kill(killed[0], signal.SIGKILL)

        first = self.lose_in_mid_answer(kill_engine)
        eventually("another engine runs", lambda: engine_of(first) not in (None, *killed))
        self.assertTrue(first.alive())
        self.assertEqual(self.connected(), 2)

    def test_a_hung_engine_behind_a_live_agent_holds_no_request(self):
        first = self.start(0, "--engine-timeout-ms", "8000")
        expected = self.undisturbed(QUICK)
        engine = engine_of(first)
        self.halt(engine)
        answer = self.question(**QUICK)
        self.start(1)
        self.assert_whole(answer)
        self.assertEqual(answer.text, expected)
        self.assertEqual(self.connected(), 2)
        self.assertEqual(self.metric("jobs_hung_total"), 1)
        eventually("the slot is free", lambda: self.metric("slots_busy") == 0)
        eventually("the agent has started another engine", lambda: engine_of(first) not in (None, engine))
        self.site.workers[1].stop()
        eventually("one worker is left", lambda: self.connected() == 1)
        self.assertEqual(self.undisturbed(QUICK), expected)

    def test_a_hung_agent_loses_its_session_and_comes_back(self):
        first = self.start(0)
        expected = self.undisturbed(QUICK)
        self.halt(first.child.pid)
        answer = self.question(**QUICK)
        self.start(1)
        self.assert_whole(answer)
        self.assertEqual(answer.text, expected)
        eventually("the hung worker's session has ended", lambda: self.connected() == 1)
        os.kill(first.child.pid, signal.SIGCONT)
        eventually("it is back", lambda: self.connected() == 2)

    def test_of_two_processes_with_one_key_the_older_ends_and_says_why(self):
        first = self.start(0)
        answer = self.question(**QUICK)
        self.assert_whole(answer)
        second = self.site.start_worker(0)
        eventually("the older has ended", lambda: not first.alive())
        self.assertEqual(first.child.returncode, 1)
        self.assertIn("another process runs with this worker's key", first.last_lines())
        self.assertTrue(second.alive())
        self.assertEqual(self.connected(), 1)
        self.assert_whole(self.question(**QUICK))


if __name__ == "__main__":
    tap.main()
