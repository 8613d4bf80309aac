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


if __name__ == "__main__":
    tap.main()
