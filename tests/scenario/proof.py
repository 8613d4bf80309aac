"""Answers are computed again by other workers, and who is wrong is shut out: workers and verifiers that lie, go away,
refuse, forge or never answer, a pool killed between answer and check, and the way back."""

import contextlib
import signal
import sqlite3

import tap
from fleet import FleetCase, eventually


class ProofCase(FleetCase):
    settings = {"check_delay_ms": 0, "verify": "every"}

    def fake(self, *options, owner=None, **members):
        return super().fake(*options, owner=owner or f"owner{self.number}", **members)

    def standing(self, worker):
        return self.site.admin("worker", "standing", worker)

    def standings(self, worker):
        """Of all sessions of a fake worker."""
        return [self.standing(one["id"]) for one in self.enrolled(worker)]

    def enrolled(self, worker):
        ids = {event["worker"] for event in worker.of("connected")}
        return [one for one in self.site.admin("worker", "list")["workers"] if one["id"] in ids]

    def receipt_of(self, answer):
        found = self.ask("GET", f"/v1/receipts/{answer.job}", key=self.site.user_key)
        self.assertEqual(found.status, 200, found.body)
        return found.json

    def verification_of(self, answer):
        return self.receipt_of(answer)["verification"]

    def worker_of(self, answer):
        return self.receipt_of(answer)["fields"]["worker"]

    def answered(self, count=1, **members):
        """So many questions, one after the other."""
        answers = []
        for i in range(count):
            answer = self.question(f"question {i}", seed=i, **members)
            self.assert_whole(answer)
            answers.append(answer)
        return answers

    def idle(self):
        eventually("all is checked", lambda: self.metric("verify_waiting") + self.metric("verify_running") == 0)

    def eventually_state(self, answer, state):
        eventually(f"the check says {state}", lambda: self.verification_of(answer) == state)


class Agreement(ProofCase):
    def test_an_answer_is_checked_by_the_worker_of_another_owner(self):
        one, two = self.fake(), self.fake()
        answer, = self.answered()
        self.eventually_state(answer, "agreed")
        worker, verifier = (one, two) if one.of("job") else (two, one)
        self.assertEqual(len(verifier.of("scored")), 1)
        self.assertEqual(worker.of("scored"), [])
        self.assertEqual(self.standings(worker)[0]["agreed"], 1)
        self.assert_receipt_holds(answer, "question 0")
        listed = self.site.admin("verification", "list")["verifications"][0]
        self.assertEqual((listed["job"], listed["state"]), (answer.job, "agreed"))

    def test_workers_of_one_owner_do_not_check_each_other(self):
        self.fake(owner="same")
        self.fake(owner="same")
        answer, = self.answered()
        third = self.fake(owner="other")
        self.eventually_state(answer, "agreed")
        self.assertEqual(len(third.of("scored")), 1)

    def test_a_mode_that_does_not_exist_is_refused(self):
        answer = self.ask("POST", "/v1/chat/completions", self.chat_body(), self.site.user_key,
                          ["X-Cellule-Verify: always"])
        self.check_error(answer, 400, "unknown_mode", "X-Cellule-Verify")


class Longest(ProofCase):
    settings = ProofCase.settings | {"max_tokens_limit": 131072}

    def test_the_longest_answer_to_the_longest_question_is_checked(self):
        """Its check is longer than any other message may be."""
        for _ in range(2):
            self.fake("--tokens", 131072, "--reply-bytes", 1000)
        question = "q" * (1024 * 1024 - 700)
        answer = self.question(question, max_tokens=131072)
        self.assert_whole(answer)
        self.eventually_state(answer, "agreed")
        refused = self.question("q" * 1024 * 1024).finish()
        self.assertEqual(refused.status, 400)


class Spot(ProofCase):
    settings = {"check_delay_ms": 0, "verify": "off"}

    def test_a_header_only_makes_it_stricter(self):
        self.fake()
        self.fake()
        answer, = self.answered()
        self.assertEqual(self.verification_of(answer), "none")
        asked = self.ask("POST", "/v1/chat/completions", self.chat_body() | {"model": "demo"}, self.site.user_key,
                         ["X-Cellule-Verify: spot"])
        self.assertEqual(asked.status, 200)
        job = asked.headers["x-cellule-job"]
        eventually("it is checked", lambda: self.ask("GET", f"/v1/receipts/{job}", key=self.site.user_key)
                   .json["verification"] == "agreed")


class CheatCase(ProofCase):
    def convicted(self, worker):
        eventually("it is convicted", lambda: self.standings(worker)[0]["state"] == "convicted")
        worker.wait("closed", code=4002)
        self.assertEqual(self.enrolled(worker)[0]["state"], "revoked")

    def assert_evidence_holds(self, worker, job):
        """The bundle convicts, offline, for whoever trusts the pool; for others not."""
        bundle = self.folder / "evidence.json"
        self.site.cellule("admin", "worker", "evidence", self.enrolled(worker)[0]["id"], "--output", bundle,
                          key=self.site.admin_key)
        self.assertIn(job, bundle.read_text())
        pool_id = self.ask("GET", "/v1/pool").json["pool_id"]
        self.site.cellule("verify", "evidence", "--pool-id", pool_id, bundle)
        done = self.site.cellule("verify", "evidence", "--pool-id", "0" * 64, bundle, check=False)
        self.assertNotEqual(done.returncode, 0)

    def settled(self, *honest):
        for worker in honest:
            eventually("nobody honest is in quarantine",
                       lambda: self.standings(worker)[0]["state"] in ("new", "regular", "alert"))

    def caught(self, **members):
        """The cheat's answer, while nobody else is there to give one or all others had a turn since it came."""
        answer, = self.answered(**members)
        self.assertEqual(self.worker_of(answer), self.enrolled(self.cheat)[0]["id"])
        return answer

    def eventually_right(self, answer):
        seen = []

        def is_right():
            seen.append(self.verification_of(answer))
            return seen[-1] in ("agreed", "verifier_wrong")

        try:
            eventually("an honest answer is found right", is_right)
        except AssertionError as late:
            raise AssertionError(f"{late}: its check is {seen[-1]}") from late


class SpotCheats(CheatCase):
    settings = {"check_delay_ms": 0, "verify": "spot"}

    def test_a_cheat_is_convicted_by_spot_checks_too(self):
        self.cheat = self.fake("--behave", "different-text")
        answer = self.caught()
        honest = [self.fake(), self.fake()]
        self.convicted(self.cheat)
        self.eventually_state(answer, "worker_wrong")
        self.settled(*honest)

    def test_right_tokens_from_other_logits_convict(self):
        self.cheat = self.fake("--behave", "other-commitment")
        self.caught()
        honest = [self.fake(), self.fake()]
        self.convicted(self.cheat)
        self.settled(*honest)


class DisputeRestart(CheatCase):
    def test_a_dispute_waits_for_a_third_worker_over_a_kill(self):
        self.cheat = self.fake("--behave", "different-text")
        answer = self.caught()
        honest = self.fake()
        self.eventually_state(answer, "disputed")
        states = {self.standings(worker)[0]["state"] for worker in (self.cheat, honest)}
        self.assertEqual(states, {"quarantined"})
        self.site.pool.signal(signal.SIGKILL)
        self.site.pool.child.wait()
        self.site.start_pool()
        self.assertEqual({self.standings(worker)[0]["state"] for worker in (self.cheat, honest)}, {"quarantined"})
        self.cheat.wait("serving", 2)
        self.fake()
        self.eventually_state(answer, "worker_wrong")
        self.convicted(self.cheat)
        self.settled(honest)


class Disputes(CheatCase):
    def test_when_each_of_the_others_is_in_a_dispute_they_judge_each_other_s(self):
        self.cheat = self.fake("--behave", "different-text")
        answers = self.answered(2)
        honest = [self.fake("--slots", 1), self.fake("--slots", 1)]
        self.convicted(self.cheat)
        self.settled(*honest)
        for answer in answers:
            self.eventually_state(answer, "worker_wrong")


class Recheck(CheatCase):
    settings = {"check_delay_ms": 0, "verify": "spot", "verify_floor": 1}

    def test_what_a_convicted_worker_answered_lately_is_checked(self):
        """Its answers while it was trusted were kept and not checked; who asked is told of each."""
        worker = self.fake()
        self.answered(20)
        verifier = self.fake()
        self.idle()
        self.assertEqual(self.standings(worker)[0]["state"], "regular")
        for one in (worker, verifier):
            one.stop()
        self.cheat = self.fake_again(worker.name, "--behave", "different-text")
        self.cheat.wait("serving")
        wrong = self.answered(5)
        asked = self.ask("POST", "/v1/chat/completions", self.chat_body() | {"model": "demo"}, self.site.user_key,
                         ["X-Cellule-Verify: every"])
        self.assertEqual(asked.status, 200)
        self.fake_again(verifier.name).wait("serving")
        self.fake()
        self.convicted(self.cheat)
        for answer in wrong:
            self.eventually_state(answer, "worker_wrong")
        eventually("all six are put down for who asked",
                   lambda: len(self.site.admin("verification", "wrong")["notices"]) == 6)


class Cheats(CheatCase):
    def test_a_worker_that_answers_other_bits_is_convicted_and_never_asked_again(self):
        self.cheat = self.fake("--behave", "different-text")
        answer = self.caught()
        honest = [self.fake(), self.fake()]
        self.convicted(self.cheat)
        self.eventually_state(answer, "worker_wrong")
        self.settled(*honest)
        asked = len(self.cheat.of("job"))
        again = self.fake_again(self.cheat.name)
        self.assertEqual(again.wait("refused")["text"], "revoked")
        self.assert_evidence_holds(self.cheat, answer.job)
        told = self.answered()[0]
        self.assertIn(answer.job, told.headers["x-cellule-notice"])
        self.assertNotIn("x-cellule-notice", self.answered()[0].headers)
        self.assertEqual(len(self.cheat.of("job")), asked)

    def test_ask_says_which_answer_was_wrong(self):
        self.cheat = self.fake("--behave", "different-text")
        answer = self.caught()
        honest = [self.fake(), self.fake()]
        self.convicted(self.cheat)
        self.eventually_state(answer, "worker_wrong")
        self.settled(*honest)
        told = self.site.cellule("ask", "--verify", "proved", "What is Cellule?", key=self.site.user_key)
        self.assertIn("notice: ", told.stderr)
        self.assertIn(answer.job, told.stderr)
        wrong = self.site.cellule("ask", "--verify", "perhaps", "What is Cellule?", key=self.site.user_key, check=False)
        self.assertEqual(wrong.returncode, 1)
        self.assertIn("off, spot, every, proved, required", wrong.stderr)

    def test_right_tokens_in_other_words_convict_too(self):
        self.cheat = self.fake("--behave", "other-words")
        answer = self.caught()
        honest = [self.fake(), self.fake()]
        self.convicted(self.cheat)
        self.settled(*honest)
        self.assert_evidence_holds(self.cheat, answer.job)

    def test_a_false_length_of_the_prompt_convicts(self):
        self.cheat = self.fake("--behave", "other-prompt")
        answer = self.caught()
        honest = [self.fake(), self.fake()]
        self.convicted(self.cheat)
        self.settled(*honest)
        self.assert_evidence_holds(self.cheat, answer.job)

    def test_a_false_reason_for_the_end_convicts(self):
        self.cheat = self.fake("--behave", "other-finish")
        answer = self.caught(max_tokens=9)
        honest = [self.fake(), self.fake()]
        self.convicted(self.cheat)
        self.settled(*honest)
        self.assert_evidence_holds(self.cheat, answer.job)

    def test_an_answer_without_a_token_is_nobody_s(self):
        """There is nothing in it to check, and no honest worker gives one: somebody else answers."""
        honest = [self.fake(), self.fake()]
        self.answered()
        self.idle()
        silent = self.fake("--behave", "nothing")  # the only one who had no turn yet
        self.assertTrue(self.answered()[0].text)
        silent.wait("done")
        self.assertEqual(silent.wait("closed")["code"], 4005)
        self.settled(*honest)

    def test_a_verifier_that_lies_is_convicted_in_place_of_the_worker(self):
        self.liar_is_convicted("wrong-expected")

    def test_a_verifier_that_lies_about_the_prompt_is_convicted_too(self):
        self.liar_is_convicted("other-prompt")

    def liar_is_convicted(self, checks):
        honest = [self.fake()]
        answer, = self.answered()
        liar = self.fake("--checks", checks)
        liar.wait("scored")
        honest.append(self.fake())
        self.convicted(liar)
        self.settled(*honest)
        self.eventually_right(answer)

    def test_a_cleared_worker_is_asked_again(self):
        self.cheat = self.fake("--behave", "different-text")
        self.caught()
        honest = [self.fake(), self.fake()]
        self.convicted(self.cheat)
        self.settled(*honest)
        worker = self.enrolled(self.cheat)[0]["id"]
        self.site.admin("worker", "clear", worker)
        self.assertEqual(self.standing(worker)["state"], "new")
        for other in honest:
            other.stop()
        again = self.fake_again(self.cheat.name)
        again.wait("serving")
        self.answered()
        self.assertEqual(len(again.of("job")), 1)


class OneReferee(ProofCase):
    def test_workers_alone_do_not_convict_a_referee(self):
        opened = self.metric("verify_open_total")
        self.fake()
        self.answered()
        referee = self.fake("--checks", "wrong-expected", referee=True)
        referee.wait("scored")
        for _ in range(3):  # who judge
            self.fake()
        eventually("a human has to decide", lambda: self.metric("verify_open_total") > opened)
        self.assertEqual(self.standings(referee)[0]["state"], "quarantined")
        self.assertEqual(referee.of("closed"), [])


class Referees(ProofCase):
    def test_a_referee_convicts_another(self):
        honest = [self.fake()]
        self.answered()
        liar = self.fake("--checks", "wrong-expected", referee=True)
        liar.wait("scored")
        honest.append(self.fake(referee=True))
        eventually("it is convicted", lambda: self.standings(liar)[0]["state"] == "convicted")
        for other in honest:
            eventually("nobody else is out", lambda: self.standings(other)[0]["state"] in ("new", "regular", "alert"))


class Evasion(ProofCase):
    settings = ProofCase.settings | {"check_deadline_ms": 1000}

    def check_goes_elsewhere(self, behaviour):
        worker = self.fake()
        worker_id = self.enrolled(worker)[0]["id"]
        self.answered()
        bad = self.fake("--checks", behaviour)
        bad.wait("score")
        self.fake()
        self.idle()
        self.assertEqual(self.standing(worker_id)["mismatches"], 0)
        self.assertGreater(self.standings(bad)[0]["evasions"], 0)

    def test_a_verifier_that_refuses_is_left_for_another(self):
        self.check_goes_elsewhere("refuse")

    def test_a_verifier_that_says_nothing_is_left_for_another(self):
        self.check_goes_elsewhere("never")

    def test_a_verifier_that_goes_away_is_left_for_another(self):
        self.check_goes_elsewhere("leave")

    def test_a_forged_finding_ends_the_session(self):
        self.check_goes_elsewhere("forged")

    def test_the_worker_goes_away_before_its_answer_is_checked(self):
        worker = self.fake()
        answer, = self.answered()
        worker.stop()
        verifier = self.fake()
        self.eventually_state(answer, "agreed")
        verifier.wait("scored")


class Restart(ProofCase):
    def test_a_pool_killed_between_answer_and_check_checks_it_afterwards(self):
        self.fake()
        answer, = self.answered()
        self.assertEqual(self.verification_of(answer), "waiting")
        self.site.pool.signal(signal.SIGKILL)
        self.site.pool.child.wait()
        self.site.start_pool()
        verifier = self.fake()
        self.eventually_state(answer, "agreed")
        self.assertEqual(len(verifier.of("scored")), 1)


class Tiers(ProofCase):
    settings = {"check_delay_ms": 0, "verify": "off", "verify_tiers": "lent=every, leased=proved"}

    def test_a_tier_of_its_join_token_asks_for_more(self):
        worker = self.fake(tiers="office, lent")
        self.assertEqual(self.enrolled(worker)[0]["tiers"], "office, lent")
        answer = self.answered()[0]
        self.eventually_state(answer, "waiting")
        self.fake(tiers="office")
        self.eventually_state(answer, "agreed")
        worker.stop()
        eventually("it has gone", lambda: self.metric("workers_connected") == self.workers_before + 1)
        self.assertEqual(self.verification_of(self.answered()[0]), "none")


class Secrecy(ProofCase):
    SAID = "the takeover of Ostrich is off"

    def test_no_word_of_a_question_or_an_answer_is_readable_on_the_pool_s_disk(self):
        """Neither while its check waits, which has all of it, nor in what is kept of those that weren't drawn."""
        asked = "may I tell Quincy of the merger on Tuesday"
        self.fake("--says", self.SAID, owner="solo").wait("serving")  # alone, so that nobody checks it
        for mode in ("every", "spot"):
            answer = self.question(asked, headers=[f"X-Cellule-Verify: {mode}"])
            self.assert_whole(answer)
            self.assertIn(self.SAID, answer.text)
        with contextlib.closing(sqlite3.connect(self.folder / "pool.db")) as database:
            eventually("a check waits", lambda: database.execute("SELECT count(*) FROM inference_payloads").fetchone()[0] > 0)
        read = 0
        for file in self.folder.rglob("*"):
            if file.is_file():
                content = file.read_bytes()
                read += len(content)
                for word in ("Quincy", "merger", "takeover", "Ostrich"):
                    self.assertNotIn(word.encode(), content, file.name)
                    self.assertNotIn(word.encode().hex().encode(), content, file.name)
        self.assertGreater(read, 0)


class Blacklist(ProofCase):
    def test_an_owner_s_workers_are_closed_at_once_and_stay_out(self):
        bad, good = self.fake(owner="mallory"), self.fake()
        self.site.admin("worker", "blacklist", "add", "--kind", "owner", "--reason", "test", "mallory")
        self.assertEqual(bad.wait("closed")["code"], 4002)
        again = self.fake_again(bad.name)
        self.assertEqual(again.wait("refused")["text"], "revoked")
        self.assertEqual(good.of("closed"), [])
        entry = self.site.admin("worker", "blacklist", "list")["entries"][0]
        self.assertEqual((entry["kind"], entry["value"], entry["reason"]), ("owner", "mallory", "test"))
        never = self.site.cellule("admin", "worker", "blacklist", "remove", "--kind", "owner", "nobody", check=False,
                                  key=self.site.admin_key)
        self.assertEqual(never.returncode, 1)
        self.assertNotIn("taken off", self.pool_log())
        self.site.admin("worker", "blacklist", "remove", "--kind", "owner", "mallory")
        back = self.fake_again(bad.name)
        back.wait("serving")


class Honeytokens(ProofCase):
    settings = {"verify": "off", "honeytoken_every": 1, "honeytoken_delay_ms": 0}

    def test_a_marker_in_a_document_names_the_worker_that_it_was_sent_to(self):
        worker = self.fake()
        self.answered()
        eventually("it got a honeytoken", lambda: self.metric("honeytokens_sent_total") > 0)
        worker.wait("job", 2)
        self.assertEqual(self.site.admin("honeytoken", "list")["honeytokens"], [])
        database = sqlite3.connect(self.folder / "pool.db")
        self.addCleanup(database.close)
        marker, = database.execute("SELECT marker FROM honeytokens").fetchone()
        document = self.folder / "document.txt"
        document.write_text(f"found in a log: {marker.upper()}, and 6d7c1d2e-0000-4000-8000-000000000000\n")
        found = self.site.admin("honeytoken", "check", document)["honeytokens"]
        self.assertEqual([(one["marker"], one["worker"]) for one in found],
                         [(marker, self.enrolled(worker)[0]["id"])])
        self.assertEqual(len(self.site.admin("honeytoken", "list")["honeytokens"]), 1)
        document.write_text("nothing of the kind")
        clean = self.site.cellule("admin", "honeytoken", "check", document, key=self.site.admin_key)
        self.assertEqual(clean.stdout, "No marker of this pool is in it.\n")
        self.assertNotIn(marker, self.pool_log())


if __name__ == "__main__":
    tap.main()
