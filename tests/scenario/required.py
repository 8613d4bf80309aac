"""Answers that two workers with different owners compute at once: only what both say reaches the client, on a fixed clock
in frames of one size; a third decides where they differ, and the client gets the right answer."""

import signal

import tap
from fleet import FleetCase, eventually

SEED = {"seed": 11}
REQUIRED = ["X-Cellule-Verify: required"]
PROVED = ["X-Cellule-Verify: proved"]
FRAME = 1024
WHOLE = 4096
SOON = {"model_grace_ms": 2500, "queue_deadline_ms": 4000}  # for what is to be refused


class RequiredCase(FleetCase):
    # Checks of what two agreed on are put off: a liar among the verifiers would put honest workers into quarantine meanwhile.
    settings = {"queue_deadline_ms": 120000, "first_token_timeout_ms": 120000, "progress_timeout_ms": 60000,
                "check_delay_ms": 3600000}

    def worker(self, owner, *options, **members):
        return self.fake(*options, owner=owner, **members)

    def required(self, **members):
        return self.question(headers=REQUIRED, **{**SEED, **members})

    def undisturbed(self):
        """What the question gives when nothing happens."""
        worker = self.worker("nobody")
        answer = self.question(**SEED)
        self.assert_whole(answer)
        worker.stop()
        eventually("it has gone", lambda: self.metric("workers_connected") == self.workers_before)
        return answer.text

    def standing(self, worker):
        return self.site.admin("worker", "standing", worker.of("connected")[0]["worker"])["state"]

    def assert_right(self, answer, expected):
        answer.finish()
        self.assertEqual(answer.status, 200, answer.raw[-600:])
        self.assertIsNone(answer.error, answer.error)
        self.assertEqual(answer.text, expected)
        self.assertTrue(answer.complete)
        self.assert_receipt_holds(answer)

    def assert_shown_as_agreed(self, answer):
        """Who asked can show that two computed it, by two signed receipts; the admin sees it as well."""
        mine = self.ask("GET", f"/v1/receipts/{answer.job}", key=self.site.user_key).json
        other = self.ask("GET", f"/v1/receipts/{mine['agreed_with']['receipt']}", key=self.site.user_key).json
        self.assertEqual(other["fields"]["worker"], mine["agreed_with"]["worker"])
        self.assertNotEqual(other["fields"]["worker"], mine["fields"]["worker"])
        self.assertEqual(other["fields"]["commitment"], mine["fields"]["commitment"])
        self.assertIn(mine["verification"], ("agreed", "waiting"))  # a third may be asked, too
        listed = [check for check in self.site.admin("verification", "list")["verifications"]
                  if check["job"] == answer.job and check["mode"] == "required"]
        self.assertEqual([(check["state"], check["worker"], check["verifier"]) for check in listed],
                         [("agreed", mine["fields"]["worker"], other["fields"]["worker"])])

    def frames(self, answer):
        """The chunks of a stream as they are on the wire."""
        body = answer.raw.partition(b"\r\n\r\n")[2]
        found = []
        while body:
            size, _, rest = body.partition(b"\r\n")
            size = int(size, 16)
            found.append(rest[:size])
            body = rest[size + 2:]
        return found

    def assert_not_enough(self, answer):
        answer.finish()
        self.assertEqual(answer.status, 503, answer.raw[:600])
        self.assertEqual(answer.error["code"], "not_enough_workers")


class Required(RequiredCase):
    def test_two_honest_workers_answer_and_both_sign(self):
        expected = self.undisturbed()
        workers = [self.worker(owner) for owner in ["ann", "bob"]]
        for stream in [True, False]:
            answer = self.required(stream=stream)
            self.assert_right(answer, expected)
            self.assert_shown_as_agreed(answer)
        for worker in workers:
            self.assertEqual(len(worker.of("done")), 2)
            for done in worker.of("done"):
                receipt = self.ask("GET", f"/v1/receipts/{done['id']}", key=self.site.user_key)
                self.assertEqual(receipt.status, 200, receipt.body)
                self.assertEqual(receipt.json["fields"]["worker"], done["worker"])

    def test_the_wire_shows_frames_of_one_size_only(self):
        """Whatever the tokens are: quick, slow, none for a while."""
        for options in [[], ["--events-per-second", 90], ["--events-per-second", 30, "--delay-ms", 700]]:
            workers = [self.worker("ann", *options), self.worker("bob")]
            answer = self.required()
            self.assert_whole(answer)
            frames = self.frames(answer)
            self.assertEqual(frames.pop(), b"")
            self.assertEqual({len(frame) for frame in frames}, {FRAME})
            if options:
                self.assertGreater(len(frames), 8)  # some of them with nothing new
            whole = self.required(stream=False).finish()
            self.assertEqual(int(whole.headers["content-length"]) % WHOLE, 0)
            self.assertEqual(whole.text, answer.text)
            for worker in workers:
                worker.stop()
            eventually("they have gone", lambda: self.metric("workers_connected") == self.workers_before)

    def test_a_liar_is_outvoted_whichever_place_it_has(self):
        expected = self.undisturbed()
        for lies in [["--behave", "different-text"],
                     ["--behave", "other-words"],
                     ["--behave", "first-token"],
                     ["--behave", "last-token"],
                     ["--behave", "other-commitment"],
                     ["--tokens", 129, "--reply-bytes", 645],
                     ["--tokens", 131, "--reply-bytes", 655]]:
            workers = [self.worker("ann"), self.worker("liar", *lies), self.worker("bob")]
            for _ in range(3):  # workers take turns: it is the first, the second and the judge
                for stream in [True, False]:
                    self.assert_right(self.required(stream=stream), expected)
            if "other-words" not in lies:  # checks compare tokens, so that no dispute is left to the next round
                eventually("it is convicted", lambda: self.standing(workers[1]) == "convicted")
            for worker in workers:
                worker.stop()
            eventually("they have gone", lambda: self.metric("workers_connected") == self.workers_before)

    def test_a_slot_that_comes_free_is_taken(self):
        expected = self.undisturbed()
        workers = [self.worker(owner, "--slots", 1, "--events-per-second", 100) for owner in ["ann", "bob"]]
        taken = [self.question(seed=1), self.question(seed=2)]
        for worker in workers:
            worker.wait("job")
        self.assert_right(self.required(), expected)
        for answer in taken:
            self.assert_whole(answer)

    def test_many_at_once_on_few_slots_don_t_wait_for_each_other_for_ever(self):
        expected = self.undisturbed()
        for owner in ["ann", "bob", "cid"]:
            self.worker(owner, "--slots", 1)
        for answer in [self.required() for _ in range(6)]:
            self.assert_right(answer, expected)

    def test_a_lost_worker_is_replaced_before_and_after_the_first_byte(self):
        expected = self.undisturbed()
        for delay in [True, False]:
            first = self.worker("ann", *(["--behave", "never-answer"] if delay else ["--events-per-second", 40]))
            self.worker("bob", "--events-per-second", 100)
            answer = self.required()
            first.wait("job")
            if not delay:
                answer.wait_for_text(20)
            third = self.worker("cid")
            first.signal(signal.SIGKILL)
            third.wait("job")
            self.assert_right(answer, expected)
            third.stop()

    def test_a_client_that_leaves_cancels_both(self):
        workers = [self.worker(owner, "--events-per-second", 20) for owner in ["ann", "bob"]]
        answer = self.required()
        answer.wait_for_text()
        answer.leave()
        for worker in workers:
            worker.wait("cancel")

    def test_a_slow_client_holds_both_back(self):
        workers = [self.worker(owner, "--tokens", 20000, "--reply-bytes", 2000000) for owner in ["ann", "bob"]]
        answer = self.required(read=False, max_tokens=20000)
        for worker in workers:
            worker.wait("credit")
        answer.leave()
        for worker in workers:
            sent = worker.wait("cancel")["sent_tokens"]
            self.assertLess(sent, 20000)

    def test_who_is_contradicted_is_convicted_by_its_receipt(self):
        self.undisturbed()
        honest = [self.worker("ann"), self.worker("bob")]
        liar = self.worker("liar", "--behave", "different-text")
        while not liar.of("done"):
            self.assert_whole(self.required())
        eventually("it is convicted", lambda: self.standing(liar) == "convicted")
        self.assertEqual(liar.wait("closed")["code"], 4002)
        for worker in honest:
            eventually("nobody honest is in quarantine", lambda: self.standing(worker) in ("new", "regular", "alert"))
        self.assertNotIn("x-cellule-notice", self.required().finish().headers)  # nobody got what was wrong


class Refused(RequiredCase):
    settings = {**RequiredCase.settings, **SOON}

    def test_one_owner_is_not_enough_however_many_workers(self):
        first = self.worker("ann")
        second = self.worker("ann")
        for stream in [True, False]:
            self.assert_not_enough(self.required(stream=stream))
        self.assertEqual(first.of("job") + second.of("job"), [])

    def test_other_files_and_inexact_models_don_t_count(self):
        self.worker("ann")
        self.worker("bob", "--digest", "ab" * 32)
        self.worker("cid", "--profile", "vendor-1")
        self.worker("dan", "--profile", "exact-other")
        self.assert_not_enough(self.required())

    def test_without_a_free_slot_for_the_second_it_waits_then_is_refused(self):
        self.worker("ann", "--slots", 1)
        busy = self.worker("bob", "--slots", 1, "--model", "demo", "--events-per-second", 10)
        taken = [self.question(seed=1)]
        if not busy.of("job"):
            taken.append(self.question(seed=2))
        busy.wait("job")
        self.assert_not_enough(self.required())
        for answer in taken:
            self.assert_whole(answer)


class Hanging(RequiredCase):
    settings = {**RequiredCase.settings, "progress_timeout_ms": 5000}

    def test_a_worker_that_hangs_is_replaced(self):
        expected = self.undisturbed()
        self.worker("ann", "--behave", "answer-then-hang", "--events-per-second", 200)
        self.worker("bob", "--events-per-second", 200)
        answer = self.required()
        answer.wait_for_text(1)
        self.worker("cid")
        self.assert_right(answer, expected)


class Undecided(RequiredCase):
    """A site of its own: what stays in dispute is checked later, by whoever is there, and puts it into quarantine."""

    settings = {**RequiredCase.settings, **SOON}

    def test_a_difference_that_nobody_can_judge_gives_no_answer(self):
        self.worker("ann")
        liar = self.worker("bob", "--behave", "different-text")
        self.assert_broken_off(self.required(), "not_enough_workers")
        eventually("one of them is suspected", lambda: self.standing(liar) == "quarantined")
        self.worker("cid")  # the dispute is settled as soon as somebody can
        eventually("it is convicted", lambda: self.standing(liar) == "convicted")


class AllDiffer(RequiredCase):
    """A site of its own for one question: who answered it may be in quarantine before the next comes."""

    def test_three_that_all_say_something_else_give_no_answer(self):
        for owner in ["ann", "bob", "cid"]:
            self.worker(owner, "--behave", "different-text")
        self.assert_broken_off(self.required(), "answer_differs")


class AllDifferWhole(RequiredCase):
    def test_three_that_all_say_something_else_give_no_answer(self):
        for owner in ["ann", "bob", "cid"]:
            self.worker(owner, "--behave", "different-text")
        answer = self.required(stream=False).finish()
        self.assertEqual(answer.status, 502)
        self.assertEqual(answer.error["code"], "answer_differs")


class Referee(RequiredCase):
    def test_a_referee_judges_whoever_owns_it(self):
        expected = self.undisturbed()
        self.worker("ann")
        liar = self.worker("liar", "--behave", "different-text")
        answer = self.required()
        liar.wait("done")
        referee = self.worker("ann", referee=True)
        self.assert_right(answer, expected)
        self.assertEqual(len(referee.of("done")), 1)


class Proved(RequiredCase):
    settings = {**RequiredCase.settings, "check_delay_ms": 0, "model_grace_ms": 600000}

    def proved(self, **members):
        return self.question(headers=PROVED, **{**SEED, **members})

    def test_nothing_goes_out_before_another_worker_agreed(self):
        expected = self.undisturbed()
        for stream in [True, False]:
            first = self.worker("ann")
            answer = self.proved(stream=stream)
            first.wait("done")
            eventually("it is held", lambda: not stream or b": held back" in answer.raw)
            self.assertEqual(answer.text, "")
            second = self.worker("bob")
            self.assert_right(answer, expected)
            self.assertEqual(len(second.of("scored")), 1)
            first.stop()
            second.stop()
            eventually("they have gone", lambda: self.metric("workers_connected") == self.workers_before)

    def test_a_wrong_answer_is_computed_again_elsewhere(self):
        expected = self.undisturbed()
        for stream in [True, False]:
            workers = [self.worker("ann"), self.worker("bob")]
            liar = self.worker("liar", "--behave", "different-text")
            while not liar.of("done"):
                self.assert_right(self.proved(stream=stream), expected)
            eventually("it is convicted", lambda: self.standing(liar) == "convicted")
            for worker in [*workers, liar]:
                worker.stop()
            eventually("they have gone", lambda: self.metric("workers_connected") == self.workers_before)

    def test_an_inexact_model_can_t_be_proved(self):
        self.worker("ann", "--profile", "vendor-1")
        self.worker("bob", "--profile", "vendor-1")
        answer = self.proved(stream=False).finish()
        self.assertEqual((answer.status, answer.error["code"]), (503, "not_provable"))

    def test_a_client_that_leaves_while_it_is_held_is_forgotten(self):
        first = self.worker("ann")
        answer = self.proved()
        first.wait("done")
        eventually("it is held", lambda: self.metric("jobs_running") == 0)
        answer.leave()
        self.worker("bob").wait("scored")


class Unproved(RequiredCase):
    settings = {**RequiredCase.settings, **SOON, "check_delay_ms": 0, "job_deadline_ms": 6000}

    def test_with_nobody_to_prove_it_nothing_is_given_out(self):
        self.worker("ann")
        answers = {stream: self.question(headers=PROVED, stream=stream, **SEED) for stream in [True, False]}
        self.assert_broken_off(answers[True], "not_proved")
        self.assertEqual(answers[False].finish().status, 503)
        self.assertEqual(answers[False].error["code"], "not_proved")
        for answer in answers.values():
            self.assertNotIn(b'"content":"', answer.raw)


class Tiers(RequiredCase):
    """What a worker's tier asks for counts as if the client had asked for it."""

    settings = RequiredCase.settings | SOON | {"verify": "off", "verify_tiers": "laptop=required, lab=proved"}

    def test_an_answer_of_a_tier_that_asks_for_two_is_computed_by_two(self):
        expected = self.undisturbed()
        laptops = [self.worker(owner, tiers="laptop") for owner in ("ann", "bob")]
        for stream in (True, False):
            self.assert_right(self.question(stream=stream, **SEED), expected)
        for laptop in laptops:
            self.assertGreaterEqual(len(laptop.of("done")), 2)
        self.assertIn("laptop", {worker["tiers"] for worker in self.site.admin("worker", "list")["workers"]})

    def test_what_a_cheat_of_such_a_tier_says_never_goes_out(self):
        expected = self.undisturbed()
        self.worker("mallory", "--behave", "different-text", tiers="elsewhere, laptop")
        for owner in ("ann", "bob"):
            self.worker(owner, tiers="laptop")
        for _ in range(4):
            self.assert_right(self.question(**SEED), expected)

    def test_one_of_such_a_tier_alone_gives_no_answer(self):
        self.worker("ann", tiers="laptop")
        for stream in (True, False):
            self.assert_not_enough(self.question(stream=stream, **SEED))

    def test_a_tier_that_wants_proof_has_its_answers_held_back(self):
        expected = self.undisturbed()
        self.worker("ann", tiers="lab")
        self.worker("bob", tiers="lab")
        answer = self.question(**SEED)
        self.assert_right(answer, expected)
        self.assertEqual(len(self.site.admin("verification", "list")["verifications"]), 1)


class ProvedAlone(RequiredCase):
    settings = {**RequiredCase.settings, "check_delay_ms": 0, "model_grace_ms": 500}

    def test_who_has_one_worker_only_is_told_soon(self):
        """Not when the answer's ten minutes are over."""
        self.worker("ann")
        answer = self.question(headers=PROVED, stream=False, **SEED).finish()
        self.assertEqual((answer.status, answer.error["code"]), (503, "not_proved"))
        self.assertIn("another owner", answer.error["message"])


if __name__ == "__main__":
    tap.main()
