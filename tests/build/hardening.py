"""The binary that users get carries the protections that meson.build asks for: hardening.py BINARY COMPILER…"""

import re
import subprocess
import sys
import unittest

import tap

BINARY, COMPILER = sys.argv[1], sys.argv[2:]


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def readelf(*options):
    return output("readelf", "--wide", *options, BINARY)


class Hardening(unittest.TestCase):
    def test_is_position_independent(self):
        self.assertRegex(readelf("--file-header"), r"Type:\s+DYN")
        self.assertRegex(readelf("--dynamic"), r"FLAGS_1.*\bPIE\b")

    def test_relocations_are_read_only(self):
        self.assertIn("GNU_RELRO", readelf("--program-headers"))
        self.assertRegex(readelf("--dynamic"), r"BIND_NOW|FLAGS_1.*\bNOW\b")

    def test_no_memory_is_writable_and_executable(self):
        headers = readelf("--program-headers")
        self.assertRegex(headers, r"GNU_STACK\s.*\sRW\s")
        self.assertNotRegex(headers, r"(LOAD|GNU_STACK)\s.*\sRWE\s")

    def test_stack_is_guarded(self):
        self.assertIn("__stack_chk_fail", readelf("--dyn-syms"))

    def test_library_calls_are_fortified(self):
        self.assertRegex(readelf("--dyn-syms"), r"__\w+_chk\b")

    def test_libraries_are_looked_up_in_system_folders_only(self):
        self.assertNotRegex(readelf("--dynamic"), r"R(UN)?PATH")

    def test_its_worker_can_not_be_told_to_cheat(self):
        done = subprocess.run([BINARY, "worker", "run", "--model", "x", "--cheat", "replay"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 2, done.stderr)
        with open(BINARY, "rb") as file:
            self.assertNotIn(b"this worker cheats", file.read())

    def test_indirect_branches_are_tracked_where_the_c_library_allows_it(self):
        start = output(*COMPILER, "-print-file-name=Scrt1.o").strip()
        if not re.search(r"IBT", output("readelf", "--notes", start)):
            self.skipTest("the C library's start-up code is not marked for it")
        self.assertRegex(readelf("--notes"), r"IBT, SHSTK")


if __name__ == "__main__":
    tap.main()
