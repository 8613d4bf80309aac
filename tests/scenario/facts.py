"""Facts that users have the pool remember: theirs alone, found again, given to models when they say so. facts.py BINARY TOP
FAKE_WORKER"""

import concurrent.futures
import json
import os
import signal
import sqlite3
import time

import tap
from fleet import FleetCase, eventually
from wire import request

MARKER = "the-bittern-booms-at-dawn"
HEADING = "Facts that the user wants to be remembered. Use what helps to answer, and leave the rest unmentioned:"


class FactsCase(FleetCase):
    """What the cases of this file share."""

    def add(self, text, key=None):
        answer = self.ask("POST", "/v1/memory/facts", {"text": text}, key or self.site.user_key)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.json["text"], text)
        return answer.json["id"]

    def list(self, key=None, query=""):
        answer = self.ask("GET", f"/v1/memory/facts{query}", key=key or self.site.user_key)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json

    def texts(self, key=None):
        return [fact["text"] for fact in self.list(key, "?limit=100")["facts"]]

    def show(self, fact, key=None):
        return self.ask("GET", f"/v1/memory/facts/{fact}", key=key or self.site.user_key)

    def forget(self, fact, key=None):
        return self.ask("DELETE", f"/v1/memory/facts/{fact}", key=key or self.site.user_key)

    def edit(self, fact, text, key=None):
        return self.ask("POST", f"/v1/memory/facts/{fact}", {"text": text}, key or self.site.user_key)

    def search(self, query, key=None, **more):
        answer = self.ask("POST", "/v1/memory/search", {"query": query, **more}, key or self.site.user_key)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json["facts"]

    def found(self, query, key=None, **more):
        return [fact["text"] for fact in self.search(query, key, **more)]

    def status(self, key=None):
        answer = self.ask("GET", "/v1/memory", key=key or self.site.user_key)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json

    def user(self, name):
        return self.add_user(name)["key"]

    def files(self):
        return [path for path in self.folder.rglob("*") if path.is_file()]

    def said(self, question, key, headers=(), **more):
        """What an echoing worker was asked, and the answer."""
        body = {"model": "demo", "messages": [{"role": "user", "content": question}], **more}
        answer = self.ask("POST", "/v1/chat/completions", body, key, list(headers))
        self.assertEqual(answer.status, 200, answer.body)
        return (answer.text if more.get("stream") else answer.json["choices"][0]["message"]["content"]), answer

    USE = ("X-Cellule-Memory: use",)


class Facts(FactsCase):
    def test_a_fact_is_added_read_edited_and_forgotten(self):
        user = self.user("anna")
        self.assertEqual(self.list(user)["facts"], [])
        self.assertEqual(self.status(user)["facts"], 0)
        fact = self.add("My dog is called Rex", user)
        shown = self.show(fact, user).json
        self.assertEqual((shown["object"], shown["id"], shown["text"]), ("cellule.fact", fact, "My dog is called Rex"))
        self.assertAlmostEqual(shown["created_ms"] / 1000, time.time(), delta=300)
        self.assertEqual(self.found("the dog's name", user), ["My dog is called Rex"])
        self.assertEqual(self.edit(fact, "My parrot is called Polly", user).status, 200)
        after = self.show(fact, user).json
        self.assertEqual((after["text"], after["created_ms"]), ("My parrot is called Polly", shown["created_ms"]))
        self.assertEqual(self.found("parrot Polly", user), ["My parrot is called Polly"])
        self.assertGreater(self.search("parrot called Polly", user)[0]["score"],
                           self.search("dog called Rex", user)[0]["score"] + 0.2, "the former text's vector is gone")
        self.assertEqual(self.forget(fact, user).status, 200)
        self.check_error(self.show(fact, user), 404, "not_found")
        self.check_error(self.forget(fact, user), 404, "not_found")
        self.check_error(self.edit(fact, "x", user), 404, "not_found")
        self.assertEqual(self.found("parrot Polly", user), [])
        self.assertEqual(self.list(user)["facts"], [])

    def test_the_nearest_comes_first(self):
        user = self.user("berta")
        texts = ["I work as a nurse in Cádiz", "My bicycle is red", "Meine Tochter heißt Amélie", "東京に住んでいます",
                 "I am allergic to peanuts"]
        for text in texts:
            self.add(text, user)
        for query, nearest in (("Where do I work as a nurse?", texts[0]), ("what colour is my bicycle", texts[1]),
                               ("Wie heißt meine Tochter?", texts[2]), ("東京", texts[3]), ("PEANUT ALLERGIES", texts[4])):
            scores = self.search(query, user)
            self.assertEqual(scores[0]["text"], nearest, query)
            self.assertEqual([fact["score"] for fact in scores], sorted((fact["score"] for fact in scores), reverse=True))
        self.assertEqual(len(self.found("I work", user, limit=2)), 2)

    def test_pages_go_on_where_they_ended_in_the_order_of_time(self):
        user = self.user("clara")
        made = []
        for i in range(7):
            made.append(self.add(f"Fact number {i}", user))
            time.sleep(0.002)  # ids begin with the millisecond
        found, query = [], "?limit=3"
        while True:
            page = self.list(user, query)
            found += [fact["id"] for fact in page["facts"]]
            if not page["has_more"]:
                break
            query = f"?limit=3&after={found[-1]}"
        self.assertEqual(found, made)
        self.check_error(self.ask("GET", "/v1/memory/facts?after=x", key=user), 400)

    def test_they_are_their_users_alone(self):
        owner, other = self.user("dora"), self.user("emil")
        fact = self.add("My locker is number 17", owner)
        self.add("I like tea", other)
        for key in (other, self.site.admin_key):
            self.check_error(self.show(fact, key), 404, "not_found")
            self.check_error(self.edit(fact, "Mine", key), 404, "not_found")
            self.check_error(self.forget(fact, key), 404, "not_found")
            self.assertNotIn("My locker is number 17", self.found("locker number", key))
        self.assertEqual(self.texts(owner), ["My locker is number 17"])

    def test_what_makes_no_sense_is_refused(self):
        user = self.user("fritz")
        for body in ({}, {"text": ""}, {"text": 7}, {"text": None}, {"text": "x" * 8193}, [], {"text": "a\0b"}):
            self.check_error(self.ask("POST", "/v1/memory/facts", body, user), 400)
        for body in ({}, {"query": ""}, {"query": "x", "limit": 0}, {"query": "x", "limit": 33}, {"query": 1}):
            self.check_error(self.ask("POST", "/v1/memory/search", body, user), 400)
        for fact in ("x", "0" * 31, "0" * 33, "G" * 32):
            self.check_error(self.show(fact, user), 404, "not_found")
        for body in ({}, {"conversation": "x"}, {"conversation": 1}, {"conversation": "0" * 32, "model": 1},
                     {"conversation": "0" * 32, "model": "x" * 300}):
            self.assertIn(self.ask("POST", "/v1/memory/learn", body, user).status, (400, 404))
        for field in ("", "Use", "no", "use, use", "yes"):
            answer = self.ask("POST", "/v1/chat/completions", self.chat_body(), user, [f"X-Cellule-Memory: {field}"])
            self.check_error(answer, 400, param="X-Cellule-Memory")
        self.assertEqual(self.list(user)["facts"], [])

    def test_the_longest_fact_and_one_without_a_word_are_kept(self):
        user = self.user("gerda")
        longest = "ä" * 4096
        for text in (longest, "???", "\n", "🙂"):
            self.add(text, user)
        self.assertEqual(self.texts(user), [longest, "???", "\n", "🙂"])
        self.assertEqual(self.found("ä" * 4000, user)[0], longest)
        self.assertEqual(self.found("?!", user), [])
        status = self.status(user)
        self.assertEqual((status["facts"], status["embedding"]["done"], status["embedding"]["of"]), (4, 4, 4))

    def test_many_write_at_once_and_all_is_found(self):
        user = self.user("hanna")
        with concurrent.futures.ThreadPoolExecutor(8) as crowd:
            facts = list(crowd.map(lambda i: self.add(f"Locker {i} holds item{i}x", user), range(24)))
        self.assertEqual(len(set(facts)), 24)
        with concurrent.futures.ThreadPoolExecutor(8) as crowd:
            nearest = list(crowd.map(lambda i: self.found(f"item{i}x", user)[0], range(24)))
        self.assertEqual(nearest, [f"Locker {i} holds item{i}x" for i in range(24)])
        with concurrent.futures.ThreadPoolExecutor(8) as crowd:
            self.assertEqual({a.status for a in crowd.map(lambda fact: self.forget(fact, user), facts[:12])}, {200})
        self.assertEqual(self.status(user)["facts"], 12)
        self.assertEqual(sorted(self.texts(user)), sorted(f"Locker {i} holds item{i}x" for i in range(12, 24)))

    def test_a_session_brings_a_key_first(self):
        user = self.user("ida")
        fact = self.add("I play the oboe", user)
        session = self.ask("POST", "/v1/session", {}, user).json["access_token"]
        for method, path, body in (("GET", "/v1/memory/facts", None), ("POST", "/v1/memory/facts", {"text": "x"}),
                                   ("GET", f"/v1/memory/facts/{fact}", None), ("GET", "/v1/memory", None),
                                   ("DELETE", f"/v1/memory/facts/{fact}", None),
                                   ("POST", "/v1/memory/search", {"query": "oboe"}),
                                   ("POST", "/v1/memory/learn", {"conversation": "0" * 32})):
            self.check_error(self.ask(method, path, body, session), 403, "memory_locked")
        answer = self.ask("POST", "/v1/chat/completions", self.chat_body(), session, self.USE)
        self.check_error(answer, 403, "memory_locked")
        self.ask("POST", "/v1/memory/unlock", {"key": user}, session)
        self.assertEqual(self.found("oboe", session), ["I play the oboe"])
        self.ask("POST", "/v1/memory/lock", key=session)
        self.check_error(self.ask("POST", "/v1/memory/search", {"query": "oboe"}, session), 403, "memory_locked")

    def test_locking_while_it_is_searched_hurts_nobody(self):
        user = self.user("jan")
        for i in range(6):
            self.add(f"Number {i} of many", user)

        def search_or_lock(i):
            if i % 3 == 0:
                return self.ask("POST", "/v1/memory/lock", key=user).status
            return self.ask("POST", "/v1/memory/search", {"query": f"number {i}"}, user).status
        with concurrent.futures.ThreadPoolExecutor(6) as crowd:
            self.assertLessEqual(set(crowd.map(search_or_lock, range(30))), {200, 409})
        self.assertEqual(len(self.found("number many", user)), 6)

    def test_nothing_readable_is_on_the_disk_and_forgetting_wipes(self):
        user = self.user("karl")
        fact = self.add(f"My secret place is where {MARKER}", user)
        self.assertEqual(len(self.found(MARKER, user)), 1)
        for path in self.files():
            self.assertNotIn(MARKER.encode(), path.read_bytes(), path)
        database = sqlite3.connect(f"file:{self.folder / 'pool.db'}?mode=ro", uri=True)
        (sealed,) = database.execute("SELECT sealed FROM facts WHERE id = ?", (bytes.fromhex(fact),)).fetchone()
        database.close()
        piece = sealed[40:72]
        self.assertTrue([path for path in self.files() if piece in path.read_bytes()])
        self.assertEqual(self.forget(fact, user).status, 200)
        eventually("nothing sealed is left either",
                   lambda: not [path for path in self.files() if piece in path.read_bytes()])


class Recall(FactsCase):
    def setUp(self):
        super().setUp()
        self.worker = self.fake("--echoes", "--reply-bytes", 6000)

    def test_facts_are_given_to_the_model_when_the_user_says_so_and_not_else(self):
        user = self.user("lena")
        dog, _ = self.add("My dog is called Rex", user), self.add("Invoices are due on Fridays", user)
        question = "What is my dog called?"
        text, plain = self.said(question, user)
        self.assertNotIn("x-cellule-facts", plain.headers)
        self.assertTrue(text.startswith(f"[user] {question}\n\n"), text[:200])
        for stream in (False, True):
            text, answer = self.said(question, user, self.USE, stream=stream)
            self.assertTrue(text.startswith(f"[system] {HEADING}\n- My dog is called Rex\n\n[user] {question}\n\n"),
                            text[:300])
            self.assertEqual(answer.headers["x-cellule-facts"], dog)

    def test_what_is_far_from_the_question_isnt_given(self):
        user = self.user("max")
        self.add("My dog is called Rex", user)
        text, answer = self.said("Explain photosynthesis briefly", user, self.USE)
        self.assertNotIn("x-cellule-facts", answer.headers)
        self.assertTrue(text.startswith("[user] "), text[:200])

    def test_the_users_own_system_message_stands_behind_them(self):
        user = self.user("nora")
        self.add("My dog is called Rex", user)
        messages = [{"role": "system", "content": "Answer in verse."}, {"role": "user", "content": "How is my dog called?"}]
        text, _ = self.said("", user, self.USE, messages=messages)
        self.assertTrue(text.startswith(f"[system] {HEADING}\n- My dog is called Rex\n\nAnswer in verse.\n\n[user] How is"),
                        text[:300])

    def test_at_most_five_are_given_and_at_most_1600_characters(self):
        user = self.user("otto")
        for i in range(8):
            self.add(f"My dog number {i} is called Rex{i}", user)
        text, answer = self.said("What is my dog called?", user, self.USE)
        self.assertEqual(len(answer.headers["x-cellule-facts"].split(",")), 5)
        self.assertEqual(text.split("[user]")[0].count("\n- "), 5)
        other = self.user("paula")
        for i in range(3):
            self.add(f"My dog {i} is called Rex. " + "My dog is called Rex. " * 30, other)
        text, answer = self.said("What is my dog called?", other, self.USE)
        self.assertEqual(len(answer.headers["x-cellule-facts"].split(",")), 2)

    def test_it_works_for_users_who_have_nothing(self):
        user = self.user("quint")
        text, answer = self.said("Who am I?", user, self.USE)
        self.assertTrue(text.startswith("[user] Who am I?"))
        self.assertNotIn("x-cellule-facts", answer.headers)

    def test_a_kept_turn_names_them_and_keeps_what_the_user_sent(self):
        user = self.user("rosa")
        dog = self.add("My dog is called Rex", user)
        question = "What is my dog called?"
        _, answer = self.said(question, user, self.USE, store=True)
        self.assertEqual(answer.headers["x-cellule-facts"], dog)
        conversation = answer.headers["x-cellule-conversation"]
        (turn,) = self.ask("GET", f"/v1/conversations/{conversation}", key=user).json["turns"]
        self.assertEqual(turn["messages"], [{"role": "user", "content": question}])
        self.assertEqual(turn["facts"], dog)

    def test_the_receipt_is_of_what_the_model_was_given(self):
        user = self.site.user_key
        self.add("My dog is called Rex", user)
        question = "What is my dog called?"
        _, answer = self.said(question, user, self.USE)
        given = [{"role": "system", "content": f"{HEADING}\n- My dog is called Rex"}, {"role": "user", "content": question}]
        receipt, text, asked = (self.folder / name for name in ("receipt.json", "answer.txt", "request.json"))
        receipt.write_bytes(self.ask("GET", f"/v1/receipts/{answer.headers['x-cellule-job']}", key=user).body)
        text.write_text(answer.json["choices"][0]["message"]["content"], newline="")
        asked.write_text(json.dumps({"model": "demo", "messages": given}))
        pool_id = self.ask("GET", "/v1/pool").json["pool_id"]
        self.site.cellule("verify", "receipt", "--pool-id", pool_id, "--messages", asked, "--answer", text, receipt)


class Learning(FactsCase):
    def conversation(self, user, question="I am Ana, and I live in Cádiz."):
        body = {"model": "demo", "messages": [{"role": "user", "content": question}], "store": True}
        answer = self.ask("POST", "/v1/chat/completions", body, user)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.headers["x-cellule-conversation"]

    def learn(self, conversation, user, **more):
        return self.ask("POST", "/v1/memory/learn", {"conversation": conversation, **more}, user)

    def says(self, lines):
        text = "\n".join(lines)
        return self.fake("--says", text, "--reply-bytes", len(text.encode()))

    def test_a_model_lists_what_lasts_and_what_is_known_is_skipped(self):
        self.says(["- The user is called Ana.", "- The user lives in Cádiz.", "", "- The user lives in Cadiz."])
        user = self.user("sara")
        conversation = self.conversation(user)
        answer = self.learn(conversation, user)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual([fact["text"] for fact in answer.json["facts"]],
                         ["The user is called Ana.", "The user lives in Cádiz."])
        self.assertEqual({fact["conversation"] for fact in answer.json["facts"]}, {conversation})
        self.assertEqual(self.texts(user), ["The user is called Ana.", "The user lives in Cádiz."])
        again = self.learn(conversation, user)
        self.assertEqual((again.status, again.json["facts"]), (200, []))
        self.assertEqual(self.show(answer.json["facts"][0]["id"], user).json["conversation"], conversation)

    def test_the_model_is_shown_the_conversation(self):
        self.fake("--echoes", "--reply-bytes", 9000)
        user = self.user("tina")
        conversation = self.conversation(user, "I am Tina the beekeeper")
        answer = self.learn(conversation, user, model="demo")
        self.assertEqual(answer.status, 200, answer.body)
        self.assertIn("user: I am Tina the beekeeper", [fact["text"] for fact in answer.json["facts"]])
        self.assertLessEqual(len(answer.json["facts"]), 20)

    def test_it_is_refused_where_there_is_nothing_to_read_or_nobody_to_read_it(self):
        self.says(["The user is called Ana."])
        user, other = self.user("ulla"), self.user("vera")
        conversation = self.conversation(user)
        self.add("I like tea", other)
        self.check_error(self.learn(conversation, other), 404, "not_found")
        self.check_error(self.learn("0" * 32, user), 404, "not_found")
        self.check_error(self.learn(conversation, user, model="nobody-has-it"), 404, "model_not_found")
        self.assertEqual(self.list(user)["facts"], [])

    def test_it_ends_when_the_key_is_revoked_or_the_client_leaves(self):
        worker = self.says(["The user is called Ana."])
        made = self.add_user("wanda")
        user = made["key"]
        conversation = self.conversation(user)
        worker.stop()
        silent = self.fake("--behave", "never-answer")
        with concurrent.futures.ThreadPoolExecutor(1) as crowd:
            asked = crowd.submit(self.learn, conversation, user)
            silent.wait("job")
            self.assertEqual(self.admin_ask("POST", "/v1/admin/users/wanda/disable").status, 200)
            self.check_error(asked.result(), 401, "key_revoked")
        silent.wait("cancel")
        silent.stop()

    def test_it_ends_when_the_client_leaves(self):
        worker = self.says(["The user is called Ana."])
        user = self.user("xenia")
        conversation = self.conversation(user)
        worker.stop()
        silent = self.fake("--behave", "never-answer")
        with self.connect() as connection:
            connection.send(request("POST", "/v1/memory/learn", {"conversation": conversation}, user))
            silent.wait("job")
            connection.reset()
        silent.wait("cancel")
        self.assertEqual(self.list(user)["facts"], [])


class Embedded(FactsCase):
    """With a model for vectors: a fake worker's are at random, so that only the same text is near."""

    settings = {"embedding_model": "vectors"}
    keep_alive = False

    def vectors(self):
        return self.fake("--model", "vectors", "--dimension", 64)

    def progress(self, user):
        embedding = self.status(user)["embedding"]
        return embedding["done"], embedding["of"]

    def configure(self, model):
        (self.folder / "pool.yaml").write_text((self.folder / "pool.yaml").read_text().replace(
            "embedding_model: ", "#embedding_model: ") + f'\nembedding_model: "{model}"\n')
        self.site.pool.signal(signal.SIGHUP)
        eventually("it was told", lambda: self.status()["embedding"]["model"] == model if model else True)

    def kill(self):
        os.kill(self.site.pool.child.pid, signal.SIGKILL)
        self.site.pool.child.wait()
        self.site.stop()
        self.site.start()

    def test_without_a_worker_they_are_found_all_the_same(self):
        user = self.user("yara")
        self.add("My dog is called Rex", user)
        self.assertEqual(self.progress(user), (0, 1))
        self.assertEqual(self.found("What is the dog called?", user), ["My dog is called Rex"])

    def test_a_worker_that_comes_embeds_those_that_are_there(self):
        user = self.user("zita")
        for i in range(20):
            self.add(f"Number {i} is item{i}", user)
        worker = self.vectors()
        eventually("all are embedded", lambda: self.progress(user) == (20, 20))
        nearest = self.search("Number 7 is item7", user)[0]
        self.assertEqual(nearest["text"], "Number 7 is item7")
        self.assertGreater(nearest["score"], 0.999)
        added = self.add("A sentence of its own", user)
        self.assertEqual(self.progress(user), (21, 21), "what is added is embedded at once")
        self.assertGreater(self.search("A sentence of its own", user)[0]["score"], 0.999)
        self.assertEqual(self.edit(added, "Another sentence", user).status, 200)
        self.assertGreater(self.search("Another sentence", user)[0]["score"], 0.999)
        self.assertLess(max(fact["score"] for fact in self.search("A sentence of its own", user)), 0.9)
        worker.stop()
        self.assertEqual(self.found("What is item7?", user)[0], "Number 7 is item7", "by the embedder again")
        self.assertEqual(self.progress(user), (21, 21))

    def test_long_facts_are_embedded_too(self):
        user = self.user("dina")
        texts = [f"{i} " + "word " * 1600 for i in range(20)]
        for text in texts:
            self.add(text, user)
        worker = self.vectors()
        eventually("all are embedded", lambda: self.progress(user) == (20, 20))
        self.assertGreater(self.search(texts[7], user, limit=1)[0]["score"], 0.999)
        worker.stop()

    def test_a_kill_while_they_are_embedded_loses_nothing(self):
        user = self.user("abel")
        texts = [f"Shelf {i} holds thing{i}" for i in range(300)]
        with concurrent.futures.ThreadPoolExecutor(8) as crowd:
            list(crowd.map(lambda text: self.add(text, user), texts))
        worker = self.vectors()
        worker.wait("embedded", 2)
        worker.signal(signal.SIGSTOP)
        done, of = self.progress(user)
        self.assertEqual(of, 300)
        self.assertLess(done, 300)
        self.kill()
        after, of = self.progress(user)
        self.assertEqual(of, 300)
        self.assertGreaterEqual(after, done)
        self.assertEqual(self.found("thing42", user, limit=1), [texts[42]])
        worker.signal(signal.SIGCONT)
        eventually("the rest is embedded", lambda: self.progress(user) == (300, 300))
        found, query = [], "?limit=100"
        while True:
            page = self.list(user, query)
            found += [fact["text"] for fact in page["facts"]]
            if not page["has_more"]:
                break
            query = f"?limit=100&after={page['facts'][-1]['id']}"
        self.assertEqual(sorted(found), sorted(texts))

    def test_what_its_user_writes_meanwhile_stays(self):
        user = self.user("bela")
        with concurrent.futures.ThreadPoolExecutor(8) as crowd:
            facts = list(crowd.map(lambda i: self.add(f"Before {i}", user), range(48)))
        worker = self.vectors()
        with concurrent.futures.ThreadPoolExecutor(8) as crowd:
            edited = list(crowd.map(lambda i: self.edit(facts[i], f"After {i}", user).status, range(0, 48, 2)))
            gone = list(crowd.map(lambda i: self.forget(facts[i], user).status, range(1, 48, 4)))
        self.assertEqual((set(edited), set(gone)), ({200}, {200}))
        eventually("all are embedded", lambda: self.progress(user) == (36, 36))
        expected = {f"After {i}" for i in range(0, 48, 2)} | {f"Before {i}" for i in range(3, 48, 4)}
        self.assertEqual(set(self.texts(user)), expected)
        for text in expected:
            self.assertGreater(self.search(text, user, limit=1)[0]["score"], 0.999)
        worker.stop()

    def test_locking_while_they_are_embedded_only_delays_it(self):
        user = self.user("celia")
        with concurrent.futures.ThreadPoolExecutor(8) as crowd:
            list(crowd.map(lambda i: self.add(f"Drawer {i}", user), range(64)))
        worker = self.vectors()
        for _ in range(4):
            self.status(user)
            self.assertEqual(self.ask("POST", "/v1/memory/lock", key=user).status, 200)
        eventually("all are embedded", lambda: self.progress(user) == (64, 64))
        worker.stop()

    def test_the_model_is_changed_while_it_serves(self):
        user = self.site.user_key
        self.add("My dog is called Rex", user)
        worker = self.vectors()
        eventually("it is embedded", lambda: self.progress(user) == (1, 1))
        self.configure("")
        eventually("by the embedder again",
                   lambda: self.status(user)["embedding"]["model"] != "vectors" and self.progress(user) == (1, 1))
        self.assertEqual(self.found("What is the dog called?", user), ["My dog is called Rex"])
        worker.stop()
        self.configure("vectors")
        self.assertEqual(self.progress(user), (0, 1))


class Crowded(FactsCase):
    """The pool may have a MiB for what facts are found by: those of about 470 facts."""

    settings = {"fact_memory_mib": 1}

    def add_many(self, name, count):
        user = self.user(name)
        with concurrent.futures.ThreadPoolExecutor(4) as crowd:
            list(crowd.map(lambda i: self.add(f"{name} keeps thing {i} in drawer {i % 7}", user), range(count)))
        return user

    def test_users_whose_facts_dont_fit_together_take_turns(self):
        names = ["kim", "lea", "mia"]
        users = [self.add_many(name, 200) for name in names]
        for _ in range(2):
            for name, user in zip(names, users):
                found = self.found("keeps thing 117", user, limit=5)
                self.assertIn(f"{name} keeps thing 117 in drawer 5", found)
                self.assertEqual({text.split()[0] for text in found}, {name})

        def search(i):
            return self.ask("POST", "/v1/memory/search", {"query": f"thing {i}"}, users[i % 3])
        with concurrent.futures.ThreadPoolExecutor(6) as crowd:
            for answer in crowd.map(search, range(30)):
                if answer.status != 200:
                    self.check_error(answer, 429)
        self.assertIn("kim keeps thing 117 in drawer 5", self.found("keeps thing 117", users[0], limit=5))

    def test_facts_that_dont_fit_alone_are_kept_and_the_search_says_why_not(self):
        user = self.add_many("noa", 520)
        last = self.add("This one is too many", user)
        answer = self.ask("POST", "/v1/memory/search", {"query": "thing"}, user)
        self.check_error(answer, 429)
        self.assertIn("fact_memory_mib", answer.json["error"]["message"])
        self.assertEqual(self.show(last, user).status, 200)
        for row in self.list(user, "?limit=100")["facts"]:
            self.assertEqual(self.ask("DELETE", f"/v1/memory/facts/{row['id']}", key=user).status, 200)
        self.assertEqual(self.found("this one is too many", user, limit=1), ["This one is too many"])


class Stops(FactsCase):
    keep_alive = False

    def test_they_outlive_the_pool(self):
        fact = self.add("My dog is called Rex")
        self.site.stop()
        self.site.start()
        self.assertEqual(self.found("what is the dog called"), ["My dog is called Rex"])
        self.assertEqual(self.show(fact).status, 200)
        os.kill(self.site.pool.child.pid, signal.SIGKILL)
        self.site.pool.child.wait()
        self.site.stop()
        self.site.start()
        self.assertEqual(self.found("what is the dog called"), ["My dog is called Rex"])


if __name__ == "__main__":
    tap.main()
