"""The program as a user meets it who gets things wrong: an exit code and a sentence that helps. command_line.py BINARY"""

import json
import os
import pathlib
import socket
import subprocess
import tempfile
import threading
import unittest

import tap
from wire import BINARY, SiteCase, free_port, frozen

OK, FAILED, USAGE = 0, 1, 2
UNCHECKED = 2  # what `verify` can't tell

VERBS = ["pool init", "pool run", "worker join", "worker run", "ask", "admin status", "admin user add",
         "admin user list", "admin user key", "admin user keys", "admin user revoke", "admin user disable",
         "admin user verify", "admin worker token", "admin worker list", "admin worker revoke", "admin worker standing",
         "admin worker clear", "admin worker evidence", "admin worker blacklist add", "admin worker blacklist remove",
         "admin worker blacklist list", "admin honeytoken list", "admin honeytoken check", "admin verification list",
         "admin verification wrong", "verify receipt", "verify evidence",
         "engine serve", "engine info", "pool routes", "pool seal", "pool admin-key", "login", "logout",
         "admin session list", "admin session end", "admin session rotate-key", "admin enrolment request",
         "admin enrolment list", "admin enrolment token", "admin approval list", "admin approval show",
         "admin approval approve", "admin approval refuse", "admin worker rotate", "admin worker rotation",
         "admin revoke worker", "admin revoke key", "admin revoke user", "admin revoke owner", "admin revoke everything",
         "admin secrets show", "admin secrets rotate", "admin audit list", "admin audit show", "admin audit checkpoint",
         "conversation list", "conversation show", "conversation search", "conversation export", "conversation rename",
         "conversation delete", "privacy export", "privacy erase", "admin gdpr status", "admin gdpr erase",
         "admin audit export", "admin audit erase-person", "admin recovery list", "admin recovery approve",
         "admin recovery refuse", "admin recovery-key", "admin database copy", "key list", "key add", "key rotate",
         "key revoke", "memory status", "memory unlock", "memory lock", "memory key add", "memory key remove", "mcp",
         "memory fact list", "memory fact search", "memory fact add", "memory fact edit", "memory fact forget",
         "memory recovery status", "memory recovery ask",
         "verify audit", "verify release", "release key",
         "release keys", "release manifest", "release sign"]
GROUPS = ["", "pool", "worker", "admin", "admin user", "admin worker", "admin worker blacklist",
          "admin honeytoken", "admin verification", "verify", "engine", "admin session", "admin enrolment", "admin approval",
          "admin revoke", "admin secrets", "admin audit", "admin gdpr", "admin recovery", "admin database", "key",
          "memory", "memory key", "memory fact", "memory recovery", "conversation", "privacy", "release"]
WORD_WANTED = ["worker join", "worker run", "ask", "admin user add", "admin user key", "admin user keys",
               "admin user revoke", "admin user disable", "admin user verify", "admin worker token",
               "admin worker revoke", "admin worker clear", "admin worker evidence",
               "admin worker blacklist add", "admin worker blacklist remove", "admin honeytoken check", "verify receipt",
               "verify evidence", "engine serve", "engine info", "admin session list", "admin session end",
               "admin enrolment request", "admin enrolment token", "admin approval show", "admin approval approve",
               "admin approval refuse", "admin worker rotate", "admin revoke worker", "admin revoke owner",
               "admin revoke everything", "admin secrets rotate", "admin audit show", "admin audit export",
               "conversation show", "conversation search", "conversation export", "conversation rename",
               "conversation delete", "privacy export", "admin gdpr erase",
               "admin recovery approve", "admin recovery refuse", "admin recovery-key", "admin database copy",
               "key revoke", "memory unlock", "memory key remove", "memory fact search", "memory fact add", "memory fact edit",
               "memory fact forget",
               "admin audit erase-person", "verify audit", "verify release", "release key", "release keys",
               "release manifest", "release sign"]


def run(*arguments, environment=None, timeout=60, **more):
    """In an environment that knows nothing of pools."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CELLULE_")}
    return subprocess.run([BINARY, *map(str, arguments)], env={**clean, "HOME": "/nonexistent", **(environment or {})},
                          capture_output=True, text=True, errors="replace", timeout=timeout, check=False,
                          stdin=subprocess.DEVNULL, **more)


class Case(unittest.TestCase):
    def check(self, done, status, *words):
        """A sentence or two on standard error, nothing of the program's inside."""
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        if status != OK:
            self.assertTrue(done.stderr.strip())
            self.assertEqual(done.stdout, "")
        for word in words:
            self.assertIn(word, done.stderr)
        for word in ("Sanitizer", "Traceback", ".c:", "assert", "(null)"):
            self.assertNotIn(word, done.stderr)
        self.assertNotRegex(done.stderr, r"(?<![\w-])0x")  # an address; a folder's drawn name may have it within
        if status == FAILED:
            self.assertTrue(done.stderr.startswith("cellule "), done.stderr)
            self.assertLess(len(done.stderr), 1000)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)


class Usage(Case):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="cellule-scenario-")
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def run_here(self, *arguments):
        return run(*arguments, cwd=self.folder)

    def test_help_of_every_verb_is_a_success(self):
        for verb in GROUPS + VERBS:
            with self.subTest(verb or "cellule"):
                done = self.run_here(*verb.split(), "--help")
                self.check(done, OK)
                self.assertIn("Usage: cellule", done.stdout)
                self.assertEqual(done.stderr, "")

    def test_a_verb_that_wants_more_says_so(self):
        for verb in GROUPS + WORD_WANTED:
            with self.subTest(verb or "cellule"):
                self.check(self.run_here(*verb.split()), USAGE)

    def test_wrong_usage_is_told_from_failure(self):
        for verb in GROUPS:
            with self.subTest(verb or "cellule"):
                self.check(self.run_here(*verb.split(), "dance"), USAGE, "dance")
        for verb in VERBS:
            with self.subTest(verb):
                self.check(self.run_here(*verb.split(), "--no-such-option"), USAGE, "no-such-option")
        for arguments in (("pool", "run", "extra"), ("ask", "one", "two"), ("admin", "user", "list", "extra"),
                          ("ask", "--max-tokens", "many", "x"), ("ask", "--max-tokens", "-1", "x"),
                          ("ask", "--max-tokens", "99999999999999999999", "x"), ("ask", "x", "--model"),
                          ("worker", "run", "--model", "m", "--slots", "x"), ("admin", "user", "add", "a", "--days", "x"),
                          ("admin", "worker", "token", "--owner", "a", "--days", "3651"),
                          ("admin", "user", "disable", "../x"), ("admin", "worker", "revoke", ""),
                          ("admin", "user", "keys", "a b"), ("pool", "run", "--check=yes")):
            with self.subTest(arguments):
                self.check(self.run_here(*arguments), USAGE)

    def test_the_version_is_told(self):
        self.assertRegex(self.run_here("--version").stdout, r"^cellule \d+\.\d+")

    def test_without_settings_each_missing_one_is_asked_for(self):
        ca = self.folder / "ca.pem"
        ca.write_text("no certificate")
        for verb in (("ask", "x"), ("admin", "status"), ("admin", "user", "list")):
            with self.subTest(verb):
                self.check(run(*verb), FAILED, "--url", "CELLULE_URL")
                self.check(run(*verb, "--url", "https://127.0.0.1:1"), FAILED, "--ca", "CELLULE_CA")
                self.check(run(*verb, "--url", "https://127.0.0.1:1", "--ca", ca), FAILED, "CELLULE_KEY")
                self.check(run(*verb, "--url", "http://127.0.0.1:1", "--ca", ca), FAILED, "https://")
                self.check(run(*verb, "--url", "https://127.0.0.1:1", "--ca", self.folder / "none",
                               environment={"CELLULE_KEY": "x"}), FAILED, "none")
                self.check(run(*verb, "--site", self.folder / "nowhere"), FAILED, "nowhere")

    def test_a_key_that_others_can_read_is_refused(self):
        client = self.folder / "client.json"
        client.write_text(json.dumps({"url": "https://127.0.0.1:1", "ca": "x", "key": "ck_x"}))
        client.chmod(0o644)
        self.check(run("ask", "x", "--site", self.folder), FAILED, "client.json", "chmod")
        client.chmod(0o600)
        for text in ("", "{", "[]", '{"url":1}', '{"key":"a"}', '{"url":"https://x","url":"https://y"}'):
            with self.subTest(text):
                client.write_text(text)
                self.check(run("ask", "x", "--site", self.folder), FAILED)

    def test_folders_that_cant_be_are_named(self):
        file = self.folder / "file"
        file.write_text("x")
        self.check(run("pool", "init", "--site", file), FAILED, str(file))
        self.check(run("pool", "init", "--site", file / "below"), FAILED, str(file))
        self.check(run("pool", "init", "--site", self.folder / ("x" * 5000)), FAILED)
        self.check(run("pool", "init", "--site", self.folder / "a", "--admin", "Root User"), FAILED, "name")
        self.assertFalse((self.folder / "a").exists(), "the rest of a site is in the way of the next try")
        for name in ("succession.json", "pool.key.next", "pool.db"):
            rest = self.folder / f"rest of {name}"
            rest.mkdir(mode=0o700)
            (rest / name).write_text("{}")
            self.check(run("pool", "init", "--site", rest), FAILED, "rest of a site")
            self.assertEqual([path.name for path in rest.iterdir()], [name])
        self.check(run("pool", "init", "--site", self.folder / "b", "--listen", "nonsense"), FAILED, "nonsense")
        self.check(run("pool", "init", "--site", self.folder / "c", "--names", "," + "x," * 40), FAILED, "--names")
        self.check(run("pool", "run", "--site", self.folder / "none"), FAILED, "pool init")
        self.check(run("pool", "run", "--site", file), FAILED, str(file))
        self.check(run("worker", "run", "--model", file, "--state", self.folder / "none"), FAILED, "worker join")
        self.check(run("worker", "run", "--model", self.folder / "none.gguf"), FAILED, "none.gguf")
        self.check(run("worker", "run", "--model", file, "--log-level", "loud"), FAILED, "--log-level")

    def test_a_list_of_maintainers_has_as_many_as_must_sign(self):
        key = run("release", "key", "--name", "ann", self.folder / "ann.key")
        self.check(key, OK)
        self.check(run("release", "keys", key.stdout.strip()), FAILED, "--threshold")
        self.check(run("release", "keys", "--threshold", "1", "ann"), FAILED, "maintainer")

    def test_models_that_are_none_are_refused(self):
        path = self.folder / "model-00001-of-00002.gguf"
        self.check(run("engine", "info", self.folder / "none.gguf"), FAILED, "none.gguf")
        self.check(run("engine", "info", path), FAILED, str(path))
        path.write_bytes(b"GGUF")
        self.check(run("engine", "info", path), FAILED, "model-00002-of-00002.gguf")
        self.check(run("engine", "info", self.folder / "model-00002-of-00002.gguf"), FAILED, "first part")
        (self.folder / "model-00002-of-00002.gguf").write_bytes(b"GGUF")
        self.check(run("engine", "info", path), FAILED, str(path), "part 1 of 2")
        self.check(run("engine", "--check", "--model", path), FAILED, str(path))

    def test_receipts_and_evidence_that_are_none_cannot_be_checked(self):
        pool = "0" * 64
        path = self.folder / "signed.json"
        for what in ("receipt", "evidence"):
            self.check(run("verify", what, "--pool-id", pool, self.folder / "none"), UNCHECKED, str(self.folder / "none"))
            for text in ("", "{", "{}", "[]", "null", "x" * 100000, "[" * 100000, '{"receipt":"AAAA"}'):
                with self.subTest(what, length=len(text)):
                    path.write_text(text)
                    self.check(run("verify", what, "--pool-id", pool, path), UNCHECKED, str(path))
            self.check(run("verify", what, "--pool-id", pool, self.folder), UNCHECKED, str(self.folder))
            self.check(run("verify", what, "--pool-id", "short", path), UNCHECKED, "--pool-id")
            self.check(run("verify", what, path), USAGE, "--pool-id")
        for option in ("--messages", "--answer"):
            done = run("verify", "receipt", "--pool-id", pool, option, self.folder / "none", path)
            self.check(done, UNCHECKED, "cannot be checked here", str(self.folder / "none"))
        self.check(run("verify", "receipt", "--pool-id", pool, "--question", "a", "--messages", path, path), USAGE,
                   "--messages")


class Site(SiteCase, Case):
    worker_count = 1

    def run_with(self, *arguments, url=None, ca=None, key=None):
        return run(*arguments, environment={"CELLULE_URL": url or self.site.url,
                                            "CELLULE_CA": str(ca or self.site.ca_file),
                                            "CELLULE_KEY": key or self.site.user_key})

    def test_each_json_output_parses(self):
        admin = {"key": self.site.admin_key}
        for verb in (("status",), ("user", "add", "js"), ("user", "list"), ("user", "key", "js", "--label", 'a"b\\c'),
                     ("user", "keys", "js"), ("worker", "list"), ("worker", "token", "--owner", "Zoë \u2028 \"x\""),
                     ("audit", "export", str(self.site.folder / "copy")), ("audit", "checkpoint"), ("audit", "show", "0"),
                     ("approval", "list"), ("enrolment", "list"), ("session", "list", "js"), ("secrets", "show"),
                     ("worker", "rotation"), ("user", "disable", "js")):
            with self.subTest(verb):
                done = self.run_with("admin", *verb, "--json", **admin)
                self.check(done, OK)
                self.assertIsInstance(json.loads(done.stdout), dict)
                if verb[:2] != ("user", "add"):
                    self.check(self.run_with("admin", *verb, **admin), OK)
        told = json.loads(run("engine", "info", "--json", self.site.model).stdout)
        self.assertTrue(told["known"])
        self.assertIn("general.architecture", [entry["key"] for entry in told["keys"]])
        answer = self.run_with("ask", "How do I start the pool?", "--json", "--max-tokens", "5",
                               "--save-receipt", self.site.folder / "receipt.json")
        self.check(answer, OK)
        self.assertEqual(json.loads(answer.stdout)["receipt"], "valid")
        pool_id = self.ask("GET", "/v1/pool").json["pool_id"]
        verified = run("verify", "receipt", "--pool-id", pool_id, "--json", self.site.folder / "receipt.json")
        self.assertEqual(json.loads(verified.stdout)["receipt"], "valid")

    def test_a_receipt_is_held_against_question_answer_and_pool(self):
        path, text = self.site.folder / "r.json", self.site.folder / "answer.txt"
        question = "How do I start the pool?"
        text.write_text(json.loads(self.run_with("ask", question, "--json", "--max-tokens", "8", "--save-receipt",
                                                 path).stdout)["answer"])
        pool_id = self.ask("GET", "/v1/pool").json["pool_id"]
        good = ("verify", "receipt", "--pool-id", pool_id, "--question", question, "--answer", text)
        self.check(run(*good, path), OK)
        self.check(run("verify", "receipt", "--pool-id", "1" * 64, path), FAILED)
        self.check(run("verify", "receipt", "--pool-id", pool_id, "--question", question + " ", path), FAILED)
        text.write_text(text.read_text() + ".")
        self.check(run(*good, path), FAILED)
        for member, value in json.loads(path.read_text()).items():
            if isinstance(value, str) and len(value) > 40:
                with self.subTest(member):
                    spoiled = {**json.loads(path.read_text()), member: ("B" if value[0] != "B" else "C") + value[1:]}
                    (self.site.folder / "spoiled.json").write_text(json.dumps(spoiled))
                    self.check(run("verify", "receipt", "--pool-id", pool_id, "--question", question,
                                   self.site.folder / "spoiled.json"), FAILED)

    def test_what_the_pool_refuses_is_told_in_its_words(self):
        self.check(self.run_with("ask", "x", "--model", "gpt-4"), FAILED, "gpt-4")
        self.check(self.run_with("ask", "x", key="ck_" + "a" * 43), FAILED, "key")
        self.check(self.run_with("ask", "x", "--max-tokens", "1048576"), FAILED, "max_tokens")
        self.check(self.run_with("admin", "user", "list"), FAILED, "employee")
        admin = self.site.admin_key
        self.check(self.run_with("admin", "user", "add", "Bad Name", key=admin), FAILED, "name")
        self.check(self.run_with("admin", "user", "add", "x", "--role", "root", key=admin), FAILED, "role")
        self.check(self.run_with("admin", "user", "add", "demo", key=admin), FAILED)
        self.check(self.run_with("admin", "user", "key", "nobody", key=admin), FAILED)
        self.check(self.run_with("admin", "user", "keys", "nobody", key=admin), FAILED, "no user nobody")
        self.check(self.run_with("admin", "user", "revoke", "9999", key=admin), FAILED)
        full = self.site.folder / "full"
        full.mkdir()
        (full / "file").write_text("x")
        self.check(self.run_with("admin", "audit", "export", full, key=admin), FAILED, "new folder")
        self.assertEqual([path.name for path in full.iterdir()], ["file"])
        self.check(self.run_with("admin", "worker", "revoke", "0" * 32, key=admin), FAILED, "list")

    def test_a_key_with_a_line_in_it_is_refused_here(self):
        self.check(self.run_with("ask", "x", key=f"{self.site.user_key}\r\nX-Evil: 1"), FAILED)

    def test_a_pool_that_cant_be_reached_or_trusted_is_said_so(self):
        port = free_port()
        elsewhere = self.site.folder / "elsewhere"
        self.site.cellule("pool", "init", "--site", elsewhere)
        for verb in (("ask", "x"), ("admin", "status")):
            with self.subTest(verb):
                self.check(self.run_with(*verb, url=f"https://127.0.0.1:{port}"), FAILED, str(port))
                self.check(self.run_with(*verb, url="https://no-such-host.invalid:1"), FAILED, "no-such-host")
                self.check(self.run_with(*verb, url="https://"), FAILED)
                self.check(self.run_with(*verb, url="https://127.0.0.1:99999"), FAILED)
                self.check(self.run_with(*verb, ca=elsewhere / "ca.pem"), FAILED, "certificate")
                self.check(self.run_with(*verb, ca=self.site.folder / "pool.yaml"), FAILED)
                self.check(self.run_with(*verb, ca=self.site.folder), FAILED, str(self.site.folder))

    def test_who_speaks_no_tls_or_hangs_up_is_an_error(self):
        for answer in (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", b"\x16\x03\x03\x00\x02\x02\x28"):
            with self.subTest(answer[:8]):
                listener = socket.create_server(("127.0.0.1", 0))
                thread = threading.Thread(target=self.answer_once, args=(listener, answer))
                thread.start()
                done = self.run_with("ask", "x", "--model", "m", url=f"https://127.0.0.1:{listener.getsockname()[1]}")
                thread.join()
                self.check(done, FAILED)

    @staticmethod
    def answer_once(listener, answer):
        with listener, listener.accept()[0] as connection:
            connection.recv(1000)
            connection.sendall(answer)

    def test_an_answer_that_breaks_off_fails_the_question(self):
        """The pool dies in mid-stream: whoever asked must not take what came for the answer."""
        asking = subprocess.Popen([BINARY, "ask", "--site", str(self.site.folder), "--max-tokens", "400",
                                   "Tell me everything about workers, receipts and the pool."],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            asking.stdout.read(1)
            with frozen(self.site):
                self.site.pool.child.kill()
                output, said = asking.communicate(timeout=30)
        finally:
            asking.kill()
            asking.wait()
        self.site.pool.child.wait()
        self.site.start_pool()
        self.site.wait_for("the worker is back", lambda: self.site.connected_workers() == 1, [self.site.pool], 15)
        self.assertEqual(asking.returncode, FAILED, output)
        self.assertTrue(said.startswith("cellule ask: "), said)


if __name__ == "__main__":
    tap.main()
