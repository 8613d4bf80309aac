"""Sessions: short-lived tokens, their refresh, their end, the keys that sign them. sessions.py BINARY"""

import base64
import http.server
import json
import os
import subprocess
import tempfile
import threading
import time

import tap
from wire import Connection, SiteCase, wait_for


def to_base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def parts(token):
    header, payload, _ = token.split(".")
    return json.loads(from_base64url(header)), json.loads(from_base64url(payload))


def signed_by(key, token):
    """Whether openssl, which shares no code with the pool, says so."""
    text, _, signature = token.rpartition(".")
    der = bytes.fromhex("302a300506032b6570032100") + from_base64url(key["x"])
    with tempfile.TemporaryDirectory() as folder:
        for name, data in (("key", der), ("text", text.encode()), ("signature", from_base64url(signature))):
            with open(f"{folder}/{name}", "wb") as file:
                file.write(data)
        done = subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", f"{folder}/key",
                               "-rawin", "-in", f"{folder}/text", "-sigfile", f"{folder}/signature"],
                              capture_output=True, check=False)
    return done.returncode == 0


class Sessions(SiteCase):
    worker_count = 1

    def make(self, key=None):
        answer = self.ask("POST", "/v1/session", {}, key or self.site.user_key)
        self.assertEqual(answer.status, 201, answer.body)
        self.assertEqual(answer.headers["cache-control"], "no-store")
        return answer.json

    def refresh(self, token):
        with self.connect() as connection:
            return connection.ask("POST", "/auth/token", f"grant_type=refresh_token&refresh_token={token}".encode())

    def works(self, token):
        answer = self.ask("GET", "/v1/models", key=token)
        if answer.status != 200:
            self.check_error(answer, 401, "invalid_api_key")
        return answer.status == 200

    def keys(self):
        answer = self.ask("GET", "/.well-known/jwks.json")
        self.assertEqual(answer.status, 200)
        return {key["kid"]: key for key in answer.json["keys"]}

    def test_a_token_does_what_its_key_may_and_says_whose_it_is(self):
        made = self.make()
        self.assertTrue(0 < made["expires_in"] <= 900)
        answer = self.chat(key=made["access_token"])
        self.assertEqual(answer.status, 200, answer.body)
        receipt = f"/v1/receipts/{answer.headers['x-cellule-job']}"
        self.assertEqual(self.ask("GET", receipt, key=self.site.user_key).status, 200, "the same person")
        shown = self.ask("GET", "/v1/session", key=made["access_token"]).json
        self.assertEqual((shown["user"], shown["role"], shown["session"]), ("demo", "employee", made["session"]))
        self.check_error(self.ask("GET", "/v1/admin/users", key=made["access_token"]), 403)
        admin = self.make(self.site.admin_key)
        self.assertEqual(self.ask("GET", "/v1/admin/users", key=admin["access_token"]).status, 200)

    def test_others_can_verify_a_token_with_the_key_set_alone(self):
        token = self.make()["access_token"]
        header, claims = parts(token)
        self.assertEqual((header["alg"], header["typ"]), ("EdDSA", "at+jwt"))
        self.assertTrue(signed_by(self.keys()[header["kid"]], token))
        self.assertFalse(signed_by(self.keys()[header["kid"]], token[:-6] + "AAAAAA"))
        pool_id = self.ask("GET", "/v1/pool").json["pool_id"]
        self.assertEqual((claims["aud"], claims["iss"]), (pool_id, f"urn:cellule:pool:{pool_id}"))
        self.assertEqual((claims["sub"], claims["role"]), ("demo", "employee"))
        self.assertLessEqual(claims["exp"] - claims["iat"], 900)
        for key in self.keys().values():
            self.assertEqual(set(key), {"kty", "crv", "x", "kid", "use", "alg"}, "nothing private")

    def test_no_token_is_made_by_hand(self):
        token = self.make()["access_token"]
        header, claims = parts(token)
        payload, signature = token.split(".")[1:]
        admin = to_base64url(json.dumps({**claims, "role": "it_admin", "sub": "admin"}).encode())
        forged = [token[:-1] + ("A" if token[-1] != "A" else "B"), f"{token.split('.')[0]}.{admin}.{signature}",
                  token + ".", token.rpartition(".")[0] + ".", token + "A", ".".join(["", payload, signature]), "..", "a.b.c"]
        for change in ({"alg": "none"}, {"alg": "HS256"}, {"alg": "ES256"}, {"kid": "another"}, {"crit": ["x"]},
                       {"typ": "JWT"}, {"jwk": next(iter(self.keys().values()))}):
            changed = to_base64url(json.dumps({**header, **change}).encode())
            forged += [f"{changed}.{payload}.{signature}", f"{changed}.{payload}."]
        for text in forged:
            with self.subTest(text[:60]):
                self.assertFalse(self.works(text))
        self.assertTrue(self.works(token))

    def test_a_refresh_gives_new_tokens_and_its_reuse_ends_the_session(self):
        first = self.make()
        answer = self.refresh(first["refresh_token"])
        self.assertEqual(answer.status, 200, answer.body)
        second = answer.json
        self.assertEqual(second["session"], first["session"])
        self.assertNotEqual(second["refresh_token"], first["refresh_token"])
        self.assertTrue(self.works(first["access_token"]) and self.works(second["access_token"]))
        stolen = self.refresh(first["refresh_token"])
        self.assertEqual((stolen.status, stolen.json["error"]), (400, "invalid_grant"))
        self.assertFalse(self.works(first["access_token"]))
        self.assertFalse(self.works(second["access_token"]))
        self.assertEqual(self.refresh(second["refresh_token"]).json["error"], "invalid_grant")
        with open(self.site.folder / "pool.log", encoding="utf-8") as log:
            self.assertIn("used twice", log.read())

    def test_what_is_no_refresh_token_changes_nothing(self):
        made = self.make()
        raw = from_base64url(made["refresh_token"][3:])
        others = ["", "cr_", "cr_" + "A" * 64, made["refresh_token"] + "A", made["access_token"], self.site.user_key,
                  "cr_" + to_base64url(raw[:16] + bytes(32)), "cr_" + to_base64url(bytes(16) + raw[16:])]
        for other in others:
            with self.subTest(other[:20]):
                self.assertEqual(self.refresh(other).status, 400)
        twice = f"grant_type=refresh_token&refresh_token={made['refresh_token']}&refresh_token=x".encode()
        for body in (twice, b"", b"grant_type=password&username=demo", b"%", b"grant_type=%00", b"{}"):
            self.assertEqual(self.ask("POST", "/auth/token", body).status, 400)
        self.assertTrue(self.works(made["access_token"]))
        self.assertEqual(self.refresh(made["refresh_token"]).status, 200)

    def test_a_session_makes_no_session(self):
        answer = self.ask("POST", "/v1/session", {}, self.make()["access_token"])
        self.check_error(answer, 403, "key_needed")

    def test_leaving_ends_the_session_and_only_it(self):
        mine, other = self.make(), self.make()
        self.assertEqual(self.ask("POST", "/v1/session/end", {}, mine["access_token"]).status, 200)
        self.assertFalse(self.works(mine["access_token"]))
        self.assertEqual(self.refresh(mine["refresh_token"]).json["error"], "invalid_grant")
        self.assertTrue(self.works(other["access_token"]))
        self.check_error(self.ask("POST", "/v1/session/end", {}, self.site.user_key), 409)

    def test_an_admin_ends_a_session_with_what_it_asks(self):
        user = self.add_user("streamer")
        made = self.make(user["key"])
        listed = self.admin_ask("GET", "/v1/admin/users/streamer/sessions").json["sessions"]
        self.assertEqual([session["session"] for session in listed], [made["session"]])
        with self.answering(made["access_token"]) as connection:
            self.assertEqual(self.site.cellule("admin", "session", "end", made["session"],
                                               key=self.site.admin_key).stdout, "done\n")
            self.check_cut(connection, "session_ended")
        self.assertFalse(self.works(made["access_token"]))
        self.assertEqual(self.ask("GET", "/v1/models", key=user["key"]).status, 200, "the key goes on")
        self.check_error(self.admin_ask("POST", f"/v1/admin/sessions/{made['session']}/end"), 404)
        self.check_nothing_left()

    def test_a_revoked_key_and_a_disabled_user_lose_their_sessions(self):
        user = self.add_user("two-keys")
        second = self.admin_ask("POST", "/v1/admin/users/two-keys/keys").json
        of_first, of_second = self.make(user["key"]), self.make(second["key"])
        self.assertTrue(self.works(of_first["access_token"]))
        self.assertEqual(self.admin_ask("POST", f"/v1/admin/keys/{user['key_id']}/revoke").status, 200)
        self.assertFalse(self.works(of_first["access_token"]))
        self.assertEqual(self.refresh(of_first["refresh_token"]).json["error"], "invalid_grant")
        self.assertTrue(self.works(of_second["access_token"]))
        self.assertEqual(self.admin_ask("POST", "/v1/admin/users/two-keys/disable").status, 200)
        self.assertFalse(self.works(of_second["access_token"]))

    def test_a_session_ends_with_its_key(self):
        user = self.add_user("brief", days=1)
        made = self.make(user["key"])
        self.assertLessEqual(made["session_expires_ms"], user["expires_ms"])

    def test_tokens_and_keys_are_nowhere_readable(self):
        made = self.make()
        refreshed = self.refresh(made["refresh_token"]).json
        for file in [*self.site.folder.glob("pool.db*"), self.site.folder / "pool.log"]:
            data = file.read_bytes()
            for tokens in (made, refreshed):
                self.assertNotIn(tokens["access_token"].encode(), data)
                self.assertNotIn(tokens["refresh_token"].encode(), data)
                self.assertNotIn(from_base64url(tokens["refresh_token"][3:])[16:], data)


SPOOFED = ["X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP", "True-Client-IP", "CF-Connecting-IP"]


class Strangers(SiteCase):
    """Keys and tokens are tried, from one address and from many."""
    worker_count = 0

    def guess(self, connection, number, source="10.1.2.3"):
        guesses = ["ck_" + to_base64url(os.urandom(32)), "ck_x", "x", "cj_" + to_base64url(os.urandom(32))]
        return connection.ask("GET", "/v1/models", key=guesses[number % len(guesses)],
                              headers=[f"{name}: {source}" for name in SPOOFED])

    def log_size(self):
        return self.ask("GET", "/v1/audit/checkpoint", key=self.site.user_key).json["size"]

    def from_address(self, source):
        connection = Connection(self.site.address, self.context, source=source)
        self.addCleanup(connection.close)
        return connection

    def test_one_address_is_told_to_wait_and_locks_nobody_out(self):
        with self.from_address("127.0.0.1") as connection:
            answers = [self.guess(connection, i, f"10.0.{i // 250}.{i % 250 + 1}") for i in range(900)]
            self.assertEqual({answer.status for answer in answers[:300]}, {401})
            limited = [answer for answer in answers if answer.status != 401]
            self.assertTrue(limited, "whatever the request says of its address")
            for answer in limited:
                self.check_error(answer, 429, "too_many_failures")
                self.assertEqual(answer.headers["retry-after"], "1")
            # Who has a good key is served, from the same address and the same connection.
            self.assertEqual(connection.ask("GET", "/v1/models", key=self.site.user_key).status, 200)
            made = connection.ask("POST", "/v1/session", {}, self.site.user_key).json
            self.assertEqual(connection.ask("GET", "/v1/session", key=made["access_token"]).status, 200)
            self.assertEqual(connection.ask("GET", "/v1/models").status, 401, "nothing was tried")
            # Session tokens expire behind every shared address all the time: they don't count, and are told why.
            self.assertEqual(connection.ask("GET", "/v1/models", key="a.b.c").status, 401)
            token = b"grant_type=refresh_token&refresh_token=cr_" + b"A" * 64
            wait_for("refresh tokens count, too", lambda: connection.ask("POST", "/auth/token", token).status == 429)
            # So do a browser's, and those that name a session that there is.
            cookie = ["Sec-Fetch-Site: same-origin", f"Cookie: __Secure-cellule-refresh=cr_{'A' * 64}"]
            wait_for("cookies count", lambda: connection.ask("POST", "/auth/refresh", {}, headers=cookie).status == 429)
            raw = from_base64url(made["refresh_token"][3:])
            wrong = f"grant_type=refresh_token&refresh_token=cr_{to_base64url(raw[:16] + bytes(32))}".encode()
            wait_for("wrong secrets count", lambda: connection.ask("POST", "/auth/token", wrong).status == 429)
            refresh = f"grant_type=refresh_token&refresh_token={made['refresh_token']}".encode()
            self.assertEqual(connection.ask("POST", "/auth/token", refresh).status, 200)
        with self.from_address("127.0.0.77") as other:
            self.assertEqual(self.guess(other, 0).status, 401, "another address begins anew")

    def test_many_addresses_fill_neither_memory_nor_log(self):
        before = self.log_size()
        began = time.monotonic()
        for number in range(2, 202):
            with self.from_address(f"127.0.1.{number}") as connection:
                for _ in range(5):
                    answer = connection.ask("GET", "/v1/admin/users", key="ck_" + to_base64url(os.urandom(32)))
                    self.assertEqual(answer.status, 401)
        self.assertEqual(self.ask("GET", "/v1/models", key=self.site.user_key).status, 200)
        seconds = time.monotonic() - began
        # No more than ten refusals of strangers are entered each second; all are counted.
        self.assertLess(self.log_size() - before, 10 * (seconds + 2) + 10)
        self.assertGreaterEqual(self.metrics()["cellule_http_unauthorized_total"], 1000)


class BeginningProvider(http.server.BaseHTTPRequestHandler):
    """As much of a provider as logins take that are begun and never ended."""
    protocol_version = "HTTP/1.1"

    def send(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        issuer = f"http://127.0.0.1:{self.server.server_port}"
        if self.path == "/keys":
            self.send({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "one", "alg": "EdDSA", "x": to_base64url(bytes(range(32)))}]})
        else:
            self.send({"issuer": issuer, "authorization_endpoint": f"{issuer}/login", "token_endpoint": f"{issuer}/token",
                       "jwks_uri": f"{issuer}/keys", "device_authorization_endpoint": f"{issuer}/device"})

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send({"device_code": "d" * 32, "user_code": "ABCD", "verification_uri": "https://login.example/device",
                   "expires_in": 1800, "interval": 5})

    def log_message(self, *arguments):
        pass


class Beginners(SiteCase):
    """Logins that are begun by one address without end."""
    worker_count = 0

    @classmethod
    def prepare(cls):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), BeginningProvider)
        cls.addClassCleanup(server.server_close)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        cls.addClassCleanup(server.shutdown)
        (cls.site.folder / "sso.yaml").write_text(
            f"providers:\n  - name: company\n    issuer: http://127.0.0.1:{server.server_port}\n    client_id: cellule\n"
            "    algorithms: EdDSA\n    default_role: employee\n")

    def begin(self, connection, kind):
        answer = connection.ask("POST", "/auth/device", b"") if kind == "device" else connection.ask("GET", "/auth/login")
        self.assertIn(answer.status, (200, 303, 429), answer.body)
        return answer.status

    def check_room(self, kind, share):
        began = time.monotonic()
        done = 0
        with Connection(self.site.address, self.context, source="127.0.0.1") as mean:
            while time.monotonic() - began < 8:  # long enough for what all together may to be more
                done += self.begin(mean, kind) != 429
            self.assertLessEqual(done, share(time.monotonic() - began))
            with Connection(self.site.address, self.context, source="127.0.0.99") as other:
                wait_for("another address logs in", lambda: self.begin(other, kind) != 429)

    def test_one_address_leaves_room_for_the_logins_of_others_by_device(self):
        self.check_room("device", lambda seconds: 102 + seconds / 3)

    def test_one_address_leaves_room_for_the_logins_of_others_by_browser(self):
        self.check_room("browser", lambda seconds: 302 + 10 * seconds)


class Restarted(SiteCase):
    worker_count = 0

    def ask_session(self, token):
        return self.ask("GET", "/v1/session", key=token).status

    def test_sessions_outlive_the_pool_and_keys_change_with_an_overlap(self):
        made = self.ask("POST", "/v1/session", {}, self.site.user_key).json
        ended = self.ask("POST", "/v1/session", {}, self.site.user_key).json
        self.ask("POST", "/v1/session/end", {}, ended["access_token"])
        self.site.pool.stop()
        self.site.start_pool()
        self.assertEqual(self.ask_session(made["access_token"]), 200)
        self.assertEqual(self.ask_session(ended["access_token"]), 401)
        # Published before it signs: what was made before and what is made now are by the first key.
        self.assertEqual(len(self.ask("GET", "/.well-known/jwks.json").json["keys"]), 1)
        self.site.admin("session", "rotate-key")
        keys = self.ask("GET", "/.well-known/jwks.json").json["keys"]
        self.assertEqual(len(keys), 2)
        again = self.ask("POST", "/v1/session", {}, self.site.user_key).json
        self.assertEqual(parts(again["access_token"])[0]["kid"], parts(made["access_token"])[0]["kid"])
        self.assertEqual(self.ask_session(made["access_token"]), 200)
        # At once: no token made before is good, but sessions go on.
        self.site.admin("session", "rotate-key", "--now")
        self.assertEqual(self.ask_session(made["access_token"]), 401)
        self.assertEqual(self.ask_session(again["access_token"]), 401)
        body = f"grant_type=refresh_token&refresh_token={made['refresh_token']}".encode()
        fresh = self.ask("POST", "/auth/token", body).json
        self.assertEqual(self.ask_session(fresh["access_token"]), 200)
        self.assertNotIn(parts(fresh["access_token"])[0]["kid"], [key["kid"] for key in keys])
        self.site.pool.stop()
        self.site.start_pool()
        self.assertEqual(self.ask_session(fresh["access_token"]), 200)
        self.assertEqual(self.ask_session(made["access_token"]), 401)


if __name__ == "__main__":
    tap.main()
