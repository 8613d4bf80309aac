"""Malformed, oversized, slow and truncated HTTP: a clear 4xx, and nobody else notices. bad_http.py BINARY"""

import ssl
import time
import warnings

import tap
from wire import BINARY, Connection, SiteCase, request, trust, wait_for  # noqa: F401 (BINARY: for the site)

HEAD_TIMEOUT_MS = 700
BODY_TIMEOUT_MS = 700
BODY_LIMIT = 65536

# A request that would be seen in the pool's counters and answered with 200 if it were executed.
SECOND = b"GET /healthz HTTP/1.1\r\nHost: pool\r\n\r\n"
POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: pool\r\n"

# Requests that two readers could take for different ones (RFC 9112 §5.1, §5.2, §6.1, §6.3, §11.2).
SMUGGLING = {
    "two lengths that differ": POST + b"Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}",
    "two lengths that agree": POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "two lengths in one field": POST + b"Content-Length: 2, 2\r\n\r\n{}",
    "length and chunked": POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "length with a sign": POST + b"Content-Length: +2\r\n\r\n{}",
    "negative length": POST + b"Content-Length: -2\r\n\r\n{}",
    "hexadecimal length": POST + b"Content-Length: 0x2\r\n\r\n{}",
    "empty length": POST + b"Content-Length: \r\n\r\n{}",
    "space before the colon": POST + b"Content-Length : 2\r\n\r\n{}",
    "space before the name": POST + b" Content-Length: 2\r\n\r\n{}",
    "obs-fold in the length": POST + b"Content-Length:\r\n 2\r\n\r\n{}",
    "obs-fold in the encoding": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "bare LF after a field": POST + b"Content-Length: 2\n\r\n{}",
    "bare LF at the head's end": POST + b"Content-Length: 2\r\n\n{}",
    "bare LF after the request line": b"GET /healthz HTTP/1.1\nHost: pool\r\n\r\n",
    "bare CR in a field": POST + b"X: a\rTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}",
    "NUL in a field": POST + b"X: a\0b\r\nContent-Length: 2\r\n\r\n{}",
    "encoding that is no chunked": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "identity": POST + b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}",
    "an encoding that isn't there": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked is not last": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked, in quotes": POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "chunked with a vertical tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunked in HTTP/1.0": b"POST /v1/chat/completions HTTP/1.0\r\nHost: pool\r\n"
                           b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunk size with a sign": POST + b"Transfer-Encoding: chunked\r\n\r\n+2\r\n{}\r\n0\r\n\r\n",
    "chunk size with 0x": POST + b"Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n",
    "chunk size beyond 64 bits": POST + b"Transfer-Encoding: chunked\r\n\r\n10000000000000002\r\n{}\r\n0\r\n\r\n",
    "chunk size before a bare LF": POST + b"Transfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n",
    "chunk longer than its size": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
    "chunk without its CRLF": POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}0\r\n\r\n",
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /healthz HTTP/1.1\r\nHost: pool\r\nHost: other\r\n\r\n",
    "host with a path": b"GET /healthz HTTP/1.1\r\nHost: pool/x\r\n\r\n",
    "two spaces in the request line": b"GET  /healthz HTTP/1.1\r\nHost: pool\r\n\r\n",
    "tab in the request line": b"GET\t/healthz HTTP/1.1\r\nHost: pool\r\n\r\n",
    "space in the path": b"GET /health z HTTP/1.1\r\nHost: pool\r\n\r\n",
    "no version": b"GET /healthz\r\nHost: pool\r\n\r\n",
    "lower-case version": b"GET /healthz http/1.1\r\nHost: pool\r\n\r\n",
    "field without a name": b"GET /healthz HTTP/1.1\r\nHost: pool\r\n: x\r\n\r\n",
    "field without a colon": b"GET /healthz HTTP/1.1\r\nHost: pool\r\nContent-Length\r\n\r\n",
}

# Other requests that end the connection: the status.
REFUSED = {
    "a version of the future": (b"GET /healthz HTTP/2.0\r\nHost: pool\r\n\r\n", 505),
    "HTTP/2's preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "a length beyond 64 bits": (POST + b"Content-Length: 18446744073709551618\r\n\r\n{}", 413),
    "a head that never ends": (b"GET /healthz HTTP/1.1\r\nHost: pool\r\nX: " + b"a" * 300000, 431),
    "a thousand fields": (b"GET /healthz HTTP/1.1\r\nHost: pool\r\n" + b"X: y\r\n" * 1000 + b"\r\n", 431),
    "an endless path": (b"GET /" + b"a" * 300000 + b" HTTP/1.1\r\nHost: pool\r\n\r\n", 414),
    "a body beyond the limit": (POST + b"Content-Length: 65537\r\n\r\n", 413),
    "a body of all the memory there is": (POST + b"Content-Length: 9223372036854775807\r\n\r\n", 413),
    "chunks beyond the limit": (POST + b"Transfer-Encoding: chunked\r\n\r\n"
                                + b"8000\r\n%s\r\n" % (b" " * 0x8000) * 3, 413),
    "a chunk beyond the limit": (POST + b"Transfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n{}", 413),
    "chunk extensions without end": (POST + b"Transfer-Encoding: chunked\r\n\r\n2;" + b"x" * 300000, 400),
    "trailers without end": (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 50000, 431),
    "an expectation": (POST + b"Expect: 200-ok\r\nContent-Length: 2\r\n\r\n{}", 417),
    "a TLS record inside TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64 + b"\r\n\r\n", 400),
    "noise": (bytes(range(256)) * 8 + b"\r\n\r\n", 400),
    "an SMTP greeting": (b"EHLO pool\r\n\r\n", 400),
}


class BadHttp(SiteCase):
    settings = {"head_timeout_ms": HEAD_TIMEOUT_MS, "body_timeout_ms": BODY_TIMEOUT_MS, "body_limit": BODY_LIMIT,
                "idle_timeout_ms": 3000, "connections_limit": 64}

    def refusal(self, data):
        """Sends it with a good request behind: one answer, then the connection's end."""
        with self.connect() as connection:
            connection.send(data)
            connection.send(SECOND)
            answer = connection.answer()
            return answer, connection.rest()

    def test_ambiguous_requests_get_400_and_what_follows_is_not_executed(self):
        before = self.metrics()
        for name, data in SMUGGLING.items():
            with self.subTest(name):
                answer, after = self.refusal(data)
                self.check_error(answer, 400)
                self.assertEqual(answer.headers["connection"], "close")
                self.assertEqual(after, b"")
        now = self.metrics()
        self.assertEqual(now["cellule_http_requests_total"], before["cellule_http_requests_total"] + 1)
        self.assertEqual(now["cellule_chats_total"], before["cellule_chats_total"])
        self.check_nothing_left()

    def test_what_no_server_must_take_is_refused_with_its_status(self):
        for name, (data, status) in REFUSED.items():
            with self.subTest(name):
                answer, after = self.refusal(data)
                self.check_error(answer, status)
                self.assertEqual(answer.headers["connection"], "close")
                self.assertEqual(after, b"")
        self.check_good_request()
        self.check_nothing_left()

    def test_odd_but_good_requests_are_served(self):
        for name, data in {
            "no space after the colon": b"GET /healthz HTTP/1.1\r\nHost:pool\r\n\r\n",
            "a query": b"GET /healthz?a=b HTTP/1.1\r\nHost: pool\r\n\r\n",
            "HTTP/1.0": b"GET /healthz HTTP/1.0\r\n\r\n",
        }.items():
            with self.subTest(name), self.connect() as connection:
                connection.send(data)
                self.assertEqual(connection.answer().status, 200)
        with self.connect() as connection:
            connection.send(b"HEAD /healthz HTTP/1.1\r\nHost: pool\r\nConnection: close\r\n\r\n")
            self.assertRegex(connection.rest(), rb"\AHTTP/1.1 200 OK\r\n(.+\r\n)+\r\n\Z")

    def test_pipelined_requests_are_answered_in_order(self):
        with self.connect() as connection:
            connection.send(SECOND + request("GET", "/v1/models", key=self.site.user_key)
                            + request("GET", "/nowhere") + SECOND)
            self.assertEqual([connection.answer().status for _ in range(4)], [200, 200, 404, 200])

    def test_unknown_addresses_and_methods_are_told_apart(self):
        self.check_error(self.ask("GET", "/v1/nothing"), 404, "not_found")
        self.check_error(self.ask("DELETE", "/v1/chat/completions", key=self.site.user_key), 405)
        refused = self.ask("BREW", "/healthz")
        self.check_error(refused, 405)
        self.assertEqual(refused.headers["allow"], "GET")
        self.assertEqual(self.ask("PUT", "/v1/admin/users", key=self.site.admin_key).headers["allow"], "POST, GET")
        for path in ("/v1/receipts/../admin/users", "/v1//models", "/%2e%2e/etc/passwd", "/v1/models/%00"):
            with self.subTest(path):
                self.check_error(self.ask("GET", path, key=self.site.admin_key), 404)

    def test_trickled_requests_end_with_408_while_others_are_served(self):
        head = self.connect()
        body = self.connect()
        silent = self.connect()
        plain = Connection(self.site.address)  # not a byte, not even a handshake
        self.addCleanup(plain.close)
        body.send(POST + b"Content-Length: 1000\r\n\r\n")
        end = time.monotonic() + 8 * HEAD_TIMEOUT_MS / 1000
        open_ends = {head: b"GET /healthz HTTP/1.1\r\nX: " + b"a" * 1000, body: b" " * 1000}
        sent = 0
        while time.monotonic() < end and open_ends:
            for connection, text in list(open_ends.items()):
                connection.socket.settimeout(0.02)
                if not connection.send(text[sent:sent + 1]) or self.ended(connection):
                    del open_ends[connection]
            sent += 1
            time.sleep(0.1)
        self.assertEqual(list(open_ends), [], "a client that trickles holds its connection")
        for connection in (head, body):
            connection.socket.settimeout(5)
            self.check_error(connection.answer(), 408)
        self.assertEqual(silent.rest(), b"", "nothing was asked, so nothing is answered")
        plain.close()
        self.check_good_request()
        self.check_nothing_left()

    @staticmethod
    def ended(connection):
        try:
            return not connection.more() or b"HTTP/1.1 408" in connection.input
        except TimeoutError:
            return False

    def test_truncated_requests_leave_nothing(self):
        before = self.metrics()["cellule_chats_total"]
        whole = request("POST", "/v1/chat/completions", self.chat_body(), self.site.user_key)
        for length in (1, 20, whole.index(b"\r\n\r\n") + 2, whole.index(b"\r\n\r\n") + 4, len(whole) - 1):
            for leave in (Connection.close, Connection.reset):
                connection = self.connect()
                connection.send(whole[:length])
                leave(connection)
        self.check_nothing_left()
        self.assertEqual(self.metrics()["cellule_chats_total"], before)
        self.check_good_request()

    def test_connections_beyond_the_limit_dont_shut_the_others_out_for_long(self):
        crowd = []
        for _ in range(100):
            try:
                crowd.append(Connection(self.site.address, None, 2))
            except OSError:
                break
        for connection in crowd:
            connection.close()
        self.check_nothing_left()
        self.check_good_request()

    def test_plain_http_is_refused_clearly(self):
        with Connection(self.site.address) as connection:
            connection.send(POST + b"Content-Length: 2\r\n\r\n{}")
            answer = connection.rest()
        self.assertTrue(answer.startswith(b"HTTP/1.1 400 "), answer)
        self.assertIn(b"https://", answer)
        self.check_good_request()

    def test_tls_below_1_2_is_refused_and_1_2_and_1_3_are_taken(self):
        version = ssl.TLSVersion
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            for old in (version.TLSv1, version.TLSv1_1):
                context = trust(self.site.ca_file, (old, old))
                context.set_ciphers("ALL:@SECLEVEL=0")
                with self.subTest(old), self.assertRaises((ssl.SSLError, ConnectionError)):
                    Connection(self.site.address, context)
        for new, name in ((version.TLSv1_2, "TLSv1.2"), (version.TLSv1_3, "TLSv1.3")):
            with self.subTest(new), Connection(self.site.address, trust(self.site.ca_file, (new, new))) as connection:
                self.assertEqual(connection.socket.version(), name)
                self.assertEqual(connection.ask("GET", "/healthz").status, 200)

    def test_a_client_that_trusts_another_authority_gets_nowhere(self):
        with self.assertRaises(ssl.SSLCertVerificationError):
            Connection(self.site.address, ssl.create_default_context())

    def test_an_address_in_a_header_changes_nothing(self):
        spoofed = ["X-Forwarded-For: 10.9.8.7", "X-Real-IP: 10.9.8.7", "Forwarded: for=10.9.8.7",
                   "X-Forwarded-Host: elsewhere", "X-Forwarded-Proto: http", "X-Original-URL: /v1/admin/users"]
        self.check_error(self.ask("GET", "/v1/admin/users", headers=spoofed), 401)
        self.check_error(self.ask("GET", "/v1/admin/users", key=self.site.user_key, headers=spoofed), 403)
        answer = self.ask("POST", "/v1/admin/join-tokens", {"owner": "x"}, self.site.admin_key,
                          [*spoofed, "X-Host: elsewhere"])
        self.assertEqual(answer.status, 201)
        self.assertNotIn("elsewhere", answer.json["token"])
        self.assertNotIn("10.9.8.7", self.pool_log())

    def test_a_stream_is_data_and_comments_and_ends_with_done(self):
        """A custom event type breaks official clients; a cut must not look like an end."""
        answer = self.chat(stream=True, stream_options={"include_usage": True})
        self.assertEqual(answer.headers["content-type"], "text/event-stream")
        self.assertTrue(answer.complete)
        for line in answer.body.decode().split("\n"):
            self.assertTrue(line == "" or line.startswith(("data: ", ":")), line)
        self.assertEqual(answer.events.count("[DONE]"), 1)
        self.assertEqual(answer.events[-1], "[DONE]")
        self.assertNotIn("[DONE]", answer.events[:-1])

    def test_errors_tell_nothing_of_others(self):
        """Neither what the last request held nor what the program knows comes back in an error."""
        secret = "the merger is on Tuesday"
        self.assertEqual(self.chat(messages=[{"role": "user", "content": secret}]).status, 200)
        for data in (SMUGGLING["two hosts"], REFUSED["noise"][0], request("GET", "/x"), request("GET", "/v1/models")):
            with self.connect() as connection:
                connection.send(data)
                body = connection.answer().body
            for word in (secret, self.site.user_key, str(self.site.folder), "0x", ".c:"):
                self.assertNotIn(word.encode(), body)
        self.assertNotIn(secret, self.pool_log())
        self.assertNotIn(self.site.user_key, self.pool_log())


if __name__ == "__main__":
    tap.main()
