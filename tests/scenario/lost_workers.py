"""Workers that are lost: before the first byte the client sees nothing of it, after it the stream goes on with the same
bits or ends with an error event. Covers the hole "a cut stream ends like a complete one"."""

import signal

import tap
from fleet import FleetCase, eventually

SEED = {"seed": 11}


class LostWorkers(FleetCase):
    settings = {"model_grace_ms": 4000}

    def kill(self, worker):
        worker.signal(signal.SIGKILL)
        worker.child.wait()

    def undisturbed(self, *options):
        """What the question gives when nothing happens."""
        worker = self.fake(*options)
        answer = self.question(**SEED)
        self.assert_whole(answer)
        worker.stop()
        return answer.text

    def test_a_worker_killed_before_the_first_byte_is_not_noticed(self):
        expected = self.undisturbed()
        silent = self.fake("--behave", "never-answer")
        answers = [self.question(**SEED), self.question(**SEED, stream=False)]
        silent.wait("job", count=2)
        self.fake()
        self.kill(silent)
        self.assert_whole(answers[0])
        self.assertEqual(answers[1].finish().status, 200)
        for answer in answers:
            self.assertEqual(answer.text, expected)
            self.assert_receipt_holds(answer)

    def test_a_worker_killed_in_mid_answer_is_taken_over_with_the_same_bits(self):
        expected = self.undisturbed()
        first = self.fake("--events-per-second", 40)
        streamed = self.question(**SEED)
        whole = self.question(**SEED, stream=False)
        streamed.wait_for_text(20)
        second = self.fake("--events-per-second", 400)
        self.kill(first)
        second.wait("job", count=2)
        self.assert_whole(streamed)
        self.assertEqual(whole.finish().status, 200)
        for answer in [streamed, whole]:
            self.assertEqual(answer.text, expected)
            self.assert_receipt_holds(answer)

    def test_two_losses_in_one_answer_are_survived(self):
        expected = self.undisturbed()
        first = self.fake("--behave", "answer-then-cut", "--once", "--events-per-second", 200)
        answer = self.question(**SEED)
        first.wait("closed")
        second = self.fake("--behave", "answer-then-cut", "--once", "--events-per-second", 400)
        second.wait("closed")
        self.fake()
        self.assert_whole(answer)
        self.assertEqual(answer.text, expected)
        self.assert_receipt_holds(answer)

    def test_one_worker_s_loss_leaves_the_answers_of_others_alone(self):
        others = self.fake("--events-per-second", 60, "--slots", 4)
        answers = [self.question(seed=n) for n in range(4)]
        for answer in answers:
            answer.wait_for_text()
        lost = self.fake("--behave", "never-answer")
        waiting = self.question(**SEED)
        lost.wait("job")
        self.kill(lost)
        for answer in [*answers, waiting]:
            self.assert_whole(answer)
        self.assertEqual(len(others.of("done")), 5)
        self.assertEqual(others.of("cancel"), [])

    def test_an_inexact_model_lost_in_mid_answer_ends_with_an_error_event(self):
        first = self.fake("--profile", "vendor-1", "--events-per-second", 40)
        answer = self.question(**SEED)
        answer.wait_for_text()
        second = self.fake("--profile", "vendor-1")
        self.kill(first)
        self.assert_broken_off(answer, "worker_lost")
        self.assertEqual(second.of("job"), [])

    def test_another_file_under_the_same_name_does_not_go_on_with_the_answer(self):
        """And with nobody else there: an error event, after the time in which a worker may come back."""
        first = self.fake("--events-per-second", 40)
        answer = self.question(**SEED)
        answer.wait_for_text()
        other = self.fake("--digest", "ab" * 32)
        self.kill(first)
        self.assert_broken_off(answer, "no_worker")
        self.assertEqual(other.of("job"), [])

    def test_other_bits_after_a_loss_end_the_answer_with_an_error_and_nobody_is_thrown_out(self):
        """Which of the two is wrong can't be told: else one that lies and leaves would cost the others their sessions."""
        first = self.fake("--events-per-second", 40)
        answer = self.question(**SEED)
        answer.wait_for_text(10)
        other = self.fake("--behave", "different-text")
        first.signal(signal.SIGKILL)
        self.assert_broken_off(answer, "answer_differs")
        self.assert_whole(self.question())
        self.assertEqual(other.of("closed"), [])

    def test_a_shorter_answer_after_a_loss_is_other_bits_too(self):
        first = self.fake("--events-per-second", 40)
        answer = self.question(**SEED)
        answer.wait_for_text(100)
        other = self.fake("--tokens", 2, "--reply-bytes", 10)
        first.signal(signal.SIGKILL)
        self.assert_broken_off(answer, "answer_differs")
        self.assert_whole(self.question())
        self.assertEqual(other.of("closed"), [])

    def test_with_nobody_left_a_question_that_waits_gets_an_error_status(self):
        """Not a 200 with an apology."""
        worker = self.fake("--behave", "answer-then-hang")
        tokens = self.metric("completion_tokens_total")
        whole = self.question(**SEED, stream=False)
        eventually("half of it came", lambda: self.metric("completion_tokens_total") > tokens)
        silent = self.fake("--behave", "never-answer", "--model", "other")
        streamed = self.question(**SEED, model="other")
        silent.wait("job")
        for lost in [worker, silent]:
            self.kill(lost)
        for answer in [whole, streamed]:
            answer.finish()
            self.assertEqual(answer.status, 503, answer.raw)
            self.assertEqual(answer.error["code"], "no_worker")
            self.assertTrue(answer.complete)


class Queued(FleetCase):
    settings = {"queue_deadline_ms": 2500}

    def test_news_of_the_queue_are_comments_and_what_fails_after_them_fails_as_an_event(self):
        worker = self.fake("--behave", "never-answer", "--slots", 1)
        self.question()
        worker.wait("job")
        streamed = self.question()
        whole = self.question(stream=False)
        self.assert_broken_off(streamed, "queue_deadline")
        self.assertIn(b": queued 1\n\n", streamed.body)
        self.assertNotIn(b"event:", streamed.body)
        self.assertEqual(streamed.text, "")
        self.assertEqual(whole.finish().status, 503)
        self.assertEqual(whole.error["code"], "queue_deadline")


if __name__ == "__main__":
    tap.main()
