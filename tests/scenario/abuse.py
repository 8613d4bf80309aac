"""What strangers and employees may try against the pool and the others. abuse.py BINARY TOP FAKE_WORKER"""

import tap
from fleet import FleetCase
from wire import SiteCase, frame, upgrade

CHAT = "/v1/chat/completions"
MIB = 1 << 20


class Strangers(SiteCase):
    """Without a key nobody has the pool keep much for him."""

    worker_count = 0

    def announce(self, path, key=None, length=MIB):
        """The answer to the head of a request whose body never comes."""
        connection = self.connect()
        fields = f"Authorization: Bearer {key}\r\n" if key else ""
        connection.send(f"POST {path} HTTP/1.1\r\nHost: pool\r\n{fields}Content-Length: {length}\r\n\r\n")
        return connection.answer()

    def test_a_body_is_read_only_from_whoever_may_send_it(self):
        self.check_error(self.announce(CHAT), 401, "missing_api_key")
        self.check_error(self.announce(CHAT, "ck_" + "a" * 43), 401, "invalid_api_key")
        self.check_error(self.announce("/v1/admin/users", self.add_user("curious")["key"]), 403, "not_allowed")
        self.check_error(self.announce("/nowhere"), 404)
        self.check_error(self.announce("/v1/models"), 405)
        for path in ("/v1/worker/enrol", "/healthz"):
            self.assertIn(self.announce(path).status, (405, 413))

    def test_a_chunked_body_without_a_key_is_bounded_too(self):
        connection = self.connect()
        connection.send("POST /v1/worker/enrol HTTP/1.1\r\nHost: pool\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"1000\r\n" + b" " * 4096 + b"\r\n"
        for _ in range(5):
            connection.send(chunk)
        self.check_error(connection.answer(), 413)

    def test_before_its_proof_a_worker_may_send_no_more_than_a_hello(self):
        for begun in (frame(1, b"x", length=65537), frame(1, b" " * 60000, final=False) + frame(0, b" " * 60000)):
            connection = self.connect()
            connection.send(upgrade())
            self.assertEqual(connection.head()[0], 101)
            connection.send(begun)
            self.assertEqual(connection.exactly(4)[2:], (1009).to_bytes(2, "big"))


class Employees(FleetCase):
    def check_too_long(self, messages):
        for stream in (False, True):
            body = {"model": "demo", "messages": messages, "stream": stream}
            self.check_error(self.ask("POST", CHAT, body, self.site.user_key), 400, param="messages")

    def test_a_body_of_very_many_values_is_refused_before_they_are_built(self):
        """Each costs some hundred bytes and its share of the loop's time."""
        for many in (b"1," * 40000, b"{}," * 40000, b'"",' * 40000):
            body = b'{"model":"demo","messages":[' + many + b"1]}"
            error = self.check_error(self.ask("POST", CHAT, body, self.site.user_key), 400)
            self.assertIn("values allowed", error["message"])

    def test_a_question_longer_than_a_message_may_be_costs_no_worker_its_session(self):
        fleet = self.fake(count=2)
        sessions = self.metric("worker_sessions_total")
        # Too long raw, as JSON with its escapes, and with the rest of the job; in one piece and in many.
        for question in ("a" * (MIB + 1), "\x01" * (MIB // 6 + 1), "a" * (MIB - 100)):
            self.check_too_long([{"role": "user", "content": question}])
        self.check_too_long([{"role": "user", "content": "\x01" * 200}] * 1000)
        self.assertEqual(self.metric("workers_connected"), 2)
        self.assertEqual(self.metric("worker_sessions_total"), sessions)
        self.assertEqual(fleet.of("closed"), [])
        self.assert_whole(self.question("a" * (MIB - 2000)))


if __name__ == "__main__":
    tap.main()
