"""Conversations that users keep: sealed, found again, and theirs alone. conversations.py BINARY"""

import concurrent.futures
import os
import signal
import sqlite3

import tap
from wire import SiteCase, request, wait_for

MARKER = "the-heron-flies-at-dusk"


class Kept(SiteCase):
    """What the cases of this file share."""

    def keep(self, key=None, conversation=None, **more):
        headers = [f"X-Cellule-Conversation: {conversation}"] if conversation else []
        body = self.chat_body(**{**({} if conversation else {"store": True}), **more})
        answer = self.ask("POST", "/v1/chat/completions", body, key or self.site.user_key, headers)
        self.assertEqual(answer.status, 200, answer.body)
        return answer

    def list(self, key=None, query=""):
        answer = self.ask("GET", f"/v1/conversations{query}", key=key or self.site.user_key)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json

    def show(self, conversation, key=None, query=""):
        return self.ask("GET", f"/v1/conversations/{conversation}{query}", key=key or self.site.user_key)

    def turns(self, conversation, key=None):
        answer = self.show(conversation, key)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json["turns"]


class Conversations(Kept):
    worker_count = 2

    def test_an_answer_is_kept_when_its_user_says_so_and_not_else(self):
        user = self.add_user("anna")["key"]
        plain = self.chat(key=user)
        self.assertNotIn("x-cellule-conversation", plain.headers)
        self.assertEqual(self.list(user)["conversations"], [])
        for stream in (False, True):
            answer = self.keep(user, question=f"How do I start the pool? {stream}", stream=stream)
            found = answer.headers["x-cellule-conversation"]
            said = answer.text if stream else answer.json["choices"][0]["message"]["content"]
            (turn,) = self.turns(found, user)
            self.assertEqual(turn["answer"], said)
            self.assertEqual(turn["messages"], [{"role": "user", "content": f"How do I start the pool? {stream}"}])
            self.assertEqual(turn["id"], answer.headers["x-cellule-job"])
            self.assertEqual(turn["model"], self.site.model.stem)
            self.assertIn(turn["end"], ("complete", "length"))
        self.assertEqual(len(self.list(user)["conversations"]), 2)

    def test_a_conversation_goes_on_with_what_is_new(self):
        user = self.add_user("bruno")["key"]
        first = self.keep(user)
        conversation = first.headers["x-cellule-conversation"]
        said = first.json["choices"][0]["message"]["content"]
        messages = [{"role": "user", "content": "How do I start the pool?"}, {"role": "assistant", "content": said},
                    {"role": "user", "content": "And then?"}]
        second = self.keep(user, conversation, messages=messages)
        self.assertEqual(second.headers["x-cellule-conversation"], conversation)
        turns = self.turns(conversation, user)
        self.assertEqual([turn["messages"] for turn in turns], [messages[:1], messages[2:]])
        (row,) = self.list(user)["conversations"]
        self.assertEqual((row["id"], row["turns"], row["title"]), (conversation, 2, "How do I start the pool?"))

    def test_pages_come_newest_first_and_go_on_where_they_ended(self):
        user = self.add_user("clara")["key"]
        made = [self.keep(user, question=f"Question {i}?").headers["x-cellule-conversation"] for i in range(5)]
        self.keep(user, made[1], question="Once more?")
        order = [made[i] for i in (1, 4, 3, 2, 0)]
        found, after = [], 0
        while True:
            page = self.list(user, f"?limit=2&after={after}")
            found += [row["id"] for row in page["conversations"]]
            if not page["has_more"]:
                break
            after = page["conversations"][-1]["cursor"]
        self.assertEqual(found, order)
        for i in range(4):
            self.keep(user, made[0], question=f"Further {i}?")
        said, after = [], 0
        while True:
            page = self.show(made[0], user, f"?limit=2&after={after}").json
            said += [turn["messages"][0]["content"] for turn in page["turns"]]
            after = page["cursor"]
            if not page["has_more"]:
                break
        self.assertEqual(said, ["Question 0?", *(f"Further {i}?" for i in range(4))])

    def test_it_is_renamed_and_deleted(self):
        user = self.add_user("dora")["key"]
        conversation = self.keep(user).headers["x-cellule-conversation"]
        where = f"/v1/conversations/{conversation}"
        self.assertEqual(self.ask("POST", where, {"title": "Der Anfang – 開始"}, user).status, 200)
        self.assertEqual(self.list(user)["conversations"][0]["title"], "Der Anfang – 開始")
        for title in ("", "a\nb", "x" * 257, 7, None):
            self.check_error(self.ask("POST", where, {"title": title}, user), 400)
        self.assertEqual(len(self.turns(conversation, user)), 1, "the turns open as before")
        self.assertEqual(self.ask("DELETE", where, key=user).status, 200)
        self.check_error(self.show(conversation, user), 404, "not_found")
        self.check_error(self.ask("DELETE", where, key=user), 404, "not_found")
        self.assertEqual(self.list(user)["conversations"], [])
        answer = self.ask("POST", "/v1/chat/completions", self.chat_body(), user, [f"X-Cellule-Conversation: {conversation}"])
        self.check_error(answer, 404, "conversation_not_found")

    def test_it_is_its_users_alone(self):
        owner, other = self.add_user("emil")["key"], self.add_user("fritz")["key"]
        conversation = self.keep(owner).headers["x-cellule-conversation"]
        self.keep(other)
        where = f"/v1/conversations/{conversation}"
        for key in (other, self.site.admin_key):
            self.check_error(self.show(conversation, key), 404, "not_found")
            self.check_error(self.ask("DELETE", where, key=key), 404, "not_found")
            self.check_error(self.ask("POST", where, {"title": "Mine"}, key), 404, "not_found")
            answer = self.ask("POST", "/v1/chat/completions", self.chat_body(), key,
                              [f"X-Cellule-Conversation: {conversation}"])
            self.check_error(answer, 404, "conversation_not_found")
        self.assertEqual(len(self.turns(conversation, owner)), 1)

    def test_what_makes_no_sense_is_refused(self):
        for field in ("", "New", "x", "0" * 31, "0" * 33, "../" + "0" * 29, "g" * 32):
            answer = self.ask("POST", "/v1/chat/completions", self.chat_body(), self.site.user_key,
                              [f"X-Cellule-Conversation: {field}"])
            self.check_error(answer, 400)
        self.check_error(self.chat(store="yes"), 400, param="store")
        for path in ("x", "0" * 31, "G" * 32):
            self.check_error(self.show(path), 404, "not_found")
        self.assertEqual(self.list(query="?limit=0")["conversations"], self.list(query="?limit=1")["conversations"])

    def test_another_key_of_the_user_opens_nothing_and_makes_nothing(self):
        made = self.add_user("gerda")
        conversation = self.keep(made["key"]).headers["x-cellule-conversation"]
        second = self.admin_ask("POST", "/v1/admin/users/gerda/keys", {}).json["key"]
        self.check_error(self.ask("GET", "/v1/conversations", key=second), 403, "key_opens_nothing")
        self.check_error(self.chat(second, store=True), 403, "key_opens_nothing")
        self.assertEqual(self.chat(second).status, 200, "asking goes on")
        self.assertEqual(len(self.list(made["key"])["conversations"]), 1)
        self.assertEqual(len(self.turns(conversation, made["key"])), 1)

    def test_a_session_brings_a_key_once(self):
        user = self.add_user("hanna")["key"]
        conversation = self.keep(user).headers["x-cellule-conversation"]
        session = self.ask("POST", "/v1/session", {}, user).json["access_token"]
        self.check_error(self.ask("GET", "/v1/conversations", key=session), 403, "memory_locked")
        self.check_error(self.ask("POST", "/v1/memory/unlock", {"key": self.site.user_key}, session), 403)
        self.check_error(self.ask("POST", "/v1/memory/unlock", {"key": "ck_x"}, session), 403)
        self.check_error(self.ask("POST", "/v1/memory/unlock", {}, session), 400)
        self.assertEqual(self.ask("POST", "/v1/memory/unlock", {"key": user}, session).json["unlocked"], True)
        self.assertEqual(len(self.turns(conversation, session)), 1)
        self.assertEqual(self.ask("POST", "/v1/memory/lock", key=session).status, 200)
        self.check_error(self.ask("GET", "/v1/conversations", key=session), 403, "memory_locked")
        self.ask("POST", "/v1/memory/unlock", {"key": user}, session)
        other = self.ask("POST", "/v1/session", {}, user).json["access_token"]
        self.check_error(self.ask("GET", "/v1/conversations", key=other), 403, "memory_locked")
        self.assertEqual(self.ask("POST", "/v1/session/end", key=session).status, 200)

    def test_many_ask_at_once_with_a_key_that_must_be_stretched_first(self):
        user = self.add_user("ida")["key"]
        with concurrent.futures.ThreadPoolExecutor(8) as crowd:
            answers = list(crowd.map(lambda i: self.chat(user, store=True, question=f"Number {i}?"), range(8)))
        self.assertEqual({answer.status for answer in answers}, {200})
        self.assertEqual(len(self.list(user)["conversations"]), 8)

    def test_what_was_seen_is_kept_when_the_client_leaves(self):
        user = self.add_user("jan")["key"]
        self.keep(user)
        for _ in range(20):
            with self.connect() as connection:
                connection.send(request("POST", "/v1/chat/completions", self.long_body(store=True), user))
                status, headers = connection.head()
                self.assertEqual(status, 200)
                seen = b""
                while b'"content":"' not in seen.replace(b'"content":""', b""):
                    seen += connection.chunk()
                connection.reset()
            conversation = headers["x-cellule-conversation"]
            (turn,) = wait_for("it is kept", lambda: self.show(conversation, user).json.get("turns"))
            if turn["end"] == "cut":
                break
        self.assertEqual(turn["end"], "cut")
        self.assertTrue(turn["answer"])
        self.assertEqual(turn["messages"][0]["content"], "Tell me everything.")

    def search(self, key, query, **more):
        answer = self.ask("POST", "/v1/conversations/search", {"query": query, **more}, key)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json

    def test_words_are_found_in_titles_questions_and_answers(self):
        user = self.add_user("lena")["key"]
        self.assertEqual(self.search(user, "pool")["found"], [])
        made = [self.keep(user, question=f"How do I start the pool? Número {i}, Straße").headers["x-cellule-conversation"]
                for i in range(4)]
        said = self.keep(user, made[0], question="And a HERON?").json["choices"][0]["message"]["content"]
        self.ask("POST", f"/v1/conversations/{made[2]}", {"title": "Garden"}, user)
        found = self.search(user, "heron")["found"]
        self.assertEqual([(row["id"], row["excerpt"]) for row in found], [(made[0], "And a HERON?")])
        self.assertEqual([row["id"] for row in self.search(user, "GARDEN")["found"]], [made[2]])
        self.assertEqual([row["id"] for row in self.search(user, "número 3")["found"]], [made[3]])
        self.assertEqual([row["id"] for row in self.search(user, "straße pool")["found"]], [made[0], *made[3:0:-1]])
        word = max(said.split(), key=len)
        self.assertIn(made[0], [row["id"] for row in self.search(user, word)["found"]])
        self.assertEqual(len(self.search(user, "pool", limit=2)["found"]), 2)
        self.assertEqual(self.search(user, "nowhere-at-all")["found"], [])
        self.assertEqual(self.search(self.add_user("lenas-friend")["key"], "heron")["found"], [])
        for body in ({}, {"query": ""}, {"query": 7}, {"query": " "}, {"query": "x" * 257}, {"query": "x " * 17}, {"query": "x", "limit": 0}):
            self.check_error(self.ask("POST", "/v1/conversations/search", body, user), 400)

    def test_one_is_exported_whole(self):
        user = self.add_user("mia")["key"]
        first = self.keep(user, question="# How\n```\ndo I start the pool?")
        conversation = first.headers["x-cellule-conversation"]
        where = f"/v1/conversations/{conversation}/export"
        for i in range(3):
            self.keep(user, conversation, question=f"Further {i}? {'long ' * 60}")
        exported = self.ask("GET", where, key=user)
        self.assertEqual((exported.status, exported.complete), (200, True))
        self.assertEqual(exported.json["turns"], self.turns(conversation, user))
        text = self.ask("GET", f"{where}?format=markdown", key=user)
        self.assertEqual(text.headers["content-type"], "text/markdown; charset=utf-8")
        self.assertIn(first.json["choices"][0]["message"]["content"].split("\n")[0], text.body.decode())
        self.assertIn("Further 2?", text.body.decode())
        self.check_error(self.ask("GET", f"{where}?format=pdf", key=user), 400, param="format")
        self.check_error(self.ask("GET", where, key=self.site.user_key), 404, "not_found")
        self.check_error(self.ask("GET", f"/v1/conversations/{'0' * 32}/export", key=user), 404, "not_found")

    def test_an_answer_that_is_held_back_is_kept_when_it_is_given_out(self):
        user = self.add_user("nora")["key"]
        for mode in ("proved", "required"):
            for stream in (False, True):
                body = self.chat_body(store=True, stream=stream)
                answer = self.ask("POST", "/v1/chat/completions", body, user, [f"X-Cellule-Verify: {mode}"])
                self.assertEqual(answer.status, 200, answer.body)
                said = answer.text if stream else answer.json["choices"][0]["message"]["content"]
                (turn,) = self.turns(answer.headers["x-cellule-conversation"], user)
                self.assertEqual(turn["answer"], said)

    def test_nothing_readable_is_on_the_disk(self):
        user = self.add_user("karl")["key"]
        conversation = self.keep(user, question=f"What is {MARKER}?").headers["x-cellule-conversation"]
        self.ask("POST", f"/v1/conversations/{conversation}", {"title": f"About {MARKER}"}, user)
        for path in self.site.folder.rglob("*"):
            if path.is_file():
                self.assertNotIn(MARKER.encode(), path.read_bytes(), path)
        database = sqlite3.connect(f"file:{self.site.folder / 'pool.db'}?mode=ro", uri=True)
        sizes = [size for (size,) in database.execute("SELECT length(sealed) FROM turns")]
        database.close()
        self.assertTrue(sizes)


class Altered(Kept):
    """Somebody who may write the database exchanges what is sealed."""

    keep_alive = False

    def alter(self, *statements):
        self.site.stop()
        database = sqlite3.connect(self.site.folder / "pool.db")
        for statement, values in statements:
            database.execute(statement, values)
        database.commit()
        database.close()
        self.site.start()

    def sealed(self, table, where, value):
        database = sqlite3.connect(f"file:{self.site.folder / 'pool.db'}?mode=ro", uri=True)
        try:
            return database.execute(f"SELECT sealed FROM {table} WHERE {where} = ?", (value,)).fetchone()[0]
        finally:
            database.close()

    def test_what_is_sealed_opens_in_its_own_place_alone(self):
        anna, bruno = self.add_user("anna")["key"], self.add_user("bruno")["key"]
        answers = [self.keep(anna, question="One?"), self.keep(anna, question="Two?"), self.keep(bruno, question="Three?")]
        ids = [answer.headers["x-cellule-conversation"] for answer in answers]
        blobs = [bytes.fromhex(id) for id in ids]
        self.keep(anna, ids[0], question="One more?")
        turns = [turn["id"] for turn in self.turns(ids[0], anna)]
        by_turn = [self.sealed("turns", "id", bytes.fromhex(turn)) for turn in turns]
        heads = [self.sealed("conversation_heads", "id", blob) for blob in blobs]
        redated = by_turn[0][:8] + bytes([by_turn[0][8] ^ 1]) + by_turn[0][9:]
        set_turn = "UPDATE turns SET sealed = ? WHERE id = ?"
        set_head = "UPDATE conversation_heads SET sealed = ? WHERE id = ?"
        turn_id = bytes.fromhex(turns[0])
        alterations = {
            "another turn of the same conversation": (set_turn, (by_turn[1], turn_id)),
            "a turn of another conversation": (set_turn, (self.sealed("turns", "conversation", blobs[1]), turn_id)),
            "a turn of another user": (set_turn, (self.sealed("turns", "conversation", blobs[2]), turn_id)),
            "shorter": (set_turn, (by_turn[0][:-1], turn_id)),
            "one bit": (set_turn, (by_turn[0][:40] + bytes([by_turn[0][40] ^ 4]) + by_turn[0][41:], turn_id)),
            "another day": (set_turn, (redated, turn_id)),
            "another conversation's head": (set_head, (heads[1], blobs[0])),
            "another user's head": (set_head, (heads[2], blobs[0])),
        }
        for what, statement in alterations.items():
            with self.subTest(what):
                self.alter(statement)
                answer = self.show(ids[0], anna)
                self.check_error(answer, 500)
                self.assertEqual(len(self.turns(ids[1], anna)), 1, "the others open")
                self.alter((set_turn, (by_turn[0], turn_id)), (set_head, (heads[0], blobs[0])))
        self.assertEqual([turn["messages"][0]["content"] for turn in self.turns(ids[0], anna)], ["One?", "One more?"])

    def test_a_row_of_another_user_is_not_taken_for_ones_own(self):
        clara, dora = self.add_user("clara")["key"], self.add_user("dora")["key"]
        theirs = self.keep(clara).headers["x-cellule-conversation"]
        self.keep(dora)
        database = sqlite3.connect(f"file:{self.site.folder / 'pool.db'}?mode=ro", uri=True)
        (dora_id,) = database.execute("SELECT id FROM users WHERE name = 'dora'").fetchone()
        database.close()
        id = bytes.fromhex(theirs)
        self.alter(("PRAGMA foreign_keys = OFF", ()),
                   *((f"UPDATE {table} SET user_id = ? WHERE {column} = ?", (dora_id, id))
                     for table, column in (("conversations", "id"), ("conversation_heads", "id"), ("turns", "conversation"))))
        self.check_error(self.show(theirs, dora), 500)
        self.check_error(self.show(theirs, clara), 404)


class Stops(Kept):
    keep_alive = False

    def test_they_outlive_the_pool(self):
        conversation = self.keep().headers["x-cellule-conversation"]
        self.site.stop()
        self.site.start()
        self.assertEqual(len(self.turns(conversation)), 1)
        self.keep(conversation=conversation)
        self.assertEqual(len(self.turns(conversation)), 2)

    def test_what_was_acknowledged_outlives_a_kill(self):
        made = [self.keep(question=f"Number {i}?").headers["x-cellule-conversation"] for i in range(3)]
        os.kill(self.site.pool.child.pid, signal.SIGKILL)
        self.site.pool.child.wait()
        self.site.stop()
        self.site.start()
        for conversation in made:
            self.assertEqual(len(self.turns(conversation)), 1)


if __name__ == "__main__":
    tap.main()
