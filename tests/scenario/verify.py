"""Answers of a real worker computed again offline, and evidence checked: `cellule verify`. verify.py BINARY TOP"""

import json
import os
import pathlib
import pty
import subprocess
import sys
import tempfile
import unittest

import tap
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

    def test_it_may_come_through_a_pipe(self):
        self.check(self.verify("-", given=(self.seeds / "answer").read_text()), PROVED, "evidence: holds")
        self.check(self.verify("-"), UNCHECKED, "cannot be checked here: ")

    def test_what_is_not_there_cannot_be_checked(self):
        self.check(self.verify(self.seeds / "none"), UNCHECKED, "cannot be checked here: ")
        self.check(self.verify(self.seeds / "answer", "short"), UNCHECKED, "--pool-id")


if __name__ == "__main__":
    tap.main()
