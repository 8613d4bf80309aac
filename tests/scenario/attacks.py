"""Attacks on the proof of inference by whoever has a worker, and maybe a user's key: answers that nothing can be held
against, and ways to keep others from being checked."""

import signal
import threading

import tap
from disputes import DisputeCase
from fleet import eventually
from proof import CheatCase, ProofCase
from wire import Connection, trust


class Unprovable(CheatCase):
    def test_text_without_a_token_is_no_answer(self):
        """There would be nothing to compute again."""
        cheat = self.fake("--behave", "no-tokens")
        for stream in (False, True):
            answer = self.question(stream=stream).finish()
            self.assertIsNotNone(answer.error, answer.raw[-600:])
            self.assertEqual(cheat.wait("closed")["code"], 4005)

    def test_a_lie_about_the_prompt_s_length_does_not_excuse_a_short_answer(self):
        self.cheat = self.fake("--behave", "cut-short", "--context", 150)
        answer = self.caught()
        honest = [self.fake(), self.fake()]
        self.convicted(self.cheat)
        self.eventually_state(answer, "worker_wrong")
        self.settled(*honest)
        self.assert_evidence_holds(self.cheat, answer.job)


class OtherFiles(ProofCase):
    settings = ProofCase.settings | {"model_files": f"demo={'fa' * 32}:exact-fake, demo = {'fb' * 32}"}

    def refused(self, *options):
        worker = self.fake(*options, serving=False)
        self.assertEqual(worker.wait("refused")["text"], "model")

    def test_a_cheaper_model_under_a_known_name_is_refused(self):
        self.refused("--digest", "ab" * 32)

    def test_a_profile_that_nobody_else_computes_is_refused(self):
        self.refused("--profile", "exact-mine")

    def test_a_profile_that_can_t_be_checked_is_refused(self):
        self.refused("--profile", "vendor-1", "--model", "mine")

    def test_what_the_site_knows_serves_and_names_that_it_doesn_t_know_too(self):
        self.fake()
        self.fake("--digest", "fb" * 32, "--profile", "exact-other")
        self.fake("--digest", "ab" * 32, "--model", "mine")


class Accomplice(CheatCase):
    def test_who_refuses_a_check_is_not_asked_again_while_others_are_only_busy(self):
        """Else one with time for nothing but refusals would use up all attempts that a check has."""
        cheat = self.fake("--behave", "different-text")
        answer, = self.answered()
        cheat.stop()
        busy = self.fake("--slots", 1, "--events-per-second", 6)
        asked = self.question("a long one", seed=1)
        busy.wait("job")
        friend = self.fake("--checks", "refuse", "--slots", 64)
        friend.wait("score")
        self.assert_whole(asked)
        self.eventually_state(answer, "disputed")
        self.assertEqual(len(busy.of("scored")), 1)


class Friends(ProofCase):
    settings = ProofCase.settings | {"verify": "spot", "verify_floor": 100}

    def test_what_two_say_at_once_is_checked_by_a_third_now_and_then(self):
        """They may be friends with different owners, who are wrong together."""
        for _ in range(3):
            self.fake()
        answer = self.question(headers=["X-Cellule-Verify: required"])
        self.assert_whole(answer)
        self.eventually_state(answer, "agreed")

    def test_two_who_are_wrong_together_are_found_out(self):
        friends = [self.fake("--behave", "different-text", "--noise", 7, "--checks", "never") for _ in range(2)]
        self.assert_whole(self.question(headers=["X-Cellule-Verify: required"]))
        for friend in friends:
            friend.stop()
        for _ in range(3):
            self.fake()
        for friend in friends:
            eventually("it is convicted", lambda: self.standings(friend)[0]["state"] == "convicted")


class Judges(DisputeCase):
    def test_two_friends_convict_nobody_while_the_referee_is_away(self):
        """One lies about an honest answer, the other is the third and confirms the lie."""
        referee = self.fake(referee=True)
        referee.stop()
        honest = self.fake()
        answer, = self.answered()
        lie = ("--checks", "wrong-expected", "--noise", 7)
        friends = [self.fake(*lie), self.fake(*lie)]
        self.eventually_state(answer, "open")
        self.assertEqual(self.state_of(honest), "quarantined")
        self.assertEqual(sum(len(friend.of("scored")) for friend in friends), 1)
        self.fake_again(referee.name).wait("serving")
        dispute, = self.open_disputes()
        self.site.admin("verification", "judge", dispute["id"])
        self.eventually_state(answer, "verifier_wrong")
        self.settled(honest)


class Forger(ProofCase):
    def test_no_answer_that_is_to_be_checked_lacks_its_signature(self):
        """Of many at once not every signature is verified when it comes."""
        short = ("--tokens", 4, "--reply-bytes", 20, "--slots", 64)
        self.fake(*short, "--behave", "forges-later")
        self.fake(*short)
        jobs = []

        def ask_many():
            with Connection(self.site.address, trust(self.site.ca_file)) as connection:
                for i in range(20):
                    answer = connection.ask("POST", "/v1/chat/completions",
                                            self.chat_body(f"question {i}") | {"model": "demo"}, self.site.user_key)
                    jobs.extend([answer.headers["x-cellule-job"]] if answer.status == 200 else [])

        threads = [threading.Thread(target=ask_many) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertGreater(len(jobs), 20)
        with self.connect() as connection:
            for job in jobs:
                receipt = connection.ask("GET", f"/v1/receipts/{job}", key=self.site.user_key)
                self.assertEqual(receipt.status, 200, receipt.body)


class Unchecked(ProofCase):
    """What the pool notices without a check."""
    settings = ProofCase.settings | {"verify": "off"}

    def test_a_forged_signature_costs_the_place_whenever_it_is_found(self):
        for behave in ("forged-receipt", "forges-later"):
            forger = self.fake("--behave", behave, "--tokens", 4, "--reply-bytes", 20)
            for _ in range(400):
                if not forger.of("closed"):
                    self.question().finish()
            self.assertEqual(forger.wait("closed")["code"], 4002)
            self.assertEqual(self.enrolled(forger)[0]["state"], "revoked")

    def test_one_worker_s_word_does_not_make_a_question_impossible(self):
        liar, honest = self.fake("--behave", "refuses-input"), self.fake()
        for _ in range(4):
            self.assert_whole(self.question())
        self.assertGreater(len(liar.of("job")), 0)
        self.assertEqual(self.standings(liar)[0]["evasions"], len(liar.of("job")))
        self.assertEqual(self.standings(honest)[0]["evasions"], 0)

    def test_two_are_believed_and_so_is_one_that_is_alone(self):
        for _ in range(2):
            self.fake("--behave", "refuses-input")
            refused = self.question().finish()
            self.assertEqual((refused.status, refused.error["code"]), (400, "bad_input"), refused.raw)

    def test_who_leaves_before_it_signs_other_words_has_evaded(self):
        cheat = self.fake("--behave", "different-text", "--events-per-second", 40)
        answer = self.question("a long one", seed=1)
        answer.wait_for_text(10)
        honest = self.fake()
        cheat.signal(signal.SIGKILL)
        answer.finish()
        self.assertEqual(answer.error["code"], "answer_differs", answer.raw[-600:])
        eventually("it is counted", lambda: self.standings(cheat)[0]["evasions"] == 1)
        self.assertEqual(self.standings(cheat)[0]["state"], "new")
        self.assertEqual(self.standings(honest)[0]["evasions"], 0)

    def test_who_leaves_after_right_words_has_not(self):
        left = self.fake("--events-per-second", 40)
        answer = self.question("a long one", seed=1)
        answer.wait_for_text(10)
        other = self.fake()
        left.signal(signal.SIGKILL)
        self.assert_whole(answer)
        self.assertEqual([self.standings(worker)[0]["evasions"] for worker in (left, other)], [0, 0])


class Busy(ProofCase):
    settings = ProofCase.settings | {"check_patience_ms": 300, "checks_at_once": 1}

    def test_checks_come_about_though_questions_never_leave_a_slot_idle(self):
        for _ in range(2):
            self.fake("--slots", 1, "--events-per-second", 20)
        over = threading.Event()
        first = []

        def ask_on():
            while not over.is_set():
                answer = self.question("more", seed=1).finish()
                first.extend([answer] if answer.error is None and not first else [])

        threads = [threading.Thread(target=ask_on) for _ in range(6)]
        for thread in threads:
            thread.start()
        try:
            eventually("one is answered", lambda: first)
            self.eventually_state(first[0], "agreed")
            self.assertGreater(self.metric("jobs_queued"), 0)
        finally:
            over.set()
            for thread in threads:
                thread.join()


class Flood(ProofCase):
    def test_answers_that_nobody_can_check_leave_room_for_others(self):
        self.fake("--model", "alone", "--digest", "ab" * 32, "--slots", 8, "--tokens", 1, "--reply-bytes", 4)
        # More than all the room that there is for payloads, down to the last of it.
        with self.connect() as connection:
            for length in [900_000] * 75 + [90_000] * 12 + [9_000] * 12 + [900] * 12 + [9] * 12:
                body = self.chat_body("x" * length) | {"model": "alone"}
                answer = connection.ask("POST", "/v1/chat/completions", body, self.site.user_key)
                self.assertEqual(answer.status, 200, answer.body)
        self.fake()
        self.fake()
        for answer in self.answered(3):
            self.eventually_state(answer, "agreed")


if __name__ == "__main__":
    tap.main()
