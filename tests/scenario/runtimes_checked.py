"""Runtimes are compared with each other: a site whose every answer is checked learns how alike honest ones are, keeps that
over a restart, and a worker whose runtime then has another model goes into quarantine, never further."""

import hashlib

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


class CheckedRuntimes(FleetCase):
    settings = {"verify": "every", "check_delay_ms": 0, "honeytoken_every": 0}

    def start(self, index):
        runtime = RuntimeServer(answer=model("good"))
        self.addCleanup(runtime.stop)
        before = self.metric("workers_connected")
        worker = self.site.start_worker(index, "--runtime", runtime.url, "--model", "tiny", "--slots", "8")
        self.addCleanup(self.site.workers.remove, worker)
        self.addCleanup(worker.stop)
        eventually("the worker is connected", lambda: self.metric("workers_connected") > before)
        return runtime

    def standings(self):
        """{owner: state}"""
        listed = self.ask("GET", "/v1/admin/standings", key=self.site.admin_key).json["standings"]
        return {one["owner"]: one["state"] for one in listed}

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
        runtimes = [self.start(index) for index in range(4)]
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

    def test_what_a_runtime_can_t_give_is_refused_and_not_given_without_it(self):
        for index in range(2):
            self.start(index)
        body = {"model": "tiny", "messages": [{"role": "user", "content": "Is it proved?"}], "max_tokens": 8}
        for mode, status in (("spot", 200), ("every", 200), ("proved", 503), ("required", 503)):
            with self.subTest(mode):
                answer = self.ask("POST", "/v1/chat/completions", body, self.site.user_key, [f"X-Cellule-Verify: {mode}"])
                self.assertEqual(answer.status, status, answer.body)
                self.assertEqual("choices" in answer.json, status == 200)


if __name__ == "__main__":
    tap.main()
