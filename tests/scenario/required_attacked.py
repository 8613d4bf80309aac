"""`required` against those who would spoil it: workers that lie alike, say otherwise and never sign, stall; clients that leave
at every stage; a pool that is stopped; answers of one token and of none; headers that would make less of it."""

import ssl
import time

import tap
from fleet import eventually
from required import FRAME, REQUIRED, SEED, SOON, RequiredCase
from wire import Connection, request, trust


class Liars(RequiredCase):
    def test_two_that_lie_alike_are_found_by_the_checks_of_what_they_agreed_on(self):
        expected = self.undisturbed()
        liars = [self.worker(owner, "--behave", "different-text", "--noise", 7, "--checks", "own") for owner in ["ann", "bob"]]
        answer = self.required()
        self.assert_whole(answer)
        self.assertNotEqual(answer.text, expected)  # nobody else was there to say so
        rows = self.site.admin("verification", "list")["verifications"]
        self.assertEqual(sorted((row["mode"], row["state"]) for row in rows),
                         [("required", "agreed"), ("spot", "waiting"), ("spot", "waiting")])
        for liar in liars:
            liar.stop()
        self.site.pool.stop()  # what was put off begins at once after a restart
        self.site.start_pool()
        for _ in range(2):
            self.worker("operator", referee=True)
        for liar in liars:
            eventually("it is convicted", lambda worker=liar: self.standing(worker) == "convicted")
        told = self.question(**SEED).finish()
        self.assertIn("x-cellule-notice", told.headers)

    def test_who_says_otherwise_and_never_signs_has_evaded(self):
        expected = self.undisturbed()
        honest = [self.worker(owner) for owner in ["cid", "dan"]]
        liar = self.worker("eve", "--behave", "first-token", "--events-per-second", 1)
        while not liar.of("cancel"):
            self.assert_right(self.required(), expected)
        self.assertEqual(liar.of("done"), [])
        identity = liar.of("connected")[0]["worker"]
        eventually("it is on its record", lambda: self.site.admin("worker", "standing", identity)["evasions"] > 0)
        for worker in honest:
            self.assertNotIn(self.standing(worker), ("quarantined", "convicted"))


class Leaving(RequiredCase):
    def test_a_client_may_leave_at_every_stage(self):
        stages = {
            "one of two has the question": [["--slots", 1, "--events-per-second", 20]] * 2,
            "both are silent": [["--behave", "never-answer"], ["--behave", "never-answer"]],
            "one is silent": [[], ["--behave", "never-answer"]],
            "they differ and there is no judge": [[], ["--behave", "first-token", "--events-per-second", 20]],
            "one has ended": [[], ["--events-per-second", 20]],
        }
        for stage, options in stages.items():
            with self.subTest(stage):
                workers = [self.worker(owner, *more) for owner, more in zip(["ann", "bob"], options)]
                taken = []
                if stage.startswith("one of two"):  # so that the second slot is never free
                    taken = [self.question(seed=1, headers=["X-Cellule-Verify: off"])]
                    eventually("one slot is taken", lambda: self.metric("slots_busy") > 0)
                for stream in [True, False]:
                    answer = self.required(stream=stream)
                    eventually("somebody has it", lambda: any(worker.of("job") for worker in workers))
                    if stage == "one has ended":
                        workers[0].wait("done")
                    answer.leave()
                    eventually("it is gone", lambda: self.metric("jobs_running") + self.metric("jobs_queued") <= len(taken))
                for answer in taken:
                    self.assert_whole(answer)
                for worker in workers:
                    worker.stop()
                eventually("they have gone", lambda: self.metric("workers_connected") == self.workers_before)


class Stalling(RequiredCase):
    settings = {**RequiredCase.settings, **SOON, "first_token_timeout_ms": 3000, "progress_timeout_ms": 3000}

    def test_who_stalls_is_replaced_and_without_another_the_wait_is_bounded(self):
        expected = self.undisturbed()
        self.worker("ann")
        for behaviour in ["never-answer", "answer-then-hang", "never-cancel"]:
            staller = self.worker("bob", "--behave", behaviour)
            answer = self.required(stream=False).finish()
            self.assertIn((answer.status, answer.error["code"]),
                          [(503, "not_enough_workers"), (503, "worker_failed"), (504, "job_deadline")], behaviour)
            third = self.worker("cid")
            self.assert_right(self.required(), expected)
            for worker in [staller, third]:
                worker.stop()
            eventually("they have gone", lambda: self.metric("workers_connected") == self.workers_before + 1)


class Crawling(RequiredCase):
    settings = {**RequiredCase.settings, "job_deadline_ms": 8000}

    def test_a_partner_that_crawls_is_cut_off_by_the_deadline(self):
        self.worker("ann")
        self.worker("bob", "--events-per-second", 5)
        answer = self.required().finish()
        self.assertEqual(answer.error["code"], "job_deadline")


class Stopping(RequiredCase):
    settings = {**RequiredCase.settings, "drain_timeout_ms": 20000}

    def test_a_pool_that_stops_lets_it_end_or_says_so(self):
        expected = self.undisturbed()
        for behaviour in ["honest", "never-answer", "different-text"]:
            workers = [self.worker("ann", "--events-per-second", 60), self.worker("bob", "--behave", behaviour)]
            answers = [self.required(), self.required(stream=False)]
            for worker in workers:
                worker.wait("job", 2)
            self.assertEqual(self.site.pool.stop(), 0)
            for answer in answers:
                answer.finish()
                if behaviour == "honest":
                    self.assertIsNone(answer.error)
                    self.assertEqual(answer.text, expected)
                else:
                    self.assertIsNotNone(answer.error, answer.raw[-300:])
                    self.assertNotIn(b"[DONE]", answer.raw)
                self.assertTrue(answer.complete)
            self.site.start_pool()
            for worker in workers:
                worker.stop()
            eventually("they have gone", lambda: self.metric("workers_connected") == 0)


class Shapes(RequiredCase):
    """Answers that are hardly there, and requests that would have less."""

    settings = {**RequiredCase.settings, **SOON}

    def test_a_worker_with_many_slots_is_not_its_own_partner(self):
        alone = self.worker("ann", "--slots", 8)
        self.assert_not_enough(self.required())
        self.assertEqual(alone.of("job"), [])

    def test_short_answers_and_their_usage(self):
        for owner in ["ann", "bob"]:
            self.worker(owner)
        for stream in [True, False]:
            for members, reason, count in [({"max_tokens": 1}, "length", 1), ({}, "stop", 130)]:
                answer = self.required(stream=stream, stream_options={"include_usage": True}, **members)
                self.assert_right(answer, answer.finish().text)
                last = answer.chunks if stream else [answer.json]
                usage = next(chunk["usage"] for chunk in last if "usage" in chunk)
                self.assertEqual(usage["completion_tokens"], count)
                self.assertEqual([choice["finish_reason"] for chunk in last for choice in chunk["choices"]
                                  if choice["finish_reason"]], [reason])
                if stream:
                    self.assertEqual(answer.events[-1], "[DONE]")
                    self.assertEqual({len(frame) for frame in self.frames(answer)[:-1]}, {FRAME})

    def test_words_it_takes_for_a_mode_and_those_it_doesn_t(self):
        for owner in ["ann", "bob"]:
            self.worker(owner)
        for value in ["", "Required", "required, off", "required ", "requiredx", "off,required", "1"]:
            answer = self.question(headers=[f"X-Cellule-Verify: {value}"], stream=False).finish()
            taken = value.strip() == "required"  # HTTP leaves white space around a value out
            self.assertEqual(answer.status, 200 if taken else 400, value)
            if not taken:
                self.assertEqual(answer.error["code"], "unknown_mode")
        for first, second in [("required", "off"), ("off", "required"), ("required", "required")]:
            answer = self.question(headers=[f"X-Cellule-Verify: {first}", f"x-cellule-verify: {second}"], stream=False).finish()
            self.assertEqual((answer.status, answer.error["code"]), (400, "unknown_mode"))


class Strict(RequiredCase):
    settings = {**RequiredCase.settings, **SOON, "verify": "required"}

    def test_a_laxer_header_changes_nothing(self):
        self.worker("ann")
        for mode in ["off", "spot", "every", "proved"]:
            self.assert_not_enough(self.question(headers=[f"X-Cellule-Verify: {mode}"], stream=False))


class Listener:
    """Asks over TLS as an onlooker sees it: (time, content type, length) of each record that comes from the pool."""

    def __init__(self, site, body):
        self.plain = Connection(site.address).socket
        self.arrives, self.leaves = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = trust(site.ca_file).wrap_bio(self.arrives, self.leaves, server_hostname=site.address.rpartition(":")[0])
        self.seen, self.unread, self.records, self.text = b"", b"", [], b""
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.exchange()
        self.exchange(receive=False)
        self.tls.write(request("POST", "/v1/chat/completions", body, site.user_key, REQUIRED))
        self.exchange(receive=False)
        self.records.clear()
        while not self.text.endswith(b"\r\n0\r\n\r\n"):
            self.exchange()
            self.decode()
        self.plain.close()

    def exchange(self, receive=True):
        if self.leaves.pending:
            self.plain.sendall(self.leaves.read())
        if receive:
            piece = self.plain.recv(65536)
            if not piece:
                raise AssertionError("the pool has closed")
            self.unread += piece
            while len(self.unread) >= 5 and len(self.unread) >= 5 + int.from_bytes(self.unread[3:5], "big"):
                length = int.from_bytes(self.unread[3:5], "big")
                self.records.append((time.monotonic(), length))
                self.unread = self.unread[5 + length:]
            self.arrives.write(piece)

    def decode(self):
        try:
            while True:
                self.text += self.tls.read(65536)
        except ssl.SSLWantReadError:
            return


class Onlooker(RequiredCase):
    """What can be seen of an answer without the key."""

    def test_records_are_of_one_size_and_tell_nothing_of_the_words(self):
        seen = {}
        for name, options in {"quick": [], "slow": ["--events-per-second", 100], "late": ["--delay-ms", 800]}.items():
            workers = [self.worker("ann", *options), self.worker("bob")]
            body = {"model": "demo", "stream": True, "messages": [{"role": "user", "content": "What is Cellule?"}], **SEED}
            listener = Listener(self.site, body)
            head, frames, end = self.told_apart(listener)
            self.assertEqual(len(set(frames)), 1, (name, frames))
            self.assertGreater(frames[0], FRAME)
            self.assertEqual(listener.text.count(b"[DONE]"), 1)
            seen[name] = (head, frames[0], end)
            if name != "quick":
                self.assertGreater(len(frames), 5)
            for worker in workers:
                worker.stop()
            eventually("they have gone", lambda: self.metric("workers_connected") == self.workers_before)
        self.assertEqual(len(set(seen.values())), 1, seen)

    def told_apart(self, listener):
        """Lengths: of the head's record, of each frame's, of the end's. Session tickets may come before the head."""
        lengths = [length for _, length in listener.records]
        end = lengths.pop()
        frames = [length for length in lengths if length > FRAME]
        head = lengths[len(lengths) - len(frames) - 1]
        self.assertEqual(lengths[-len(frames):], frames, "nothing comes between the frames")
        return head, frames, end


if __name__ == "__main__":
    tap.main()
