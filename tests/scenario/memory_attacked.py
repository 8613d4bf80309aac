"""Who wants more of what users keep than is his. memory_attacked.py BINARY TOP FAKE_WORKER"""

import contextlib
import sqlite3

import tap
from fleet import FleetCase, eventually
from wire import Connection, request, trust

LONG = "The lapwing " * 80000  # nearly 1 MB


class Attacked(FleetCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.workers = cls.start_fake("--says", "yes", "--reply-bytes", "100", "--tokens", "2", "--context", "1000000", count=2)
        cls.addClassCleanup(cls.workers.stop)
        cls.workers.wait("serving")

    def setUp(self):
        pass

    def keep(self, key, question, conversation="new"):
        body = {"model": "demo", "messages": [{"role": "user", "content": question}]}
        answer = self.ask("POST", "/v1/chat/completions", body, key, [f"X-Cellule-Conversation: {conversation}"])
        self.assertEqual(answer.status, 200, answer.body)
        return answer.headers["x-cellule-conversation"]

    def keep_much(self, key, megabytes):
        conversation = self.keep(key, LONG)
        for _ in range(megabytes - 1):
            self.keep(key, LONG, conversation)
        return conversation

    def begin(self, path, key):
        """A request whose answer is left lying; it has begun, or has been refused."""
        connection = Connection(self.site.address, trust(self.site.ca_file))
        self.addCleanup(connection.close)
        connection.send(request("GET", path, key=key))
        return connection, connection.head()[0]


class Readings(Attacked):
    def check_cut(self, connection):
        """What was under way to the client may come still, but not the rest."""
        size = 0
        while chunk := connection.chunk():
            size += len(chunk)
        self.assertIsNone(chunk, "the file ends as if it were whole")
        self.assertLess(size, 10 << 20)

    def test_an_export_ends_with_the_right_to_it(self):
        for path in ("/v1/privacy/export", "/v1/conversations/{}/export"):
            name = f"anna-{len(path)}"
            made = self.add_user(name)
            conversation = self.keep_much(made["key"], 25)
            access = self.ask("POST", "/v1/session", {}, made["key"]).json["access_token"]
            self.assertEqual(self.ask("POST", "/v1/memory/unlock", {"key": made["key"]}, access).status, 200)
            ends = ((access, lambda: self.ask("POST", "/v1/session/end", {}, access)),
                    (made["key"], lambda: self.admin_ask("POST", f"/v1/admin/keys/{made['key_id']}/revoke")))
            for bearer, end in ends:
                connection, status = self.begin(path.format(conversation), bearer)
                self.assertEqual(status, 200)
                self.assertEqual(end().status, 200)
                self.assertEqual(self.ask("GET", "/v1/memory", key=bearer).status, 401)
                self.check_cut(connection)

    def test_an_export_ends_when_its_user_is_shut_out(self):
        key = self.add_user("bea")["key"]
        self.keep_much(key, 25)
        connection, status = self.begin("/v1/privacy/export", key)
        self.assertEqual(status, 200)
        self.assertEqual(self.admin_ask("POST", "/v1/admin/users/bea/disable").status, 200)
        self.check_cut(connection)

    def test_one_user_has_few_of_them_at_once(self):
        key, other = self.add_user("cleo")["key"], self.add_user("carl")["key"]
        conversation = self.keep_much(key, 25)
        paths = ["/v1/privacy/export", f"/v1/conversations/{conversation}/export"] * 2
        begun = [self.begin(path, key) for path in paths]
        self.assertEqual([status for _, status in begun], [200] * 4)
        for answer in (self.ask("GET", "/v1/privacy/export", key=key),
                       self.ask("GET", f"/v1/conversations/{conversation}/export", key=key),
                       self.ask("POST", "/v1/conversations/search", {"query": "nothing"}, key),
                       self.ask("POST", "/v1/memory/learn", {"conversation": conversation}, key)):
            self.check_error(answer, 429)
        self.assertEqual(self.ask("GET", "/v1/privacy/export", key=other).status, 200, "others have theirs")
        self.assertEqual(len(self.ask("GET", "/v1/conversations", key=key).json["conversations"]), 1)
        begun[0][0].close()
        eventually("there is room for another",
                   lambda: self.ask("POST", "/v1/conversations/search", {"query": "nothing"}, key).status == 200)


class Floods(Attacked):
    def test_one_user_asks_for_few_things_at_once(self):
        key, other = self.add_user("dora")["key"], self.add_user("dirk")["key"]
        for i in range(100):
            answer = self.ask("POST", "/v1/memory/facts", {"text": f"{i} " + "x" * 8000}, key)
            self.assertEqual(answer.status, 200, answer.body)
        connections = [Connection(self.site.address, trust(self.site.ca_file)) for _ in range(200)]
        for connection in connections:
            self.addCleanup(connection.close)
            connection.send(request("GET", "/v1/memory/facts?limit=100", key=key))
        self.assertEqual(self.ask("POST", "/v1/memory/facts", {"text": "a dog"}, other).status, 200)
        answers = [connection.answer() for connection in connections]
        self.assertEqual({answer.status for answer in answers}, {200, 429})
        self.check_error(next(answer for answer in answers if answer.status == 429), 429)
        self.assertEqual(self.ask("GET", "/v1/memory/facts", key=key).status, 200, "once they are answered he may go on")


class Database(Attacked):
    """Somebody writes the database while the pool serves."""

    def execute(self, sql, *values):
        with contextlib.closing(sqlite3.connect(self.site.folder / "pool.db", timeout=60)) as database, database:
            return database.execute(sql, values).fetchall()

    def check_told(self, method, path, key, what, body=None):
        error = self.check_error(self.ask(method, path, body, key), 500)
        self.assertIn(what, error["message"])
        self.assertIn("delete it", error["message"])

    def test_one_record_that_was_changed_is_named_so_that_it_can_be_deleted(self):
        key = self.add_user("flora")["key"]
        facts = [self.ask("POST", "/v1/memory/facts", {"text": f"Dog {i}"}, key).json["id"] for i in range(3)]
        kept = [self.keep(key, f"What of dog {i}?") for i in range(3)]
        self.execute("UPDATE facts SET sealed = (SELECT sealed FROM facts WHERE id = ?) WHERE id = ?",
                     bytes.fromhex(facts[0]), bytes.fromhex(facts[1]))
        self.execute("UPDATE conversation_heads SET sealed = (SELECT sealed FROM conversation_heads WHERE id = ?) WHERE id = ?",
                     bytes.fromhex(kept[0]), bytes.fromhex(kept[1]))
        self.ask("POST", "/v1/memory/lock", key=key)
        self.check_told("GET", "/v1/memory/facts", key, f"fact {facts[1]}")
        self.check_told("POST", "/v1/memory/search", key, f"fact {facts[1]}", {"query": "dog"})
        self.check_told("GET", "/v1/conversations", key, f"conversation {kept[1]}")
        self.check_told("POST", "/v1/conversations/search", key, f"conversation {kept[1]}", {"query": "cat"})
        self.assertEqual(self.ask("DELETE", f"/v1/memory/facts/{facts[1]}", key=key).status, 200)
        self.assertEqual(self.ask("DELETE", f"/v1/conversations/{kept[1]}", key=key).status, 200)
        found = self.ask("POST", "/v1/memory/search", {"query": "dog"}, key).json["facts"]
        self.assertEqual({fact["id"] for fact in found}, {facts[0], facts[2]})
        whole = self.ask("GET", "/v1/privacy/export", key=key)
        self.assertTrue(whole.complete)
        self.assertEqual({one["id"] for one in whole.json["conversations"]}, {kept[0], kept[2]})


class Vectors(FleetCase):
    """A worker has the model that is to embed facts, and embeds badly."""

    settings = {"embedding_model": "vectors"}

    def test_vectors_of_zeros_keep_nobody_from_remembering_or_finding(self):
        key = self.add_user("emil")["key"]
        texts = ["My dog is called Rex", "I live in Cádiz"]
        self.assertEqual(self.ask("POST", "/v1/memory/facts", {"text": texts[0]}, key).status, 200)
        worker = self.fake("--model", "vectors", "--dimension", 64, "--behave", "no-direction")
        self.assertEqual(self.ask("POST", "/v1/memory/facts", {"text": texts[1]}, key).status, 200)
        worker.wait("embedded")
        for text in texts:
            found = self.ask("POST", "/v1/memory/search", {"query": text}, key)
            self.assertEqual(found.status, 200, found.body)
            self.assertEqual(found.json["facts"][0]["text"], text)


if __name__ == "__main__":
    tap.main()
