"""The man page and the completion speak of the verbs and options that the program has: manual.py BINARY TOP"""

import os
import re
import subprocess
import sys
import unittest

import tap

BINARY, TOP = sys.argv[1], sys.argv[2]


def help_of(*verbs):
    return subprocess.run([BINARY, *verbs, "--help"], check=True, capture_output=True, text=True).stdout


def walk(*verbs):
    """Yields (verbs, options) of every verb that has no further ones."""
    text = help_of(*verbs)
    if " VERB " in text.splitlines()[0]:
        for name in re.findall(r"^  ([a-z][a-z-]*) ", text, re.MULTILINE):
            yield from walk(*verbs, name)
    else:
        yield verbs, re.findall(r"^  (--[a-z0-9-]+)", text, re.MULTILINE)


def sections(page):
    """{heading: text} of the man page's subsections, with its escapes undone."""
    text = page.replace("\\-", "-")
    parts = re.split(r'^\.S[SH] "?([^"\n]*)"?\n', text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


def complete(*words):
    script = f'source "{TOP}/completion/cellule.bash"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _cellule; ' \
             'printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", script, "bash", BINARY, *words], check=True, capture_output=True, text=True)
    return done.stdout.split()


class Manual(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        with open(os.path.join(TOP, "man", "cellule.1"), encoding="utf-8") as file:
            self.sections = sections(file.read())

    def test_every_verb_has_a_section_and_every_option_is_in_it(self):
        missing = []
        for verbs, options in walk():
            heading = "cellule " + " ".join(verbs)
            found = [text for name, text in self.sections.items() if re.match(heading + r"( [A-Z]|$)", name)]
            if len(found) != 1:
                missing.append(heading)
                continue
            missing += [f"{heading} {option}" for option in options
                        if option != "--help" and not re.search(rf"{option}(?![a-z-])", found[0])]
        self.assertEqual(missing, [])

    def test_the_page_names_no_option_that_is_gone(self):
        known = {option for _, options in walk() for option in options}
        named = {option for text in self.sections.values() for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)}
        self.assertEqual(named - known, set())

    def test_completion_offers_verbs_and_options(self):
        self.assertIn("pool", complete(""))
        for verbs, options in walk():
            self.assertIn(verbs[-1], complete(*verbs[:-1], verbs[-1][:2]))
            self.assertEqual(sorted(options), sorted(complete(*verbs, "--")))


if __name__ == "__main__":
    tap.main()
