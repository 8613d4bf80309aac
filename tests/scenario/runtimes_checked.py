"""Runtimes are compared with each other: a site whose every answer is checked learns how alike honest ones are, keeps that
over a restart, and a worker whose runtime then has another model, or says nothing, goes into quarantine, never further. Who cheats
while the site begins doesn't make it usual where two referees teach."""

import hashlib
import os
import random

import tap
from fleet import FleetCase, eventually
from runtime_server import RuntimeServer, chunk, usage

PAIRS = 240  # more than it takes to be calibrated, and four at once


def model(name):
    """What a model called `name` says to a prompt: at temperature 0 words that depend on both, else on the seed too."""
    def answer(handler, body):
        seed = "" if body["temperature"] == 0 else str(body["seed"])
        prompt = body["messages"][-1]["content"]
        words = [hashlib.sha256(f"{name} {prompt} {seed} {i}".encode()).hexdigest()[:6] + " " for i in range(8)]
        words = words[:body["max_tokens"]]
        handler.begin()
        for word in words:
            handler.event(chunk(word))
        handler.event(chunk(finish="stop"))
        handler.event(usage(5, len(words)))
        handler.event("[DONE]")
        handler.end()
    return answer


def telling(name, error=0.0):
    """The words of `model(name)`, with logprobs that differ a little each time, and by up to `error` from the model's."""
    def answer(handler, body):
        prompt = body["messages"][-1]["content"]
        digests = [hashlib.sha256(f"{name} {prompt} {i}".encode()).digest() for i in range(8)][:body["max_tokens"]]
        handler.begin()
        for i, digest in enumerate(digests):
            word = hashlib.sha256(f"{name} {prompt}  {i}".encode()).hexdigest()[:6] + " "
            logprob = -digest[0] / 256 - error * digest[1] / 256 - random.random() / 200
            handler.event(chunk(word, logprob=logprob if body.get("logprobs") else None))
        handler.event(chunk(finish="stop"))
        handler.event(usage(5, len(digests)))
        handler.event("[DONE]")
        handler.end()
    return answer


def knows_no_logprobs(handler, body):
    """A server that refuses what it doesn't know."""
    if "logprobs" in body:
        handler.whole(400, '{"error": {"message": "unknown field: logprobs"}}')
    else:
        model("good")(handler, body)


def strange_logprobs(handler, body):
    """Words of the model, and for logprobs what can't be one."""
    prompt = body["messages"][-1]["content"]
    handler.begin()
    for i, logprob in enumerate([-0.5, 3, "-1", True, [], {}, float("nan"), -1e30]):
        word = hashlib.sha256(f"good {prompt}  {i}".encode()).hexdigest()[:6] + " "
        handler.event(chunk(word, logprob=logprob) if i != 6 else chunk(word))
    handler.event(chunk(finish="stop"))
    handler.event(usage(5, 8))
    handler.event("[DONE]")
    handler.end()


def silent(handler, body):
    """Nothing, and that this is all."""
    handler.begin()
    handler.event(chunk(role="assistant", content=None))
    handler.event(chunk(finish="stop"))
    handler.event(usage(5, 0))
    handler.event("[DONE]")
    handler.end()


def random_words(handler, body):
    """Never twice the same, whatever the temperature: it parts from itself anywhere."""
    return model(os.urandom(8).hex())(handler, body)


def only_once(handler, body):
    """Answers users, and refuses to say anything at temperature 0."""
    if body["temperature"] == 0:
        handler.whole(500, '{"error": {"message": "out of order"}}')
    else:
        model("good")(handler, body)


class RuntimeCase(FleetCase):
    settings = {"verify": "every", "check_delay_ms": 0, "honeytoken_every": 0}

    def start(self, index, answer=None, referee=False, options=()):
        runtime = RuntimeServer(answer=answer or model("good"))
        self.addCleanup(runtime.stop)
        if referee:
            token = self.site.admin("worker", "token", "--owner", f"owner{index + 1}", "--referee")["token"]
            self.site.cellule("worker", "join", token, "--state", self.site.worker_folder(index))
        before = self.metric("workers_connected")
        worker = self.site.start_worker(index, "--runtime", runtime.url, "--model", "tiny", "--slots", "8", *options)
        self.addCleanup(self.site.workers.remove, worker)
        self.addCleanup(worker.stop)
        eventually("the worker is connected", lambda: self.metric("workers_connected") > before)
        return runtime

    def all_standings(self):
        return {one["owner"]: one for one in
                self.ask("GET", "/v1/admin/standings", key=self.site.admin_key).json["standings"]}

    def standings(self):
        """{owner: state}"""
        return {owner: one["state"] for owner, one in self.all_standings().items()}

    def quarantined(self):
        return {owner for owner, state in self.standings().items() if state == "quarantined"}

    def settled(self):
        return self.metric("verify_compared_total") + self.metric("verify_uncompared_total")

    def ask_settled(self, count, temperature=0):
        """Asks, and waits until something has come of each."""
        before = self.settled()
        for number in range(0, count, 4):
            answers = [self.question(f"Settled {before} {number + i}?", model="tiny", temperature=temperature, max_tokens=20)
                       for i in range(4)]
            for answer in answers:
                answer.finish()
                self.assertEqual(answer.status, 200, answer.raw[-300:])
        eventually("all are settled", lambda: self.settled() >= before + count)

    def ask_until_quarantined(self, owners):
        for _ in range(30):
            if self.quarantined() >= owners:
                break
            self.ask_settled(8)
        self.assertEqual(self.quarantined(), owners, self.all_standings())


class CheckedRuntimes(RuntimeCase):

    def ask_many(self, runtimes, count, temperature=0):
        """Asks, and waits until what was asked again has been answered too."""
        before = sum(len(runtime.chats()) for runtime in runtimes)
        for number in range(0, count, 4):
            answers = [self.question(f"Number {temperature} {before} {number + i}?", model="tiny",
                                     temperature=temperature, max_tokens=20) for i in range(4)]
            for answer in answers:
                answer.finish()
                self.assertEqual(answer.status, 200, answer.raw[-300:])
        each = 2 if temperature == 0 else 3
        eventually("all are asked again", lambda: sum(len(runtime.chats()) for runtime in runtimes)
                   >= before + each * count or "quarantined" in self.standings().values())

    def test_a_runtime_that_has_another_model_is_quarantined_and_no_other(self):
        runtimes = [self.start(index) for index in range(5)]
        self.ask_many(runtimes, 40, temperature=0.7)
        self.ask_many(runtimes, PAIRS - 40)
        self.assertNotIn("quarantined", self.standings().values())
        eventually("all are compared", lambda: self.metric("verify_compared_total") == PAIRS)
        self.assertEqual(self.metric("verify_deviated_total"), 0)
        self.assertEqual(self.site.pool.stop(), 0, self.site.pool.last_lines())
        self.site.start_pool()
        eventually("all have come back", lambda: self.metric("workers_connected") == len(runtimes))
        runtimes[2].answer = model("cheap")
        for _ in range(20):
            if "quarantined" in self.standings().values():
                break
            self.ask_many(runtimes, 8)
        states = self.standings()
        self.assertEqual({owner for owner, state in states.items() if state == "quarantined"}, {"owner3"}, states)
        self.assertNotIn("convicted", states.values())
        asked = len(runtimes[2].chats())
        for number in range(8):
            answer = self.question(f"Afterwards {number}?", model="tiny", max_tokens=20).finish()
            self.assertEqual(answer.status, 200)
        self.assertEqual(len(runtimes[2].chats()), asked)
        runtimes[3].answer = silent
        self.ask_until_quarantined({"owner3", "owner4"})

    def test_what_a_runtime_can_t_give_is_refused_and_not_given_without_it(self):
        for index in range(2):
            self.start(index)
        body = {"model": "tiny", "messages": [{"role": "user", "content": "Is it proved?"}], "max_tokens": 8}
        for mode, status in (("spot", 200), ("every", 200), ("proved", 503), ("required", 503)):
            with self.subTest(mode):
                answer = self.ask("POST", "/v1/chat/completions", body, self.site.user_key, [f"X-Cellule-Verify: {mode}"])
                self.assertEqual(answer.status, status, answer.body)
                self.assertEqual("choices" in answer.json, status == 200)


class CheatsFromTheBeginning(RuntimeCase):
    def test_referees_teach_and_cheats_that_were_there_before_them_are_found(self):
        self.start(0, model("cheap"))
        self.start(1, random_words)
        for index in (2, 3):
            self.start(index)
        self.ask_settled(40)
        for index in (4, 5):
            self.start(index, referee=True)
        for _ in range(100):
            if "from=referees" in self.pool_log():
                break
            self.ask_settled(16)
        self.assertIn("from=referees", self.pool_log())
        self.assertEqual(self.metric("verify_runtimes_learning"), 0)
        self.ask_until_quarantined({"owner1", "owner2"})


class NobodyIsDeterministic(RuntimeCase):
    def test_runtimes_of_which_none_says_the_same_twice_put_nobody_out_of_service(self):
        for index in range(3):
            self.start(index, random_words)
        self.ask_settled(PAIRS + 60)
        self.assertEqual(self.quarantined(), set())
        self.assertEqual(self.metric("verify_deviated_total"), 0)


class NoSecondAnswer(RuntimeCase):
    def test_who_gives_no_second_answer_evades_and_nobody_else_does(self):
        self.start(0, only_once)
        for index in (1, 2):
            self.start(index)
        for _ in range(30):
            if self.all_standings().get("owner1", {}).get("evasions", 0) > 0:
                break
            self.ask_settled(8, temperature=0.7)
        standings = self.all_standings()
        self.assertGreater(standings["owner1"]["evasions"], 0, standings)
        self.assertEqual([standings[owner]["evasions"] for owner in ("owner2", "owner3")], [0, 0])
        self.assertEqual(self.quarantined(), set())


class Logprobs(RuntimeCase):
    def test_who_says_the_same_words_with_other_logprobs_or_keeps_them_back_is_found_and_nobody_else(self):
        runtimes = [self.start(index, telling("good")) for index in range(5)]
        refusing = self.start(5, knows_no_logprobs)
        strange = self.start(6, strange_logprobs)
        for _ in range(60):
            if "of=logprobs" in self.pool_log():
                break
            self.ask_settled(16)
        self.assertIn("of=logprobs", self.pool_log())
        self.assertEqual(self.quarantined(), set(), self.all_standings())
        self.assertIn("logprobs", strange.chats()[-1])
        self.assertIn("logprobs", refusing.chats()[0])
        self.assertNotIn("logprobs", refusing.chats()[-1])
        runtimes[2].answer = telling("good", error=1.0)  # the words of a better model
        self.ask_until_quarantined({"owner3"})
        runtimes[3].answer = model("good")  # in the session in which it told them
        self.ask_until_quarantined({"owner3", "owner4"})


class Flood(RuntimeCase):
    def test_answers_that_nobody_can_be_compared_with_leave_room_for_others(self):
        self.start(0, options=("--name", "alone"))
        for length in [900_000] * 75 + [90_000] * 12 + [9_000] * 12 + [900] * 12:
            answer = self.question("x" * length, model="alone", max_tokens=1, temperature=0)
            answer.finish()
            self.assertEqual(answer.status, 200, answer.raw[-300:])
        before = self.metric("verify_compared_total")
        for index in (1, 2):
            self.start(index)
        answer = self.question("y" * 2_000, model="tiny", max_tokens=1, temperature=0).finish()
        self.assertEqual(answer.status, 200)
        eventually("it is compared", lambda: self.metric("verify_compared_total") > before)


if __name__ == "__main__":
    tap.main()
