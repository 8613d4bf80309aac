"""What `cellule engine` does for somebody at a terminal: run, bench and golden over the demo model.
engine_tools.py BINARY TOP"""

import json
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import tap

BINARY = str(pathlib.Path(sys.argv[1]).resolve())
MODEL = str(pathlib.Path(sys.argv[2]).resolve() / "demo" / "cellule-demo.gguf")
QUESTION = "What is a receipt?"
PATIENCE = 60  # seconds until a test gives up waiting for something that must come
LONG = "root ::= [a-z ]{2000}"  # a grammar that keeps the model writing


def engine(verb, *arguments, **settings):
    return subprocess.run([BINARY, "engine", verb, *map(str, arguments)], capture_output=True, text=True, check=False,
                          timeout=PATIENCE * 4, **{"stdin": subprocess.DEVNULL, **settings})


def ask(*arguments, **settings):
    """The JSON object that run prints."""
    done = engine("run", "--json", "--threads", 1, *arguments, **settings)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Terminal:
    """The program with a terminal as its standard input, output and error."""

    def __init__(self, *arguments):
        pid, self.master = pty.fork()
        if pid == 0:
            os.execv(BINARY, [BINARY, *arguments])
        self.pid = pid
        self.seen = ""

    def wait_for(self, pattern):
        """Reads on until the pattern has come; gives what came before its end, once."""
        deadline = time.monotonic() + PATIENCE
        while (found := re.search(pattern, self.seen, re.DOTALL)) is None:
            ready, _, _ = select.select([self.master], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise AssertionError(f"no {pattern!r} in {self.seen!r}")
            self.seen += os.read(self.master, 65536).decode()
        before, self.seen = self.seen[:found.end()], self.seen[found.end():]
        return before

    def type(self, text):
        os.write(self.master, text.encode())

    def end(self):
        """The exit code; a program that doesn't end is killed."""
        deadline = time.monotonic() + PATIENCE
        while select.select([self.master], [], [], max(0, deadline - time.monotonic()))[0]:
            try:
                os.read(self.master, 65536)
            except OSError:  # EIO: the other side is gone
                break
        else:
            os.kill(self.pid, signal.SIGKILL)
        os.close(self.master)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


class Run(unittest.TestCase):
    def test_a_prompt_is_answered_and_its_speed_told(self):
        done = engine("run", MODEL, QUESTION)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("receipt", done.stdout)
        self.assertRegex(done.stderr, r"prefill \d+ tokens, [\d.]+ tokens/s; decode \d+ tokens, [\d.]+ tokens/s\n$")

    def test_standard_input_is_the_prompt_when_none_is_given(self):
        done = engine("run", MODEL, stdin=None, input=QUESTION + "\n")
        self.assertEqual(done.stdout, engine("run", MODEL, QUESTION).stdout)
        empty = engine("run", MODEL, stdin=None, input="\n")
        self.assertEqual((empty.returncode, empty.stdout), (1, ""))
        self.assertIn("prompt is empty", empty.stderr)

    def test_json_tells_everything_and_the_same_each_time(self):
        first = ask(MODEL, QUESTION)
        again = ask(MODEL, QUESTION, "--kernels", "plain", "--threads", 2)
        self.assertEqual(first["finish"], "stop")
        self.assertEqual(first["completion_tokens"], len(first["tokens"]))
        self.assertRegex(first["commitment"], "^[0-9a-f]{64}$")
        self.assertGreater(first["timings"]["decode_tokens_per_second"], 0)
        for field in ("text", "tokens", "commitment", "digest"):
            self.assertEqual(first[field], again[field])

    def test_parameters_reach_the_answer(self):
        cut = ask(MODEL, QUESTION, "--max-tokens", 3)
        self.assertEqual((cut["finish"], len(cut["tokens"])), ("length", 3))
        drawn = [ask(MODEL, QUESTION, "--raw", "--temperature", "1.9", "--top-k", 500, "--top-p", "0.99", "--min-p", "0.0001",
                     "--max-tokens", 24, "--seed", seed)["tokens"] for seed in (1, 1, 2)]
        self.assertEqual(drawn[0], drawn[1])
        self.assertNotEqual(drawn[0], drawn[2])
        with_system = ask(MODEL, QUESTION, "--system", "Be brief.")
        self.assertGreater(with_system["prompt_tokens"], cut["prompt_tokens"])

    def test_a_schema_and_a_grammar_bind_the_answer(self):
        with tempfile.TemporaryDirectory() as folder:
            schema, grammar = pathlib.Path(folder, "schema"), pathlib.Path(folder, "grammar")
            schema.write_text('{"type":"object","properties":{"a":{"type":"boolean"}},"required":["a"],"additionalProperties":false}')
            grammar.write_text('root ::= "yes" | "no"')
            self.assertIn(json.loads(ask(MODEL, QUESTION, "--schema", schema)["text"])["a"], (True, False))
            self.assertIn(ask(MODEL, QUESTION, "--grammar", grammar)["text"], ("yes", "no"))
            for option, file in (("--grammar", grammar), ("--schema", schema)):
                file.write_text("root ::= (")
                self.assertEqual(engine("run", MODEL, QUESTION, option, file).returncode, 1)

    def test_an_empty_schema_or_grammar_is_no_permission(self):
        with tempfile.TemporaryDirectory() as folder:
            empty = pathlib.Path(folder, "empty")
            empty.touch()
            for option in ("--grammar", "--schema"):
                done = engine("run", MODEL, QUESTION, option, empty)
                self.assertEqual((done.returncode, done.stdout), (1, ""))
                self.assertIn(f"{empty} is empty", done.stderr)

    def test_an_empty_prompt_is_told(self):
        for arguments in (["--raw"], []):
            done = engine("run", *arguments, MODEL, "")
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn("the prompt is empty", done.stderr)

    def test_more_threads_than_cores_are_not_started(self):
        done = engine("run", "--threads", 256, "--max-tokens", 2, MODEL, QUESTION)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("256 threads", done.stderr)
        self.assertEqual(json.loads(engine("bench", "--json", MODEL, *Bench.SMALL, "--threads", 256, "--batch", 0, "--score", 0,
                                           "--depth", 0).stdout)["threads"], len(os.sched_getaffinity(0)))

    def test_bad_files_and_options_are_told(self):
        for arguments, code in (([sys.argv[0], QUESTION], 1), (["/nowhere", QUESTION], 1), ([], 2), ([MODEL, "a", "b"], 2),
                                ([MODEL, QUESTION, "--temperature", "3"], 2), ([MODEL, QUESTION, "--raw", "--system", "a"], 2), ([MODEL, QUESTION, "--top-p", "0"], 1),
                                ([MODEL, QUESTION, "--kernels", "abacus"], 1), ([MODEL, QUESTION, "--grammar", "/nowhere"], 1)):
            done = engine("run", *arguments)
            self.assertEqual((done.returncode, done.stdout.strip()), (code, ""), arguments)
            self.assertTrue(done.stderr)

    def test_an_interrupt_ends_an_answer(self):
        with tempfile.TemporaryDirectory() as folder:
            grammar = pathlib.Path(folder, "grammar")
            grammar.write_text(LONG)
            with subprocess.Popen([BINARY, "engine", "run", MODEL, QUESTION, "--grammar", grammar], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
                self.assertTrue(os.read(program.stdout.fileno(), 1))
                program.send_signal(signal.SIGINT)
                _, told = program.communicate(timeout=PATIENCE)
            self.assertEqual(program.returncode, 130)
            self.assertIn(b"; stopped", told)


class Conversation(unittest.TestCase):
    def test_turns_follow_each_other_until_the_input_ends(self):
        terminal = Terminal("engine", "run", MODEL, "--threads", "1")
        terminal.wait_for("> ")
        terminal.type("hello\n")
        self.assertIn("Hello!", terminal.wait_for(r"tokens/s\r\n> "))
        terminal.type(QUESTION + "\n")
        second = int(re.search(r"prefill (\d+)", terminal.wait_for(r"tokens/s\r\n> "))[1])
        terminal.type("/new\n")
        terminal.wait_for("> ")
        terminal.type(QUESTION + "\n")
        self.assertLess(int(re.search(r"prefill (\d+)", terminal.wait_for(r"tokens/s\r\n> "))[1]), second)
        terminal.type("\x04")
        self.assertEqual(terminal.end(), 0)

    def test_an_interrupt_stops_the_answer_and_then_the_program(self):
        with tempfile.TemporaryDirectory() as folder:
            grammar = pathlib.Path(folder, "grammar")
            grammar.write_text(LONG)
            terminal = Terminal("engine", "run", MODEL, "--threads", "1", "--context", "512", "--grammar", str(grammar))
            for question in ("hello\n", "and again\n"):
                terminal.wait_for("> ")
                terminal.type(question)
                terminal.wait_for("\n[a-z ]")
                terminal.type("\x03")
                terminal.wait_for("stopped")
            terminal.wait_for("> ")
            terminal.type("\x03")
            self.assertEqual(terminal.end(), 0)

    def test_a_turn_that_fails_leaves_the_conversation(self):
        terminal = Terminal("engine", "run", MODEL, "--threads", "1", "--context", "64")
        terminal.wait_for("> ")
        terminal.type("word " * 100 + "\n")
        terminal.wait_for("shorten.*> ")
        terminal.type("hello\n")
        self.assertIn("Hello!", terminal.wait_for(r"tokens/s\r\n> "))
        terminal.type("\x04")
        self.assertEqual(terminal.end(), 0)


class Output(unittest.TestCase):
    VERBS = (("run", "--threads", 1, "--max-tokens", 2, MODEL, QUESTION),
             ("run", "--json", "--threads", 1, "--max-tokens", 2, MODEL, QUESTION),
             ("info", MODEL), ("info", "--json", MODEL), ("serve", "--check", "--model", MODEL))

    def test_what_cannot_be_written_is_told(self):
        for verb in self.VERBS:
            with open("/dev/full", "w", encoding="utf-8") as full:
                done = subprocess.run([BINARY, "engine", *map(str, verb)], stdin=subprocess.DEVNULL, stdout=full,
                                      stderr=subprocess.PIPE, text=True, check=False, timeout=PATIENCE)
            self.assertEqual(done.returncode, 1, verb)
            self.assertIn("standard output can't be written", done.stderr)

    def test_no_file_takes_the_place_of_a_closed_output(self):
        with tempfile.TemporaryDirectory() as folder:
            model = pathlib.Path(folder, "model.gguf")
            model.write_bytes(pathlib.Path(MODEL).read_bytes())
            def answer():
                return ask("--cache", "--max-tokens", 4, model, QUESTION)
            first = answer()["tokens"]
            packed = model.with_suffix(".gguf.packed").read_bytes()
            for closed, code in (("<&-", 0), (">&-", 1), ("2>&-", 0), ("<&- >&- 2>&-", 1)):
                done = subprocess.run(["/bin/sh", "-c", f'"$@" {closed}', "sh", BINARY, "engine", "run", "--cache", "--max-tokens",
                                       "4", "--threads", "1", model, QUESTION], capture_output=True, check=False, timeout=PATIENCE)
                self.assertEqual(done.returncode, code, closed)
                self.assertEqual(model.with_suffix(".gguf.packed").read_bytes(), packed, closed)
            self.assertEqual(answer()["tokens"], first)


class Serve(unittest.TestCase):
    def test_a_terminal_is_no_worker(self):
        terminal = Terminal("engine", "serve", "--model", MODEL, "--threads", "1")
        terminal.wait_for("cellule engine run")
        self.assertEqual(terminal.end(), 2)


class Bench(unittest.TestCase):
    SMALL = ("--threads", 1, "--runs", 1, "--prefill", 8, "--decode", 4)

    def test_json_has_every_figure(self):
        done = engine("bench", MODEL, "--json", *self.SMALL, "--batch", 2, "--score", "8,8,2", "--depth", 64)
        self.assertEqual(done.returncode, 0, done.stderr)
        told = json.loads(done.stdout)
        for field in ("load_seconds", "first_token_seconds", "file_bytes", "resident_bytes", "prefill_seconds", "decode_seconds",
                      "decode_gb_per_second", "batch_one_seconds", "batch_seconds", "produce_seconds", "score_seconds",
                      "score_batch_seconds", "produce_batch_seconds", "depth_prefill_seconds", "deep_prefill_seconds"):
            self.assertGreater(told[field], 0, field)
        for field, value in (("threads", 1), ("prefill_tokens", 8), ("decode_tokens", 4), ("batch_sequences", 2), ("depth", 64)):
            self.assertEqual(told[field], value)
        self.assertEqual(told["file_bytes"], os.path.getsize(MODEL))

    def test_the_table_leaves_out_what_is_not_asked_for(self):
        done = engine("bench", MODEL, *self.SMALL, "--batch", 0, "--score", 0, "--depth", 0)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([line.split()[0] for line in done.stdout.splitlines()], ["model", "load", "memory", "prefill", "decode"])

    def test_wrong_files_and_sizes_are_told(self):
        for arguments, code in (([sys.argv[0]], 1), ([MODEL, "--score", "8"], 2), ([MODEL, "--score", "8,8,999"], 2),
                                ([MODEL, "--score", "8,8,8,8"], 2), ([MODEL, "--kernels", "abacus"], 1)):
            done = engine("bench", *arguments)
            self.assertEqual((done.returncode, done.stdout), (code, ""), arguments)


class Golden(unittest.TestCase):
    def test_all_forms_give_the_same_bits(self):
        done = engine("golden", "--json", MODEL)
        self.assertEqual(done.returncode, 0, done.stderr)
        told = json.loads(done.stdout)
        self.assertTrue(told["equal"])
        for operation in told["operations"]:
            self.assertIn("plain", operation["hashes"])
            self.assertEqual(len(set(operation["hashes"].values())), 1, operation)
        model, = told["models"]
        self.assertEqual([len(answer["tokens"]) for answer in model["answers"]], [64, 64])
        self.assertEqual(model["ways"], 6 * len(told["operations"][0]["hashes"]))

    def test_lines_do_not_depend_on_the_forms(self):
        every, plain = engine("golden"), engine("golden", "--kernels", "plain")
        self.assertEqual((every.returncode, plain.returncode), (0, 0))
        self.assertEqual(every.stdout, plain.stdout)
        self.assertIn("multiply Q4_K ", plain.stdout)
        self.assertEqual(engine("golden", "--kernels", "abacus").returncode, 1)
        self.assertEqual(engine("golden", sys.argv[0]).returncode, 1)


if __name__ == "__main__":
    tap.main()
