"""A release has the same bytes wherever it is built, and the program in it checks itself: packaging.py TOP"""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import tap

TOP = pathlib.Path(sys.argv[1]).resolve()
sys.path.insert(0, str(TOP / "tools"))

from cellule_site import Site  # noqa: E402 (found by the line above)

EPOCH = "1700000000"


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def pack(top, output, *options):
    """tools/release in a tree; the release's folder and its archive."""
    done = subprocess.run([top / "tools" / "release", "--output", output, *options], capture_output=True, text=True,
                          env={**os.environ, "SOURCE_DATE_EPOCH": EPOCH}, check=False)
    if done.returncode != 0:
        raise AssertionError(done.stdout[-3000:] + done.stderr[-3000:])
    folder = pathlib.Path(done.stdout.splitlines()[-1])
    return folder, folder.with_name(folder.name + ".tar.gz")


@unittest.skipUnless((TOP / ".git").exists(), "this is no clone")
class Packaging(unittest.TestCase):
    """The first build is the one that this tree has; the second is made in a copy with another path, later."""

    @classmethod
    def setUpClass(cls):
        scratch = tempfile.TemporaryDirectory(prefix="cellule-packaging-")
        cls.addClassCleanup(scratch.cleanup)
        cls.folder = pathlib.Path(scratch.name)
        cls.copy = cls.folder / "quite" / "another" / "tree"
        listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=TOP, check=True,
                                capture_output=True)
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (TOP / name).is_file():
                (cls.copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(TOP / name, cls.copy / name)
                shutil.copymode(TOP / name, cls.copy / name)
        cls.first, cls.first_archive = pack(TOP, cls.folder / "first")
        cls.second, cls.second_archive = pack(cls.copy, cls.folder / "second")

    def cellule(self, *arguments, program=None):
        return subprocess.run([program or self.first / "bin" / "cellule", *map(str, arguments)], capture_output=True,
                              text=True, timeout=300, check=False, stdin=subprocess.DEVNULL)

    def check_done(self, *arguments, **more):
        done = self.cellule(*arguments, **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_two_builds_have_the_same_bytes(self):
        first, second = files(self.first), files(self.second)
        self.assertEqual([name for name in first if first[name] != second.get(name)], [])
        self.assertEqual(list(first), list(second))
        self.assertEqual(hashlib.sha256(self.first_archive.read_bytes()).hexdigest(),
                         hashlib.sha256(self.second_archive.read_bytes()).hexdigest())

    def test_it_holds_program_manual_completion_and_model_and_names_no_folder_of_the_build(self):
        found = files(self.first)
        for name in ("bin/cellule", "share/man/man1/cellule.1", "share/bash-completion/completions/cellule",
                     "share/cellule/cellule-demo.gguf", "share/doc/cellule/LICENSE", "share/cellule/release/manifest"):
            self.assertIn(name, found)
        for name, content in found.items():
            self.assertNotIn(str(TOP).encode(), content, name)
        listed = subprocess.run(["tar", "-tvzf", self.first_archive], check=True, capture_output=True, text=True).stdout
        self.assertEqual({line.split()[1] for line in listed.splitlines()}, {"0/0"})
        self.assertEqual({line.split()[3] for line in listed.splitlines()}, {"2023-11-14"})

    def test_a_development_build_says_that_it_checks_nothing_and_can_vouch_for_nothing(self):
        done = self.cellule("verify", "release", self.first)
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertIn("development build", done.stderr)

    def test_a_release_with_keys_in_it_refuses_to_run_unless_it_is_the_one_that_was_signed(self):
        """What needs a program with keys in it, so one more link and no more builds."""
        keys = [self.check_done("release", "key", "--name", name, self.folder / f"{name}.key").strip()
                for name in ("ann", "bob", "eve")]
        lists = self.folder / "maintainers"
        self.check_done("release", "keys", "--threshold", "2", "--output", lists, *keys)
        release, _ = pack(self.copy, self.folder / "third", "--maintainers", lists, "--expires", "2999-01-01")
        program = release / "bin" / "cellule"
        site = Site(self.folder / "site", program, worker_count=0)

        def start(*options):
            return self.cellule("pool", "run", "--site", site.folder, "--check", *options, program=program)

        site.make()
        unsigned = start()
        self.assertEqual(unsigned.returncode, 1)
        self.assertIn("may not run here", unsigned.stderr)
        for name in ("ann", "eve"):
            self.check_done("release", "sign", "--key", self.folder / f"{name}.key", "--name", name, release, program=program)
        self.assertIn("holds", self.check_done("verify", "release", release, program=program))
        signed = start()
        self.assertEqual(signed.returncode, 0, signed.stderr)
        self.assertIn("is the release that was signed", signed.stderr)
        with site.running():
            stated = json.loads(site.cellule("admin", "status", "--json", "--pool-release", "signed", key=site.admin_key).stdout)
            self.assertEqual(stated["version"], self.check_done("version").split()[1])
            refused = site.cellule("admin", "status", "--pool-release", "signed>=999.0.0", key=site.admin_key, check=False)
            self.assertIn("is older than 999.0.0", refused.stderr)
        again = subprocess.run([TOP / "tools" / "release", "--pack", release], capture_output=True, text=True, check=True,
                               env={**os.environ, "SOURCE_DATE_EPOCH": EPOCH})
        self.assertIn(release.name, again.stdout)
        (release / "share" / "cellule" / "release" / "manifest").unlink()
        missing = start()
        self.assertEqual(missing.returncode, 1)
        self.assertIn("there is no signed manifest", missing.stderr)


if __name__ == "__main__":
    tap.main()
