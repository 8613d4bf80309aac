"""Whole models give one and the same bits: small ones of every family and type of weights, by every form of the kernels,
for any number of threads, sequences in a pass and tokens in a portion, by gcc and clang at -O1 to -O3, on x86-64 and on
64-bit ARM.

golden_models.py TOP GENERATED MAKE_MODELS TEXTS: makes the models, builds tests/support/golden_models.c from the sources
with the project's flags for arithmetic, and compares what it prints with tests/build/golden_models.txt. That file changes
only with the normative arithmetic of the engine's README, or with the models.
"""

import pathlib
import subprocess
import sys
import tempfile
import unittest

import golden
import tap

TOP, GENERATED, MAKE_MODELS, TEXTS = (pathlib.Path(argument) for argument in sys.argv[1:5])
ENGINE = TOP / "src" / "domain" / "engine"
BASE = TOP / "src" / "core" / "base"
EXPECTED = (TOP / "tests" / "build" / "golden_models.txt").read_text()
SOURCES = sorted([
    TOP / "tests" / "support" / "golden_models.c", *(ENGINE / "format").glob("*.c"), *(ENGINE / "architecture").glob("*.c"),
    *(ENGINE / "architecture" / "families").glob("*.c"), *(ENGINE / "forward").glob("*.c"), *(ENGINE / "threads").glob("*.c"),
    *(ENGINE / "arithmetic").glob("*.c"), *(ENGINE / "kernel" / f"{name}.c" for name in ("plain", "matrix", "kernels")),
    *(BASE / f"{name}.c" for name in ("buffer", "error", "fault", "memory", "slice"))])
# The only call that leaves the engine and the base; glibc has the same.
FLAGS = ["-pthread", "-Dsecret_wipe=explicit_bzero", f"-I{GENERATED}", f"-I{TOP / 'src' / 'core' / 'crypto' / 'include'}"]


class GoldenModels(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        made = subprocess.run([MAKE_MODELS, cls.folder.name, TEXTS], capture_output=True, text=True, check=True).stdout
        cls.models = [path for kind, path in (line.split("\t") for line in made.splitlines()) if kind != "vocabulary"]

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def check(self, compiler, level, forms, ways, link=(), runner=()):
        golden.skip_without(self, compiler, *runner[:1])
        self.maxDiff = None
        with tempfile.TemporaryDirectory() as folder:
            program = golden.build(compiler, level, forms, pathlib.Path(folder), ["-pthread", *link], SOURCES, FLAGS)
            available = golden.run([*runner, program, "forms"]).split()
            self.assertIn("plain", available)
            for form, how, models in ways:
                if form not in available:
                    continue
                printed = golden.run([*runner, program, form, how, *models])
                names = {pathlib.Path(model).name for model in models}
                expected = "".join(line for line in EXPECTED.splitlines(True) if line.split()[0] in names)
                self.assertEqual(printed, expected, form)

    def some(self, families, *types):
        """Those of the families, named or all, in these types."""
        names = [pathlib.Path(path).name.removesuffix(".gguf").rpartition("-") for path in self.models]
        return [path for path, (family, _, kind) in zip(self.models, names)
                if (families is None or family in families) and (not types or kind in types)]

    def check_x86(self, compiler, level, how, models):
        golden.skip_unless_x86(self)
        ways = [(form, how, models) for form in ("avx512-vnni", "avx512", "avx2")]
        plain = ("plain", "few", self.some(["llama", "bert"], "Q8_0"))
        self.check(compiler, level, golden.X86_FORMS, [*ways, plain])

    def test_every_file_is_recorded(self):
        recorded = [line.split()[0] for line in EXPECTED.splitlines()]
        self.assertEqual(recorded, [pathlib.Path(model).name for model in self.models])

    def test_gcc_o1(self):
        self.check_x86("gcc", "-O1", "few", self.some(None, "F32", "Q8_0", "Q4_K"))

    def test_gcc_o3_in_every_way(self):
        self.check_x86("gcc", "-O3", "many", self.some(["llama", "gemma3", "bert"], "Q8_0", "Q4_K"))

    def test_clang_o2(self):
        self.check_x86("clang", "-O2", "few", self.models)

    def test_arm(self):
        ways = [("neon", "few", self.some(["llama"])), ("neon", "few", self.some(None, "Q8_0")),
                ("plain", "few", self.some(["qwen2"], "Q8_0"))]
        self.check(golden.ARM_COMPILER, "-O2", golden.ARM_FORMS, ways, ["-static"], [golden.ARM_RUNNER])


if __name__ == "__main__":
    tap.main()
