"""What isn't a worker's WebSocket session, or breaks RFC 6455, ends with a close code. bad_websocket.py BINARY"""

import json
import struct

import tap
from wire import SiteCase, frame, request, upgrade

TEXT, BINARY_DATA, CLOSE, PING, PONG = 1, 2, 8, 9, 10
NOISE = b'{"type":"beat"}'

# What comes first on an open connection, and the close code it is answered with.
ABUSES = {
    "an unmasked frame": (frame(TEXT, NOISE, masked=False), 1002),
    "the first reserved bit": (frame(TEXT, NOISE, reserved=4), 1002),
    "the second reserved bit": (frame(TEXT, NOISE, reserved=2), 1002),
    "the third reserved bit": (frame(TEXT, NOISE, reserved=1), 1002),
    "a data opcode that isn't there": (frame(3, NOISE), 1002),
    "a control opcode that isn't there": (frame(11, NOISE), 1002),
    "a continuation of nothing": (frame(0, NOISE), 1002),
    "a new message inside another": (frame(TEXT, b"{", final=False) + frame(TEXT, b"}"), 1002),
    "a ping in pieces": (frame(PING, b"x", final=False), 1002),
    "a ping of 126 bytes": (frame(PING, b"x" * 126), 1002),
    "a length of 2^63": (bytes([0x81, 0xFF]) + b"\x80" + b"\0" * 7 + b"mask", 1002),
    "a frame of 2 MiB": (frame(TEXT, b" " * 100, length=2 << 20), 1009),
    "a message of 2 MiB in pieces": (frame(TEXT, b" " * 65000, final=False)
                                     + frame(0, b" " * 65000, final=False) * 32, 1009),
    "bytes that are no UTF-8": (frame(TEXT, b'{"type":"\xff\xfe"}'), 1007),
    "a surrogate": (frame(TEXT, b'"\xed\xa0\x80"'), 1007),
    "an overlong slash": (frame(TEXT, b'"\xc0\xaf"'), 1007),
    "a character cut off": (frame(TEXT, b'"\xe2\x82'), 1007),
    "a close with half a code": (frame(CLOSE, b"\x03"), 1002),
    "a close with a code that isn't sent": (frame(CLOSE, struct.pack("!H", 1005)), 1002),
    "a close code out of range": (frame(CLOSE, struct.pack("!H", 99)), 1002),
    "a close that says noise": (frame(CLOSE, struct.pack("!H", 1000) + b"\xff\xff"), None),
    "a binary message": (frame(BINARY_DATA, NOISE), 1003),
    "no JSON": (frame(TEXT, b"hello"), 1007),
    "JSON that is no object": (frame(TEXT, b"[]"), 1007),
    "an empty message": (frame(TEXT, b""), 1007),
    "a message without a type": (frame(TEXT, b"{}"), 1007),
    "a type that isn't there": (frame(TEXT, b'{"type":"obey"}'), 1007),
    "a key twice": (frame(TEXT, b'{"type":"beat","type":"hello"}'), 1007),
    "a NUL": (frame(TEXT, b'{"type":"he\\u0000llo"}'), 1007),
    "a depth bomb": (frame(TEXT, b"[" * 60000), 1007),
    "a depth bomb in a member": (frame(TEXT, b'{"type":' + b"[" * 60000), 1007),
    "a beat before the hello": (frame(TEXT, json.dumps({"type": "beat", "load": 0, "running": 0, "slots": 1,
                                                        "state": "available"}).encode()), 1002),
    "a proof before the hello": (frame(TEXT, json.dumps({"type": "proof", "signature": "A" * 86}).encode()), 1002),
    "a welcome to the pool": (frame(TEXT, json.dumps({"type": "welcome", "session": "0" * 32, "lease_ms": 1,
                                                      "beat_ms": 1, "keys": "{}"}).encode()), 1002),
    "a hello with nothing in it": (frame(TEXT, b'{"type":"hello"}'), 1007),
}


class BadWebSocket(SiteCase):
    def open(self):
        connection = self.connect()
        connection.send(upgrade())
        status, headers = connection.head()
        self.assertEqual(status, 101)
        self.assertEqual(headers["sec-websocket-protocol"], "cellule.worker.v1")
        self.assertNotIn("sec-websocket-extensions", headers)
        return connection

    def frame(self, connection):
        """The pool's next frame: opcode and payload; (None, b"") at the end of the connection."""
        head = connection.exactly(2)
        if len(head) < 2:
            return None, b""
        self.assertEqual(head[0] & 0xF0, 0x80, "whole, no reserved bit")
        self.assertEqual(head[1] & 0x80, 0, "a server doesn't mask")
        length = head[1] & 0x7F
        if length > 125:
            length = int.from_bytes(connection.exactly(2 if length == 126 else 8), "big")
        return head[0] & 0x0F, connection.exactly(length)

    def close_code(self, connection):
        """The code of the close frame that must come; after it the connection ends."""
        opcode, payload = self.frame(connection)
        self.assertEqual(opcode, CLOSE, payload)
        code = int.from_bytes(payload[:2], "big") if payload else None
        payload[2:].decode()
        connection.send(frame(CLOSE, payload[:2]))
        self.assertEqual(connection.rest(), b"")
        return code

    def test_each_abuse_is_answered_with_its_close_code(self):
        before = self.metrics()
        for name, (data, code) in ABUSES.items():
            with self.subTest(name):
                connection = self.open()
                connection.send(data)
                seen = self.close_code(connection)
                if code is not None:
                    self.assertEqual(seen, code)
        self.check_nothing_left()
        now = self.metrics()
        self.assertEqual(now["cellule_workers_connected"], before["cellule_workers_connected"])
        self.assertEqual(now["cellule_worker_sessions_total"], before["cellule_worker_sessions_total"])
        self.check_good_request()

    def test_a_ping_is_answered_and_a_pong_is_let_be(self):
        connection = self.open()
        connection.send(frame(PONG, b"unasked") + frame(PING, b"are you there"))
        self.assertEqual(self.frame(connection), (PONG, b"are you there"))
        connection.send(frame(CLOSE, struct.pack("!H", 1000)))
        self.assertEqual(self.close_code(connection), 1000)

    def test_a_ping_may_come_amid_a_message(self):
        connection = self.open()
        connection.send(frame(TEXT, b'{"type":', final=False) + frame(PING, b"now") + frame(0, b'"obey"}'))
        self.assertEqual(self.frame(connection), (PONG, b"now"))
        self.assertEqual(self.close_code(connection), 1007)

    def test_a_handshake_that_is_not_right_is_refused_in_words(self):
        good = "dGhlIHNhbXBsZSBub25jZQ=="
        for name, (data, statuses) in {
            "a plain GET": (request("GET", "/v1/worker"), {426}),
            "another subprotocol": (upgrade(subprotocol="chat"), {426}),
            "no subprotocol": (upgrade(subprotocol=None), {426}),
            "a version of the past": (upgrade(version="8"), {426}),
            "a key that is too short": (upgrade(key="YWJj"), {400, 426}),
            "a key that is no base64": (upgrade(key="!" * 24), {400, 426}),
            "two keys": (upgrade(key=good, more=[f"Sec-WebSocket-Key: {good}"]), {400, 426}),
            "a POST": (upgrade().replace(b"GET", b"POST", 1), {405, 411, 426}),
            "a POST with a body": (request("POST", "/v1/worker", {}), {405}),
            "no Connection: Upgrade": (upgrade().replace(b"Connection: Upgrade", b"Connection: close"), {426}),
        }.items():
            with self.subTest(name), self.connect() as connection:
                connection.send(data)
                answer = connection.answer()
                self.assertIn(answer.status, statuses)
                self.check_error(answer, answer.status)

    def test_no_upgrade_happens_elsewhere(self):
        with self.connect() as connection:
            connection.send(upgrade().replace(b"/v1/worker", b"/healthz"))
            self.assertEqual(connection.answer().status, 200)
        with self.connect() as connection:
            connection.send(upgrade().replace(b"/v1/worker", b"/v1/models"))
            self.check_error(connection.answer(), 401)

    def test_an_extension_that_is_offered_is_not_taken(self):
        with self.connect() as connection:
            connection.send(upgrade(more=["Sec-WebSocket-Extensions: permessage-deflate"]))
            status, headers = connection.head()
        self.assertEqual(status, 101)
        self.assertNotIn("sec-websocket-extensions", headers)

    def test_sessions_that_end_anywhere_leave_nothing(self):
        whole = upgrade() + frame(TEXT, NOISE)
        for length in (10, len(upgrade()), len(upgrade()) + 1, len(upgrade()) + 7, len(whole) - 1):
            connection = self.connect()
            connection.send(whole[:length])
            connection.reset()
        self.check_nothing_left()
        self.check_good_request()

    def test_a_stranger_who_says_a_workers_name_is_refused(self):
        """A worker's id and public key are no secret; only its key proves it (and the session goes on)."""
        listed = self.site.admin("worker", "list")["workers"][0]
        hello = {"type": "hello", "worker_id": listed["id"], "public_key": "A" * 43, "nonce": "A" * 43,
                 "build": "A" * 43, "class": "cpu",
                 "host": {"os": "linux", "arch": "x86_64", "isa": "plain", "cores": 1, "ram": 1},
                 "models": [{"name": self.site.model.stem, "digest": "A" * 43, "context": 1, "profile": "exact-2",
                             "slots": 1, "tokens_per_second": 0}]}
        connection = self.open()
        connection.send(frame(TEXT, json.dumps(hello).encode()))
        opcode, payload = self.frame(connection)
        self.assertEqual((opcode, json.loads(payload)["type"], json.loads(payload)["code"]),
                         (TEXT, "refuse", "unknown_worker"))
        self.assertEqual(self.close_code(connection), 4001)
        self.assertTrue(self.site.admin("worker", "list")["workers"][0]["connected"])
        self.check_good_request()


if __name__ == "__main__":
    tap.main()
