"""Users' own keys: made, exchanged, and which of them open what is kept. own_keys.py BINARY"""

import concurrent.futures
import json
import os
import pathlib
import signal
import sqlite3
import subprocess
import tempfile
import time

import tap
from wire import BINARY, PATIENCE, SiteCase, request, wait_for, write_private


class Owned(SiteCase):
    """What the cases of this file share."""

    def keys(self, key):
        answer = self.ask("GET", "/v1/keys", key=key)
        self.assertEqual(answer.status, 200, answer.body)
        return {row["id"]: row for row in answer.json["keys"]}

    def make(self, key, **wish):
        answer = self.ask("POST", "/v1/keys", wish, key)
        self.assertEqual(answer.status, 201, answer.body)
        return answer.json

    def revoke(self, key, key_id, **wish):
        return self.ask("POST", f"/v1/keys/{key_id}/revoke", wish, key)

    def keep(self, key):
        answer = self.chat(key, store=True)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.headers["x-cellule-conversation"]

    def show(self, key, conversation):
        return self.ask("GET", f"/v1/conversations/{conversation}", key=key)

    def check_opens(self, key, conversation):
        answer = self.show(key, conversation)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(len(answer.json["turns"]), 1)

    def counts(self, key):
        return self.ask("GET", "/v1/models", key=key).status == 200


class OwnKeys(Owned):
    def test_a_key_makes_another_that_is_its_users_and_does_what_it_does(self):
        first = self.add_user("anna", verify="every")
        second = self.make(first["key"], label="the laptop")
        self.assertEqual((second["user"], second["role"], second["verify"]), ("anna", "employee", "every"))
        self.assertEqual((second["made_with"], second["opens_memory"]), (first["key_id"], False))
        self.assertTrue(self.counts(second["key"]))
        listed = self.keys(second["key"])
        self.assertEqual(set(listed), {first["key_id"], second["key_id"]})
        row = listed[second["key_id"]]
        self.assertEqual((row["label"], row["made_with"], row["current"], row["revoked_ms"]),
                         ("the laptop", first["key_id"], True, 0))
        self.assertFalse(listed[first["key_id"]]["current"])
        self.assertNotIn(second["key"].encode(), self.ask("GET", "/v1/keys", key=first["key"]).body)
        self.assertNotIn(second["key"], self.pool_log())

    def test_a_new_key_lasts_no_longer_than_the_one_that_makes_it(self):
        first = self.add_user("bruno", days=10)
        end = first["expires_ms"]
        for days, wanted in ((0, end), (3650, end), (2, None)):
            made = self.make(first["key"], days=days)
            if wanted is None:
                self.assertTrue(0 < made["expires_ms"] < end)
            else:
                self.assertEqual(made["expires_ms"], wanted)
        session = self.ask("POST", "/v1/session", {}, first["key"]).json["access_token"]
        made = self.make(session, days=3650)
        self.assertEqual((made["expires_ms"], made["made_with"]), (end, first["key_id"]))
        for wish in ({"days": -1}, {"days": 3651}, {"days": "x"}, {"label": 7}, {"label": "x" * 129}, {"opens_memory": 1}, []):
            self.check_error(self.ask("POST", "/v1/keys", wish, first["key"]), 400)

    def test_a_user_has_no_more_than_twenty_and_makes_room_by_revoking(self):
        key = self.add_user("clara")["key"]
        made = [self.make(key)["key_id"] for _ in range(19)]
        self.check_error(self.ask("POST", "/v1/keys", {}, key), 409)
        self.assertEqual(self.revoke(key, made[3]).status, 200)
        self.make(key)
        self.check_error(self.ask("POST", "/v1/keys", {}, key), 409)

    def test_other_peoples_keys_are_none_of_ones_business(self):
        mine, other = self.add_user("dora"), self.add_user("emil")
        conversation = self.keep(mine["key"])
        self.check_error(self.revoke(mine["key"], other["key_id"]), 404)
        self.check_error(self.revoke(mine["key"], other["key_id"], with_made=True), 404)
        self.check_error(self.revoke(mine["key"], 999999), 404)
        for bad in ("0", "x", "-1", "1x"):
            self.check_error(self.revoke(mine["key"], bad), 404)
        self.assertTrue(self.counts(other["key"]))
        self.assertNotIn(other["key_id"], self.keys(mine["key"]))
        self.check_error(self.ask("POST", "/v1/memory/keys", {"key": other["key"]}, mine["key"]), 403, "not_your_key")
        self.check_error(self.ask("POST", "/v1/memory/unlock", {"key": other["key"]}, mine["key"]), 403)
        self.check_error(self.ask("DELETE", f"/v1/memory/keys/{other['key_id']}", key=mine["key"]), 404)
        self.check_error(self.ask("DELETE", f"/v1/memory/keys/{mine['key_id']}", key=other["key"]), 404)
        self.check_opens(mine["key"], conversation)

    def test_a_key_is_exchanged_for_another_and_what_is_kept_still_opens(self):
        old = self.add_user("fritz")
        conversation = self.keep(old["key"])
        child = self.make(old["key"], label="the phone")
        new = self.make(old["key"])
        self.assertTrue(new["opens_memory"])
        self.check_error(self.revoke(new["key"], new["key_id"]), 409, "key_asks")
        answer = self.revoke(new["key"], old["key_id"])
        self.assertEqual((answer.status, answer.json["revoked"]), (200, [old["key_id"]]))
        self.assertFalse(self.counts(old["key"]))
        self.assertTrue(self.counts(child["key"]), "what the old one made stays")
        for key in (new["key"], child["key"]):
            self.check_opens(key, conversation)
        listed = self.keys(new["key"])
        self.assertEqual({key_id: row["opens_memory"] for key_id, row in listed.items()},
                         {old["key_id"]: False, child["key_id"]: True, new["key_id"]: True})
        self.check_error(self.ask("POST", "/v1/memory/unlock", {"key": old["key"]}, new["key"]), 403)
        self.assertEqual(self.revoke(new["key"], old["key_id"]).status, 200, "twice is no error")

    def test_the_answer_under_the_old_key_ends_with_it(self):
        old = self.add_user("gerda")
        new = self.make(old["key"])
        with self.answering(old["key"]) as connection:
            self.assertEqual(self.revoke(new["key"], old["key_id"]).status, 200)
            self.check_cut(connection, "key_revoked")

    def test_an_admin_revokes_a_stolen_key_with_all_that_was_made_with_it(self):
        stolen = self.add_user("hanna")
        own = self.admin_ask("POST", "/v1/admin/users/hanna/keys", {}).json
        child = self.make(stolen["key"])
        between = self.make(child["key"])
        grandchild = self.make(between["key"])
        self.assertEqual(self.revoke(grandchild["key"], between["key_id"]).status, 200)
        with self.answering(grandchild["key"]) as connection:
            answer = self.admin_ask("POST", f"/v1/admin/keys/{stolen['key_id']}/revoke")
            self.assertEqual(answer.status, 200, answer.body)
            self.assertEqual(answer.json["revoked"][0], stolen["key_id"])
            self.assertEqual(set(answer.json["revoked"]), {made["key_id"] for made in (stolen, child, grandchild)})
            self.check_cut(connection, "key_revoked")
        for made in (stolen, child, grandchild):
            self.assertFalse(self.counts(made["key"]))
        self.assertTrue(self.counts(own["key"]))
        entries = self.entries()
        (entry,) = [e for e in entries if e["action"] == "keys_revoked" and e["target"] == f"key {stolen['key_id']}"]
        for made in (child, grandchild):
            self.assertIn(str(made["key_id"]), entry["detail"].split())

    def test_who_revokes_his_stolen_key_may_have_what_it_made_go_but_not_what_asks(self):
        stolen = self.add_user("ida")
        mine = self.make(stolen["key"])
        thiefs = self.make(stolen["key"])
        mines_own = self.make(mine["key"])
        answer = self.revoke(mine["key"], stolen["key_id"], with_made=True)
        self.assertEqual(set(answer.json["revoked"]), {stolen["key_id"], thiefs["key_id"]})
        self.assertEqual([self.counts(made["key"]) for made in (stolen, thiefs, mine, mines_own)],
                         [False, False, True, True])

    def entries(self):
        found, size = [], 1
        while len(found) < size:
            answer = self.admin_ask("GET", f"/v1/audit/entries?from={len(found)}").json
            size = answer["size"]
            found += [json.loads(text) for text in answer["entries"]]
        return found

    def test_the_audit_log_says_which_key_was_made_with_which(self):
        first = self.add_user("jan")
        second = self.make(first["key"])
        wait_for("it is entered", lambda: any(
            entry["action"] == "key_own" and entry.get("target") == f"key {second['key_id']}"
            and entry.get("detail") == f"made with key {first['key_id']}" for entry in self.entries()))
        self.assertEqual(self.revoke(second["key"], first["key_id"]).status, 200)
        self.assertTrue(any(entry["action"] == "key_own" and entry["outcome"] == "allowed"
                            and entry["target"] == f"POST /v1/keys/{first['key_id']}/revoke" for entry in self.entries()))


class Opening(Owned):
    def test_another_key_opens_from_when_it_is_told_to_until_it_is_told_not_to(self):
        first = self.add_user("karl")
        second = self.admin_ask("POST", "/v1/admin/users/karl/keys", {}).json
        conversation = self.keep(first["key"])
        self.check_error(self.show(second["key"], conversation), 403, "key_opens_nothing")
        self.check_error(self.ask("POST", "/v1/keys", {}, second["key"]), 403, "key_opens_nothing")
        self.assertFalse(self.make(second["key"], opens_memory=False)["opens_memory"])
        answer = self.ask("POST", "/v1/memory/keys", {"key": second["key"]}, first["key"])
        self.assertEqual((answer.status, answer.json["key_id"]), (200, second["key_id"]), answer.body)
        self.check_opens(second["key"], conversation)
        self.assertEqual(self.ask("DELETE", f"/v1/memory/keys/{first['key_id']}", key=second["key"]).status, 200)
        self.check_error(self.show(first["key"], conversation), 403, "key_opens_nothing")
        self.check_error(self.ask("DELETE", f"/v1/memory/keys/{second['key_id']}", key=second["key"]), 409)
        self.check_opens(second["key"], conversation)
        for bad in ({"key": "ck_x"}, {"key": ""}, {"key": 5}, {"key": second["key"][:-1] + "!"}):
            self.assertIn(self.ask("POST", "/v1/memory/keys", bad, second["key"]).status, (400, 403))

    def test_a_session_may_make_a_key_once_it_has_brought_one(self):
        first = self.add_user("lea")
        session = self.ask("POST", "/v1/session", {}, first["key"]).json["access_token"]
        self.assertEqual(self.make(session)["opens_memory"], False, "nothing is kept yet")
        conversation = self.keep(first["key"])
        self.check_error(self.ask("POST", "/v1/keys", {}, session), 403, "memory_locked")
        self.assertEqual(self.ask("POST", "/v1/memory/unlock", {"key": first["key"]}, session).status, 200)
        made = self.make(session)
        self.assertTrue(made["opens_memory"])
        self.check_opens(made["key"], conversation)
        self.check_error(self.revoke(session, first["key_id"]), 409, "key_asks")

    def test_what_only_a_revoked_key_opened_is_opened_with_it_and_goes_on_with_a_new_one(self):
        old = self.add_user("max")
        conversation = self.keep(old["key"])
        self.admin_ask("POST", f"/v1/admin/keys/{old['key_id']}/revoke")
        new = self.admin_ask("POST", "/v1/admin/users/max/keys", {}).json
        other = self.add_user("nora")
        self.check_error(self.show(new["key"], conversation), 403, "key_opens_nothing")
        self.check_error(self.ask("POST", "/v1/memory/unlock", {"key": old["key"]}, other["key"]), 403)
        self.check_error(self.ask("POST", "/v1/memory/unlock", {"key": old["key"]}, old["key"]), 401)
        never = "ck_" + "A" * 43
        self.check_error(self.ask("POST", "/v1/memory/unlock", {"key": never}, new["key"]), 403)
        self.assertEqual(self.ask("POST", "/v1/memory/unlock", {"key": old["key"]}, new["key"]).status, 200)
        self.check_opens(new["key"], conversation)
        self.assertEqual(self.ask("POST", "/v1/memory/keys", {}, new["key"]).status, 200)
        self.assertEqual(self.ask("POST", "/v1/memory/lock", key=new["key"]).status, 200)
        self.check_opens(new["key"], conversation)
        self.assertEqual({key_id: row["opens_memory"] for key_id, row in self.keys(new["key"]).items()},
                         {old["key_id"]: False, new["key_id"]: True})
        self.check_error(self.ask("POST", "/v1/memory/unlock", {"key": old["key"]}, new["key"]), 403)

    def test_two_keys_are_used_at_once_and_each_is_locked_alone(self):
        first = self.add_user("olga")
        conversation = self.keep(first["key"])
        second = self.make(first["key"])
        sessions = [self.ask("POST", "/v1/session", {}, key).json["access_token"] for key in (first["key"], second["key"])]
        with concurrent.futures.ThreadPoolExecutor(4) as crowd:
            done = list(crowd.map(lambda i: self.ask("POST", "/v1/memory/unlock", {"key": (first, second)[i % 2]["key"]},
                                                     sessions[i % 2]).status, range(4)))
        self.assertEqual(done, [200] * 4)
        for session in sessions:
            self.check_opens(session, conversation)
        self.assertEqual(self.ask("POST", "/v1/memory/lock", key=sessions[0]).status, 200)
        self.check_error(self.show(sessions[0], conversation), 403, "memory_locked")
        self.check_opens(sessions[1], conversation)
        self.assertEqual(self.revoke(second["key"], first["key_id"]).status, 200)
        self.assertEqual(self.show(sessions[0], conversation).status, 401)
        self.check_opens(sessions[1], conversation)

    def test_one_conversation_goes_on_from_two_machines_at_once(self):
        first = self.add_user("petra")
        conversation = self.keep(first["key"])
        second = self.make(first["key"])
        self.assertEqual(self.ask("POST", "/v1/memory/unlock", {"key": first["key"]}, second["key"]).status, 200)
        keys = [first["key"], second["key"]]

        def ask(i):
            return self.ask("POST", "/v1/chat/completions", self.chat_body(f"Question {i}?"), keys[i % 2],
                            [f"X-Cellule-Conversation: {conversation}"]).status

        with concurrent.futures.ThreadPoolExecutor(6) as crowd:
            self.assertEqual(list(crowd.map(ask, range(12))), [200] * 12)
        pages = [self.show(key, conversation).json["turns"] for key in keys]
        self.assertEqual(pages[0], pages[1])
        asked = [turn["messages"][-1]["content"] for turn in pages[0]]
        self.assertEqual(len({turn["id"] for turn in pages[0]}), 13)
        self.assertEqual(set(asked[1:]), {f"Question {i}?" for i in range(12)})

    def test_a_hundred_keys_that_open_at_once_keep_nobody_from_asking(self):
        people = [self.add_user(f"crowd{i}")["key"] for i in range(100)]
        refused, others = [], []

        def open_one(key):
            with self.connect(10 * PATIENCE) as connection:  # as many wait before it as the queue takes
                connection.send(request("POST", "/v1/memory/unlock", {"key": key}, key))
                return connection.answer()

        with concurrent.futures.ThreadPoolExecutor(104) as crowd:
            opening = [crowd.submit(open_one, key) for key in people]
            asking = [crowd.submit(lambda: [self.chat().status for _ in range(3)]) for _ in range(4)]
            for future in opening:
                answer = future.result()
                self.assertIn(answer.status, (200, 429), answer.body)
                if answer.status == 429:
                    self.assertGreaterEqual(int(answer.headers["retry-after"]), 1)
                    refused.append(answer)
            others = [status for future in asking for status in future.result()]
        self.assertEqual(others, [200] * 12)
        self.assertTrue(refused, "the queue has an end")
        self.assertLess(len(refused), 100)
        wait_for("it opens for one who was refused", lambda: open_one(people[-1]).status == 200)


class ClientFile(Owned):
    """`cellule key` and `cellule memory`, with a client.json of somebody's own."""

    def folder(self, key, **more):
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.site.folder))
        write_private(folder / "client.json", json.dumps({"url": self.site.url, "ca": str(self.site.ca_file), "key": key, **more}))
        return folder

    def run_verb(self, folder, *words, check=True, stdin=""):
        return self.site.cellule(*words, "--site", folder, check=check, stdin=stdin)

    def content(self, folder):
        return json.loads((folder / "client.json").read_text())

    def key_file(self, folder, key, mode=0o600):
        path = folder / "old.key"
        write_private(path, key + "\n")
        path.chmod(mode)
        return path

    def test_a_rotation_leaves_the_new_key_in_the_file_and_the_old_one_nowhere(self):
        old = self.add_user("anna")
        conversation = self.keep(old["key"])
        folder = self.folder(old["key"], pool_release="same")
        done = self.run_verb(folder, "key", "rotate", "--label", "laptop")
        again = self.run_verb(folder, "key", "rotate")
        content = self.content(folder)
        self.assertEqual(set(content), {"url", "ca", "key", "pool_release"})
        self.assertEqual(content["pool_release"], "same")
        self.assertEqual((folder / "client.json").stat().st_mode & 0o777, 0o600)
        self.assertNotIn("ck_", done.stdout + done.stderr + again.stdout + again.stderr)
        self.assertNotIn(old["key"], (folder / "client.json").read_text())
        self.assertFalse(self.counts(old["key"]))
        self.check_opens(content["key"], conversation)
        (row,) = [row for row in self.keys(content["key"]).values() if row["current"]]
        self.assertEqual(row["label"], "laptop")
        self.assertEqual(self.keys(content["key"])[row["made_with"]]["made_with"], old["key_id"])

    def test_a_rotation_that_was_interrupted_is_ended_by_the_next(self):
        old = self.add_user("bruno")
        new = self.make(old["key"])
        folder = self.folder(new["key"], old_key=old["key"])
        self.run_verb(folder, "key", "rotate")
        self.assertEqual(self.content(folder)["key"], new["key"], "no third one")
        self.assertNotIn("old_key", self.content(folder))
        self.assertEqual((self.counts(old["key"]), self.counts(new["key"])), (False, True))
        third = self.make(new["key"])
        self.assertEqual(self.revoke(new["key"], third["key_id"]).status, 200)
        folder = self.folder(third["key"], old_key=new["key"])
        self.run_verb(folder, "key", "rotate")
        content = self.content(folder)
        self.assertNotIn(content["key"], (new["key"], third["key"]))
        self.assertEqual((self.counts(new["key"]), self.counts(content["key"])), (False, True))

    def test_a_rotation_that_is_killed_leaves_a_key_that_counts(self):
        old = self.add_user("clara")
        conversation = self.keep(old["key"])
        folder = self.folder(old["key"])
        for delay in range(12):
            child = subprocess.Popen([BINARY, "key", "rotate", "--site", folder], stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL)
            time.sleep(0.06 * delay)
            child.kill()
            child.wait()
            content = self.content(folder)
            good = [key for key in (content["key"], content.get("old_key")) if key and self.counts(key)]
            self.assertTrue(good, content)
            wait_for("it opens", lambda: self.show(good[0], conversation).status == 200)  # what was begun is in the queue
        wait_for("one goes through", lambda: self.run_verb(folder, "key", "rotate", check=False).returncode == 0)
        self.check_opens(self.content(folder)["key"], conversation)
        self.assertFalse(self.counts(old["key"]))

    def test_a_rotation_needs_a_file_with_a_key(self):
        key = self.add_user("dora")["key"]
        done = self.site.cellule("key", "rotate", key=key, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("CELLULE_KEY", done.stderr)
        self.assertEqual(len(self.keys(key)), 1)

    def test_keys_are_made_listed_and_revoked(self):
        first = self.add_user("emil")
        folder = self.folder(first["key"])
        made = json.loads(self.run_verb(folder, "key", "add", "--label", "phone", "--days", "5", "--json").stdout)
        self.assertTrue(self.counts(made["key"]))
        below = self.make(made["key"])
        listed = self.run_verb(folder, "key", "list").stdout
        self.assertIn("phone", listed)
        self.assertNotIn(made["key"], listed)
        self.assertNotEqual(self.run_verb(folder, "key", "revoke", str(first["key_id"]), check=False).returncode, 0)
        said = self.run_verb(folder, "key", "revoke", "--with-made", str(made["key_id"])).stdout
        self.assertIn(str(below["key_id"]), said)
        self.assertEqual([self.counts(key["key"]) for key in (first, made, below)], [True, False, False])

    def test_what_is_kept_is_opened_with_the_old_key_and_then_by_the_new_one(self):
        old = self.add_user("fritz")
        conversation = self.keep(old["key"])
        self.site.cellule("admin", "user", "revoke", str(old["key_id"]), key=self.site.admin_key)
        new = self.admin_ask("POST", "/v1/admin/users/fritz/keys", {}).json
        folder = self.folder(new["key"])
        words = ("memory", "unlock", "--key-file")
        open_to_all = self.run_verb(folder, *words, self.key_file(folder, old["key"], 0o644), check=False)
        self.assertEqual(open_to_all.returncode, 1)
        self.check_error(self.show(new["key"], conversation), 403, "key_opens_nothing")
        self.run_verb(folder, *words, self.key_file(folder, old["key"]))
        self.check_opens(new["key"], conversation)
        self.assertIn("0 facts", self.run_verb(folder, "memory", "status").stdout)
        self.run_verb(folder, "memory", "key", "add")
        self.run_verb(folder, "memory", "lock")
        self.check_opens(new["key"], conversation)
        other = self.admin_ask("POST", "/v1/admin/users/fritz/keys", {}).json
        self.run_verb(folder, "memory", "key", "add", "--key-file", "-", stdin=other["key"] + "\n")
        self.check_opens(other["key"], conversation)
        self.run_verb(folder, "memory", "key", "remove", str(other["key_id"]))
        last = self.run_verb(folder, "memory", "key", "remove", str(new["key_id"]), check=False)
        self.assertEqual(last.returncode, 1)
        self.check_opens(new["key"], conversation)


class Killed(Owned):
    keep_alive = False

    def kill(self):
        os.kill(self.site.pool.child.pid, signal.SIGKILL)
        self.site.pool.child.wait()
        self.site.stop()
        self.site.start()

    def rows(self, where):
        """Of the database beside the pool, as it is on the disk."""
        database = sqlite3.connect(f"file:{self.site.folder / 'pool.db'}?mode=ro", uri=True)
        try:
            return database.execute(f"SELECT count(*) FROM {where}").fetchone()[0]
        finally:
            database.close()

    def test_a_rotation_in_which_the_pool_dies_leaves_a_key_that_counts_and_opens(self):
        old = self.add_user("anna")
        conversation = self.keep(old["key"])

        # The new key is stored, but doesn't open yet, and nobody has seen it.
        for _ in range(10):
            made = len(self.keys(old["key"]))
            with self.connect() as connection:
                connection.send(request("POST", "/v1/keys", {}, old["key"]))
                wait_for("it is stored", lambda: self.rows(f"keys WHERE made_with = {old['key_id']}") >= made)
                self.kill()
            listed = self.keys(old["key"])
            (unseen,) = [row for row in listed.values() if row["id"] == max(listed)]
            self.check_opens(old["key"], conversation)
            self.assertEqual(self.revoke(old["key"], unseen["id"]).status, 200)
            if not unseen["opens_memory"]:
                break
        self.assertFalse(unseen["opens_memory"], "it died in between")

        # The wrap is put, and the key was shown.
        new = self.make(old["key"])
        self.kill()
        for key in (old["key"], new["key"]):
            self.check_opens(key, conversation)

        # The old one is being revoked.
        with self.connect() as connection:
            connection.send(request("POST", f"/v1/keys/{old['key_id']}/revoke", {}, new["key"]))
            self.kill()
        self.check_opens(new["key"], conversation)

        # It was revoked.
        self.assertEqual(self.revoke(new["key"], old["key_id"]).status, 200)
        self.kill()
        self.assertFalse(self.counts(old["key"]))
        self.check_opens(new["key"], conversation)


if __name__ == "__main__":
    tap.main()
