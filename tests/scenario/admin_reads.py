"""Whoever administers the pool reads everything there is: files, logs, backups and the memory of its processes, once a
user has logged out. Nothing of what the user asked, was answered or keeps is found. admin_reads.py BINARY TOP FAKE_WORKER"""

import base64
import hashlib
import json
import os
import pathlib
import re
import shutil
import sqlite3
import subprocess
import tempfile
import unittest

import postgresql_server as postgresql
import tap
from fleet import FleetCase, eventually
from searching import Patterns, letters, may_read_memory
from wire import Connection, children, request

STEM, TAIL = letters(15), letters(15)


def marker(channel):
    """What stands in one place alone; all have the same beginning and end, which are what is looked for."""
    return f"{STEM}-{channel}-{TAIL}"


def unseal(key, token):
    """A Fernet token's content, by way of another program than the pool."""
    said = subprocess.run(["openssl", "enc", "-d", "-aes-128-cbc", "-K", key[16:].hex(), "-iv", token[9:25].hex()],
                          input=token[25:-32], capture_output=True, check=True).stdout
    length = int.from_bytes(said[26:30], "big")
    return said[30:30 + length]


class Life(FleetCase):
    """What a user does, and then logs out."""

    settings = {"log_level": "debug", "verify": "every", "check_delay_ms": 0}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.patterns = Patterns()
        cls.patterns.add("a marker's beginning", STEM.encode())
        cls.patterns.add("a marker's end", TAIL.encode())
        workers = cls.start_fake("--says", marker("answer"), "--reply-bytes", "200", "--tokens", "20", count=3)
        cls.addClassCleanup(workers.stop)
        workers.wait("serving")
        added = cls.site.admin("user", "add", "reader", "--role", "employee")
        cls.key = added["key"]
        cls.secrets = {"the user's key": cls.key}
        life = cls("live")
        life.live()
        life.leave()

    def setUp(self):
        pass  # one set of workers serves all cases

    # What a user does. Each word of his is a marker of its own, so that a finding says where it comes from.

    def tell(self, *arguments, **more):
        """Sends it as the user, whatever the answer."""
        return self.ask(*arguments, **{"key": self.key, **more})

    def question(self, channel, **more):
        return {"model": "demo", "messages": [{"role": "system", "content": marker(f"system of {channel}")},
                                              {"role": "user", "content": f"Read {marker(channel)}.pdf, please."}], **more}

    def live(self):
        chat = "/v1/chat/completions"
        kept = self.tell("POST", chat, self.question("kept", store=True))
        assert kept.status == 200 and marker("answer") in kept.body.decode(), kept.body
        type(self).conversation = kept.headers["x-cellule-conversation"]
        self.tell("POST", chat, self.question("kept and streamed", stream=True),
                  headers=[f"X-Cellule-Conversation: {self.conversation}"])
        self.tell("POST", chat, self.question("not kept", stream=True))
        self.tell("POST", chat, self.question("held back"), headers=["X-Cellule-Verify: required"])
        where = f"/v1/conversations/{self.conversation}"
        assert self.tell("POST", where, {"title": marker("title")}).status == 200
        found = self.tell("POST", "/v1/conversations/search", {"query": marker("title")})
        assert found.json["found"], found.body
        for path in ("/v1/conversations", where, f"{where}/export?format=json", f"{where}/export?format=markdown",
                     "/v1/privacy/export"):
            answer = self.tell("GET", path)
            assert answer.status == 200 and STEM in answer.body.decode(), (path, answer.body)
        self.remember()
        self.err()
        self.secrets["a second key"] = self.tell("POST", "/v1/keys", {"label": "second"}).json["key"]
        session = self.tell("POST", "/v1/session", {}).json
        self.secrets["an access token"], self.secrets["a refresh token"] = session["access_token"], session["refresh_token"]
        access = session["access_token"]
        assert self.tell("POST", "/v1/memory/unlock", {"key": self.key}, key=access).status == 200
        assert self.tell("GET", where, key=access).status == 200
        again = self.tell("POST", "/auth/token", f"grant_type=refresh_token&refresh_token={session['refresh_token']}"
                          .encode(), key=None, headers=["Content-Type: application/x-www-form-urlencoded"])
        if again.status == 200:
            self.secrets["a later access token"] = again.json["access_token"]
            self.secrets["a later refresh token"] = again.json["refresh_token"]
            access = again.json["access_token"]
        type(self).session = access

    def remember(self):
        """Facts."""
        if "/v1/memory/facts" not in self.paths():
            return
        added = self.tell("POST", "/v1/memory/facts", {"text": f"I like {marker('fact')}."})
        assert added.status in (200, 201), added.body
        self.tell("POST", "/v1/memory/search", {"query": marker("search for facts")})
        self.tell("POST", "/v1/chat/completions", self.question("with memory"), headers=["X-Cellule-Memory: use"])

    def paths(self):
        return {route["path"] for route in json.loads(self.site.cellule("pool", "routes", "--json").stdout)["routes"]}

    def err(self):
        """Whatever goes wrong."""
        chat = "/v1/chat/completions"
        for body in (f'{{"model": "demo", "messages": "{marker("not JSON")}"'.encode(), marker("no JSON at all").encode(),
                     {"model": marker("model"), "messages": [{"role": "user", "content": "x"}]},
                     {"model": "demo", "messages": [{"role": marker("role"), "content": marker("with a bad role")}]},
                     {"model": "demo", "messages": [{"role": "user", "content": [marker("in an array")]}]},
                     {"model": "demo", marker("member"): 1, "messages": marker("messages")},
                     self.question("too hot", temperature=99), self.question("bad store", store=marker("store"))):
            self.tell("POST", chat, body)
        self.tell("POST", chat, self.question("bad field"), headers=[f"X-Cellule-Conversation: {marker('field')}"])
        self.tell("POST", chat, self.question("bad mode"), headers=[f"X-Cellule-Verify: {marker('mode')}"])
        self.tell("GET", f"/v1/conversations/{marker('path')}")
        self.tell("GET", f"/v1/{marker('no path')}/")
        self.tell("GET", f"/v1/conversations?after={marker('query')}")
        self.tell("POST", "/v1/conversations/search", {"query": marker("a longer query") * 100})
        self.tell("POST", f"/v1/conversations/{self.conversation}", {"title": marker("bad title") + "\n"})
        self.tell("GET", "/v1/models", key=f"ck_{marker('as a key')}")
        self.tell("POST", "/v1/memory/unlock", {"key": marker("as a key to unlock")})
        with self.connect() as connection:  # leaves in the middle of the answer, and of a request
            connection.send(json.dumps({"content": marker("no HTTP")}).encode() + b"\r\n\r\n")
            connection.rest()
        with Connection(self.site.address) as connection:  # by mistake without TLS
            connection.send(request("POST", chat, self.question("in the clear"), self.key))
            connection.rest()
        with self.connect() as connection:
            connection.send(f"POST {chat} HTTP/1.1\r\nHost: pool\r\nAuthorization: Bearer {self.key}\r\n"
                            f"Content-Length: 5000\r\n\r\n{marker('cut')}".encode())
            connection.reset()

    def leave(self):
        """Logs out, and all connections but the workers' end."""
        type(self).keys = self.keys_of_the_user()
        type(self).before = self.seen_before()
        assert self.tell("POST", "/v1/memory/lock").status == 200
        assert self.tell("POST", "/v1/session/end", key=self.session).status == 200
        eventually("the answers are checked", lambda: not self.checks_under_way())
        eventually("the connections have ended", lambda: self.is_quiet())
        for name, secret in self.secrets.items():
            self.patterns.add_ends(name, secret.removeprefix("ck_").encode())
        for name, secret in self.keys.items():
            self.patterns.add(name, secret)

    def checks_under_way(self):
        rows = self.site.admin("verification", "list")["verifications"]
        return [row for row in rows if row["state"] in ("waiting", "running", "disputed", "judging")]

    def is_quiet(self):
        answer = self.ask("GET", "/metrics", key=self.site.admin_key).body.decode()
        numbers = dict(line.split() for line in answer.splitlines() if not line.startswith("#") and line.count(" ") == 1)
        return int(numbers["cellule_http_connections"]) == int(numbers["cellule_workers_connected"]) + 1

    def rows(self, sql):
        database = sqlite3.connect(f"file:{self.site.folder / 'pool.db'}?mode=ro", uri=True)
        with database:
            found = database.execute(sql).fetchall()
        database.close()
        return found

    def keys_of_the_user(self):
        """What opens his things, as it can be made from his key alone: the test has it, an admin hasn't."""
        if shutil.which("openssl") is None:
            return {}
        wraps = self.rows("SELECT wrapped, cost, salt FROM vault_wraps JOIN vaults USING (user_id) ORDER BY key_id")
        keys = {}
        for name, (wrapped, cost, salt) in zip(("the user's key", "a second key"), wraps, strict=True):
            stretched = hashlib.pbkdf2_hmac("sha256", self.secrets[name].encode(), salt, cost, 32)
            keys[f"what {name} is stretched to"] = stretched
            data_key = unseal(stretched, wrapped)
            assert len(data_key) == 32
        keys["his data key"] = data_key
        for number, (head,) in enumerate(self.rows("SELECT sealed FROM conversation_heads")):
            key = json.loads(unseal(data_key, head))["key"]
            keys[f"the key of conversation {number}"] = base64.b64decode(key + "=" * (-len(key) % 4), altchars=b"-_")
        return {f"{name}, {half}": part for name, key in keys.items()
                for half, part in (("first half", key[:16]), ("second half", key[16:]))}

    def processes(self):
        pool = self.site.pool.child.pid
        return {"pool": pool, **{f"helper {number}": pid for number, pid in enumerate(children(pool))}}

    def seen_before(self):
        """What a search finds while his things are open: that it finds what is there."""
        pool = self.processes()["pool"]
        if not may_read_memory(pool) or not self.keys:
            return None
        patterns = Patterns()
        patterns.add("his data key", self.keys["his data key, first half"])
        return patterns.look_through_memory(pool, "pool")

    def check(self, found):
        self.assertEqual(found, [], "\n".join(found))

    def check_files(self, expected):
        """Of the site: all but those that the clients have."""
        paths = [path for path in self.site.folder.rglob("*") if path.is_file()
                 and path.name not in ("admin.key", "user.key", "client.json") and not path.parent.name.startswith("fake")
                 and not path.name.startswith("fake")]
        self.assertLessEqual({*expected, "pool.log", "pool.yaml"}, {path.name for path in paths})
        self.check(self.patterns.look_through_files(paths))

    def check_memory(self, processes):
        found = []
        for name, pid in processes.items():
            if not may_read_memory(pid):
                self.skipTest(f"no debugger may read the memory of {name} here")
            found += self.patterns.look_through_memory(pid, name)
        self.check(found)


class Reading(Life):
    """What the admin reads."""

    def test_1_the_search_sees_what_is_there(self):
        self.assertEqual(len(self.processes()), 3)
        if self.before is None:
            self.skipTest("no debugger may read the pool's memory here, or there is no openssl")
        self.assertTrue(self.before, "the data key of what is open")
        text = marker("here")
        for name, there in (("plain", text.encode()), ("base64", base64.b64encode(b"xy" + text.encode())),
                            ("UTF-16", text.encode("utf-16-le"))):
            self.assertTrue(self.patterns.look(b"-" * 77 + there + b"-", name), name)

    def test_2_the_files_of_the_site(self):
        self.assertIn(b"log_level: \"debug\"", (self.site.folder / "pool.yaml").read_bytes())
        self.check_files({"pool.db", "pool.db-wal"})

    def test_3_a_backup(self):
        with tempfile.TemporaryDirectory() as folder:
            backup = pathlib.Path(folder) / "backup.db"
            source, target = sqlite3.connect(f"file:{self.site.folder / 'pool.db'}?mode=ro", uri=True), sqlite3.connect(backup)
            source.backup(target)
            source.close()
            target.close()
            self.assertTrue(self.rows("SELECT count(*) FROM turns")[0][0])
            self.check(self.patterns.look_through_files([backup]))

    def test_4_all_that_an_admin_may_ask_the_pool(self):
        routes = json.loads(self.site.cellule("pool", "routes", "--json").stdout)["routes"]
        found = []
        for route in routes:
            if route["method"] == "GET" and route["path"] != "/v1/worker" and "*" not in route["path"]:
                answer = self.ask("GET", route["path"], key=self.site.admin_key)
                found += self.patterns.look(answer.body, route["path"])
        for path in (f"/v1/conversations/{self.conversation}", f"/v1/conversations/{self.conversation}/export"):
            self.assertEqual(self.ask("GET", path, key=self.site.admin_key).status, 404)
        self.check(found)

    def test_5_the_memory_of_its_processes(self):
        self.check_memory(self.processes())

    def test_6_a_core_dump(self):
        pool = self.processes()["pool"]
        size = int(next(line for line in pathlib.Path(f"/proc/{pool}/status").read_text().splitlines()
                        if line.startswith("VmSize")).split()[1])
        if shutil.which("gcore") is None:
            self.skipTest("there is no gcore; the memory was read before")
        if size > 8 * 1024 * 1024:
            self.skipTest("under a sanitizer too much is mapped to be dumped; the memory was read before")
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(["gcore", "-a", "-o", f"{folder}/core", str(pool)], capture_output=True, check=False,
                                  timeout=600, stdin=subprocess.DEVNULL)
            dumps = list(pathlib.Path(folder).glob("core*"))
            if done.returncode != 0 or not dumps:
                self.skipTest("no debugger may dump the pool here")
            self.check(self.patterns.look_through_files(dumps))


MISSING = postgresql.missing()


@unittest.skipIf(MISSING, MISSING)
class ReadingTheServer(Life):
    """What whoever administers its PostgreSQL reads too."""

    @classmethod
    def setUpClass(cls):
        cls.server = postgresql.Server()
        cls.addClassCleanup(cls.server.close)
        for name, value in {"log_statement": "all", "log_min_error_statement": "debug5", "log_error_verbosity": "verbose"}.items():
            cls.server.sql(f"ALTER SYSTEM SET {name} = '{value}'")
        cls.server.sql("SELECT pg_reload_conf()")
        cls.init_options = ["--database", cls.server.url()]
        super().setUpClass()

    def rows(self, sql):
        def value(text):
            return bytes.fromhex(text[2:]) if text.startswith("\\x") else int(text)
        return [tuple(value(text) for text in line.split("|")) for line in self.server.sql(sql, postgresql.USER).splitlines()]

    def dump(self, *options):
        return subprocess.run([os.path.join(postgresql.binaries(), "pg_dump"), "-h", self.server.folder, "-p", str(self.server.port),
                               "-U", postgresql.USER, *options, postgresql.USER], check=True, capture_output=True).stdout

    def test_1_a_dump(self):
        plain = self.dump()
        for table in ("turns", "conversation_heads", "facts", "vault_wraps", "receipts"):
            self.assertIn(f"COPY public.{table} ".encode(), plain)
            self.assertTrue(self.rows(f"SELECT count(*) FROM {table}")[0][0], table)
        found = self.patterns.look(plain, "the dump")
        found += self.patterns.look(self.dump("--inserts", "--format=custom", "--compress=0"), "the archive")
        hidden = b"".join(bytes.fromhex(digits.decode()) + b"\n" for digits in re.findall(rb"\\\\x((?:[0-9a-f]{2})+)", plain))
        self.assertGreater(len(hidden), 10000)
        self.check(found + self.patterns.look(hidden, "what the dump writes in hexadecimal"))

    def test_2_the_servers_files(self):
        self.server.sql("ANALYZE", postgresql.USER)  # samples of what is there
        self.server.sql("CHECKPOINT")
        paths = [path for path in pathlib.Path(self.server.folder).rglob("*") if path.is_file()]
        found = self.patterns.look_through_files(paths)
        self.assertTrue([path for path in paths if path.parent.name == "pg_wal"])
        self.assertIn(b"INSERT INTO turns", pathlib.Path(self.server.log).read_bytes())
        self.assertTrue([path for path in paths if b"reader" in path.read_bytes()])  # the user's name: the search works
        self.check(found)

    def test_3_the_memory_of_the_servers_processes(self):
        server = self.server.process.pid
        processes = {f"server {number}": pid for number, pid in enumerate([server, *children(server)])}
        self.check_memory(processes)
        there = {"a statement": b"INSERT INTO turns", "a row": b"employee"}
        patterns = Patterns()
        for name, text in there.items():
            patterns.add(name, text)
        found = "\n".join(line for name, pid in processes.items() for line in patterns.look_through_memory(pid, name))
        for name in there:
            self.assertIn(name, found)

    def test_4_the_pools_files(self):
        self.check_files(set())

    def test_5_the_memory_of_the_pools_processes(self):
        self.check_memory(self.processes())


if __name__ == "__main__":
    tap.main()
