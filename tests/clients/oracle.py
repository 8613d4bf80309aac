"""Compares the engine with llama.cpp, which comes from npm: tokens, logits, greedy answers, embeddings.

oracle.py ENGINE_PROBE LLAMA_PROBE MAKE_MODELS CLIENTS_FOLDER: CLIENTS_FOLDER is what tools/clients lays out. The models
are small, with random weights. CELLULE_ORACLE_SEED=n repeats what a failure printed.
"""

import contextlib
import json
import math
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import unicodedata
import unittest

import tap

TOP = pathlib.Path(__file__).resolve().parents[2]
LLAMA = "node_modules/@node-llama-cpp/linux-x64/bins/linux-x64"
SEED = int(os.environ.get("CELLULE_ORACLE_SEED", random.SystemRandom().randrange(1 << 32)))
PROMPT_LENGTH = 70  # more than a page of the cache
ANSWER_LENGTH = 24
ANSWERED = {"F32", "Q8_0", "Q4_0", "Q4_K"}
RANDOM_TEXTS = 120
MODES = [(0, 0), (0, 1), (1, 0), (1, 1)]  # whole, special of the request (tests/support/oracle/probe.h)

# Root mean square of the difference of logits, over that of the logits. llama.cpp rounds what F16 and BF16 weights are
# multiplied with to the same type; with the others both round to 8 bits, in blocks that needn't be the same. Scores of
# heads of odd sizes llama.cpp sums in halves.
TOLERANCE = {"F32": 0.002, "F16": 0.004, "BF16": 0.02, "llama.odd-F32": 0.01}
TOLERANCE_OF_BLOCKS = 0.05
TOLERANCE_OF_EMBEDDINGS = 0.005

TEXTS = [
    "", " ", "  ", "   \n", "\n", "\r\n", "\t\t x", "a", "the", " the", "the the  the   the", "hello world", "Hello, World!",
    "I'm you're WE'LL they'd he's it'S don't o'clock 'twas ''", "123 4567 89012345 3.14159 1,000,000 ½ ² ٣٤٥ १२३ 一二三",
    "foo_bar fooBar FooBar FOO-BAR foo.bar(baz[0]) != NULL; // x\n\tif (a) {\n\t\treturn;\n\t}\n\n\n}",
    "   leading and trailing   ", "line one\nline two\n\nline four\r\n\r\nline six", "a\n \n  \n b",
    "Ärger über Öl – „Straße“ Ñandú façade naïve", "e\u0301 a\u0308o\u0302 \u0301 \u200d\u200c\ufeff\u00a0\u2003\u3000x",
    "中文字符，测试。日本語テスト カタカナ 한국어 시험", "ไทย हिन्दी עברית العربية ქართული", "🙂👍🏽👩‍👩‍👧‍👦 🇩🇪 ❤️ x🙂y",
    "\u0000\u0001\u001f\u007f\u0080\u009f", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 ﬁ ℌ ﷺ Ⅷ ǅ ß ẞ İ ı", "<|im_start|>user\nhi<|im_end|>", "<s></s><unk>[CLS] [SEP][INST]",
    "<|endoftext|", "|im_end|>", "▁a▁ ▁▁", "<0x0A><0x41>", "Ġthe Ċ Āa", "x" * 200, "the" * 100, " " * 70, "\n" * 9, "!?" * 40,
    "https://example.org/a?b=c&d=%20#e user@example.org", "{\"a\": [1, 2.5e-3, null, true]}", "$100 €5 £3 +1-2*3/4=5^6%7~8`9@0",
    "...…--—–''\"“”‘’«»", "aA1 bB22 cC333 dD4444",
]
PIECES = ["the", "he", " ", "  ", "\n", "\t", "ll", "'s", "'LL", "1", "23", "456", ".", ",!", "é", "e\u0301", "ß", "中", "日本", "한", "🙂", "👍🏽",
          "\u00a0", "\u200b", "▁", "Ġ", "<|im_end|>", "</s>", "A", "Zz", "_", "-", "/", "\u0000", "ﬁ", "я", "ع", "\r", "unaffable"]


def tolerance(model):
    return TOLERANCE.get(model, TOLERANCE.get(model.rpartition("-")[2], TOLERANCE_OF_BLOCKS))


def has(text, *categories):
    return any(letter > "\x7f" and unicodedata.category(letter) in categories for letter in text)


def differs_knowingly(vocabulary, text, whole, special):
    """Where llama.cpp is not followed: it puts the first token before a text that begins with it already; it gives no way
    to write the letter that SentencePiece has for a space; two expressions of cased words know of ASCII's capitals only
    and of no marks; it drops BERT's spacing marks."""
    return (text.startswith("<s>") and whole and special
            or vocabulary.startswith("llama") and "▁" in text
            or vocabulary in ("gpt2.gpt-4o", "gpt2.tekken") and has(text, "Lu", "Ll", "Lt", "Mn", "Mc", "Me")
            or vocabulary == "bert" and has(text, "Mc"))


class Probe:
    """One of the two programs with one model."""

    def __init__(self, *command):
        environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}  # llama.cpp's
        self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=environment)

    def ask(self, *request):
        request = " ".join(map(str, request))
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(request + "\n")
            self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"{' '.join(self.process.args)} ended with {self.process.wait()} at: {request[:200]}")
        answer = json.loads(line)
        if isinstance(answer, dict):
            raise AssertionError(f"{self.process.args[0]}: {answer['error']}")
        return answer

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def relative_difference(ours, theirs):
    if not all(isinstance(value, float | int) for value in ours + theirs):
        return math.inf
    difference = sum((a - b) ** 2 for a, b in zip(ours, theirs, strict=True))
    return math.sqrt(difference / sum(b * b for b in theirs))


class Oracle(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        engine, llama, make_models, clients = sys.argv[1:5]
        cls.folder = tempfile.TemporaryDirectory(prefix="cellule-oracle-")
        cls.addClassCleanup(cls.folder.cleanup)
        made = subprocess.run([make_models, cls.folder.name, TOP / "tests/unit/engine/tokenizer/texts.txt"], check=True, stdout=subprocess.PIPE, text=True).stdout
        cls.models = [(kind, pathlib.Path(path)) for kind, path in (line.split("\t") for line in made.splitlines())]
        cls.engine = engine
        cls.llama = [llama, pathlib.Path(clients) / LLAMA]
        cls.random = random.Random(SEED)
        print(f"# CELLULE_ORACLE_SEED={SEED}")

    def pairs(self, kind):
        """Name, our probe and llama.cpp's of each model of this kind."""
        modes = {"generate": ([], []), "embed": ([], ["embeddings"]), "vocabulary": (["vocabulary"], ["vocabulary"])}[kind]
        for path in (path for model_kind, path in self.models if model_kind == kind):
            with Probe(self.engine, path, *modes[0]) as ours, Probe(*self.llama, path, *modes[1]) as theirs:
                yield path.stem, ours, theirs

    def prompt(self, probe):
        """Tokens of texts, so that none is a control token."""
        tokens = []
        while len(tokens) < PROMPT_LENGTH:
            tokens += probe.ask("tokenize", 0, 0, self.random_text().encode().hex())
        return tokens[:PROMPT_LENGTH]

    def random_text(self):
        return "".join(self.random.choices(PIECES, k=self.random.randint(1, 24)))

    def test_tokens_are_those_of_llama_cpp(self):
        compared = 0
        texts = TEXTS + [self.random_text() for _ in range(RANDOM_TEXTS)]
        for name, ours, theirs in self.pairs("vocabulary"):
            for text in texts:
                for whole, special in MODES:
                    if differs_knowingly(name, text, whole, special):
                        continue
                    request = ("tokenize", whole, special, text.encode().hex())
                    self.assertEqual(ours.ask(*request), theirs.ask(*request), f"{name}, {text!r}, {whole=}, {special=}")
                    compared += 1
        self.assertGreater(compared, 0)

    def test_logits_are_those_of_llama_cpp_within_the_rounding_of_the_type(self):
        compared = 0
        for name, ours, theirs in self.pairs("generate"):
            tokens = self.prompt(theirs)
            for position, (a, b) in enumerate(zip(ours.ask("logits", *tokens), theirs.ask("logits", *tokens), strict=True)):
                self.assertLess(relative_difference(a, b), tolerance(name), f"{name}, position {position}")
                compared += 1
        self.assertGreater(compared, 0)

    def test_greedy_answers_take_the_token_that_llama_cpp_finds_best(self):
        """Or one that it finds as good, within the tolerance: then the answers part."""
        same = compared = 0
        for name, ours, theirs in self.pairs("generate"):
            if name.rpartition("-")[2] not in ANSWERED:
                continue
            tokens = self.prompt(theirs)
            answer = ours.ask("greedy", ANSWER_LENGTH, *tokens)
            self.assertGreater(len(answer), 0)
            rows = theirs.ask("logits", *tokens, *answer[:-1])[len(tokens) - 1:]
            for position, (token, row) in enumerate(zip(answer, rows, strict=True)):
                size = math.sqrt(sum(value * value for value in row) / len(row))
                margin = 4 * tolerance(name) * size
                self.assertGreaterEqual(row[token], max(row) - margin, f"{name}, position {position}")
                same += row[token] == max(row)
                compared += 1
        self.assertGreater(same, 0.9 * compared)

    def test_embeddings_are_those_of_llama_cpp(self):
        compared = 0
        for name, ours, theirs in self.pairs("embed"):
            tokens = self.prompt(theirs)
            values = theirs.ask("embed", *tokens)
            length = math.sqrt(sum(value * value for value in values))
            unit = [value / length for value in values]
            self.assertLess(relative_difference(ours.ask("embed", *tokens), unit), TOLERANCE_OF_EMBEDDINGS, name)
            compared += 1
        self.assertGreater(compared, 0)


if __name__ == "__main__":
    if not (pathlib.Path(sys.argv[4]) / LLAMA).is_dir():
        print("1..0 # SKIP llama.cpp is not installed: run tools/clients", sys.argv[4])
        sys.exit(0)
    tap.main()
