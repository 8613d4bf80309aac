"""Signed releases: what `verify release` refuses, and programs that check themselves and each other. release.py BINARY"""

import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

import tap
from wire import BINARY, Site, trust, wait_for, Connection

NOTES = "share/cellule/release"
VERSION = subprocess.run([BINARY, "version"], check=True, capture_output=True, text=True).stdout.split()[1]


def run(*arguments, program=BINARY):
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False,
                          stdin=subprocess.DEVNULL)


class Maintainers(unittest.TestCase):
    """ann, bob and eve, of whom two must sign, and releases in folders of the test's own."""

    @classmethod
    def setUpClass(cls):
        scratch = tempfile.TemporaryDirectory(prefix="cellule-release-")
        cls.addClassCleanup(scratch.cleanup)
        cls.folder = pathlib.Path(scratch.name)
        cls.public = {name: cls.tool("key", "--name", name, cls.key_file(name)).strip()
                      for name in ("ann", "bob", "eve", "dan")}
        cls.first_list = cls.folder / "maintainers-1"
        cls.tool("keys", "--threshold", "2", "--output", cls.first_list, *map(cls.public.get, ("ann", "bob", "eve")))

    @classmethod
    def key_file(cls, name):
        return cls.folder / f"{name}.key"

    @classmethod
    def tool(cls, *arguments):
        done = run("release", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @classmethod
    def sign(cls, path, *names):
        for name in names:
            cls.tool("sign", "--key", cls.key_file(name), "--name", name, path)

    @classmethod
    def release(cls, name, program, signers=("ann", "bob"), version=VERSION, expires="2999-01-01"):
        """A folder with `program` in it, signed."""
        folder = cls.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "bin").mkdir(parents=True)
        (folder / "share" / "man").mkdir(parents=True)
        shutil.copy(program, folder / "bin" / "cellule")
        (folder / "share" / "man" / "page.1").write_text("how to use it\n")
        cls.tool("manifest", "--release", version, "--expires", expires, folder)
        cls.sign(folder, *signers)
        return folder


class Verified(Maintainers):
    def setUp(self):
        program = self.folder / "program"
        program.write_text("what it does\n")
        self.program = program

    def verify(self, folder, *options, keys=None):
        return run("verify", "release", "--keys", keys or self.first_list, *options, folder)

    def check_refuted(self, folder, words, *options, **more):
        done = self.verify(folder, *options, **more)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("refuted", done.stderr)
        self.assertIn(words, done.stderr)

    def test_a_whole_release_holds(self):
        folder = self.release("good", self.program)
        done = self.verify(folder, "--json")
        self.assertEqual(done.returncode, 0, done.stdout)
        told = json.loads(done.stdout)
        self.assertEqual((told["result"], told["version"], told["files"], told["generation"]), ("holds", VERSION, 2, 1))
        self.assertEqual(told["program"], hashlib.sha256(self.program.read_bytes()).hexdigest())
        self.assertIn("holds", self.verify(folder).stdout)

    def test_a_missing_key_is_refused(self):
        self.check_refuted(self.release("one", self.program, ("bob",)), "missing is one of ann, eve")
        self.check_refuted(self.release("none", self.program, ()), "not a signed note")
        self.check_refuted(self.release("stranger", self.program, ("ann", "dan")), "missing is one of bob, eve")
        folder = self.release("twice", self.program, ("ann",))
        again = run("release", "sign", "--key", self.key_file("ann"), "--name", "ann", folder)
        self.assertIn("ann has signed it already", again.stderr)
        other = run("release", "sign", "--key", self.key_file("dan"), "--name", "bob", folder)  # dan calls himself bob
        self.assertEqual(other.returncode, 0, other.stderr)
        self.check_refuted(folder, "missing is one of bob, eve")

    def test_an_old_version_is_refused(self):
        folder = self.release("old", self.program, version="0.0.9")
        self.check_refuted(folder, f"release 0.0.9 is older than {VERSION}")
        self.check_refuted(folder, "release 0.0.9 is older than 0.0.10", "--least", "0.0.10")
        self.assertEqual(self.verify(folder, "--least", "0.0.9").returncode, 0)
        self.assertEqual(self.verify(folder, "--least", "new").returncode, 2)

    def test_an_extra_file_is_refused(self):
        for name in ("more", "bin/cellule2", f"{NOTES}/more", f"{NOTES}/maintainers-2", f"{NOTES}/maintainers-x"):
            folder = self.release("extra", self.program)
            (folder / name).write_text("x")
            words = "maintainers-2" if name.endswith("-2") else f"{name} isn't in the manifest: an extra file"
            self.check_refuted(folder, words)
        folder = self.release("hidden", self.program)
        (folder / "bin" / ".hidden").write_text("x")
        self.check_refuted(folder, "bin/.hidden can't be part of a release: it is hidden, an extra file")
        folder = self.release("linked", self.program)
        (folder / "bin" / "link").symlink_to("/etc/passwd")
        self.check_refuted(folder, "bin/link can't be part of a release: it is neither a file nor a folder")
        folder = self.release("raised", self.program)
        (folder / "bin" / "cellule").chmod(0o4755)
        self.check_refuted(folder, "it would run as somebody else")

    def test_a_missing_file_is_refused(self):
        folder = self.release("less", self.program)
        (folder / "share" / "man" / "page.1").unlink()
        self.check_refuted(folder, "share/man/page.1 is in the manifest and is missing here")

    def test_a_changed_file_is_refused(self):
        for change in ("what it does.", "what it undoes\n"):
            folder = self.release("changed", self.program)
            (folder / "bin" / "cellule").write_text(change)
            self.check_refuted(folder, "bin/cellule was changed: it isn't the file that was signed")

    def test_a_changed_manifest_is_refused(self):
        folder = self.release("edited", self.program)
        manifest = folder / NOTES / "manifest"
        text = manifest.read_text()
        manifest.write_text(text.replace("expires 32", "expires 33"))
        self.check_refuted(folder, "the signature of ann isn't over this text")
        manifest.write_text(text.replace("— ann", "— eve"))
        self.check_refuted(folder, "missing")
        manifest.unlink()
        done = self.verify(folder)
        self.assertEqual(done.returncode, 2)
        self.assertIn("there is no signed manifest", done.stderr)

    def test_an_expired_release_is_refused(self):
        self.check_refuted(self.release("expired", self.program, expires="2020-02-29"), "has expired on 2020-02-29")

    def test_without_keys_nothing_can_be_told(self):
        done = run("verify", "release", self.release("unknown", self.program))
        self.assertEqual(done.returncode, 2)
        self.assertIn("say whom you trust", done.stderr)

    def test_a_maintainer_signs_only_what_lies_there(self):
        folder = self.release("unsigned", self.program, ())
        (folder / "bin" / "cellule").write_text("something else")
        done = run("release", "sign", "--key", self.key_file("ann"), "--name", "ann", folder)
        self.assertEqual(done.returncode, 1)
        self.assertIn("bin/cellule was changed", done.stderr)

    def next_list(self, folder, names, threshold, signers):
        """The second list: bob and dan; ann and eve have left."""
        lists = folder / NOTES / "maintainers-2"
        self.tool("keys", "--threshold", threshold, "--after", self.first_list, "--output", lists, *map(self.public.get, names))
        self.sign(lists, *signers)
        return lists

    def test_maintainers_hand_over_to_others(self):
        folder = self.release("handed", self.program, ("bob", "dan"))
        self.check_refuted(folder, "missing is one of ann, eve")
        self.next_list(folder, ("bob", "dan"), 2, ("ann", "bob", "dan"))
        done = self.verify(folder, "--json")
        self.assertEqual(json.loads(done.stdout)["generation"], 2)
        late = self.release("late", self.program, ("ann", "eve"))
        self.next_list(late, ("bob", "dan"), 2, ("ann", "bob", "dan"))
        self.check_refuted(late, "0 of the maintainers signed it")

    def test_a_list_that_nobody_handed_over_is_refused(self):
        folder = self.release("seized", self.program, ("bob", "dan"))
        self.next_list(folder, ("bob", "dan"), 2, ("bob", "dan"))
        self.check_refuted(folder, "by the one before")
        self.next_list(folder, ("bob", "dan"), 2, ("ann", "bob"))
        self.check_refuted(folder, "by its own")


class Booted(Maintainers):
    """Pools and workers that were installed from a release."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.good = cls.release("installed", BINARY)

    def site(self, name, folder=None, **settings):
        """A site whose pool is the installed program."""
        settings = {"release_check": "refuse", "release_keys": str(self.first_list), **settings}
        site = Site(self.folder / name, (folder or self.good) / "bin" / "cellule", worker_count=0, settings=settings)
        site.make()
        self.addCleanup(site.stop)
        return site

    def start(self, site, *options):
        return run("pool", "run", "--site", site.folder, *options, program=site.binary)

    def check_refused(self, site, words):
        done = self.start(site)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("this program may not run here", done.stderr)
        self.assertIn(words, done.stderr)

    def stated(self, site):
        with Connection(site.address, trust(site.ca_file)) as connection:
            return connection.ask("GET", "/v1/release").json

    def first_entries(self, site):
        listed = site.cellule("admin", "audit", "list", "--from", "0", "--json", key=site.admin_key).stdout
        return re.findall(r"program [0-9a-f]{64}, release check: \w+", listed)

    def test_the_signed_release_runs_says_what_it_is_and_remembers_its_version(self):
        site = self.site("good")
        self.assertEqual(self.start(site, "--check").returncode, 0)
        self.assertFalse((site.folder / "release.seen").exists())  # a look leaves no mark
        site.start()
        digest = hashlib.sha256(pathlib.Path(site.binary).read_bytes()).hexdigest()
        stated = self.stated(site)
        self.assertEqual((stated["program"], stated["version"], stated["check"]), (digest, VERSION, "verified"))
        self.assertEqual(stated["manifest"], (self.good / NOTES / "manifest").read_text())
        self.assertIn(f"program {digest}, release check: verified", self.first_entries(site))
        self.assertIn(f"version {VERSION}\n", (site.folder / "release.seen").read_text())

    def test_an_older_release_is_refused(self):
        site = self.site("older")
        seen = site.folder / "release.seen"
        seen.write_text("cellule release seen v1\nversion 999.0.0\ngeneration 1\n")
        self.check_refused(site, f"release {VERSION} is older than 999.0.0, which ran here before")
        seen.write_text(f"cellule release seen v1\nversion {VERSION}\ngeneration 2\n")
        self.check_refused(site, "generation 1, and 2 was seen here")
        seen.write_text("nonsense")
        self.check_refused(site, "release.seen is damaged")
        seen.unlink()
        self.assertEqual(self.start(site, "--check").returncode, 0)

    def test_a_changed_program_is_refused(self):
        folder = self.release("tampered", BINARY)
        with open(folder / "bin" / "cellule", "ab") as file:
            file.write(b"\0")
        site = self.site("changed", folder)
        self.check_refused(site, "this program was changed: it isn't the one that was signed")
        self.assertFalse((site.folder / "release.seen").exists())

    def test_an_expired_a_half_signed_and_a_missing_manifest_are_refused(self):
        self.check_refused(self.site("expired", self.release("stale", BINARY, expires="2020-01-01")), "has expired")
        self.check_refused(self.site("half", self.release("unsigned", BINARY, ("eve",))), "missing is one of ann, bob")
        self.check_refused(self.site("other", self.release("named", BINARY, version="9.9.9")),
                           f"the manifest is of version 9.9.9, and this program is {VERSION}")
        bare = self.release("bare", BINARY)
        shutil.rmtree(bare / NOTES)
        self.check_refused(self.site("missing", bare), "there is no signed manifest")

    def test_a_wrong_program_runs_with_a_warning_where_the_settings_want_it(self):
        site = self.site("warned", self.release("warned-release", BINARY, ("ann",)), release_check="warn")
        site.start()
        self.assertEqual(self.stated(site)["check"], "wrong")
        self.assertNotIn("manifest", self.stated(site))
        self.assertIn("isn't a release that may run here", (site.folder / "pool.log").read_text())
        self.assertTrue(self.first_entries(site)[0].endswith("wrong"))

    def test_a_development_build_says_that_nothing_is_checked(self):
        site = self.site("development", release_check="auto", release_keys="")
        site.start()
        self.assertEqual(self.stated(site)["check"], "off")
        self.assertIn("a development build: its own bytes aren't checked", (site.folder / "pool.log").read_text())
        site.stop()
        self.check_refused(self.site("keyless", release_keys=""), "no maintainers' keys in it")
        for settings, words in (({"release_check": "never"}, "not one of auto, refuse, warn, off"),
                                ({"worker_releases": "signed, none"}, '"none" is neither'),
                                ({"release_keys": "/nonexistent"}, "the maintainers' keys in /nonexistent")):
            done = self.start(self.site("wrong" + "".join(settings), **settings))
            self.assertEqual(done.returncode, 1)
            self.assertIn(words, done.stderr)

    def worker(self, site, index, *options, folder=None, keys=True):
        """A worker of the installed program at this site."""
        mine = Site(site.folder, (folder or self.good) / "bin" / "cellule", worker_count=0)
        more = ("--release-check", "refuse", "--release-keys", str(self.first_list)) if keys else ()
        worker = mine.start_worker(index, *more, *options)
        self.addCleanup(mine.stop)
        return worker

    def log_of(self, worker):
        return pathlib.Path(worker.log).read_text(errors="replace")

    def wait_until_connected(self, site, count=1):
        wait_for("the workers are connected", lambda: site.connected_workers() == count)

    def test_pool_and_workers_take_each_other_when_both_are_signed(self):
        site = self.site("both", worker_releases=f"signed>={VERSION}")
        site.start()
        worker = self.worker(site, 0, "--pool-release", "signed")
        self.wait_until_connected(site)
        self.assertIn("is the release that was signed", self.log_of(worker))
        self.assertTrue((site.worker_folder(0) / "release.seen").exists())
        digest = hashlib.sha256(pathlib.Path(site.binary).read_bytes()).hexdigest()
        self.assertEqual([worker["program"] for worker in site.admin("worker", "list")["workers"]], [digest])

    def test_a_pool_refuses_workers_with_another_program_also_while_they_serve(self):
        site = self.site("picky", worker_releases="same")
        site.start()
        worker = self.worker(site, 0)
        self.wait_until_connected(site)
        settings = site.folder / "pool.yaml"
        settings.write_text(settings.read_text().replace("worker_releases: \"same\"", f"worker_releases: \"{'1' * 64}\""))
        site.pool.signal(signal.SIGHUP)
        self.assertEqual(wait_for("the worker ends", lambda: worker.child.poll()), 1)
        self.assertIn("isn't accepted", self.log_of(worker))
        self.wait_until_connected(site, 0)

    def test_a_pool_refuses_a_worker_that_nobody_signed(self):
        site = self.site("strict", worker_releases="signed")
        site.start()
        worker = self.worker(site, 0, keys=False)  # checks itself against nothing, so it has nothing to show
        self.assertEqual(wait_for("the worker ends", lambda: worker.child.poll()), 1)
        self.assertIn("it has no signed manifest", self.log_of(worker))

    def test_a_worker_refuses_a_pool_with_another_program(self):
        site = self.site("foreign")
        site.start()
        worker = self.worker(site, 0, "--pool-release", "2" * 64)
        wait_for("the worker has seen the pool", lambda: "nothing is computed for it" in self.log_of(worker))
        wait_for("the worker has left", lambda: site.connected_workers() == 0)
        self.assertTrue(worker.alive())  # the pool may be put right

    def test_a_worker_that_is_not_the_signed_release_does_not_start(self):
        site = self.site("tampered-worker")
        site.start()
        folder = self.release("tampered-worker-release", BINARY)
        with open(folder / "bin" / "cellule", "ab") as file:
            file.write(b"\0")
        worker = self.worker(site, 0, folder=folder)
        self.assertEqual(wait_for("the worker ends", lambda: worker.child.poll()), 1)
        self.assertIn("this program was changed", self.log_of(worker))

    def test_a_client_shows_its_key_to_an_accepted_program_only(self):
        site = self.site("client")
        site.start()
        digest = hashlib.sha256(pathlib.Path(site.binary).read_bytes()).hexdigest()

        def status(release, **more):
            return site.cellule("admin", "status", "--pool-release", release, key=site.admin_key, check=False, **more)

        for accepted in (digest, "same", f"{'3' * 64}, {digest}"):
            self.assertEqual(status(accepted).returncode, 0, accepted)
        before = self.shown_keys(site)
        for refused, words in (("3" * 64, f"the program {digest} isn't accepted"), ("signed", "no maintainers' keys are known"),
                               ("x", '"x" is neither')):
            done = status(refused)
            self.assertEqual(done.returncode, 1)
            self.assertIn(words, done.stderr)
        self.assertEqual(self.shown_keys(site), before)
        environment = {**os.environ, **site.environment(site.admin_key), "CELLULE_POOL_RELEASE": "3" * 64}
        done = subprocess.run([BINARY, "admin", "status"], env=environment, capture_output=True, text=True, check=False)
        self.assertIn("isn't accepted", done.stderr)

    def shown_keys(self, site):
        """How often the status was asked for with a key: each time is in the audit log."""
        listed = site.cellule("admin", "audit", "list", "--from", "0", "--json", key=site.admin_key).stdout
        return listed.count("GET /v1/admin/status")


if __name__ == "__main__":
    tap.main()
