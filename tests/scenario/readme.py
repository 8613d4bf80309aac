"""The commands of README.md's section "Make a site", of docs/proof.md, docs/audit.md and docs/privacy.md, as a reader would type them:
readme.py BINARY TOP"""

import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import tap

BINARY, TOP = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
sys.path.insert(0, str(TOP / "tools"))
from cellule_site import free_port  # noqa: E402

SECONDS = 60


def commands(document="README.md", heading="Make a site"):
    """The lines of the section's shell blocks, without their comments."""
    text = (TOP / document).read_text(encoding="utf-8")
    section = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = "\n".join(re.findall(r"```sh\n(.*?)```", section, re.DOTALL)).splitlines()
    return [re.sub(r"\s+#.*", "", line) for line in lines if line]


class Reader:
    """Types commands in a folder of its own; what a reader would copy from the screen is put in for the capitals."""

    def __init__(self, folder, port):
        self.folder = folder
        self.port = port
        self.seen = {}
        self.children = []
        self.environment = {**os.environ, "HOME": str(folder), "PATH": f"{BINARY.parent}:{os.environ['PATH']}"}

    def type(self, line):
        line = line.replace("8443", str(self.port)).replace("0.0.0.0", "127.0.0.1").replace("demo/", f"{TOP}/demo/")
        for name, value in self.seen.items():
            line = re.sub(rf"\b{name}\b", value, line)
        if line.startswith("export "):
            self.environment.update(word.split("=", 1) for word in line.split()[1:])
        elif line.endswith("&"):
            self.children.append(subprocess.Popen(line[:-1].split(), cwd=self.folder, env=self.environment,
                                                  stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        else:
            self.run(line)

    def run(self, line):
        """Runs it until it succeeds: what was started a moment ago may not serve yet."""
        end = time.monotonic() + SECONDS
        while True:
            done = subprocess.run(line, shell=True, cwd=self.folder, env=self.environment, text=True,
                                  capture_output=True, check=False, timeout=SECONDS)
            self.said = done.stdout
            self.look(line, done.stdout)
            if done.returncode == 0:
                return
            if time.monotonic() > end:
                raise AssertionError(f"{line}: {done.stderr}")
            time.sleep(0.2)

    def look(self, line, output):
        for name, pattern in (("POOL_ID", r"pool id +([0-9a-f]{64})"), ("ADMIN_KEY", r"admin key +(ck_\S+)"),
                              ("TOKEN", r"join (cj_\S+)"), ("WITNESS", r"signed as (\S+)"),
                              ("WORKER_ID", r"^([0-9a-f]{32}) ")):
            found = re.search(pattern, output, re.MULTILINE)
            if found:
                self.seen[name] = found.group(1)
        found = re.search(r"^(ck_\S+)$", output, re.MULTILINE)
        if "user add bob" in line and found:
            self.seen["BOB_KEY"] = found.group(1)
        if line.startswith("cellule ask"):
            self.answer = output

    def stop(self):
        for child in self.children:
            child.send_signal(signal.SIGTERM)
        for child in self.children:
            child.wait(30)


class Readme(unittest.TestCase):
    def test_the_commands_of_the_readme_make_a_site_that_answers(self):
        with tempfile.TemporaryDirectory() as folder:
            reader = Reader(pathlib.Path(folder), free_port())
            try:
                for line in commands():
                    reader.type(line)
            finally:
                reader.stop()
            self.assertIn("signed", reader.answer)
            self.assertEqual(set(reader.seen), {"POOL_ID", "ADMIN_KEY", "TOKEN", "BOB_KEY", "WORKER_ID"})

    def test_an_answer_is_checked_by_hand_as_the_document_on_proof_says(self):
        with tempfile.TemporaryDirectory() as folder:
            reader = Reader(pathlib.Path(folder), free_port())
            readme, proof = commands(), commands("docs/proof.md", "Check an answer by hand")
            asked = next(i for i, line in enumerate(readme) if line.startswith("cellule ask"))
            try:
                for line in readme[:asked + 1] + proof:
                    reader.type(line)
            finally:
                reader.stop()
            self.assertEqual(len(proof), 3)
            self.assertIn("proved", reader.said)

    def test_the_audit_log_is_checked_as_its_document_says(self):
        with tempfile.TemporaryDirectory() as folder:
            reader = Reader(pathlib.Path(folder), free_port())
            readme, audit = commands(), commands("docs/audit.md", "Check it")
            exported = next(i for i, line in enumerate(readme) if line.startswith("export"))
            try:
                for line in readme[:exported + 1] + audit:
                    reader.type(line)
            finally:
                reader.stop()
            self.assertEqual(len(audit), 6)
            self.assertIn("witnesses  1", reader.said)

    def test_what_is_kept_is_seen_and_erased_as_its_document_says(self):
        for document, seeing, erasing, file in (("docs/privacy.md", "See what is kept", "Erase it", "my-data.json"),
                                                ("docs/privacy.fr.md", "Voir ce qui est conservé", "L'effacer",
                                                 "mes-donnees.json")):
            with tempfile.TemporaryDirectory() as folder:
                reader = Reader(pathlib.Path(folder), free_port())
                readme = commands()
                asked = next(i for i, line in enumerate(readme) if line.startswith("cellule ask"))
                seen, erased = commands(document, seeing), commands(document, erasing)
                try:
                    for line in readme[:asked + 1] + seen:
                        reader.type(line)
                    text = (pathlib.Path(folder) / file).read_text(encoding="utf-8")
                    self.assertIn('"complete":true', text)
                    for line in erased:
                        reader.type(line)
                finally:
                    reader.stop()
                self.assertEqual((len(seen), len(erased)), (3, 1))
                self.assertIn("erased", reader.said)


if __name__ == "__main__":
    tap.main()
