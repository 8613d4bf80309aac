"""What is typed by mistake where something is kept: a status that fits, a sentence that helps. odd_input.py BINARY"""

import concurrent.futures
import contextlib
import json
import os
import sqlite3
import subprocess

import tap
from wire import BINARY, SiteCase

OK, FAILED, USAGE = 0, 1, 2


class Odd(SiteCase):
    def cli(self, *arguments, key=None, environment=None, output=subprocess.PIPE, text=None):
        clean = {name: value for name, value in os.environ.items() if not name.startswith("CELLULE_")}
        return subprocess.run([BINARY, *arguments], stdout=output, stderr=subprocess.PIPE, text=True, timeout=60,
                              env={**clean, "HOME": "/nonexistent", **self.site.environment(key or self.site.user_key),
                                   **(environment or {})}, check=False, input=text or "")

    def keep(self, key, question="How do I start the pool?", conversation=None, **more):
        headers = [f"X-Cellule-Conversation: {conversation}"] if conversation else []
        body = self.chat_body(question, **{**({} if conversation else {"store": True}), **more})
        return self.ask("POST", "/v1/chat/completions", body, key, headers)

    def begin(self, key, question="How do I start the pool?"):
        answer = self.keep(key, question)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.headers["x-cellule-conversation"]


class OverTheApi(Odd):
    def test_a_wrong_mark_doesnt_begin_the_list_anew(self):
        user = self.add_user("anna")["key"]
        conversation = self.begin(user)
        lists = ("/v1/conversations", f"/v1/conversations/{conversation}")
        for path in lists:
            for mark in (conversation, "-1", "x", "1e3", "99999999999999999999", "1&after=1"):
                self.check_error(self.ask("GET", f"{path}?after={mark}", key=user), 400, param="after")
            self.assertEqual(self.ask("GET", f"{path}?after=", key=user).status, 200)
        for path in (*lists, "/v1/memory/facts"):
            for limit in ("-1", "x", "1.5", "99999999999999999999", "1&limit=2"):
                self.check_error(self.ask("GET", f"{path}?limit={limit}", key=user), 400, param="limit")
            for limit in ("0", "1", "1000000", ""):
                self.assertEqual(self.ask("GET", f"{path}?limit={limit}", key=user).status, 200)
        for path in ("/v1/keys", "/v1/admin/privacy", "/v1/admin/users"):
            for mark in ("-1", "x", "99999999999999999999", "1&after=1"):
                self.check_error(self.ask("GET", f"{path}?after={mark}", key=self.site.admin_key), 400, param="after")
            for query in ("after=9000000000000000000", "x=1&after=9000000000000000000"):
                answer = self.ask("GET", f"{path}?{query}", key=self.site.admin_key).json
                self.assertEqual((answer.get("keys", answer.get("users")), answer["has_more"]), ([], False))
        nobody = self.add_user("anton")["key"]
        self.check_error(self.ask("GET", "/v1/conversations?after=x", key=nobody), 400, param="after")

    def test_the_member_that_is_wrong_is_named(self):
        for path in ("/v1/conversations/search", "/v1/memory/search"):
            for limit in (0, -1, 1.5, "3", 101, []):
                answer = self.ask("POST", path, {"query": "x", "limit": limit}, self.site.user_key)
                self.check_error(answer, 400, param="limit")
            self.check_error(self.ask("POST", path, {"query": ""}, self.site.user_key), 400, param="query")
            self.assertIsNone(self.check_error(self.ask("POST", path, b'{"query"', self.site.user_key), 400)["param"])

    def test_what_is_wanted_kept_and_not_kept_is_refused(self):
        user = self.add_user("bruno")["key"]
        conversation = self.begin(user)
        for where in (conversation, "new"):
            answer = self.keep(user, conversation=where, store=False)
            self.assertIn("store", self.check_error(answer, 400)["message"])
        self.assertEqual(self.keep(user, conversation=conversation, store=None).status, 200)
        shown = self.ask("GET", f"/v1/conversations/{conversation}", key=user).json
        self.assertEqual(len(shown["turns"]), 2)
        self.assertEqual(self.chat(user, store=False).status, 200)
        self.assertEqual(len(self.ask("GET", "/v1/conversations", key=user).json["conversations"]), 1)

    def test_a_conversation_that_goes_while_it_is_answered_is_said_to_be_gone(self):
        user = self.add_user("clara")["key"]
        seen = set()
        with concurrent.futures.ThreadPoolExecutor(1) as other:
            for _ in range(20):
                conversation = self.begin(user)
                going_on = other.submit(self.keep, user, "Tell me everything.", conversation, max_tokens=200)
                while self.metrics()["cellule_jobs_running"] == 0 and not going_on.done():
                    pass
                self.assertEqual(self.ask("DELETE", f"/v1/conversations/{conversation}", key=user).status, 200)
                answer = going_on.result()
                seen.add(answer.status)
                if answer.status != 200:
                    self.check_error(answer, 404, "conversation_not_found")
                if "while it was answered" in answer.body.decode():
                    return
        self.fail(f"none was deleted in that moment: {seen}")

    def test_a_title_changes_nothing_around_it(self):
        user = self.add_user("dora")["key"]
        conversation = self.begin(user, "<img src=x onerror=alert(1)> ![a](https://evil.example/a)\n\nHow do I start?")
        where = f"/v1/conversations/{conversation}"

        def heading():
            exported = self.ask("GET", f"{where}/export?format=markdown", key=user)
            return exported.body.decode().split("\n")[0]

        self.assertEqual(heading(), r"# \<img src=x onerror=alert(1)> \![a](https://evil.example/a)")
        for title, expected in ((r"\<b>", r"# \<b>"), (r"\\<b>", r"# \\\<b>"), ("Été à Cádiz 😀", "# Été à Cádiz 😀")):
            self.assertEqual(self.ask("POST", where, {"title": title}, user).status, 200)
            self.assertEqual(heading(), expected)


class OnTheCommandLine(Odd):
    def test_what_couldnt_be_printed_is_no_success(self):
        for arguments in (("conversation", "list"), ("conversation", "list", "--json"), ("key", "list"), ("key", "add"),
                          ("memory", "status"), ("conversation", "--help"), ("--version",)):
            with self.subTest(arguments), open("/dev/full", "wb") as full:
                done = self.cli(*arguments, output=full)
                self.assertEqual(done.returncode, FAILED, done.stderr)
                self.assertIn("No space left", done.stderr)
            with self.subTest(arguments):
                reader, writer = os.pipe()
                os.close(reader)
                self.assertNotEqual(self.cli(*arguments, output=writer).returncode, OK)
                os.close(writer)

    def test_what_is_too_long_is_said_to_be(self):
        for arguments in (("conversation", "rename", "0" * 32, "--title", "x" * 20000),
                          ("conversation", "search", "x" * 20000), ("key", "add", "--label", "x" * 3000)):
            with self.subTest(arguments[:2]):
                done = self.cli(*arguments)
                self.assertEqual(done.returncode, FAILED)
                self.assertIn("too long", done.stderr)
                self.assertNotIn("JSON", done.stderr)

    def test_words_are_looked_for_as_they_are_typed(self):
        user = self.add_user("emil")["key"]
        for i in range(3):
            self.begin(user, f"Wo steht der Reiher? {i}")
        found = self.cli("conversation", "search", "reiher", "steht", key=user)
        self.assertEqual((found.returncode, found.stdout.count("Reiher")), (OK, 3), found.stderr)
        found = self.cli("conversation", "search", "--limit", "2", "reiher", key=user)
        self.assertEqual(found.stdout.count("Reiher"), 2)
        self.assertIn("--limit", found.stdout)
        self.assertIn("nothing was found", self.cli("conversation", "search", "storch", key=user).stdout)
        found = self.cli("conversation", "search", "storch", "--json", key=user)
        self.assertEqual(json.loads(found.stdout)["found"], [])
        self.assertEqual(self.cli("conversation", "search", *["x"] * 17).returncode, USAGE)

    def test_facts_are_ones_own_on_the_command_line(self):
        user = self.add_user("fanny")["key"]

        def fact(*arguments):
            return self.cli("memory", "fact", *arguments, key=user)

        self.assertIn("nothing was found", fact("list").stdout)
        texts = ["J’habite à Cádiz 😀", "two\nlines", "- a dash", "x" * 8192]
        ids = [fact("add", "--", text).stdout.split()[0] for text in texts]
        listed = json.loads(fact("list", "--json").stdout)["facts"]
        self.assertEqual([(one["id"], one["text"]) for one in listed], list(zip(ids, texts, strict=True)))
        self.assertIn("  two\n    lines\n", fact("list").stdout)
        page = fact("list", "--limit", "2").stdout
        self.assertTrue(page.endswith(f"more: --after {ids[1]}\n"), page)
        rest = fact("list", "--after", ids[1]).stdout
        self.assertEqual([line.split()[0] for line in rest.splitlines()], ids[2:])
        self.assertIn("Cádiz", fact("search", "--limit", "1", "cadiz").stdout)
        self.assertIn("Berlin", fact("edit", "--text", "J’habite à Berlin", ids[0]).stdout)
        self.assertEqual(fact("forget", ids[0]).returncode, OK)
        self.assertNotIn(ids[0], fact("list").stdout)
        for wrong in (("forget", ids[0]), ("edit", "--text", "x", ids[0]), ("add", ""), ("add", "x" * 8193), ("add", "x" * 65536),
                      ("search", ""), ("list", "--after", "x")):
            done = fact(*wrong)
            self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (FAILED, "", 1), wrong[0])
        self.assertEqual(fact("forget", "../keys").returncode, USAGE)
        told = self.cli("memory", "status", key=user).stdout
        self.assertNotIn("meaning", told, "the embedder that is built in knows none")
        self.assertIn("3 facts; 3 of them can be searched, with cellule-ngrams", told)
        self.assertIn("off: what you keep", self.cli("memory", "recovery", "status").stdout)
        self.assertIn("isn't recovered here", self.cli("memory", "recovery", "ask").stderr)

    def test_a_wrong_option_is_said_of_the_whole_verb(self):
        for arguments, words in ((("conversation", "list", "--limit", "0"), "cellule conversation list: --limit takes"),
                                 (("conversation", "search", "-x"), "cellule conversation search: invalid option"),
                                 (("memory", "key", "remove", "-1"), "cellule memory key remove: invalid option"),
                                 (("key", "add", "--days", "many"), "cellule key add: --days takes")):
            with self.subTest(arguments):
                done = self.cli(*arguments)
                self.assertEqual((done.returncode, done.stdout), (USAGE, ""))
                self.assertTrue(done.stderr.startswith(words), done.stderr)

    def test_the_address_that_sdks_take_is_taken(self):
        for end in ("/", "/v1", "/v1/"):
            done = self.cli("conversation", "list", environment={"CELLULE_URL": self.site.url + end})
            self.assertEqual(done.returncode, OK, done.stderr)
        for end in ("/v2", "/v1/conversations", "/?x"):
            done = self.cli("conversation", "list", environment={"CELLULE_URL": self.site.url + end})
            self.assertEqual(done.returncode, FAILED)
            self.assertIn("https://HOST:PORT", done.stderr)

    def test_a_file_that_isnt_what_it_should_be_is_named(self):
        done = self.cli("conversation", "list", environment={"CELLULE_CA": str(self.site.folder / "pool.yaml")})
        self.assertEqual(done.returncode, FAILED)
        self.assertIn("pool.yaml holds no certificate", done.stderr)
        done = self.cli("memory", "unlock", "--key-file", "-")
        self.assertIn("standard input holds no key", done.stderr)


class ADatabase(Odd):
    worker_count = 0

    def test_it_isnt_copied_into_itself(self):
        self.site.stop()
        (self.site.folder / "other-name.db").symlink_to(self.site.folder / "pool.db")
        for name in ("pool.db", "other-name.db"):
            done = self.cli("admin", "database", "copy", str(self.site.folder / "pool.db"), str(self.site.folder / name))
            self.assertEqual(done.returncode, FAILED)
            self.assertIn("are the same file", done.stderr)
        self.site.start()


class ManyRows(Odd):
    worker_count = 0

    def change(self, *inserts):
        """Rows as the pool would have written them, for numbers in a range: by its interface it would take minutes."""
        self.site.stop()
        with contextlib.closing(sqlite3.connect(self.site.folder / "pool.db")) as database, database:
            for numbers, insert, row in inserts:
                database.executemany(insert, map(row, numbers))
        self.site.start()

    def pages(self, *verb):
        """What the first page and the one behind it show."""
        first = self.cli(*verb, key=self.site.admin_key).stdout
        self.assertRegex(first, r"\nmore: --after \d+\n$")
        second = self.cli(*verb, "--after", first.split()[-1], key=self.site.admin_key).stdout
        self.assertNotIn("more:", second)
        return first, second

    def check_pages(self, *verb, shown):
        first, second = self.pages(*verb)
        for text in shown:
            self.assertEqual((first + second).count(text), 1, text)

    def test_more_users_than_a_page_takes_are_told_of(self):
        """The officer mustn't take the first page for all."""
        many = range(1000, 1201)
        self.change(
            (many, "INSERT INTO users (id, name, role, created_ms) VALUES (?, ?, 'employee', 1)", lambda i: (i, f"many{i}")),
            (many, "INSERT INTO keys (id, user_id, token_hash, label, created_ms, expires_ms) VALUES (?, ?, ?, '', 1, 0)",
             lambda i: (i, i, os.urandom(32))),
            (many, "INSERT INTO vaults (user_id, salt, created_ms) VALUES (?, ?, 1)", lambda i: (i, os.urandom(16))),
            (many, "INSERT INTO vault_wraps (user_id, key_id, kind, cost, wrapped) "
                   "VALUES (?, ?, 'pbkdf2-hmac-sha256', 600000, ?)", lambda i: (i, i, os.urandom(100))))
        self.check_pages("admin", "gdpr", "status", shown=[f"many{i} " for i in many])

    def test_every_list_says_how_it_goes_on(self):
        many = range(10000, 11050)
        self.change(
            (many, "INSERT INTO users (id, name, role, created_ms) VALUES (?, ?, 'employee', 1)", lambda i: (i, f"many{i}")),
            (many, "INSERT INTO keys (id, user_id, token_hash, label, created_ms, expires_ms) "
                   "SELECT ?, id, ?, ?, 1, 0 FROM users WHERE name = 'admin'", lambda i: (i, os.urandom(32), f"many{i}")),
            (many, "INSERT INTO blacklist (id, kind, value, reason, created_ms) VALUES (?, 'owner', ?, 'so', 1)",
             lambda i: (i, f"many{i}")),
            (many, "INSERT INTO approvals (id, kind, request, request_hash, state, requested_by, requested_ms, expires_ms) "
                   "SELECT ?, ?, x'7b7d', ?, 'waiting', id, 1, 4000000000000 FROM users WHERE name = 'admin'",
             lambda i: (i, f"many{i}", os.urandom(32))),
            (many, "INSERT INTO honeytokens (id, marker, worker_id, job_id, created_ms, seen_ms, seen_where) "
                   "VALUES (?, ?, ?, ?, 1, 1, 'a log')", lambda i: (i, f"many{i}", bytes(16), bytes(16))),
            (many, "INSERT INTO notices (id, user_id, job_id, worker_id, text, created_ms, told_ms) "
                   "VALUES (?, ?, ?, ?, 'wrong', 1, 1)", lambda i: (i, i, i.to_bytes(16, "big"), bytes(16))))
        for verb in (("user", "list"), ("user", "keys", "admin"), ("worker", "blacklist", "list"), ("approval", "list"),
                     ("enrolment", "list"), ("honeytoken", "list")):
            with self.subTest(verb=verb):
                self.check_pages("admin", *verb, shown=[f"many{i} " for i in many])
        self.check_pages("admin", "verification", "wrong", shown=[f"{i:032x} " for i in many])
        self.check_pages("key", "list", shown=[f"many{i} " for i in many])


class AnAgent(Odd):
    def test_blank_lines_are_nothing(self):
        done = self.cli("mcp", text='\n \r\n\r\n{"jsonrpc":"2.0","id":"é😀","method":"ping"}\r\n')
        self.assertEqual(json.loads(done.stdout), {"jsonrpc": "2.0", "id": "é😀", "result": {}})
        self.assertEqual(done.returncode, OK)


if __name__ == "__main__":
    tap.main()
