"""tools/test counts what meson's log says, and takes nothing for a pass that isn't one."""

import importlib.machinery
import importlib.util
import pathlib
import unittest

import tap

PATH = str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "test")
loader = importlib.machinery.SourceFileLoader("tools_test", PATH)
tools_test = importlib.util.module_from_spec(importlib.util.spec_from_loader("tools_test", loader))
loader.exec_module(tools_test)


def count(result, stdout):
    return tools_test.count_cases({"name": "t", "result": result, "stdout": stdout})


class Counting(unittest.TestCase):
    def test_each_tap_case_counts(self):
        self.assertEqual(count("OK", "1..3\nok 1 - a\nok 2 - b\nok 3 - c # SKIP no\n"), (2, 0, 1))

    def test_a_plan_at_the_end_is_a_plan(self):
        self.assertEqual(count("OK", "TAP version 13\n# Subtest: a\nok 1 - a\n  ---\n  ...\n1..1\n"), (1, 0, 0))

    def test_cmocka_skips_as_not_ok(self):
        self.assertEqual(count("OK", "1..2\nnot ok 1 # SKIP a\nok 2 - b\n"), (1, 0, 1))

    def test_a_failed_case_counts_once(self):
        self.assertEqual(count("FAIL", "1..2\nnot ok 1 - a\n# why\nok 2 - b\n"), (1, 1, 0))

    def test_cases_that_never_ran_failed(self):
        self.assertEqual(count("ERROR", "1..4\nok 1 - a\n"), (1, 3, 0))

    def test_a_program_that_dies_after_its_last_case_failed(self):
        self.assertEqual(count("ERROR", "1..1\nok 1 - a\n"), (1, 1, 0))
        self.assertEqual(count("TIMEOUT", "ok 1 - a\n"), (1, 1, 0))

    def test_a_program_without_tap_is_one_case(self):
        self.assertEqual(count("OK", "all is ok\nok then\n"), (1, 0, 0))
        self.assertEqual(count("FAIL", ""), (0, 1, 0))
        self.assertEqual(count("SKIP", "1..0 # SKIP nothing to do\n"), (0, 0, 1))


if __name__ == "__main__":
    tap.main()
