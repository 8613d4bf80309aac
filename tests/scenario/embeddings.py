"""Embeddings over real processes: a real worker whose vectors are the engine's own to the last bit, and fake ones that
break the rules, leave, or keep silent. Run as embeddings.py BINARY TOP FAKE_WORKER MAKE_MODELS."""

import base64
import hashlib
import json
import pathlib
import signal
import struct
import subprocess
import sys

import tap
from fleet import FleetCase, Question, eventually
from wire import BINARY, Connection, request, trust

TOP, MAKE_MODELS = sys.argv[2], sys.argv[4]
TEXTS = ["A worker lends its machine.", "Ein Rechner rechnet.", "x", "plain words " * 20]
PIPE_EMBED, PIPE_READY, PIPE_LOADING, PIPE_EMBEDDED = 5, 16, 17, 23
DIMENSION = 6


def floats(data, order):
    return list(struct.unpack(f"{order}{len(data) // 4}f", data))


def bits(values):
    return struct.pack(f"<{len(values)}f", *values)


class Engine:
    """`cellule engine` itself, asked over its pipe."""

    def __init__(self, model):
        self.child = subprocess.Popen([BINARY, "engine", "--model", model], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        while self.frame()[0] != PIPE_READY:
            pass

    def frame(self):
        length = struct.unpack(">I", self.child.stdout.read(4))[0]
        data = self.child.stdout.read(length)
        return data[0], data[1:]

    def embed(self, text):
        """The vector and the number of tokens."""
        body = bytes([PIPE_EMBED]) + bytes(16) + struct.pack(">I", len(text.encode())) + text.encode()
        self.child.stdin.write(struct.pack(">I", len(body)) + body)
        self.child.stdin.flush()
        kind, data = self.frame()
        assert kind == PIPE_EMBEDDED, (kind, data)
        tokens, count = struct.unpack(">I", data[16:20])[0], struct.unpack(">I", data[28:32])[0]
        values = floats(data[32:], ">")
        assert len(values) == count
        return values, tokens

    def stop(self):
        self.child.stdin.close()
        self.child.stdout.close()
        self.child.wait()


class Embedding(Question):
    """A request for embeddings, read as it comes."""

    def __init__(self, site, texts, model="demo", key=None, headers=(), **members):
        body = {"model": model, "input": texts, **members}
        self.socket = Connection(site.address, trust(site.ca_file)).socket
        self.raw = b""
        self.socket.sendall(request("POST", "/v1/embeddings", body, key or site.user_key,
                                    ["Connection: close", *headers]))
        self.go_on()

    @property
    def vectors(self):
        return [entry["embedding"] for entry in self.json["data"]]


def fake_vector(text, dimension=DIMENSION):
    """What tests/support/fake_worker/embed.c makes of a text."""
    digests = (hashlib.sha256(f"{i} {text}".encode()).digest() for i in range(dimension))
    return [((digest[0] << 16 | digest[1] << 8 | digest[2]) - 8388608) / 8388608 for digest in digests]


class EmbeddingCase(FleetCase):
    def embed(self, *arguments, **members):
        asked = Embedding(self.site, *arguments, **members)
        self.addCleanup(asked.leave)
        return asked

    def embedder(self, *options, **more):
        return self.fake("--dimension", DIMENSION, *options, **more)

    def assert_vectors(self, asked, texts):
        self.assertEqual(asked.finish().status, 200, asked.raw[:600])
        self.assertTrue(asked.complete)
        self.assertEqual([bits(vector) for vector in asked.vectors], [bits(fake_vector(text)) for text in texts])
        self.assertEqual([entry["index"] for entry in asked.json["data"]], list(range(len(texts))))

    def assert_error(self, asked, status, code=None, param=None):
        asked.finish()
        self.assertEqual(asked.status, status, asked.raw[:600])
        self.assertTrue(asked.complete)
        if code is not None:
            self.assertEqual(asked.error["code"], code)
        if param is not None:
            self.assertEqual(asked.error["param"], param)
        self.assertTrue(asked.error["message"])


class RealWorker(EmbeddingCase):
    """With an encoder of the tests' own."""

    @classmethod
    def prepare(cls):
        made = subprocess.run([MAKE_MODELS, cls.site.folder, "-", "bert"], check=True, capture_output=True, text=True)
        cls.site.model = pathlib.Path(made.stdout.strip().split("\t")[1])

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.site.start_worker(0, "--name", "words", "--slots", "2")
        cls.site.wait_for("the worker is connected", lambda: cls.site.connected_workers() == 1,
                          [cls.site.pool, *cls.site.workers])
        cls.engine = Engine(cls.site.model)
        cls.addClassCleanup(cls.engine.stop)

    def assert_of_the_engine(self, vectors, texts):
        for vector, text in zip(vectors, texts, strict=True):
            self.assertEqual(bits(vector), bits(self.engine.embed(text)[0]), text[:30])

    def test_vectors_are_the_engine_s_own_to_the_last_bit(self):
        asked = self.embed(TEXTS, model="words").finish()
        self.assertEqual(asked.status, 200, asked.raw)
        self.assertEqual((asked.json["object"], asked.json["model"]), ("list", "words"))
        self.assertEqual([entry["object"] for entry in asked.json["data"]], ["embedding"] * len(TEXTS))
        self.assert_of_the_engine(asked.vectors, TEXTS)
        tokens = sum(self.engine.embed(text)[1] for text in TEXTS)
        self.assertEqual(asked.json["usage"], {"prompt_tokens": tokens, "total_tokens": tokens})

    def test_as_base64_they_are_the_same_bits(self):
        asked = self.embed(TEXTS, model="words", encoding_format="base64").finish()
        self.assertEqual(asked.status, 200, asked.raw)
        self.assert_of_the_engine([floats(base64.b64decode(text, validate=True), "<") for text in asked.vectors],
                                  TEXTS)

    def test_one_text_is_enough(self):
        asked = self.embed("just one", model="words").finish()
        self.assert_of_the_engine(asked.vectors, ["just one"])

    def test_many_texts_go_over_several_jobs_and_come_back_in_order(self):
        texts = [f"text number {n}" for n in range(50)]
        asked = self.embed(texts, model="words").finish()
        self.assertEqual([entry["index"] for entry in asked.json["data"]], list(range(50)))
        self.assert_of_the_engine(asked.vectors, texts)

    def test_a_text_longer_than_the_model_s_context_is_the_client_s_fault(self):
        self.assert_error(self.embed(["short", "z" * 20000], model="words"), 400, "bad_input")

    def test_an_encoder_is_listed_and_answers_no_question(self):
        listed = self.ask("GET", "/v1/models", key=self.site.user_key).json["data"]
        self.assertEqual([(model["id"], model["kinds"]) for model in listed], [("words", ["embed"])])
        self.assertEqual(self.ask("GET", "/v1/models/words", key=self.site.user_key).json["kinds"], ["embed"])
        asked = self.question(model="words", stream=False).finish()
        self.assertEqual((asked.status, asked.error["code"]), (400, "model_embeds"))


class Requests(EmbeddingCase):
    def test_what_can_not_be_done_is_refused_by_name(self):
        self.embedder()
        for param, members in [("input", {"texts": []}), ("input", {"texts": ""}), ("input", {"texts": [1, 2]}),
                               ("input", {"texts": [[1], [2]]}), ("input", {"texts": ["a"] * 257}),
                               ("input", {"texts": "a" * 32769}), ("dimensions", {"dimensions": 3}),
                               ("encoding_format", {"encoding_format": "int8"})]:
            with self.subTest(param):
                self.assert_error(self.embed(members.pop("texts", "a"), **members), 400, param=param)

    def test_models_that_do_not_embed_or_do_not_exist_are_named(self):
        self.fake("--model", "speaks")
        self.assert_error(self.embed("a", model="speaks"), 400, "model_generates", "model")
        self.assert_error(self.embed("a", model="none"), 404, "model_not_found", "model")
        self.assert_error(self.embed("a", model="n" * 300), 404, "model_not_found", "model")

    def test_a_model_can_do_both_on_the_same_slots(self):
        worker = self.embedder("--both", "--slots", 1)
        listed = self.ask("GET", "/v1/models", key=self.site.user_key).json["data"]
        self.assertEqual([model["kinds"] for model in listed], [["generate", "embed"]])
        self.assert_vectors(self.embed(TEXTS), TEXTS)
        self.assert_whole(self.question())
        self.assertEqual((len(worker.of("embed")), len(worker.of("job"))), (1, 1))

    def test_of_two_workers_with_one_model_each_gets_the_kind_that_it_does(self):
        generates = self.fake()
        embeds = self.embedder()
        for _ in range(3):
            self.assert_vectors(self.embed("a"), ["a"])
            self.assert_whole(self.question())
        self.assertEqual((len(embeds.of("embed")), len(embeds.of("job"))), (3, 0))
        self.assertEqual((len(generates.of("embed")), len(generates.of("job"))), (0, 3))

    def test_vectors_of_two_files_do_not_come_in_one_answer(self):
        for digest in ("ab", "cd"):
            self.embedder("--model", "twofold", "--digest", digest * 32, "--slots", 1)
        self.assert_error(self.embed([f"text {n}" for n in range(64)], model="twofold"), 502, "models_differ")
        self.assertEqual(self.embed("a", model="twofold").finish().status, 200)

    def test_the_command_line_asks_a_model_that_answers(self):
        for name in ("a1", "b2", "c3"):
            self.embedder("--model", name)
        self.fake("--model", "speaks")
        self.assertTrue(self.site.cellule("ask", "What is Cellule?", key=self.site.user_key).stdout)

    def test_without_a_key_there_are_none(self):
        self.assert_error(self.embed("a", key="ck_none"), 401, "invalid_api_key")

    def test_where_answers_must_be_proved_there_are_none(self):
        worker = self.embedder()
        self.assert_error(self.embed("a", headers=["X-Cellule-Verify: required"]), 400, "embeddings_unchecked")
        self.assertEqual(worker.of("embed"), [])

    def test_the_most_texts_of_the_longest_vectors_come_whole(self):
        self.fake("--dimension", 8192, "--slots", 4)
        asked = self.embed([f"text {n}" for n in range(48)], encoding_format="base64").finish()
        self.assertEqual(asked.status, 200, asked.raw[:300])
        self.assertEqual({len(vector) for vector in asked.vectors}, {(8192 * 4 + 2) // 3 * 4})
        self.assertEqual(len(set(asked.vectors)), 48)


class Misbehaving(EmbeddingCase):
    def break_rule(self, behaviour, code):
        """The one that breaks the rule is chosen first: it is alone. Another takes over, silently."""
        refused = self.metric("worker_violations_total")
        bad = self.embedder("--behave", behaviour, "--once")
        asked = self.embed(["a", "b"])
        self.assertEqual(bad.wait("closed")["code"], code)
        self.embedder()
        self.assert_vectors(asked, ["a", "b"])
        self.assertEqual(self.metric("worker_violations_total"), refused + 1)

    def test_a_vector_too_few_is_a_violation(self):
        self.break_rule("fewer-vectors", 4005)

    def test_vectors_of_another_dimension_are_a_violation(self):
        self.break_rule("other-dimension", 4005)

    def test_a_value_that_is_not_finite_is_no_message(self):
        self.break_rule("not-finite", 1007)

    def test_more_tokens_than_the_texts_can_have_are_a_violation(self):
        self.break_rule("many-tokens", 4005)

    def test_a_delta_for_texts_is_a_violation(self):
        self.break_rule("answers-texts", 4005)


class Lost(EmbeddingCase):
    settings = {"first_token_timeout_ms": 3000, "model_grace_ms": 3000}

    def test_a_worker_that_is_lost_is_replaced_silently(self):
        lost = self.embedder("--behave", "cut-vectors", "--once")
        asked = self.embed(TEXTS)
        lost.wait("closed")
        self.embedder()
        self.assert_vectors(asked, TEXTS)

    def test_a_worker_that_is_killed_is_replaced_silently(self):
        lost = self.embedder("--behave", "never-answer")
        asked = self.embed(TEXTS)
        lost.wait("embed")
        self.embedder()
        lost.signal(signal.SIGKILL)
        self.assert_vectors(asked, TEXTS)

    def test_a_worker_that_keeps_silent_is_replaced(self):
        silent = self.embedder("--behave", "never-answer")
        asked = self.embed("a")
        silent.wait("embed")
        self.embedder()
        self.assert_vectors(asked, ["a"])
        silent.wait("cancel")

    def test_with_nobody_left_it_ends_with_an_error(self):
        lost = self.embedder("--behave", "cut-vectors", "--once")
        asked = self.embed("a")
        lost.wait("closed")
        self.assert_error(asked, 503, "no_worker")

    def test_a_worker_s_refusal_is_told(self):
        self.embedder("--behave", "refuses-input")
        self.assert_error(self.embed("a"), 400, "bad_input")


class Waiting(EmbeddingCase):
    settings = {"queue_deadline_ms": 2000}

    def test_nobody_waits_in_the_queue_for_ever(self):
        busy = self.embedder("--behave", "never-answer", "--slots", 1)
        first = self.embed("a")
        busy.wait("embed")
        self.assert_error(self.embed("b"), 503, "queue_deadline")
        first.leave()


class Leaving(EmbeddingCase):
    settings = {"first_token_timeout_ms": 3600000, "queue_limit_per_user": 4, "drain_timeout_ms": 3000}

    def test_a_client_that_leaves_cancels_all_of_its_jobs(self):
        silent = self.embedder("--behave", "never-answer", "--slots", 2)
        asked = self.embed([f"text {n}" for n in range(100)])
        silent.wait("embed", count=2)
        eventually("two wait", lambda: self.metric("jobs_queued") == 2)
        asked.leave()
        silent.wait("cancel", count=2)
        eventually("no job is left", lambda: self.metric("jobs_running") + self.metric("jobs_queued") == 0)
        self.assertEqual(len(silent.of("embed")), 2)

    def test_a_full_queue_is_said_to_be_so_and_one_s_own_jobs_are_waited_for(self):
        silent = self.embedder("--behave", "never-answer", "--slots", 1)
        first = self.embed([f"text {n}" for n in range(16 * 4)])  # one runs, three wait
        silent.wait("embed")
        eventually("three wait", lambda: self.metric("jobs_queued") == 3)
        second = self.embed([f"text {n}" for n in range(16 * 4)])  # one waits, and its others for it
        eventually("four wait", lambda: self.metric("jobs_queued") == 4)
        self.assert_error(self.embed("a"), 429, "queue_full")
        for asked in (first, second):
            asked.leave()

    def test_a_revoked_key_s_request_ends_and_others_go_on(self):
        silent = self.embedder("--behave", "never-answer", "--slots", 4)
        added = self.site.admin("user", "add", "leaver", "--role", "employee")
        theirs = self.embed("a", key=added["key"])
        mine = self.embed("b")
        silent.wait("embed", count=2)
        self.assertEqual(self.admin_ask("POST", "/v1/admin/users/leaver/disable").status, 200)
        self.assert_error(theirs, 401, "key_revoked")
        silent.wait("cancel")
        self.assertEqual(self.metric("jobs_running"), 1)
        mine.leave()

    def test_a_pool_that_stops_ends_what_waits_and_lets_the_rest_end(self):
        slow = self.embedder("--slots", 1, "--behave", "never-answer")
        running = self.embed("a")
        slow.wait("embed")
        waiting = self.embed("b")
        eventually("one waits", lambda: self.metric("jobs_queued") == 1)
        self.site.pool.signal(signal.SIGTERM)
        self.assert_error(waiting, 503, "pool_stopping")
        self.assert_error(running, 503, "pool_stopping")
        self.assertEqual(self.site.pool.stop(), 0)
        self.site.start_pool()
        slow.stop()


class Policies(EmbeddingCase):
    settings = {"verify_models": "strict=required", "verify_tiers": "far=proved"}

    def test_a_model_and_a_tier_that_want_proof_give_none(self):
        strict = self.embedder("--model", "strict")
        self.assert_error(self.embed("a", model="strict"), 400, "embeddings_unchecked")
        far = self.embedder(tiers="far")
        asked = self.embed("a")
        eventually("it waits", lambda: self.metric("jobs_queued") == 1)
        near = self.embedder()
        self.assert_vectors(asked, ["a"])
        self.assertEqual((strict.of("embed"), far.of("embed")), ([], []))
        self.assertEqual(len(near.of("embed")), 1)


class Secrecy(EmbeddingCase):
    settings = {"log_level": "debug"}

    def test_no_text_is_logged_or_kept(self):
        self.embedder("--behave", "refuses-input")
        self.embedder(owner="other{}")
        secret = "a text that nobody else may read"
        for _ in range(4):
            self.embed(secret).finish()
        for path in self.site.folder.rglob("*"):
            if path.is_file() and path.suffix in (".log", ".db", ".db-wal", ".yaml"):
                self.assertNotIn(secret.encode(), path.read_bytes(), path)
        self.assertNotIn(secret, json.dumps(self.metrics()))


if __name__ == "__main__":
    tap.main()
