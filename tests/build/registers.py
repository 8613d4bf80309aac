"""No vector register holds anything once it is forgotten: by gcc and clang, on x86-64 and on 64-bit ARM.

registers.py TOP: builds tests/support/registers.c from the sources, and reads what it prints.
"""

import pathlib
import sys
import tempfile
import unittest

import golden
import tap

TOP = pathlib.Path(sys.argv[1])
BASE = TOP / "src" / "core" / "base"
SOURCES = [TOP / "tests" / "support" / "registers.c"] + [BASE / f"{name}.c" for name in ("error", "fault", "memory", "registers")]


class Registers(unittest.TestCase):
    def check(self, compiler, level, fewest, link=(), runner=()):
        golden.skip_without(self, compiler, *runner[:1])
        with tempfile.TemporaryDirectory() as folder:
            program = golden.build(compiler, level, {}, pathlib.Path(folder), link, SOURCES)
            self.assertEqual(golden.run([*runner, program]), "")
            left = golden.run([*runner, program, "keep"]).split()
            self.assertGreaterEqual(len(left), fewest)

    def check_x86(self, compiler, level):
        golden.skip_unless_x86(self)
        self.check(compiler, level, 16)

    def test_gcc(self):
        self.check_x86("gcc", "-O2")

    def test_clang(self):
        self.check_x86("clang", "-O2")

    def test_arm_o1(self):
        self.check(golden.ARM_COMPILER, "-O1", 32, ["-static"], [golden.ARM_RUNNER])

    def test_arm_o3(self):
        self.check(golden.ARM_COMPILER, "-O3", 32, ["-static"], [golden.ARM_RUNNER])


if __name__ == "__main__":
    tap.main()
