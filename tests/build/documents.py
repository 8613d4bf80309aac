"""The documents quote code as it stands, and link to what is there: documents.py TOP"""

import os
import re
import subprocess
import sys
import unittest

import tap

TOP = sys.argv[1]
NOT_CODE = "Harden the release build and add the fuzz build"  # the subject of a commit


def read(name):
    with open(os.path.join(TOP, name), encoding="utf-8") as file:
        return file.read()


def tracked(*patterns):
    listed = subprocess.run(["git", "ls-files", "-z", "--", *patterns], cwd=TOP, check=True, capture_output=True)
    return [name for name in listed.stdout.decode().split("\0") if name and os.path.isfile(os.path.join(TOP, name))]


def unindented(text):
    return "\n".join(line.strip() for line in text.splitlines())


@unittest.skipUnless(os.path.exists(os.path.join(TOP, ".git")), "this is no clone")
class Documents(unittest.TestCase):
    def test_what_contributing_quotes_stands_in_the_tree(self):
        sources = [unindented(read(name)) for name in tracked("*.c", "*.h")]
        blocks = re.findall(r"(?:^    .*\n(?:\n(?=    ))?)+", read("CONTRIBUTING.md"), re.MULTILINE)
        quoted = [unindented(block).strip() for block in blocks]
        self.assertGreater(len(quoted), 3)
        gone = [text for text in quoted if text != NOT_CODE and not any(text in source for source in sources)]
        self.assertEqual(gone, [])

    def test_links_lead_to_files(self):
        broken = []
        for name in tracked("*.md"):
            for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", read(name)):
                path = os.path.join(TOP, os.path.dirname(name), link)
                if "://" not in link and not os.path.exists(path):
                    broken.append(f"{name}: {link}")
        self.assertEqual(broken, [])

    def test_the_tests_that_the_document_on_security_names_are_there(self):
        """Behind a link to a test's file stand names of tests in it, in code and without "test_"."""
        text = read("docs/security.md")
        named = re.findall(r"\]\(\.\./(tests/[^)]+)\):?((?:,?(?: and)?\s+`[^`]+`)+)", text)
        pairs = [(file, name) for file, names in named for name in re.findall(r"`([^`]+)`", names)]
        self.assertGreater(len(pairs), 50)
        self.assertEqual([], [f"{file}: {name}" for file, name in pairs
                              if not re.search(rf"\btest_{name}\(|^test\('{re.escape(name)}'", read(file), re.MULTILINE)])
        elsewhere = set(re.findall(r"`([a-z0-9]+(?:_[a-z0-9]+){3,})`", text)) - {name for _, name in pairs}
        self.assertEqual(elsewhere, set())  # a name that no link stands before


if __name__ == "__main__":
    tap.main()
