"""Answers of a real worker computed again offline, and evidence checked: `cellule verify`. verify.py BINARY TOP"""

import contextlib
import http.client
import http.server
import json
import os
import pathlib
import pty
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest

import tap
from key_chain import Key, Succession
from wire import BINARY, SiteCase

PROVED, REFUTED, UNCHECKED = 0, 1, 2
TOP = pathlib.Path(sys.argv[2]).resolve()
QUESTION = "What is a receipt?"


def run(*arguments, given=""):
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False,
                          input=given)


class Case:
    def check(self, done, status, *words):
        """A verdict: good ones on standard output, the others in one line on standard error."""
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        told, silent = (done.stdout, done.stderr) if status == PROVED else (done.stderr, done.stdout)
        self.assertEqual(silent, "")
        if status != PROVED:
            self.assertEqual(told.count("\n"), 1, told)
        for word in words:
            self.assertIn(word, told)


@contextlib.contextmanager
def somebody_between(site, context, instead):
    """Answers as the site's pool does, but with instead(path, body) where that isn't None. Yields its URL, and the paths that
    were asked for."""
    asked = []

    class Between(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            """Says nothing."""

        def pass_on(self):
            asked.append(self.path)
            question = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            host, port = site.address.rsplit(":", 1)
            pool = http.client.HTTPSConnection(host, int(port), context=context)
            with contextlib.closing(pool):
                pool.request(self.command, self.path, question, {"Authorization": self.headers["Authorization"],
                                                                 "Content-Type": "application/json"})
                answer = pool.getresponse()
                body = answer.read()
            other = instead(self.path, body)
            body = body if other is None else other
            self.send_response(answer.status)
            for name in ("Content-Type", "X-Cellule-Job"):
                if answer.getheader(name):
                    self.send_header(name, answer.getheader(name))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = pass_on

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Between)
    secured = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secured.load_cert_chain(site.folder / "server.pem", site.folder / "server.key")
    server.socket = secured.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Receipts(SiteCase, Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.receipt, cls.request = cls.site.folder / "receipt.json", cls.site.folder / "request.json"
        cls.answer = cls.site.folder / "answer.txt"
        cls.asked = cls.site.cellule("ask", "--save-receipt", cls.receipt, "--save-request", cls.request,
                                     "--max-tokens", 40, QUESTION, key=cls.site.user_key)
        cls.answer.write_text(cls.asked.stdout, newline="")  # as a shell would: with the line end that ask prints
        cls.text = cls.asked.stdout.removesuffix("\n")
        cls.fields = json.loads(cls.receipt.read_text())["fields"]

    def verify(self, *arguments, receipt=None, model=True):
        with_model = ("--model", self.site.model) if model else ()
        return run("verify", "receipt", "--pool-id", self.fields["pool"], *with_model, *arguments,
                   receipt or self.receipt)

    def edited(self, text):
        path = self.site.folder / "edited.txt"
        path.write_text(text, newline="")
        return path

    def text_after(self, count):
        """The answer's first `count` tokens."""
        if count == 0:
            return ""
        done = run("engine", "run", "--json", "--max-tokens", count, self.site.model, QUESTION)
        return json.loads(done.stdout)["text"]

    def test_what_ask_keeps_is_all_that_proves_the_answer(self):
        self.check(self.verify("--messages", self.request, "--answer", self.answer), PROVED, "proved")
        self.check(self.verify("--question", QUESTION, "--answer", self.answer), PROVED, "proved")
        self.check(self.verify("--question", QUESTION), PROVED, "proved")

    def test_ask_says_how_to_go_on(self):
        step = self.asked.stderr[self.asked.stderr.index("cellule verify"):].split()
        self.assertEqual(step[:2], ["cellule", "verify"])
        step = [str(self.site.model) if word == "M.gguf" else word for word in step[1:]]
        self.check(run(*step), PROVED, "proved")

    def test_an_edited_answer_is_refuted_at_the_token_that_was_edited(self):
        count = self.fields["completion_tokens"]
        for place in (1, 2, count // 2, count - 1):
            before, after = self.text_after(place - 1), self.text_after(place)
            if before == after:
                continue
            with self.subTest(place):
                self.assertTrue(self.text.startswith(after))
                changed = "#" if self.text[len(before)] != "#" else "+"
                path = self.edited(before + changed + self.text[len(before) + 1:])
                self.check(self.verify("--question", QUESTION, "--answer", path), REFUTED,
                           f"refuted at token {place}:", "itself is proved")
                told = json.loads(self.verify("--question", QUESTION, "--answer", path, "--json").stdout)
                self.assertEqual((told["result"], told["token"], told["receipt"]), ("refuted", place, "valid"))

    def test_a_shortened_or_lengthened_answer_is_refuted_where_it_ends(self):
        before = self.text_after(3)
        self.check(self.verify("--question", QUESTION, "--answer", self.edited(before)), REFUTED,
                   "refuted at token 4:")
        behind = self.fields["completion_tokens"] + (self.fields["finish_reason"] == "length")
        self.check(self.verify("--question", QUESTION, "--answer", self.edited(self.text + " Really.")), REFUTED,
                   f"refuted at token {behind}:")

    def test_a_terminal_is_told_how_far_it_is(self):
        pid, terminal = pty.fork()
        if pid == 0:
            os.execv(BINARY, [BINARY, "verify", "receipt", "--pool-id", self.fields["pool"], "--question", QUESTION,
                              "--model", str(self.site.model), str(self.receipt)])
        told = b""
        try:
            while part := os.read(terminal, 4096):
                told += part
        except OSError:  # the other end is closed
            pass
        os.close(terminal)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        count = self.fields["completion_tokens"]
        self.assertIn(f"\rtokens {count} of {count}", told.decode())
        self.assertTrue(told.decode().split("\x1b[K")[-1].startswith("proved"), told)

    def test_another_question_is_refuted_and_none_cannot_be_checked(self):
        self.check(self.verify("--question", QUESTION + " "), REFUTED, "another question")
        self.check(self.verify(), UNCHECKED, "cannot be checked here: ", "--question")

    def test_another_model_cannot_prove_anything(self):
        other = self.site.folder / "other.gguf"
        content = bytearray(self.site.model.read_bytes())
        content[-1] ^= 1
        other.write_bytes(content)
        for model in (other, self.site.folder / "none.gguf", self.receipt):
            with self.subTest(model):
                done = self.verify("--question", QUESTION, "--model", model, model=False)
                self.check(done, UNCHECKED, "cannot be checked here: ", str(model))
        told = self.verify("--question", QUESTION, "--model", other, "--json", model=False)
        self.assertEqual(told.returncode, UNCHECKED)
        self.assertEqual(json.loads(told.stdout)["result"], "unchecked")

    def test_a_model_that_does_not_fit_cannot_be_checked_here(self):
        self.check(self.verify("--question", QUESTION, "--context", 2), UNCHECKED, "cannot be checked here: ")

    def test_a_receipt_that_is_not_valid_is_refuted_before_anything_is_computed(self):
        spoiled = json.loads(self.receipt.read_text())
        for member in ("receipt", "worker_signature", "pool_signature", "worker_key", "pool_key"):
            with self.subTest(member):
                value = spoiled[member]
                path = self.site.folder / "spoiled.json"
                path.write_text(json.dumps({**spoiled, member: ("B" if value[0] != "B" else "C") + value[1:]}))
                self.check(self.verify("--question", QUESTION, receipt=path), REFUTED, "refuted: ")

    def test_what_is_no_receipt_at_all_accuses_nobody(self):
        whole = self.receipt.read_text()
        path = self.site.folder / "nothing.json"
        for content in ("", "{}", "[]", "Not found", whole[:len(whole) // 2], whole[:-3], whole.replace("cellule.receipt", "x")):
            path.write_text(content)
            self.check(self.verify(receipt=path, model=False), UNCHECKED, "cannot be checked here: ", str(path))
        told = self.verify("--json", receipt=path, model=False)
        self.assertEqual(json.loads(told.stdout)["result"], "unchecked")

    def test_a_receipt_may_come_through_a_pipe(self):
        self.check(run("verify", "receipt", "--pool-id", self.fields["pool"], "-", given=self.receipt.read_text()), PROVED,
                   "receipt: valid")

    def test_a_receipt_of_a_later_key_is_checked_with_the_keys_that_lead_to_it(self):
        receipt, finished = json.loads(self.receipt.read_text()), self.fields["finished_ms"]
        keys = Succession(Key(self.site.folder / "pool.key"))
        for number in range(3):  # an hour before the answer's end, then, and an hour later
            keys.append(Key(self.site.folder / f"later{number}.key"), finished + 3_600_000 * (number - 1))
        signed, file = self.site.folder / "later.json", self.site.folder / "keys.json"
        file.write_text(keys.json())

        def verify(key, *arguments):
            signed.write_text(json.dumps(key.countersign(receipt)))
            return self.verify(*arguments, receipt=signed, model=False)

        for key in keys.keys[1:]:
            self.check(verify(key, "--keys", file), PROVED, "receipt: valid")
            self.check(verify(key), UNCHECKED, "cannot be checked here: ", "--keys", "/v1/pool/keys")
        done = verify(keys.keys[2], "--keys", file, "--question", QUESTION, "--answer", self.answer, "--model", self.site.model)
        self.check(done, PROVED, "proved")
        self.check(self.verify("--keys", file, model=False), REFUTED, "had been replaced by then")  # by the first key
        self.check(verify(Key(self.site.folder / "stranger.key"), "--keys", file), UNCHECKED, "of 4 that are known", "/v1/pool/keys")
        whole = json.loads(file.read_text())
        stranger = Succession(Key(self.site.folder / "stranger.key")).json()
        for content in (keys.json([{**keys.steps[0], "made_ms": finished}, *keys.steps[1:]]), stranger,
                        json.dumps({**whole, "pool": "0" * 64}), "{}", ""):
            file.write_text(content)
            self.check(verify(keys.keys[1], "--keys", file), UNCHECKED, "cannot be checked here: ", "keys.json")
        file.write_text(keys.json(keys.steps[:1]))  # it ends too early
        self.check(verify(keys.keys[2], "--keys", file), UNCHECKED, "of 2 that are known", "/v1/pool/keys")
        forged = {**keys.keys[1].countersign(receipt), "pool_signature": receipt["pool_signature"]}
        signed.write_text(json.dumps(forged))
        self.check(self.verify(receipt=signed, model=False), REFUTED, "pool's signature does not match")

    def test_ask_keeps_the_keys_that_verify_takes(self):
        keys, receipt, request = (self.site.folder / f"kept_{name}.json" for name in ("keys", "receipt", "request"))
        asked = self.site.cellule("ask", "--save-keys", keys, "--save-receipt", receipt, "--save-request", request,
                                  "--max-tokens", 5, QUESTION, key=self.site.user_key)
        self.assertEqual(json.loads(keys.read_text()), json.loads(Succession(Key(self.site.folder / "pool.key")).json()))
        step = asked.stderr[asked.stderr.index("cellule verify"):].split()[1:]
        self.assertEqual(step[step.index("--keys") + 1], str(keys))
        self.check(run(*(str(self.site.model) if word == "M.gguf" else word for word in step)), PROVED, "proved")

    def ask_of(self, key, shown, *options):
        """`ask` of a pool whose receipts are signed with `key`, and that shows these keys: what it says, what it asked for."""
        def instead(path, body):
            if path.startswith("/v1/receipts/") and key is not None:
                return json.dumps(key.countersign(json.loads(body))).encode()
            return shown.encode() if path == "/v1/pool/keys" and shown is not None else None

        with somebody_between(self.site, self.context, instead) as (url, asked):
            done = self.site.cellule("ask", "--url", url, "--ca", self.site.ca_file, "--max-tokens", 5, *options, QUESTION,
                                     key=self.site.user_key, check=False)
        return done, asked

    def test_ask_gets_the_keys_of_a_pool_that_has_exchanged_its_own(self):
        keys = Succession(Key(self.site.folder / "pool.key"))
        for number in range(2):
            keys.append(Key(self.site.folder / f"asked{number}.key"), 1700000000000 + number)
        receipt = self.site.folder / "asked.json"
        done, asked = self.ask_of(None, keys.json())  # the first key has signed: nobody needs the others
        self.assertIn("receipt: valid", done.stderr)
        self.assertNotIn("/v1/pool/keys", asked)
        done, asked = self.ask_of(keys.keys[2], keys.json(), "--save-receipt", receipt)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("receipt: valid", done.stderr)
        self.assertIn("/v1/pool/keys > KEYS", done.stderr)
        self.assertIn("--keys KEYS", done.stderr)
        self.assertEqual(asked.count("/v1/pool/keys"), 1)
        kept = self.site.folder / "asked_keys.json"
        done, _ = self.ask_of(keys.keys[2], keys.json(), "--save-receipt", receipt, "--save-keys", kept)
        self.check(self.verify("--keys", kept, receipt=receipt, model=False), PROVED, "receipt: valid")
        self.assertIn(f"--keys {kept}", done.stderr)

    def test_ask_tells_a_list_that_cannot_be_kept_from_a_receipt_that_is_not_valid(self):
        done, _ = self.ask_of(None, None, "--save-keys", self.site.folder / "nowhere" / "keys.json")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("receipt: valid, but the keys can't be kept", done.stderr)

    def test_ask_refuses_a_pool_whose_keys_do_not_lead_to_the_one_that_signed(self):
        keys = Succession(Key(self.site.folder / "pool.key"))
        for number in range(2):
            keys.append(Key(self.site.folder / f"refused{number}.key"), 1700000000000 + number)
        stranger = Succession(Key(self.site.folder / "stranger.key"))
        stranger.append(keys.keys[2], 1700000000000)
        last = keys.keys[2]
        for key, shown, words in ((last, stranger.json(), "another pool's"),
                                  (last, json.dumps({**json.loads(stranger.json()), "pool": keys.pool_id.hex()}), "another pool's"),
                                  (last, keys.json(keys.steps[:1]), "of 2 that are known"),
                                  (last, keys.json(keys.steps[1:]), "keys before and after"),
                                  (last, None, "of 1 that are known"),  # its own: it has had one
                                  (keys.keys[1], keys.json(), "had been replaced by then"),
                                  (last, "{}", "the keys that the pool shows"), (last, "", "the keys that the pool shows"),
                                  (last, json.dumps(["x" * 40000]), "the keys that the pool shows")):
            with self.subTest(shown):
                done, _ = self.ask_of(key, shown)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn("receipt: NOT VALID, don't rely on this answer", done.stderr)
                self.assertIn(words, done.stderr)

    def test_a_whole_conversation_is_proved_from_its_request(self):
        body = {"model": self.site.model.stem, "temperature": 1.25, "top_p": 0.9, "seed": 4711, "max_tokens": 60,
                "stop": ["pool", "\n\n"],
                "messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Who are you?"},
                             {"role": "assistant", "content": "Cellule."},
                             {"role": "user", "content": [{"type": "text", "text": "What is "},
                                                          {"type": "text", "text": "a worker? \u00e9"}]}]}
        answer = self.ask("POST", "/v1/chat/completions", body, self.site.user_key)
        self.assertEqual(answer.status, 200, answer.body)
        receipt = self.site.folder / "conversation.json"
        job = {name.lower(): value for name, value in answer.headers.items()}["x-cellule-job"]
        receipt.write_bytes(self.ask("GET", f"/v1/receipts/{job}", key=self.site.user_key).body)
        text = self.edited(answer.json["choices"][0]["message"]["content"])

        def verify(content, *arguments):
            asked = self.site.folder / "messages.json"
            asked.write_text(json.dumps(content))
            return self.verify("--messages", asked, "--answer", text, *arguments, receipt=receipt)

        self.check(verify(body), PROVED, "proved")
        self.check(verify(body["messages"], "--stop", "pool", "--stop", "\n\n"), PROVED, "proved")
        self.check(verify(body["messages"]), UNCHECKED, "--stop")
        self.check(verify(body["messages"], "--stop", "\n\n", "--stop", "pool"), REFUTED, "stop strings")
        self.check(verify(body["messages"][1:], "--stop", "pool", "--stop", "\n\n"), REFUTED, "another question")
        for name, value in (("temperature", 1.5), ("top_p", 1), ("seed", 4712), ("max_tokens", 61), ("stop", "pool"),
                            ("stop", None), ("max_completion_tokens", 59)):
            with self.subTest(name):
                self.check(verify({**body, name: value}), REFUTED, "another request")
        for content in ({}, [], "x", [{}], [{"role": "user"}], {"messages": {}}, {**body, "stop": 1},
                        {**body, "temperature": "1"}, {**body, "stop": ["a"] * 5}):
            with self.subTest(content):
                self.check(verify(content), UNCHECKED, "messages.json")

    def test_sampled_answers_are_proved_as_well(self):
        for seed in range(3):
            body = self.chat_body(QUESTION, temperature=2, seed=seed, max_tokens=100)
            answer = self.ask("POST", "/v1/chat/completions", body, self.site.user_key)
            job = {name.lower(): value for name, value in answer.headers.items()}["x-cellule-job"]
            receipt = self.site.folder / f"sampled{seed}.json"
            receipt.write_bytes(self.ask("GET", f"/v1/receipts/{job}", key=self.site.user_key).body)
            with self.subTest(seed):
                self.check(self.verify("--question", QUESTION, receipt=receipt), PROVED, "proved")


class Succeeded(SiteCase, Case):
    """Receipts of a pool that exchanges its own key while it serves."""

    def asked(self, name, *options):
        receipt, request, answer = (self.site.folder / f"{name}_{part}" for part in ("receipt", "request", "answer"))
        done = self.site.cellule("ask", "--save-receipt", receipt, "--save-request", request, "--max-tokens", 20, *options,
                                 QUESTION, key=self.site.user_key)
        answer.write_text(done.stdout, newline="")
        self.assertIn("receipt: valid", done.stderr)
        return receipt, ("--messages", request, "--answer", answer, "--model", self.site.model), done.stderr

    def verify(self, receipt, *options):
        return run("verify", "receipt", "--pool-id", self.site.admin("status")["pool_id"], *options, receipt)

    def test_receipts_from_before_and_after_are_proved_with_one_list_of_keys(self):
        folder = self.site.folder
        before, proof_before, _ = self.asked("before")
        self.site.cellule("admin", "secrets", "rotate", "pool", key=self.site.admin_key)
        between, proof_between, told = self.asked("between")
        self.site.cellule("admin", "secrets", "rotate", "pool", key=self.site.admin_key)
        after, proof_after, _ = self.asked("after", "--save-keys", folder / "keys.json")
        shown = folder / "shown.json"
        shown.write_bytes(self.ask("GET", "/v1/pool/keys").body)
        self.assertEqual(json.loads(shown.read_text()), json.loads((folder / "keys.json").read_text()))
        self.assertEqual(len({json.loads(receipt.read_text())["pool_key"] for receipt in (before, between, after)}), 3)
        for receipt, proof in ((before, proof_before), (between, proof_between), (after, proof_after)):
            self.check(self.verify(receipt, "--keys", shown, *proof), PROVED, "proved")
        self.check(self.verify(before), PROVED, "receipt: valid")
        self.check(self.verify(after), UNCHECKED, "cannot be checked here: ", "/v1/pool/keys")
        self.assertEqual(json.loads(self.verify(after, "--json").stdout)["result"], "unchecked")
        self.check_step_that_ask_told(told)

    def check_step_that_ask_told(self, told):
        """It names the keys as a file that its line before makes."""
        keep, step = (line.split(": ", 1)[1] for line in told.splitlines() if line.startswith(("keep the", "compute it")))
        keys = self.site.folder / "curled.json"
        self.assertTrue(keep.startswith("curl --cacert"), keep)
        keys.write_bytes(self.ask("GET", keep.split()[3].removeprefix(self.site.url)).body)
        words = {"M.gguf": str(self.site.model), "KEYS": str(keys)}
        self.check(run(*(words.get(word, word) for word in step.split()[1:])), PROVED, "proved")


def cheats_are_built():
    """Test builds alone have workers that can cheat; others don't know the option."""
    return run("worker", "run", "--cheat", "edit:0", "--model", "/nonexistent").returncode != UNCHECKED


@unittest.skipUnless(cheats_are_built(), "this build's workers can't cheat")
class Cheats(SiteCase, Case):
    """The receipts of these are valid: the worker signed what it gave out."""

    settings = {"verify": "off"}  # the next one would check what this one said, and both were in quarantine
    worker_count = 0

    def cheated(self, index, way, *questions):
        """What a worker that cheats answers: [(receipt, answer)]."""
        worker = self.site.start_worker(index, "--unconfined", "--cheat", way)
        self.addCleanup(worker.stop)
        self.site.wait_for("the worker is connected", lambda: self.site.connected_workers() == 1, [worker])
        answers = []
        for number, question in enumerate(questions):
            receipt, answer = (self.site.folder / f"{name}{index}{number}" for name in ("receipt", "answer"))
            answer.write_text(self.site.cellule("ask", "--save-receipt", receipt, "--max-tokens", 30, question,
                                                key=self.site.user_key).stdout, newline="")
            answers.append((receipt, answer))
        return answers

    def verify(self, receipt, question, answer):
        pool = json.loads(receipt.read_text())["fields"]["pool"]
        return run("verify", "receipt", "--pool-id", pool, "--model", self.site.model, "--question", question,
                   "--answer", answer, receipt)

    def test_an_edited_token_is_refuted_at_its_place(self):
        [(receipt, answer)] = self.cheated(0, "edit:3", QUESTION)
        self.check(self.verify(receipt, QUESTION, answer), REFUTED, "refuted at token 4: the model gives another answer")

    def test_an_old_answer_to_a_new_question_is_refuted(self):
        old, new = "What is Cellule?", "How do I start the pool?"
        (first, text), (second, again) = self.cheated(1, "replay", old, new)
        self.assertEqual(text.read_text(), again.read_text())
        self.check(self.verify(first, old, text), PROVED, "proved")
        self.check(self.verify(second, new, again), REFUTED, "refuted at token ")


class Evidence(unittest.TestCase, Case):
    seeds = TOP / "fuzz" / "corpus" / "evidence"

    def verify(self, path, pool=None, *arguments, given=""):
        pool = pool or json.loads((self.seeds / "answer").read_text())["pool"]
        return run("verify", "evidence", "--pool-id", pool, *arguments, path, given=given)

    def test_who_was_convicted_and_why_is_said_in_plain_words(self):
        for name, of in (("answer", "answer"), ("finding", "finding"), ("answers", "answer")):
            with self.subTest(name):
                bundle = json.loads((self.seeds / name).read_text())
                self.check(self.verify(self.seeds / name), PROVED, "evidence: holds",
                           f"{bundle['convicted']}, of a wrong {of}", "two others")
                told = json.loads(self.verify(self.seeds / name, None, "--json").stdout)
                self.assertEqual((told["result"], told["convicted"], told["of"]), ("holds", bundle["convicted"], of))
                self.assertEqual(len({told["convicted"], *(one["worker"] for one in told["witnesses"])}), 3)

    def test_what_does_not_hold_is_refuted(self):
        bundle = json.loads((self.seeds / "answer").read_text())
        with tempfile.TemporaryDirectory(prefix="cellule-scenario-") as folder:
            path = pathlib.Path(folder) / "evidence.json"
            for changed in ({"convicted": bundle["findings"][0]["fields"]["worker"]}, {"made_ms": bundle["made_ms"] + 1},
                            {"findings": bundle["findings"][::-1]}, {"findings": bundle["findings"][:1]}, {"pool": "0" * 64}):
                path.write_text(json.dumps({**bundle, **changed}))
                self.check(self.verify(path), REFUTED, "refuted: ")
            for nothing in ("", "{", "{}", "not JSON", (self.seeds / "answer").read_text()[:-9], '{"object":"cellule.receipt"}'):
                path.write_text(nothing)
                self.check(self.verify(path), UNCHECKED, "cannot be checked here: ", str(path))
            path.write_bytes(b" " * 20_000_000)
            self.check(self.verify(path), UNCHECKED, "cannot be checked here: ", str(path))
        self.check(self.verify(self.seeds / "answer", "0" * 64), REFUTED, "another pool")
        self.assertEqual(json.loads(self.verify(self.seeds / "answer", "0" * 64, "--json").stdout)["result"], "refuted")

    def test_evidence_of_a_later_key_is_checked_with_the_keys_that_lead_to_it(self):
        with tempfile.TemporaryDirectory(prefix="cellule-scenario-") as folder:
            signed, file = (pathlib.Path(folder) / name for name in ("evidence.json", "keys.json"))
            keys = Succession(Key.of_seed(pathlib.Path(folder) / "pool.key", bytes([99, *[0] * 31])))  # the seeds' pool
            for name in ("answer", "finding", "answers"):
                bundle = json.loads((self.seeds / name).read_text())
                while len(keys.steps) < 3:  # an hour before it was made, then, and an hour later
                    number = len(keys.steps)
                    keys.append(Key(pathlib.Path(folder) / f"{number}.key"), bundle["made_ms"] + 3_600_000 * (number - 1))
                file.write_text(keys.json())
                for key in keys.keys[1:]:
                    signed.write_text(json.dumps(key.sign_evidence(bundle)))
                    self.check(self.verify(signed, None, "--keys", file), PROVED, "evidence: holds")
                    self.check(self.verify(signed), UNCHECKED, "cannot be checked here: ", "--keys", "/v1/pool/keys")
                self.check(self.verify(self.seeds / name, None, "--keys", file), REFUTED, "had been replaced by then")
                file.write_text(keys.json(keys.steps[:2]))
                self.check(self.verify(signed, None, "--keys", file), UNCHECKED, "of 3 that are known", "/v1/pool/keys")
                file.write_text(keys.json(keys.steps[1:]))
                self.check(self.verify(signed, None, "--keys", file), UNCHECKED, "cannot be checked here: ", "keys.json")
                file.write_text(keys.json())
                signed.write_text(json.dumps({**keys.keys[2].sign_evidence(bundle), "convicted": "0" * 32}))
                self.check(self.verify(signed, None, "--keys", file), REFUTED, "signature does not match the evidence")

    def test_it_may_come_through_a_pipe(self):
        self.check(self.verify("-", given=(self.seeds / "answer").read_text()), PROVED, "evidence: holds")
        self.check(self.verify("-"), UNCHECKED, "cannot be checked here: ")

    def test_what_is_not_there_cannot_be_checked(self):
        self.check(self.verify(self.seeds / "none"), UNCHECKED, "cannot be checked here: ")
        self.check(self.verify(self.seeds / "answer", "short"), UNCHECKED, "--pool-id")


if __name__ == "__main__":
    tap.main()
