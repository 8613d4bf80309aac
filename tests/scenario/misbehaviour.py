"""Workers that break the protocol, one rule each: the session ends with the documented close code, nobody else's job
suffers, and the client gets the right answer from another worker. Covers the holes "any connected worker may answer
any job; token counts are self-reported and believed" and "one worker's disconnect fails other workers' jobs"."""

import tap
from fleet import FleetCase, Question

QUESTION = {"question": "How do I add a worker?", "seed": 7}


class BrokenJob(FleetCase):
    """The honest worker has one slot and is busy, and of two idle ones the new one would be chosen: the question goes to
    the one that breaks the rule."""

    settings = {"credit_window": 64}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        honest = cls.start_fake("--slots", 1, "--events-per-second", 200)
        honest.wait("serving")
        cls.addClassCleanup(honest.stop)
        cls.undisturbed = Question(cls.site, **QUESTION).finish().text

    def break_rule(self, behaviour, code, *options, stream=True):
        refused = self.metric("worker_violations_total")
        other = self.question("An answer of somebody else", seed=1)
        other.wait_for_text()
        bad = self.fake("--behave", behaviour, "--once", "--slots", 1, *options)
        answer = self.question(**QUESTION, stream=stream)
        bad.wait("job")
        self.assertEqual(bad.wait("closed")["code"], code)
        self.assert_whole(other)
        self.assertEqual(len(other.text), 650)
        if stream:
            self.assert_whole(answer)
        else:
            answer.finish()
            self.assertEqual(answer.status, 200, answer.raw)
        self.assert_receipt_holds(answer, QUESTION["question"])
        self.assertEqual(len(self.undisturbed), 650)
        self.assertEqual(answer.text, self.undisturbed)
        if code != 1009:  # the WebSocket itself ends that one
            self.assertEqual(self.metric("worker_violations_total"), refused + 1)

    def test_a_forged_receipt_is_refused_before_the_answer_is_complete(self):
        refused = self.metric("receipts_refused_total")
        self.break_rule("forged-receipt", 4002, "--events-per-second", 300)
        self.assertEqual(self.metric("receipts_refused_total"), refused + 1)

    def test_a_forged_receipt_of_an_answer_in_one_piece_is_refused(self):
        self.break_rule("forged-receipt", 4002, "--events-per-second", 300, stream=False)

    def test_a_token_count_that_the_pool_did_not_count_is_refused(self):
        self.break_rule("wrong-token-count", 4005, "--events-per-second", 300)

    def test_a_prompt_of_more_tokens_than_bytes_is_refused(self):
        self.break_rule("prompt-token-lie", 4005, "--events-per-second", 300)

    def test_an_answer_can_not_end_as_cancelled_by_nobody(self):
        self.break_rule("false-cancelled", 4005, "--events-per-second", 300)

    def test_a_worker_that_answers_a_job_nobody_has_is_closed(self):
        self.break_rule("foreign-job", 4005)

    def test_more_tokens_than_credit_close_the_session(self):
        self.break_rule("over-credit", 4005)

    def test_more_tokens_than_were_asked_for_close_the_session(self):
        self.break_rule("over-max-tokens", 4005, "--tokens", 2000)

    def test_a_gap_in_the_deltas_closes_the_session(self):
        self.break_rule("seq-gap", 4005, "--events-per-second", 100)

    def test_a_binary_message_closes_the_session(self):
        self.break_rule("binary-message", 1003)

    def test_text_that_is_no_json_closes_the_session(self):
        self.break_rule("garbage", 1007)

    def test_a_message_over_a_mebibyte_closes_the_session(self):
        self.break_rule("huge-message", 1009)

    def test_a_message_that_only_pools_send_closes_the_session(self):
        self.break_rule("pool-message", 1002)

    def test_a_second_hello_closes_the_session(self):
        self.break_rule("double-hello", 1002)


class Identity(FleetCase):
    def test_a_worker_can_not_answer_the_job_of_another(self):
        thieves = self.fake("--behave", "stolen-job", "--once", "--events-per-second", 200, count=2)
        answers = [self.question(seed=3), self.question(seed=3)]
        closed = thieves.wait("closed")
        self.assertEqual((closed["session"], closed["code"]), (0, 4005))
        for answer in answers:
            self.assert_whole(answer)
            self.assertNotIn("nobody asked", answer.text)
            self.assert_receipt_holds(answer)
        self.assertEqual(answers[0].text, answers[1].text)

    def test_a_newer_session_of_the_same_worker_takes_over(self):
        older = self.fake("--events-per-second", 50, "--tokens", 100)
        answer = self.question(seed=4)
        answer.wait_for_text()
        newer = self.fake_again(older.name, "--tokens", "100")
        self.assertEqual(older.wait("closed")["code"], 4003)
        newer.wait("job")
        self.assert_whole(answer)
        self.assert_receipt_holds(answer)
        self.assertEqual(older.wait("stopped")["sessions"], 0)  # it stays away
        self.assertEqual(self.metric("workers_connected"), 1)

    def test_another_key_under_a_worker_s_id_is_refused_and_the_worker_stays(self):
        worker = self.fake("--events-per-second", 50, "--tokens", 100)
        answer = self.question(seed=4)
        answer.wait_for_text()
        thief = self.fake_again(worker.name, "--behave", "other-key")
        self.assertEqual(thief.wait("refused")["text"], "unknown_worker")
        self.assertEqual(thief.wait("closed")["code"], 4001)
        self.assert_whole(answer)
        self.assertEqual(worker.of("closed"), [])

    def test_a_proof_by_another_key_is_refused_and_the_worker_stays(self):
        worker = self.fake()
        for behaviour in ["wrong-proof", "wrong-pool"]:
            thief = self.fake_again(worker.name, "--behave", behaviour)
            self.assertEqual(thief.wait("refused")["text"], "bad_proof")
            self.assertEqual(thief.wait("closed")["code"], 4001)
        self.assert_whole(self.question())
        self.assertEqual(worker.of("closed"), [])


if __name__ == "__main__":
    tap.main()
