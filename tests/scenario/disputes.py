"""Disputes that nobody can settle: what a small site sees of them, what humans decide, and what follows from that; and what a
convicted worker's earlier checks are worth."""

import sqlite3
import threading

import tap
from fleet import eventually
from proof import CheatCase

SETTINGS = {"check_delay_ms": 0, "verify": "every", "dispute_wait_ms": 500, "queue_deadline_ms": 2000}


class DisputeCase(CheatCase):
    settings = SETTINGS

    def open_disputes(self):
        return self.site.admin("verification", "list", "--open")["verifications"]

    def dispute(self, **referees):
        """Two workers alone that differ, until it is for a human: the cheat, the honest one, the answer, the dispute."""
        before = {one["id"] for one in self.open_disputes()}
        self.cheat = self.fake("--behave", "different-text", **referees)
        answer = self.caught()
        honest = self.fake()
        self.eventually_state(answer, "open")
        opened = [one for one in self.open_disputes() if one["id"] not in before]
        self.assertEqual([one["job"] for one in opened], [answer.job])
        return honest, answer, opened[0]["id"]

    def decide(self, dispute, guilty, reason="looked at both machines", check=True):
        return self.site.cellule("admin", "verification", "decide", "--guilty", guilty, "--reason", reason, dispute,
                                 key=self.site.admin_key, check=check)

    def state_of(self, worker):
        return self.standings(worker)[0]["state"]

    def clear_away(self, *workers):
        """So that what is left of a test doesn't count in the next."""
        for worker in workers:
            if self.state_of(worker) == "quarantined":
                self.site.admin("worker", "clear", self.enrolled(worker)[0]["id"])


class Decisions(DisputeCase):
    def test_a_human_convicts_the_worker_and_the_evidence_says_so(self):
        honest, answer, dispute = self.dispute()
        shown = self.site.admin("verification", "show", dispute)
        self.assertEqual((shown["state"], shown["job"], shown["worker"]),
                         ("open", answer.job, self.enrolled(self.cheat)[0]["id"]))
        before = self.metric("verify_open")
        self.decide(dispute, "worker", "its disk held \"another\" model")
        self.convicted(self.cheat)
        self.assertEqual(self.verification_of(answer), "worker_wrong")
        self.settled(honest)
        self.assertEqual(self.metric("verify_open"), before - 1)
        self.assert_evidence_holds(self.cheat, answer.job)
        pool_id = self.ask("GET", "/v1/pool").json["pool_id"]
        said = self.site.cellule("verify", "evidence", "--pool-id", pool_id, self.folder / "evidence.json").stdout
        self.assertIn("a human of the pool decided", said)
        self.assertIn("its disk held \"another\" model", said)
        said = self.site.cellule("admin", "verification", "wrong", key=self.site.admin_key).stdout
        self.assertRegex(said, f"(?m)^[0-9]+ +{answer.job} {self.enrolled(self.cheat)[0]['id']} 2[0-9-]+ +-$")
        told, = self.answered()
        self.assertIn(answer.job, told.headers["x-cellule-notice"])
        again = self.decide(dispute, "verifier", check=False)
        self.assertEqual(again.returncode, 1)
        self.assertIn("worker_wrong", again.stderr)
        self.settled(honest)

    def test_a_human_convicts_the_verifier(self):
        honest, answer, dispute = self.dispute()
        self.decide(dispute, "verifier")
        self.convicted(honest)
        self.assertEqual(self.verification_of(answer), "verifier_wrong")
        self.settled(self.cheat)
        self.assert_evidence_holds(honest, answer.job)

    def test_where_nobody_is_guilty_both_serve_again_and_nobody_is_told(self):
        honest, answer, dispute = self.dispute()
        wrong = len(self.site.admin("verification", "wrong")["notices"])
        self.decide(dispute, "nobody")
        self.assertEqual(self.verification_of(answer), "given_up")
        self.settled(self.cheat, honest)
        self.assertEqual(len(self.site.admin("verification", "wrong")["notices"]), wrong)

    def test_what_is_not_open_or_not_there_is_refused(self):
        one, two = self.fake(), self.fake()
        answer, = self.answered()
        self.eventually_state(answer, "agreed")
        check = next(check for check in self.site.admin("verification", "list")["verifications"]
                     if check["job"] == answer.job)
        refused = self.decide(check["id"], "worker", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("agreed", refused.stderr)
        for path, body, status in (
                (f"{check['id']}/judge", {}, 409),
                ("0" * 32 + "/decide", {"guilty": "worker", "reason": "x"}, 404),
                ("xyz/decide", {"guilty": "worker", "reason": "x"}, 404),
                (f"{check['id']}/decide", {"guilty": "everybody", "reason": "x"}, 400),
                (f"{check['id']}/decide", {"guilty": "worker"}, 400),
                (f"{check['id']}/decide", {"guilty": "worker", "reason": ""}, 400),
                (f"{check['id']}/decide", {"guilty": "worker", "reason": "x" * 257}, 400),
                (f"{check['id']}/decide", {"guilty": "worker", "reason": "a\0b"}, 400)):
            refused = self.ask("POST", f"/v1/admin/verifications/{path}", body, self.site.admin_key)
            self.assertEqual(refused.status, status, (path, body, refused.body))
        refused = self.ask("POST", f"/v1/admin/verifications/{check['id']}/decide",
                           {"guilty": "worker", "reason": "x"}, self.site.user_key)
        self.assertEqual(refused.status, 403)
        self.settled(one, two)

    def test_of_two_decisions_at_once_one_counts(self):
        honest, answer, dispute = self.dispute()

        done = []
        threads = [threading.Thread(target=lambda guilty=guilty: done.append(self.decide(dispute, guilty, check=False)
                                                                             .returncode))
                   for guilty in ("worker", "nobody", "worker", "nobody")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(done), [0, 1, 1, 1])
        self.assertIn(self.verification_of(answer), ("worker_wrong", "given_up"))
        self.settled(honest)

    def test_a_human_decides_after_a_restart_and_about_one_who_left(self):
        honest, answer, dispute = self.dispute()
        self.cheat.stop()
        self.site.pool.stop()
        self.site.start_pool()
        self.assertEqual(self.metric("verify_open"), 1)
        self.decide(dispute, "worker")
        self.assertEqual(self.state_of(self.cheat), "convicted")
        again = self.fake_again(self.cheat.name)
        self.assertEqual(again.wait("refused")["text"], "revoked")
        self.settled(honest)
        self.assertEqual(self.verification_of(answer), "worker_wrong")


class SmallSite(DisputeCase):
    def test_two_workers_in_a_dispute_say_so_loudly_until_a_referee_has_judged(self):
        honest, answer, dispute = self.dispute()
        self.assertEqual({self.state_of(worker) for worker in (self.cheat, honest)}, {"quarantined"})
        status = self.site.admin("status")
        self.assertEqual((status["disputes_open"], status["workers_quarantined"]), (1, 2))
        said = self.site.cellule("admin", "status", key=self.site.admin_key).stdout
        self.assertIn("admin verification list --open", said)
        self.assertIn("enrol a referee", self.pool_log())
        refused = self.question("hello", stream=False).finish()
        self.assertEqual((refused.status, refused.error["code"]), (503, "workers_in_quarantine"), refused.raw)
        refused = self.question("hello", stream=False, headers=["X-Cellule-Verify: required"]).finish()
        self.assertEqual((refused.status, refused.error["code"]), (503, "not_enough_workers"), refused.raw)
        self.assertIn("out of service", refused.error["message"])
        self.fake(referee=True)
        self.site.admin("verification", "judge", dispute)
        self.eventually_state(answer, "worker_wrong")
        self.convicted(self.cheat)
        self.settled(honest)
        self.assertEqual(self.metric("verify_open"), 0)

    def test_a_worker_cleared_meanwhile_is_judged_all_the_same(self):
        honest, answer, dispute = self.dispute()
        for worker in (self.cheat, honest):
            self.site.admin("worker", "clear", self.enrolled(worker)[0]["id"])
            self.assertEqual(self.state_of(worker), "new")
        self.decide(dispute, "worker")
        self.convicted(self.cheat)
        self.assertEqual(self.verification_of(answer), "worker_wrong")
        self.assertEqual(self.state_of(honest), "new")
        self.assertNotIn("could not be moved", self.pool_log())


class Doubt(DisputeCase):
    settings = {**SETTINGS, "dispute_wait_ms": 600000}  # the referee may take its time

    def test_what_a_convicted_verifier_agreed_to_is_doubtful(self):
        worker, friend = self.fake(), self.fake("--checks", "wrong-expected", "--share", 0)
        answers = self.answered(4)
        for answer in answers:
            self.eventually_state(answer, "agreed")
        by_friend = {check["job"] for check in self.site.admin("verification", "list")["verifications"]
                     if check.get("verifier") == self.enrolled(friend)[0]["id"]}
        vouched = [answer for answer in answers if answer.job in by_friend]
        self.assertTrue(vouched)
        for one in (worker, friend):
            one.stop()
        wrong = len(self.site.admin("verification", "wrong")["notices"])
        self.cheat = self.fake_again(friend.name, "--behave", "different-text")
        self.cheat.wait("serving")
        self.caught()
        self.fake_again(worker.name)
        self.fake(referee=True)
        self.convicted(self.cheat)
        for answer in vouched:
            self.assertEqual(self.verification_of(answer), "doubtful")
        listed = {check["job"]: check["doubtful"] for check in
                  self.site.admin("verification", "list")["verifications"]}
        self.assertTrue(all(listed[answer.job] for answer in vouched))
        self.settled(worker)
        told = {notice["job"] for notice in self.site.admin("verification", "wrong")["notices"][wrong:]}
        self.assertFalse(told & by_friend)
        self.site.admin("worker", "clear", self.enrolled(self.cheat)[0]["id"])
        self.assertEqual(self.verification_of(vouched[0]), "agreed")


class Cleared(DisputeCase):
    settings = SETTINGS | {"verify": "spot", "verify_floor": 1}

    def test_what_a_cleared_worker_answered_before_convicts_it_no_more(self):
        worker = self.fake()
        self.answered(20)
        verifier = self.fake()
        self.idle()
        for one in (worker, verifier):
            one.stop()
        self.cheat = self.fake_again(worker.name, "--behave", "different-text")
        self.cheat.wait("serving")
        for _ in range(50):
            kept, = self.answered()
            if self.verification_of(kept) == "none":
                break
        asked = self.question("certainly checked", headers=["X-Cellule-Verify: every"])
        self.assert_whole(asked)
        honest = self.fake_again(verifier.name)
        eventually("a dispute is open", self.open_disputes)  # or of one that was drawn before; then no other is checked
        honest.stop()
        for dispute in self.open_disputes():
            self.decide(dispute["id"], "worker")
        self.assertEqual(self.state_of(self.cheat), "convicted")
        self.eventually_state(kept, "waiting")
        self.site.admin("worker", "clear", self.enrolled(self.cheat)[0]["id"])
        self.fake_again(verifier.name)
        eventually("a dispute is open again", self.open_disputes)
        self.fake(referee=True)
        for dispute in self.open_disputes():
            self.site.admin("verification", "judge", dispute["id"])
        self.eventually_state(kept, "worker_wrong")
        self.assertEqual(self.state_of(self.cheat), "new")
        self.assertNotEqual(self.enrolled(self.cheat)[0]["state"], "revoked")
        eventually("who asked is told of it all the same", lambda: kept.job in
                   {notice["job"] for notice in self.site.admin("verification", "wrong")["notices"]})
        self.idle()
        self.fake_again(self.cheat.name, "--behave", "different-text").wait("serving")
        self.caught()  # the others had their turns
        self.convicted(self.cheat)


class Notices(DisputeCase):
    def test_one_who_never_asks_again_keeps_nobody_else_from_being_told(self):
        honest, answer, dispute = self.dispute()
        self.site.admin("user", "add", "gone", "--role", "employee")
        users = {user["name"]: user["id"] for user in self.site.admin("user", "list")["users"]}
        self.site.admin("user", "disable", "gone")
        worker = bytes.fromhex(self.enrolled(self.cheat)[0]["id"])
        self.site.pool.stop()
        database = sqlite3.connect(self.folder / "pool.db")
        with database:
            database.executemany(
                "INSERT INTO notices (user_id, job_id, worker_id, text, created_ms) VALUES (?, ?, ?, 'wrong', 1)",
                ((users["gone"], i.to_bytes(16, "big"), worker) for i in range(1, 12001)))
        database.close()
        self.site.start_pool()
        honest.wait("connected", 2)
        self.decide(dispute, "worker")
        self.settled(honest)
        eventually("who asked is told",
                   lambda: answer.job in self.answered()[0].headers.get("x-cellule-notice", ""))


if __name__ == "__main__":
    tap.main()
