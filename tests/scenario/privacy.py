"""What is kept of a user: given to him whole, and erased whole. privacy.py BINARY TOP FAKE_WORKER"""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import resource
import shutil
import signal
import sqlite3
import subprocess
import time

import tap
from fleet import FleetCase, eventually
from searching import Patterns, letters, may_read_memory
from wire import Connection, request

MARKER = "the-heron-" + letters(24)
EVERYTHING = {"confirm": "everything"}


class Kept(FleetCase):
    """What the cases of this file share."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.workers = cls.start_fake("--says", MARKER, "--reply-bytes", "100", "--tokens", "20", "--context", "1000000", count=2)
        cls.addClassCleanup(cls.workers.stop)
        cls.workers.wait("serving")

    def setUp(self):
        pass  # one set of workers serves all cases

    def keep(self, key, question=f"What is {MARKER}?", conversation="new", **more):
        body = {"model": "demo", "messages": [{"role": "user", "content": question}], **more}
        answer = self.ask("POST", "/v1/chat/completions", body, key, [f"X-Cellule-Conversation: {conversation}"])
        self.assertEqual(answer.status, 200, answer.body)
        return answer.headers["x-cellule-conversation"]

    def keep_much(self, key, megabytes):
        """More than one step of erasing takes away."""
        conversation = self.keep(key, "A" * 1000000)
        for _ in range(megabytes - 1):
            self.keep(key, "A" * 1000000, conversation)
        return conversation

    def conversations(self, key):
        answer = self.ask("GET", "/v1/conversations", key=key)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json["conversations"]

    def erase(self, key):
        answer = self.ask("POST", "/v1/privacy/erase", EVERYTHING, key)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertIs(answer.json["erased"], True)
        return answer.json

    def rows(self, sql, *values):
        database = sqlite3.connect(f"file:{self.site.folder / 'pool.db'}?mode=ro", uri=True)
        with contextlib.closing(database):
            return database.execute(sql, values).fetchall()

    def user_id(self, name):
        return self.rows("SELECT id FROM users WHERE name = ?", name)[0][0]

    def left_of(self, name):
        """Rows by table."""
        user = self.user_id(name)
        tables = ("vaults", "vault_wraps", "conversations", "conversation_heads", "turns", "facts")
        return {table: count for table in tables
                for (count,) in self.rows(f"SELECT count(*) FROM {table} WHERE user_id = ?", user) if count}

    def entries(self, action):
        texts = [bytes(entry).decode() for (entry,) in self.rows("SELECT entry FROM audit_entries ORDER BY place")]
        return [json.loads(text) for text in texts if json.loads(text)["action"] == action], "".join(texts)


class Exports(Kept):
    def export(self, key):
        answer = self.ask("GET", "/v1/privacy/export", key=key)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertTrue(answer.complete)
        self.assertIn("attachment", answer.headers["content-disposition"])
        self.assertEqual(answer.headers["cache-control"], "no-store")
        self.assertIs(answer.json["complete"], True)
        return answer.json

    def test_all_that_is_kept_comes_as_one_document(self):
        made = self.add_user("anna")
        key = made["key"]
        kept = [self.keep(key, f"Number {i} about {MARKER}?") for i in range(120)]
        again = self.keep(key, "Once more?", kept[0])
        self.assertEqual(again, kept[0])
        self.ask("POST", "/v1/session", {}, key)
        found = self.export(key)
        self.assertEqual((found["user"]["name"], found["user"]["role"]), ("anna", "employee"))
        self.assertEqual({one["id"] for one in found["conversations"]}, set(kept))
        self.assertEqual(len(found["conversations"]), len(kept), "each once")
        first = next(one for one in found["conversations"] if one["id"] == kept[0])
        self.assertEqual(first["title"], f"Number 0 about {MARKER}?")
        self.assertEqual([turn["messages"][0]["content"] for turn in first["turns"]],
                         [f"Number 0 about {MARKER}?", "Once more?"])
        self.assertTrue(all(turn["answer"].startswith(MARKER) for one in found["conversations"] for turn in one["turns"]))
        self.assertTrue(all(one["whole"] for one in found["conversations"]))
        self.assertEqual([one["id"] for one in found["keys"]], [made["key_id"]])
        self.assertEqual(len(found["sessions"]), 1)
        turns = {turn["id"] for one in found["conversations"] for turn in one["turns"]}
        self.assertEqual({one["job"] for one in found["receipts"]}, turns)
        self.assertEqual(found["notices"], [])
        text = json.dumps(found)
        for (token_hash,) in self.rows("SELECT token_hash FROM keys") + self.rows("SELECT refresh_hash FROM sessions"):
            self.assertNotIn(token_hash.hex(), text)
        self.assertNotIn("hash", text)

    def test_it_is_ones_own(self):
        key, other = self.add_user("bruno")["key"], self.add_user("bella")["key"]
        self.keep(key)
        for asker in (other, self.site.admin_key):
            found = self.export(asker)
            self.assertEqual(found["conversations"], [])
            self.assertNotIn(MARKER, json.dumps(found))
            self.assertNotIn("bruno", json.dumps(found))

    def test_whoever_keeps_nothing_gets_the_rest(self):
        found = self.export(self.add_user("clara")["key"])
        self.assertEqual((found["conversations"], found["facts"], len(found["keys"])), ([], [], 1))

    def test_one_that_is_cut_off_doesnt_look_whole(self):
        key = self.add_user("dora")["key"]
        self.keep_much(key, 12)
        with Connection(self.site.address, self.context) as connection:
            connection.send(request("GET", "/v1/privacy/export", key=key))
            self.assertEqual(connection.head()[0], 200)
            got = connection.chunk()
            with concurrent.futures.ThreadPoolExecutor(1) as other:
                other.submit(self.erase, key).result()
            while chunk := connection.chunk():
                got += chunk
        self.assertIsNone(chunk, "the connection is cut")
        self.assertNotIn(b'"complete":true', got)
        with self.assertRaises(ValueError):
            json.loads(got)

    def test_a_client_that_takes_nothing_holds_nobody_up(self):
        key = self.add_user("emma")["key"]
        self.keep_much(key, 10)
        slow = [Connection(self.site.address, self.context) for _ in range(4)]
        for connection in slow:
            connection.send(request("GET", "/v1/privacy/export", key=key))
            self.assertEqual(connection.head()[0], 200)
        self.keep(key, "Still there?")
        text = b""
        while chunk := slow[0].chunk():
            text += chunk
        self.assertIs(json.loads(text)["complete"], True)
        for connection in slow:
            connection.close()


class Erasures(Kept):
    def test_it_takes_the_exact_word(self):
        key = self.add_user("anna")["key"]
        self.keep(key)
        for body in ({}, {"confirm": ""}, {"confirm": "Everything"}, {"confirm": "everything "}, {"confirm": True}, [],
                     {"confirm": "all"}, b"everything", None):
            self.check_error(self.ask("POST", "/v1/privacy/erase", body, key), 400)
        self.assertEqual(len(self.conversations(key)), 1)

    def test_nothing_is_left_and_one_may_begin_anew(self):
        key = self.add_user("bruno")["key"]
        conversation = self.keep(key)
        self.keep_much(key, 20)
        self.assertEqual(set(self.left_of("bruno")), {"vaults", "vault_wraps", "conversations", "conversation_heads", "turns"})
        self.erase(key)
        self.assertNotIn("vault_wraps", self.left_of("bruno"))
        eventually("all is gone", lambda: not self.left_of("bruno"))
        self.assertEqual(self.conversations(key), [])
        self.check_error(self.ask("GET", f"/v1/conversations/{conversation}", key=key), 404)
        again = self.keep(key, "And now?")
        self.assertEqual([one["id"] for one in self.conversations(key)], [again])
        self.assertEqual(self.erase(key)["erased"], True)
        eventually("all is gone", lambda: not self.left_of("bruno"))
        self.assertEqual(self.erase(key), {"object": "cellule.erasure", "erased": True, "clearing": False}, "of nothing too")

    def test_a_key_that_opens_nothing_is_enough(self):
        key = self.add_user("clara")["key"]
        self.keep(key)
        second = self.admin_ask("POST", "/v1/admin/users/clara/keys", {}).json["key"]
        self.check_error(self.ask("GET", "/v1/conversations", key=second), 403, "key_opens_nothing")
        self.erase(second)
        eventually("all is gone", lambda: not self.left_of("clara"))
        self.assertEqual(self.conversations(second), [])
        self.keep(second)
        self.check_error(self.ask("GET", "/v1/conversations", key=key), 403, "key_opens_nothing")

    def test_a_session_that_has_opened_nothing_is_enough(self):
        key = self.add_user("dora")["key"]
        self.keep(key)
        session = self.ask("POST", "/v1/session", {}, key).json["access_token"]
        self.erase(session)
        eventually("all is gone", lambda: not self.left_of("dora"))

    def test_another_users_things_stay(self):
        key, other = self.add_user("emil")["key"], self.add_user("emma")["key"]
        self.keep(key)
        kept = self.keep(other)
        self.erase(key)
        answer = self.ask("GET", f"/v1/conversations/{kept}", key=other)
        self.assertEqual(answer.json["turns"][0]["messages"][0]["content"], f"What is {MARKER}?")

    def test_what_is_being_answered_is_kept_whole_or_not(self):
        """Erasing while many answers come: whatever is there afterwards opens."""
        key = self.add_user("fritz")["key"]
        self.keep(key)
        stop = time.monotonic() + 15
        erased = 0

        def keep_on(_):
            seen = set()
            while time.monotonic() < stop:
                answer = self.ask("POST", "/v1/chat/completions", {
                    "model": "demo", "store": True, "messages": [{"role": "user", "content": "Q" * 20000}]}, key)
                seen.add(answer.status)
                if answer.status != 200:
                    self.assertIn(answer.json["error"]["code"], ("conflict", "not_kept", "conversation_not_found", "limit"))
            return seen

        with concurrent.futures.ThreadPoolExecutor(4) as crowd:
            asking = [crowd.submit(keep_on, i) for i in range(4)]
            while time.monotonic() < stop:
                time.sleep(0.4)
                answer = self.ask("POST", "/v1/privacy/erase", EVERYTHING, key)
                self.assertIn(answer.status, (200, 409), answer.body)
                erased += answer.status == 200
                listed = self.ask("GET", "/v1/conversations?limit=100", key=key)
                self.assertIn(listed.status, (200, 409), listed.body)
            self.assertEqual(set().union(*(one.result() for one in asking)) - {200, 409, 404, 429, 500, 503}, set())
        self.assertGreater(erased, 5)
        eventually("erasing has ended", lambda: self.ask("GET", "/v1/conversations", key=key).status == 200)
        for one in self.ask("GET", "/v1/conversations?limit=100", key=key).json["conversations"]:
            shown = self.ask("GET", f"/v1/conversations/{one['id']}", key=key)
            self.assertEqual(shown.status, 200, shown.body)
            self.assertTrue(all(turn["answer"].startswith(MARKER) for turn in shown.json["turns"]))

    def test_officers_erase_and_dont_read_and_disabling_doesnt_erase(self):
        key = self.add_user("gerda")["key"]
        officer, colleague = self.add_user("olga", "security_officer")["key"], self.add_user("otto")["key"]
        admin = self.add_user("ines", "it_admin")["key"]
        kept = self.keep(key)
        where = "/v1/admin/users/gerda/erase"
        for asker in (colleague, admin, key):
            self.check_error(self.ask("POST", where, EVERYTHING, asker), 403)
        for asker in (officer, admin):
            self.check_error(self.ask("GET", f"/v1/conversations/{kept}", key=asker), 404)
        self.check_error(self.ask("POST", where, {}, officer), 400)
        self.check_error(self.ask("POST", "/v1/admin/users/nobody/erase", EVERYTHING, officer), 404)
        self.assertEqual(self.ask("POST", "/v1/admin/users/gerda/disable", {}, officer).status, 200)
        self.assertIn("turns", self.left_of("gerda"))
        answer = self.ask("POST", where, EVERYTHING, officer)
        self.assertEqual((answer.status, answer.json["erased"]), (200, True))
        eventually("all is gone", lambda: not self.left_of("gerda"))
        entries, text = self.entries("privacy_erase")
        self.assertIn("allowed", [entry["outcome"] for entry in entries])
        self.assertIn("refused", [entry["outcome"] for entry in entries])
        for name in ("gerda", "olga", "nobody"):
            self.assertNotIn(name, text)

    def test_ones_own_is_entered_in_the_audit_log_without_a_name(self):
        key = self.add_user("hanna")["key"]
        before = len(self.entries("privacy_erase_own")[0])
        self.keep(key)
        self.erase(key)
        entries, text = self.entries("privacy_erase_own")
        self.assertEqual(len(entries), before + 1)
        self.assertNotIn("hanna", text)

    def test_admins_see_figures_and_nothing_else(self):
        key = self.add_user("ida")["key"]
        self.keep(key)
        self.keep(key, "Another?")
        found = self.admin_ask("GET", "/v1/admin/privacy").json
        (row,) = [row for row in found["users"] if row["name"] == "ida"]
        self.assertEqual({**row, "id": 0}, {"id": 0, "name": "ida", "conversations": 2, "turns": 2, "facts": 0, "mebibytes": 1,
                                            "erasing": False})
        self.assertEqual(found["retention"], {"conversation_days": 0, "fact_days": 0, "receipt_days": 90})
        self.assertNotIn(MARKER, json.dumps(found))
        self.check_error(self.ask("GET", "/v1/admin/privacy", key=key), 403)


class Verbs(Kept):
    """The same from the command line."""

    def cellule(self, *arguments, key=None, check=True, stdin=""):
        return self.site.cellule(*arguments, key=key or self.key, check=check, stdin=stdin)

    def setUp(self):
        self.key = self.add_user(f"user{letters(6).lower()}")["key"]

    def test_conversations_are_listed_read_found_renamed_and_deleted(self):
        kept = self.keep(self.key)
        other = self.keep(self.key, "Quite another?")
        listed = self.cellule("conversation", "list").stdout
        self.assertIn(f"What is {MARKER}?", listed)
        self.assertEqual(listed.count("\n"), 3)
        rows = json.loads(self.cellule("conversation", "list", "--json").stdout)["conversations"]
        self.assertEqual([row["id"] for row in rows], [other, kept])
        first = self.cellule("conversation", "list", "--limit", "1").stdout
        after = first.rstrip().rpartition("--after ")[2]
        self.assertIn(kept, self.cellule("conversation", "list", "--limit", "1", "--after", after).stdout)
        shown = self.cellule("conversation", "show", kept).stdout
        self.assertIn(f"[user]\nWhat is {MARKER}?", shown)
        self.assertIn(f"[answer]\n{MARKER}", shown)
        self.assertIn(other, self.cellule("conversation", "search", "QUITE another").stdout)
        self.assertEqual(self.cellule("conversation", "search", "nowhere-to-be-found").stdout, "nothing was found\n")
        self.cellule("conversation", "rename", "--title", "A new name – 開始", kept)
        self.assertIn("A new", self.cellule("conversation", "list").stdout)
        self.assertIn(MARKER, self.cellule("conversation", "export", kept).stdout)
        file = self.site.folder / "one.json"
        self.cellule("conversation", "export", "--format", "json", "--output", file, kept)
        self.assertEqual(json.loads(file.read_text())["id"], kept)
        self.assertEqual(file.stat().st_mode & 0o777, 0o600)
        self.cellule("conversation", "delete", kept)
        gone = self.cellule("conversation", "show", kept, check=False)
        self.assertEqual((gone.returncode, gone.stdout), (1, ""))
        gone = self.cellule("conversation", "export", "--output", self.site.folder / "none", kept, check=False)
        self.assertEqual(gone.returncode, 1)
        self.assertEqual([path.name for path in self.site.folder.glob("none*")], [])

    def test_everything_is_written_out_and_erased(self):
        self.keep_much(self.key, 5)
        file = self.site.folder / "all.json"
        self.cellule("privacy", "export", file)
        self.assertEqual(file.stat().st_mode & 0o777, 0o600)
        self.assertIs(json.loads(file.read_text())["complete"], True)
        self.assertEqual(json.loads(self.cellule("privacy", "export", "-").stdout)["conversations"],
                         json.loads(file.read_text())["conversations"])
        self.assertEqual(self.cellule("privacy", "export", self.site.folder / "no" / "such", check=False).returncode, 1)
        refused = self.cellule("privacy", "erase", check=False, stdin="everything\n")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("--yes", refused.stderr)
        self.assertEqual(self.on_a_terminal("privacy", "erase", said="yes"), 1)
        self.assertEqual(len(self.conversations(self.key)), 1)
        self.assertEqual(self.on_a_terminal("privacy", "erase", said="everything"), 0)
        self.assertEqual(eventually("it is erased", lambda: self.ask("GET", "/v1/conversations", key=self.key)).json["conversations"], [])
        self.assertIn("erased", self.cellule("privacy", "erase", "--yes").stdout)

    def on_a_terminal(self, *arguments, said):
        """The exit code, after that was typed."""
        keyboard, terminal = os.openpty()
        with subprocess.Popen([self.site.binary, *arguments], stdin=terminal, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              env={**os.environ, **self.site.environment(self.key)}) as child:
            os.close(terminal)
            os.write(keyboard, said.encode() + b"\n")
            code = child.wait(60)
        os.close(keyboard)
        return code

    def test_admins_see_figures_and_officers_erase(self):
        self.keep(self.key)
        name = self.ask("GET", "/v1/session", key=self.key).json["user"]
        shown = self.cellule("admin", "gdpr", "status", key=self.site.admin_key).stdout
        self.assertIn(name, shown)
        self.assertIn("until their user deletes them", shown)
        self.assertEqual(json.loads(self.cellule("admin", "gdpr", "status", "--json", key=self.site.admin_key).stdout)["object"],
                         "cellule.privacy")
        officer = self.add_user(f"officer{letters(6).lower()}", "security_officer")["key"]
        self.assertEqual(self.cellule("admin", "gdpr", "erase", name, "--yes", key=self.site.admin_key, check=False).returncode, 1)
        self.assertEqual(self.cellule("admin", "gdpr", "erase", name, key=officer, check=False).returncode, 1)
        self.assertIn("erased", self.cellule("admin", "gdpr", "erase", name, "--yes", key=officer).stdout)
        eventually("all is gone", lambda: not self.left_of(name))


class Traces(Kept):
    """Of what was erased."""

    def test_nothing_of_it_is_in_the_files_or_in_memory(self):
        key = self.add_user("anna")["key"]
        self.keep(key)
        self.keep(key, "Another one?")
        user = self.user_id("anna")
        patterns = Patterns()
        for table, column in (("vault_wraps", "wrapped"), ("conversation_heads", "sealed")):
            for number, (sealed,) in enumerate(self.rows(f"SELECT {column} FROM {table} WHERE user_id = ?", user)):
                patterns.add_pieces(f"{table} {number}", sealed)
        files = [self.site.folder / name for name in ("pool.db", "pool.db-wal")]
        self.assertTrue(patterns.look_through_files(files), "they are there before")
        patterns.add("the marker", MARKER.encode())
        self.erase(key)
        eventually("all is gone", lambda: not self.left_of("anna"))
        eventually("they have left the files", lambda: not patterns.look_through_files(files))
        eventually("the connections have ended", lambda: self.metric("http_connections") == self.metric("workers_connected") + 1)
        pool = self.site.pool.child.pid
        if not may_read_memory(pool):
            self.skipTest("no debugger may read the pool's memory here")
        found = patterns.look_through_memory(pool, "pool")
        self.assertEqual(found, [], "\n".join(found))


class Stops(Kept):
    keep_alive = False

    def stop_pool(self):
        self.site.pool.stop()

    def kill_pool(self):
        os.kill(self.site.pool.child.pid, signal.SIGKILL)
        self.site.pool.child.wait()

    def start_pool(self):
        self.site.start_pool()

    def files(self):
        return [path for path in self.site.folder.iterdir() if path.name.startswith(("pool.db", "audit"))]

    def test_1_an_erasing_that_is_killed_at_any_time_is_whole_after_a_restart_or_wasnt_begun(self):
        key = self.add_user("anna")["key"]
        conversation = self.keep_much(key, 30)
        self.stop_pool()
        copy = self.site.folder / "copy"
        copy.mkdir()
        for path in self.files():
            shutil.copy2(path, copy)
        ends = {"as before": 0, "on its way": 0, "done": 0}
        for delay in (0.0, 0.002, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8):
            for path in self.files():
                path.unlink()
            for path in copy.iterdir():
                shutil.copy2(path, self.site.folder)
            self.start_pool()
            with Connection(self.site.address, self.context) as connection:
                connection.send(request("POST", "/v1/privacy/erase", EVERYTHING, key))
                time.sleep(delay)
                self.kill_pool()
                answered = b'"erased":true' in connection.rest()
            left = self.left_of("anna")
            if "vault_wraps" in left:
                self.assertFalse(answered)
                ends["as before"] += 1
                self.start_pool()
                shown = self.ask("GET", f"/v1/conversations/{conversation}?limit=1", key=key)
                self.assertEqual(shown.status, 200, shown.body)
                self.assertIn("conversation_heads", left)
            else:
                ends["on its way" if left else "done"] += 1
                self.start_pool()
                eventually("the new pool ends it", lambda: not self.left_of("anna"))
                self.assertEqual(self.conversations(key), [])
            self.stop_pool()
        print("#", ends)
        self.assertTrue(ends["as before"] and ends["on its way"] + ends["done"], ends)
        shutil.rmtree(copy)

    def test_2_a_full_disk_leaves_it_as_it_was_or_lets_it_go_on_later(self):
        self.start_pool()
        self.workers.wait("serving", 2)
        key = self.add_user("bruno")["key"]
        kept = self.keep_much(key, 20)
        pool = self.site.pool.child.pid
        _, hard = resource.prlimit(pool, resource.RLIMIT_FSIZE)
        resource.prlimit(pool, resource.RLIMIT_FSIZE, (4096, hard))
        answer = self.ask("POST", "/v1/privacy/erase", EVERYTHING, key)
        self.assertGreaterEqual(answer.status, 500, answer.body)
        self.assertIn("vault_wraps", self.left_of("bruno"))
        resource.prlimit(pool, resource.RLIMIT_FSIZE, (hard, hard))
        shown = eventually("it is open as before", lambda: self.ask("GET", f"/v1/conversations/{kept}?limit=1", key=key).json.get("turns"))
        self.assertTrue(shown)
        self.assertEqual(eventually("it can be erased", lambda: self.ask("POST", "/v1/privacy/erase", EVERYTHING, key).status), 200)
        resource.prlimit(pool, resource.RLIMIT_FSIZE, (4096, hard))
        self.assertNotIn("vault_wraps", self.left_of("bruno"))
        time.sleep(2)
        resource.prlimit(pool, resource.RLIMIT_FSIZE, (hard, hard))
        eventually("it goes on by itself", lambda: not self.left_of("bruno"))

    def test_3_what_is_too_old_goes_and_nothing_else(self):
        key = self.add_user("clara")["key"]
        old, new = self.keep(key, "Old?"), self.keep(key, "New?")
        self.stop_pool()
        database = sqlite3.connect(self.site.folder / "pool.db")
        day = 86400 * 1000
        with database:
            database.execute("UPDATE conversations SET changed_ms = ? WHERE id = ?",
                             (int(time.time() * 1000) - 31 * day, bytes.fromhex(old)))
            database.execute("UPDATE conversations SET changed_ms = ? WHERE id = ?",
                             (int(time.time() * 1000) - 29 * day, bytes.fromhex(new)))
        database.close()
        self.start_pool()
        time.sleep(2)  # it looked as soon as it was up
        self.assertEqual(len(self.conversations(key)), 2, "by default nothing is too old")
        settings = self.site.folder / "pool.yaml"
        settings.write_text(settings.read_text() + "conversation_days: 30\n")
        self.site.pool.signal(signal.SIGHUP)
        eventually("the old one is gone", lambda: [one["id"] for one in self.conversations(key)] == [new])
        self.assertEqual(self.rows("SELECT count(*) FROM turns WHERE conversation = ?", bytes.fromhex(old)), [(0,)])


if __name__ == "__main__":
    tap.main()
