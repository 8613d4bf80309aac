"""Workers that are connected and silent: the request is answered by another, the slot comes back. Covers the hole
"a hung runtime behind a live heartbeat holds a request for ever"."""

import tap
from fleet import FleetCase, eventually

SEED = {"seed": 21}


class HungWorkers(FleetCase):
    settings = {"beat_ms": 1000, "first_token_timeout_ms": 1500, "progress_timeout_ms": 1500, "model_grace_ms": 20000}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.mute = cls.start_fake("--behave", "no-hello", "--once")  # now, for it takes ten seconds
        cls.addClassCleanup(cls.mute.stop)

    def test_a_worker_that_takes_a_job_and_is_silent_loses_it(self):
        hung = self.fake("--behave", "never-answer")
        answers = [self.question(**SEED), self.question(**SEED, stream=False)]
        hung.wait("job", count=2)
        honest = self.fake()
        hung.wait("cancel", count=2)
        self.assert_whole(answers[0])
        self.assertEqual(answers[1].finish().status, 200)
        self.assertEqual(answers[0].text, answers[1].text)
        self.assertEqual(len(honest.of("done")), 2)
        eventually("the hung worker's slots are free", lambda: self.metric("slots_busy") == 0)
        self.assertEqual(hung.of("closed"), [])

    def test_a_worker_that_stops_in_mid_answer_loses_it_and_the_stream_goes_on(self):
        hung = self.fake("--behave", "answer-then-hang")
        answer = self.question(**SEED)
        answer.wait_for_text()
        self.fake()
        hung.wait("cancel")
        self.assert_whole(answer)
        self.assertEqual(len(answer.text), 650)
        self.assert_receipt_holds(answer)

    def test_a_worker_that_never_gives_a_hung_job_up_is_closed(self):
        hung = self.fake("--behave", "never-cancel", "--once")
        answer = self.question(**SEED)
        hung.wait("job")
        self.fake()
        self.assert_whole(answer)
        self.assertEqual(hung.wait("closed")["code"], 4004)

    def test_a_worker_without_beats_is_dead_and_its_job_goes_elsewhere(self):
        dead = self.fake("--behave", "no-beats", "--once", "--events-per-second", 10)
        answer = self.question(**SEED)
        dead.wait("job")
        self.fake()
        self.assertEqual(dead.wait("closed")["code"], 4004)
        self.assert_whole(answer)
        self.assertEqual(len(answer.text), 650)
        self.assert_receipt_holds(answer)

    def test_with_every_worker_hung_the_client_gets_an_error(self):
        hung = [self.fake("--behave", "never-answer") for _ in range(3)]
        streamed = self.question(**SEED)
        whole = self.question(**SEED, stream=False)
        for answer in [streamed, whole]:
            answer.finish()
            self.assertEqual(answer.status, 503, answer.raw)
            self.assertEqual(answer.error["code"], "worker_failed")
        for worker in hung:
            worker.wait("cancel", count=2)

    def test_without_a_hello_a_connection_is_closed(self):
        self.assertEqual(self.mute.wait("closed")["code"], 4006)


if __name__ == "__main__":
    tap.main()
