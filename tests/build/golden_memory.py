"""The memory's search and its embedder give one and the same bits: every form, by gcc and clang at -O1 to -O3, on x86-64 and
on 64-bit ARM.

golden_memory.py TOP: builds tests/support/golden_memory.c from the sources, with the project's flags for arithmetic, and
compares what it prints with tests/build/golden_memory.txt. Its second line changes only with the embedder's name.
"""

import pathlib
import sys
import tempfile
import unittest

import golden
import tap

TOP = pathlib.Path(sys.argv[1])
MEMORY = TOP / "src" / "domain" / "memory"
BASE = TOP / "src" / "core" / "base"
EXPECTED = (TOP / "tests" / "build" / "golden_memory.txt").read_text()
SOURCES = [TOP / "tests" / "support" / "golden_memory.c"] + [
    MEMORY / f"{name}.c" for name in ("dots", "dots_plain", "embedder", "half", "letter", "letter_tables", "nearest", "vectors")] + [
    BASE / f"{name}.c" for name in ("error", "fault", "map", "memory", "slice")]
# The only call that leaves the memory and the base; glibc has the same.
FLAGS = ["-Dsecret_wipe=explicit_bzero", f"-I{MEMORY}", f"-I{MEMORY / 'include'}",
         f"-I{TOP / 'src' / 'core' / 'crypto' / 'include'}"]
X86_FORMS = {"dots_avx2": ["-mavx2", "-mf16c"], "dots_avx512": ["-mavx512f", "-mavx512dq"]}
ARM_FORMS = {"dots_neon": []}


class GoldenMemory(unittest.TestCase):
    def check(self, compiler, level, forms, link=(), runner=()):
        """The names of the forms that ran."""
        golden.skip_without(self, compiler, *runner[:1])
        with tempfile.TemporaryDirectory() as folder:
            program = golden.build(compiler, level, forms, pathlib.Path(folder), link, SOURCES, FLAGS, MEMORY)
            names = golden.run([*runner, program, "forms"]).split()
            for name in names:
                self.assertEqual(golden.run([*runner, program, name]), EXPECTED, name)
        return names

    def check_x86(self, compiler, level):
        golden.skip_unless_x86(self)
        self.assertIn("plain", self.check(compiler, level, X86_FORMS))

    def test_gcc_o1(self):
        self.check_x86("gcc", "-O1")

    def test_gcc_o2(self):
        self.check_x86("gcc", "-O2")

    def test_gcc_o3(self):
        self.check_x86("gcc", "-O3")

    def test_clang_o1(self):
        self.check_x86("clang", "-O1")

    def test_clang_o2(self):
        self.check_x86("clang", "-O2")

    def test_clang_o3(self):
        self.check_x86("clang", "-O3")

    def test_arm_o1(self):
        names = self.check(golden.ARM_COMPILER, "-O1", ARM_FORMS, ["-static"], [golden.ARM_RUNNER])
        self.assertEqual(names, ["neon", "plain"])

    def test_arm_o3(self):
        names = self.check(golden.ARM_COMPILER, "-O3", ARM_FORMS, ["-static"], [golden.ARM_RUNNER])
        self.assertEqual(names, ["neon", "plain"])


if __name__ == "__main__":
    tap.main()
