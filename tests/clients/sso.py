"""Single sign-on with a real provider (npm oidc-provider): sso.py BINARY CLIENTS_FOLDER"""

import base64
import contextlib
import hashlib
import http.client
import http.cookiejar
import json
import os
import pathlib
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

import urllib.error
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent.parent / "tools"), str(HERE.parent / "scenario")]

import tap  # noqa: E402 (found by the line above)
from cellule_site import free_port  # noqa: E402
from run import installed  # noqa: E402
from wire import BINARY, SiteCase, request, wait_for  # noqa: E402

FOLDER = pathlib.Path(sys.argv[2])
SECRET = "a secret/with:every+kind%of&sign"
ROLES = [("llm-admins", "it_admin"), ("security", "security_officer"), ("staff", "employee")]


def node(*arguments):
    return subprocess.run(["node", *arguments], cwd=FOLDER, check=True, capture_output=True, text=True).stdout


class Provider:
    """The provider as a process of its own."""

    def __init__(self, folder, pool_address, port, algorithm="RS256", name="company", claims_in_userinfo=False):
        self.port, self.algorithm, self.name = port, algorithm, name
        self.issuer = f"http://127.0.0.1:{port}"
        self.folder, self.pool_address = pathlib.Path(folder), pool_address
        self.claims_in_userinfo = claims_in_userinfo
        self.child = None

    def start(self, keys=None):
        self.keys = keys or json.loads(node("make_keys.mjs", self.algorithm))
        config = {"issuer": self.issuer, "port": self.port, "client_id": "cellule", "client_secret": SECRET,
                  "redirect_uri": f"https://{self.pool_address}/auth/callback", "keys": self.keys,
                  "algorithm": self.algorithm, "claims_in_userinfo": self.claims_in_userinfo,
                  "logout_uri": f"https://{self.pool_address}/auth/backchannel-logout"}
        file = self.folder / f"{self.name}.json"
        file.write_text(json.dumps(config))
        environment = {**os.environ, "NODE_EXTRA_CA_CERTS": str(self.folder / "ca.pem")}
        with open(self.folder / f"{self.name}.log", "ab") as log:
            self.child = subprocess.Popen(["node", "provider.mjs", str(file)], cwd=FOLDER, stdout=log, stderr=log,
                                          env=environment)
        wait_for("the provider answers", self.answers)

    def answers(self):
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{self.issuer}/.well-known/openid-configuration", timeout=60).close()
            return True
        return False

    def stop(self):
        if self.child is not None:
            self.child.send_signal(signal.SIGTERM)
            self.child.wait()
            self.child = None

    def person(self, name, *groups, subject=None):
        self.ask("PUT", "/test/person", {"id": subject or f"subject-of-{name.lower()}", "name": name, "groups": groups})

    def ask(self, method, path, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, json.dumps(body))
        connection.getresponse().read()
        connection.close()

    def yaml(self, **more):
        fields = {"name": self.name, "issuer": self.issuer, "client_id": "cellule", "client_secret_file": "sso.secret",
                  "algorithms": self.algorithm, "scopes": "openid profile groups", **more}
        lines = [f"  {'-' if i == 0 else ' '} {name}: {json.dumps(value)}" for i, (name, value) in enumerate(fields.items())]
        return "\n".join([*lines, "    roles:", *(f"      - {{group: {group}, role: {role}}}" for group, role in ROLES)]) + "\n"


class Browser:
    """Follows redirects by itself and keeps cookies, as far as it is told to."""

    def __init__(self, context=None):
        self.jar = http.cookiejar.CookieJar()
        self.handlers = [urllib.request.HTTPCookieProcessor(self.jar)]
        if context is not None:
            self.handlers.append(urllib.request.HTTPSHandler(context=context))

    def open(self, url, form=None, stop_at=None):
        """The last answer's (url, text). `stop_at`: the redirect to an address that begins so isn't followed."""
        class Redirects(urllib.request.HTTPRedirectHandler):
            def redirect_request(self, request, file, code, message, headers, new):
                if stop_at is not None and new.startswith(stop_at):
                    return None
                return super().redirect_request(request, file, code, message, headers, new)
        opener = urllib.request.build_opener(*self.handlers, Redirects())
        data = None if form is None else urllib.parse.urlencode(form).encode()
        try:
            with opener.open(url, data, timeout=120) as answer:
                return answer.geturl(), answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.headers.get("location") or error.geturl(), error.read().decode()


def confirm_device(provider, uri, accept=True):
    """What the person does whom a program has shown an address."""
    browser = Browser()
    url, page = browser.open(uri)
    for _ in range(3):
        fields = dict(re.findall(r'name="(xsrf|user_code)"[^>]*value="([^"]*)"', page))
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(uri).query)
        if "xsrf" not in fields:
            break
        fields.setdefault("user_code", query["user_code"][0])
        fields["confirm" if accept else "abort"] = "yes"
        url, page = browser.open(f"{provider.issuer}/device", fields)
    return page


class SsoCase(SiteCase):
    worker_count = 0
    algorithm = "RS256"
    claims_in_userinfo = False
    more_settings = {}  # of the provider, in sso.yaml

    @classmethod
    def prepare(cls):
        (cls.site.folder / "sso.secret").touch(0o600)
        (cls.site.folder / "sso.secret").write_text(SECRET + "\n")
        cls.provider = Provider(cls.site.folder, cls.site.address, free_port(), cls.algorithm,
                                claims_in_userinfo=cls.claims_in_userinfo)
        cls.addClassCleanup(cls.provider.stop)
        cls.provider.start()
        (cls.site.folder / "sso.yaml").write_text("providers:\n" + cls.provider.yaml(**cls.more_settings))

    def form(self, path, **fields):
        return self.ask("POST", path, urllib.parse.urlencode(fields).encode())

    def begin(self, **fields):
        answer = self.form("/auth/device", **fields)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json

    def poll(self, begun, seconds=120):
        """Asks as often as it may, until the pool says that it is over."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(begun["interval"])
            answer = self.form("/auth/token", device_code=begun["device_code"],
                               grant_type="urn:ietf:params:oauth:grant-type:device_code")
            if answer.json.get("error") not in ("authorization_pending", "slow_down"):
                return answer
        raise AssertionError("the login came to no end")

    def log_in(self, name, *groups, subject=None):
        self.provider.person(name, *groups, subject=subject)
        begun = self.begin()
        confirm_device(self.provider, begun["verification_uri_complete"])
        return self.poll(begun)

    def works(self, token):
        return self.ask("GET", "/v1/session", key=token).status == 200

    @contextlib.contextmanager
    def locked_database(self):
        """What is to be written waits meanwhile, for two seconds at most."""
        with contextlib.closing(sqlite3.connect(self.site.folder / "pool.db", isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield
            finally:
                database.execute("ROLLBACK")


class DeviceFlow(SsoCase):
    def test_a_person_logs_in_from_a_program_with_the_role_of_a_group(self):
        answer = self.log_in("Boris", "staff", "llm-admins")
        self.assertEqual(answer.status, 200, answer.body)
        shown = self.ask("GET", "/v1/session", key=answer.json["access_token"]).json
        self.assertEqual((shown["user"], shown["role"], shown["issuer"]), ("boris", "it_admin", self.provider.issuer))
        self.assertEqual(self.ask("GET", "/v1/admin/users", key=answer.json["access_token"]).status, 200)
        again = self.form("/auth/token", grant_type="refresh_token", refresh_token=answer.json["refresh_token"])
        self.assertEqual(again.status, 200, again.body)

    def test_groups_count_anew_at_each_login(self):
        first = self.log_in("Clara", "llm-admins").json
        self.assertEqual(first["role"], "it_admin")
        second = self.log_in("Clara", "staff").json
        self.assertEqual(second["role"], "employee")
        self.assertEqual(self.ask("GET", "/v1/session", key=first["access_token"]).json["role"], "employee")
        refused = self.log_in("Clara", "visitors")
        self.assertEqual((refused.status, refused.json["error"]), (400, "access_denied"))
        self.assertFalse(self.works(first["access_token"]) or self.works(second["access_token"]))

    def test_nobody_becomes_somebody_else_by_being_called_alike(self):
        refused = self.log_in("admin", "staff")
        self.assertEqual((refused.status, refused.json["error"]), (400, "access_denied"))
        self.assertEqual(self.log_in("Dora", "staff").status, 200)
        self.assertEqual(self.log_in("Dora", "staff", subject="another-dora").status, 400)
        renamed = self.log_in("Dora-Smith", "staff", subject="subject-of-dora")
        self.assertEqual(renamed.json["user"], "dora", "the person is who the provider's id says")

    def test_a_name_that_no_user_can_have_is_refused(self):
        refused = self.log_in("Émile Zola", "staff")
        self.assertEqual(refused.json["error"], "access_denied")
        self.assertIn("name_claim", refused.json["error_description"])

    def test_a_login_that_is_refused_or_unknown_gives_nothing(self):
        self.provider.person("Eva", "staff")
        begun = self.begin()
        confirm_device(self.provider, begun["verification_uri_complete"], accept=False)
        refused = self.poll(begun)
        self.assertEqual((refused.status, refused.json["error"]), (400, "access_denied"))
        again = self.form("/auth/token", device_code=begun["device_code"],
                          grant_type="urn:ietf:params:oauth:grant-type:device_code")
        self.assertEqual(again.json["error"], "expired_token")
        for code in ("", "cd_", "cd_" + "A" * 43, begun["user_code"]):
            answer = self.form("/auth/token", device_code=code, grant_type="urn:ietf:params:oauth:grant-type:device_code")
            self.assertEqual(answer.status, 400)
        self.assertEqual(self.form("/auth/device", provider="other").status, 400)

    def test_a_code_is_spent_by_the_login(self):
        self.provider.person("Fritz", "staff")
        begun = self.begin()
        confirm_device(self.provider, begun["verification_uri_complete"])
        self.assertEqual(self.poll(begun).status, 200)
        again = self.form("/auth/token", device_code=begun["device_code"],
                          grant_type="urn:ietf:params:oauth:grant-type:device_code")
        self.assertEqual((again.status, again.json["error"]), (400, "expired_token"))

    def test_who_asks_too_often_is_told_to_slow_down(self):
        begun = self.begin()
        grant = "urn:ietf:params:oauth:grant-type:device_code"
        answers = [self.form("/auth/token", device_code=begun["device_code"], grant_type=grant).json["error"] for _ in range(3)]
        self.assertEqual(answers, ["slow_down"] * 3)

    def test_a_disabled_user_cannot_log_in_again(self):
        made = self.log_in("Gerd", "staff").json
        self.assertTrue(self.works(made["access_token"]))
        self.assertEqual(self.admin_ask("POST", "/v1/admin/users/gerd/disable").status, 200)
        self.assertFalse(self.works(made["access_token"]))
        self.assertEqual(self.log_in("Gerd", "staff").json["error"], "access_denied")

    def test_the_program_logs_in_asks_and_logs_out(self):
        self.provider.person("Hanna", "llm-admins")
        with tempfile.TemporaryDirectory() as home:
            environment = {"HOME": home, "PATH": os.environ["PATH"]}
            where = ["--url", self.site.url, "--ca", str(self.site.ca_file)]
            with subprocess.Popen([BINARY, "login", *where], env=environment, text=True, stdout=subprocess.PIPE) as login:
                lines = [login.stdout.readline() for _ in range(3)]
                self.assertIn("user_code=", lines[1])
                confirm_device(self.provider, lines[1].strip())
                rest = login.stdout.read()
            self.assertEqual((login.returncode, rest), (0, "logged in as hanna (it_admin)\n"))
            file = pathlib.Path(home, ".cellule", "session.json")
            self.assertEqual(file.stat().st_mode & 0o777, 0o600)

            def run(*words):
                return subprocess.run([BINARY, *words], env=environment, text=True, capture_output=True, check=False)
            listed = run("admin", "user", "list")
            self.assertIn("hanna", listed.stdout, listed.stderr)
            # What is nearly over is refreshed, once.
            kept = json.loads(file.read_text())
            file.write_text(json.dumps({**kept, "access_expires_ms": 0}))
            children = [subprocess.Popen([BINARY, "admin", "user", "list"], env=environment, stdout=subprocess.DEVNULL)
                        for _ in range(3)]
            self.assertEqual([child.wait() for child in children], [0, 0, 0])
            self.assertNotEqual(json.loads(file.read_text())["refresh_token"], kept["refresh_token"])
            access = json.loads(file.read_text())["access_token"]
            self.assertEqual(run("logout").returncode, 0)
            self.assertFalse(file.exists() or self.works(access))
            self.assertIn("cellule login", run("admin", "user", "list", *where).stderr)
            self.assertEqual(run("logout").returncode, 1)


class BrowserCase(SsoCase):
    """Somebody at a browser, hop by hop."""

    def cookies(self, answer):
        """{name: (value, attributes)} of what an answer sets; the server's fields of one name come as one."""
        found = re.findall(r"(__[A-Za-z-]+)=([^;,]*); ([^,]*)", answer.headers.get("set-cookie", ""))
        return {name: (value, attributes.split("; ")) for name, value, attributes in found}

    def start_login(self, **query):
        answer = self.ask("GET", "/auth/login?" + urllib.parse.urlencode(query))
        self.assertEqual(answer.status, 303, answer.body)
        value, attributes = self.cookies(answer)["__Host-cellule-login"]
        self.assertLessEqual({"Secure", "HttpOnly", "SameSite=Lax", "Path=/"}, set(attributes))
        return answer.headers["location"], f"__Host-cellule-login={value}"

    def callback(self, query, cookie=None):
        path = "/auth/callback?" + (query if isinstance(query, str) else urllib.parse.urlencode(query))
        return self.ask("GET", path, headers=[f"Cookie: {cookie}"] if cookie else ())

    def check_logged_in(self, answer, path="/"):
        self.assertEqual((answer.status, answer.headers.get("location")), (303, path), answer.body)
        self.assertEqual(answer.headers["cache-control"], "no-store")
        cookies = self.cookies(answer)
        access, refresh = cookies["__Host-cellule-access"], cookies["__Secure-cellule-refresh"]
        self.assertLessEqual({"Secure", "HttpOnly", "SameSite=Strict", "Path=/"}, set(access[1]))
        self.assertLessEqual({"Secure", "HttpOnly", "SameSite=Strict", "Path=/auth"}, set(refresh[1]))
        self.assertIn("Max-Age=0", cookies["__Host-cellule-login"][1])
        return f"__Host-cellule-access={access[0]}", f"__Secure-cellule-refresh={refresh[0]}"

    def log_in_by_browser(self, name, *groups, path="/", browser=None):
        self.provider.person(name, *groups)
        location, cookie = self.start_login(**{"return": path})
        self.assertTrue(location.startswith(f"{self.provider.issuer}/auth?"), location)
        url, page = (browser or Browser()).open(location, stop_at=f"{self.site.url}/auth/callback")
        self.assertTrue(url.startswith(f"{self.site.url}/auth/callback?"), page)
        return self.callback(urllib.parse.urlsplit(url).query, cookie)

    def check_refused(self, answer, status=403):
        self.check_error(answer, status, "login_refused")
        self.assertNotIn("cellule-access", answer.headers.get("set-cookie", ""))

    def with_cookie(self, method, path, cookie, *headers):
        return self.ask(method, path, {} if method == "POST" else None, headers=[f"Cookie: {cookie}", *headers])


OWN = "Sec-Fetch-Site: same-origin"


class BrowserFlow(BrowserCase):
    def test_a_person_logs_in_is_served_refreshes_and_logs_out(self):
        access, refresh = self.check_logged_in(self.log_in_by_browser("Lena", "llm-admins", path="/here?a=b"), "/here?a=b")
        shown = self.with_cookie("GET", "/v1/session", access, OWN)
        self.assertEqual((shown.json["user"], shown.json["role"]), ("lena", "it_admin"))
        refreshed = self.with_cookie("POST", "/auth/refresh", refresh, OWN)
        self.assertEqual(refreshed.status, 200, refreshed.body)
        renewed = self.cookies(refreshed)
        self.assertNotEqual(f"__Secure-cellule-refresh={renewed['__Secure-cellule-refresh'][0]}", refresh)
        out = self.with_cookie("POST", "/auth/logout", access, OWN)
        self.assertEqual(out.status, 200, out.body)
        self.assertTrue(all("Max-Age=0" in attributes for _, attributes in self.cookies(out).values()))
        self.check_error(self.with_cookie("GET", "/v1/session", access, OWN), 401)
        self.assertEqual(self.with_cookie("POST", "/auth/logout", access, OWN).status, 200, "nobody is logged in")

    def test_the_refresh_cookie_alone_logs_out_but_no_forged_one(self):
        access, refresh = self.check_logged_in(self.log_in_by_browser("Max", "staff"))
        forged = refresh[:-4] + ("AAAA" if refresh[-4:] != "AAAA" else "BBBB")
        self.with_cookie("POST", "/auth/logout", forged, OWN)
        self.assertEqual(self.with_cookie("GET", "/v1/session", access, OWN).status, 200)
        self.with_cookie("POST", "/auth/logout", refresh, OWN)
        self.check_error(self.with_cookie("GET", "/v1/session", access, OWN), 401)

    def test_another_site_s_page_does_nothing_with_the_cookies(self):
        access, refresh = self.check_logged_in(self.log_in_by_browser("Nora", "llm-admins"))
        host = f"Origin: https://{self.site.address}"
        strangers = [(), ("Sec-Fetch-Site: cross-site",), ("Sec-Fetch-Site: same-site",), ("Sec-Fetch-Site: none",),
                     ("Origin: https://evil.example",), ("Origin: null",), (host,), ("Origin: http://pool",),
                     ("Origin: https://pool.evil.example",), (OWN, "Sec-Fetch-Site: cross-site"),
                     ("Sec-Fetch-Site: cross-site", "Origin: https://pool")]
        for headers in strangers:
            with self.subTest(headers):
                self.check_error(self.with_cookie("POST", "/v1/admin/users", access, *headers), 401)
                self.check_error(self.with_cookie("GET", "/v1/session", access, *headers), 401)
                self.check_error(self.with_cookie("POST", "/auth/logout", access, *headers), 403, "cross_site")
                self.check_error(self.with_cookie("POST", "/auth/refresh", refresh, *headers), 403, "cross_site")
        self.assertEqual(self.with_cookie("GET", "/v1/session", access, "Origin: https://pool").status, 200,
                         "the host that was asked")
        twice = f"{access}; {access}"
        self.check_error(self.with_cookie("GET", "/v1/session", twice, OWN), 401)

    def test_a_link_to_here_leads_nowhere_else(self):
        for path in ("https://evil.example/", "//evil.example", "/\\evil.example", "\\\\evil.example", "evil", "javascript:alert(1)",
                     "/a\r\nSet-Cookie: x=y", "/" + "a" * 600, "/\tb", " /", "/é"):
            with self.subTest(path):
                answer = self.ask("GET", "/auth/login?" + urllib.parse.urlencode({"return": path}))
                self.check_error(answer, 400)
                self.assertNotIn("location", answer.headers)
        self.check_error(self.ask("GET", "/auth/login?provider=other"), 404)
        self.check_error(self.ask("GET", "/auth/login?return=/&return=//evil.example"), 400)


class EvilCase(BrowserCase):
    """With a second provider, which lies."""

    @classmethod
    def prepare(cls):
        super().prepare()
        port = free_port()
        cls.evil = Provider(cls.site.folder, cls.site.address, port, "RS256", name="evil")
        with open(cls.site.folder / "evil.log", "ab") as log:
            cls.evil.child = subprocess.Popen(["node", "evil.mjs", str(port)], cwd=FOLDER, stdout=log, stderr=log)
        cls.addClassCleanup(cls.evil.stop)
        wait_for("the second provider answers", cls.evil.answers)
        with open(cls.site.folder / "sso.yaml", "a", encoding="utf-8") as file:
            file.write(cls.evil.yaml())

    def claims(self, location, **changes):
        """What a right token for this login says, but for the changes; None leaves one out."""
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(location).query))
        now = int(time.time())
        claims = {"iss": self.evil.issuer, "aud": "cellule", "sub": "subject-1", "nonce": query["nonce"], "iat": now,
                  "exp": now + 300, "preferred_username": "olga", "groups": ["staff"], **changes}
        return {name: value for name, value in claims.items() if value is not None}, query["state"]

    def attempt(self, tell=None, answer=None, **changes):
        location, cookie = self.start_login(provider="evil")
        claims, state = self.claims(location, **changes)
        self.evil.ask("PUT", "/test", {"claims": claims, **(tell or {})})
        return self.callback({"state": state, "code": "code", "iss": self.evil.issuer, **(answer or {})}, cookie)

    def seen(self):
        with urllib.request.urlopen(f"{self.evil.issuer}/test/seen", timeout=60) as answer:
            return json.load(answer)


class Evil(EvilCase):
    def test_what_a_provider_says_rightly_is_taken(self):
        self.check_logged_in(self.attempt())

    def test_the_code_goes_to_the_provider_with_its_verifier(self):
        self.seen()
        location, cookie = self.start_login(provider="evil")
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(location).query))
        claims, state = self.claims(location)
        self.evil.ask("PUT", "/test", {"claims": claims})
        self.check_logged_in(self.callback({"state": state, "code": "the code", "iss": self.evil.issuer}, cookie))
        (request,) = self.seen()
        form = dict(urllib.parse.parse_qsl(request["body"]))
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        self.assertEqual(base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), query["code_challenge"])
        self.assertEqual((query["code_challenge_method"], form["code"]), ("S256", "the code"))
        self.assertEqual(query["redirect_uri"], f"{self.site.url}/auth/callback")
        user, _, password = base64.b64decode(request["authorization"].removeprefix("Basic ")).decode().partition(":")
        self.assertEqual((user, urllib.parse.unquote_plus(password)), ("cellule", SECRET))

    def test_a_token_that_is_wrong_in_anything_logs_nobody_in(self):
        now = int(time.time())
        wrong = {
            "unsigned": ({"algorithm": "none"}, {}), "a MAC by the public key": ({"algorithm": "HS256"}, {}),
            "a MAC under the key's own name": ({"algorithm": "HS256", "header": {"kid": "RS256-key"}}, {}),
            "a stranger's key": ({"strange_key": True}, {}), "a key that it brings": ({"strange_key": True, "header": {"jku": "x"}}, {}),
            "an algorithm not allowed": ({"algorithm": "ES256"}, {}), "another one": ({"algorithm": "EdDSA"}, {}),
            "no such key": ({"header": {"kid": "other"}}, {}),
            "another issuer": ({}, {"iss": self.provider.issuer}), "no issuer": ({}, {"iss": None}),
            "another audience": ({}, {"aud": "somebody"}), "no audience": ({}, {"aud": None}),
            "made for another party": ({}, {"aud": ["cellule", "x"], "azp": "x"}),
            "expired": ({}, {"iat": now - 600, "exp": now - 120}), "no expiry": ({}, {"exp": None}),
            "from the future": ({}, {"iat": now + 600, "exp": now + 900}), "not yet good": ({}, {"nbf": now + 600}),
            "long ago": ({}, {"iat": now - 86400}), "another login's": ({}, {"nonce": "x"}), "nobody's login": ({}, {"nonce": None}),
            "of nobody": ({}, {"sub": None}), "a logout": ({}, {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}),
            "in no group": ({}, {"groups": ["visitors"]}), "refused by its own token endpoint": ({"token_status": 400}, {}),
        }
        for what, (tell, changes) in wrong.items():
            with self.subTest(what):
                self.check_refused(self.attempt(tell, **changes))
        self.check_logged_in(self.attempt())

    def test_an_answer_counts_once_and_in_the_browser_that_asked(self):
        location, cookie = self.start_login(provider="evil")
        claims, state = self.claims(location)
        self.evil.ask("PUT", "/test", {"claims": claims})
        answer = {"state": state, "code": "code", "iss": self.evil.issuer}
        _, others_cookie = self.start_login(provider="evil")
        # Another browser, or one that an attacker sent here with an answer of his own (login CSRF, session fixation).
        for other in (None, others_cookie, "__Host-cellule-login=" + "A" * 43, f"{cookie}; {cookie}"):
            self.check_refused(self.callback(answer, other), 400)
        for state in ("", "A" * 43, answer["state"][:-1], answer["state"] + "A"):
            self.check_refused(self.callback({**answer, "state": state}, cookie), 400)
        self.check_logged_in(self.callback(answer, cookie))
        self.check_refused(self.callback(answer, cookie), 400)

    def test_a_login_makes_a_new_session_whatever_cookies_came(self):
        access, _ = self.check_logged_in(self.attempt())
        location, cookie = self.start_login(provider="evil")
        claims, state = self.claims(location, sub="subject-2", preferred_username="paula")
        self.evil.ask("PUT", "/test", {"claims": claims})
        answer = self.callback({"state": state, "code": "code", "iss": self.evil.issuer}, f"{cookie}; {access}")
        mine, _ = self.check_logged_in(answer)
        sessions = [self.with_cookie("GET", "/v1/session", one, OWN).json for one in (access, mine)]
        self.assertEqual([session["user"] for session in sessions], ["olga", "paula"])
        self.assertNotEqual(sessions[0]["session"], sessions[1]["session"])

    def test_issuers_are_not_mixed_up(self):
        for answer in ({"iss": self.provider.issuer}, {"iss": ""}, {"iss": self.evil.issuer + "/"}, {"iss": "x"}):
            with self.subTest(answer):
                self.check_refused(self.attempt(answer=answer))
        # Begun with the honest provider; the answer, and the code, are the other's.
        self.seen()
        location, cookie = self.start_login(provider="company")
        state = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(location).query))["state"]
        self.check_refused(self.callback({"state": state, "code": "code", "iss": self.evil.issuer}, cookie))
        self.assertEqual(self.seen(), [], "no code went to the wrong place")

    def test_one_provider_s_person_is_not_the_other_s(self):
        self.check_logged_in(self.attempt())
        made = self.log_in("Quentin", "staff", subject="subject-1")
        self.assertEqual(made.json["user"], "quentin")
        self.assertEqual(self.log_in("olga", "staff").json["error"], "access_denied")

    def test_a_login_that_the_provider_refuses_is_refused(self):
        location, cookie = self.start_login(provider="evil")
        _, state = self.claims(location)
        answer = self.callback({"state": state, "error": "access_denied<script>", "iss": self.evil.issuer}, cookie)
        self.check_refused(answer)


class ProviderLogsOut(BrowserCase):
    def test_whoever_logs_out_at_the_provider_is_logged_out_here(self):
        browser = Browser()
        access, _ = self.check_logged_in(self.log_in_by_browser("Rosa", "staff", browser=browser))
        other, _ = self.check_logged_in(self.log_in_by_browser("Stefan", "staff"))
        self.assertEqual(self.with_cookie("GET", "/v1/session", access, OWN).json["user"], "rosa")
        _, page = browser.open(f"{self.provider.issuer}/session/end")
        (secret,) = re.findall(r'name="xsrf" value="([^"]*)"', page)
        browser.open(f"{self.provider.issuer}/session/end/confirm", {"xsrf": secret, "logout": "yes"})
        wait_for("the session has ended", lambda: self.with_cookie("GET", "/v1/session", access, OWN).status == 401)
        self.assertEqual(self.with_cookie("GET", "/v1/session", other, OWN).json["user"], "stefan")
        log = self.admin_ask("GET", "/v1/audit/entries").body.decode()
        self.assertIn("logout_by_provider", log)


LOGOUT = {"http://schemas.openid.net/event/backchannel-logout": {}}


class LogoutTokens(EvilCase):
    worker_count = 1

    def sign(self, tell=None, **changes):
        now = int(time.time())
        claims = {"iss": self.evil.issuer, "aud": "cellule", "iat": now, "exp": now + 120, "jti": os.urandom(8).hex(),
                  "events": LOGOUT, **changes}
        claims = {name: value for name, value in claims.items() if value is not None}
        self.evil.ask("PUT", "/test", {"claims": claims, **(tell or {})})
        with urllib.request.urlopen(f"{self.evil.issuer}/test/sign", data=b"", timeout=60) as answer:
            return json.load(answer)["token"]

    def log_out(self, token):
        return self.form("/auth/backchannel-logout", logout_token=token)

    def enter(self, subject, session="s-1"):
        access, _ = self.check_logged_in(self.attempt(sub=subject, preferred_username=subject, sid=session))
        return access.partition("=")[2]

    def test_a_logout_ends_the_sessions_it_names_and_counts_once(self):
        first, second, other = self.enter("tina", "s-1"), self.enter("tina", "s-2"), self.enter("udo", "s-3")
        token = self.sign(sub="tina", sid="s-1")
        answer = self.log_out(token)
        self.assertEqual((answer.status, answer.headers["cache-control"]), (200, "no-store"))
        self.assertEqual([self.works(one) for one in (first, second, other)], [False, True, True])
        again = self.enter("tina", "s-1")
        self.assertEqual(self.log_out(token).status, 400, "a copy of the token")
        self.assertTrue(self.works(again))
        self.assertEqual(self.log_out(self.sign(sub="tina")).status, 200)
        self.assertEqual([self.works(one) for one in (again, second, other)], [False, False, True])
        self.assertEqual(self.log_out(self.sign(sid="s-3")).status, 200)
        self.assertFalse(self.works(other))
        self.assertEqual(self.log_out(self.sign(sub="nobody")).status, 200, "who isn't here is out")

    def test_a_logout_cuts_what_is_being_answered(self):
        access = self.enter("vera")
        token = self.sign(sub="vera")
        with self.answering(access) as connection:
            self.assertEqual(self.log_out(token).status, 200)
            self.check_cut(connection, "session_ended")

    def test_a_logout_ends_a_login_that_is_under_way(self):
        self.seen()
        location, cookie = self.start_login(provider="evil")
        claims, state = self.claims(location, sub="xenia", preferred_username="xenia", sid="s-9")
        self.evil.ask("PUT", "/test", {"claims": claims})
        query = urllib.parse.urlencode({"state": state, "code": "code", "iss": self.evil.issuer})
        coming, leaving = self.connect(), self.connect()
        with self.locked_database():
            coming.send(request("GET", f"/auth/callback?{query}", headers=[f"Cookie: {cookie}"]))
            wait_for("the provider has given its token", self.seen)
            time.sleep(0.3)  # who comes waits for the database
            body = urllib.parse.urlencode({"logout_token": self.sign(sub="xenia", sid="s-9")}).encode()
            leaving.send(request("POST", "/auth/backchannel-logout", body))
            time.sleep(0.3)
        answer = coming.answer()
        self.check_refused(answer, 503 if answer.status == 503 else 403)  # 503: the machine was too slow for the lock
        self.assertIn(leaving.answer().status, (200, 503))
        self.check_logged_in(self.attempt(sub="xenia", preferred_username="xenia", sid="s-9"))

    def test_no_other_token_logs_anybody_out(self):
        access = self.enter("willy")
        now = int(time.time())
        wrong = {
            "unsigned": ({"algorithm": "none"}, {}), "a MAC by the public key": ({"algorithm": "HS256"}, {}),
            "a MAC under the key's own name": ({"algorithm": "HS256", "header": {"kid": "RS256-key"}}, {}),
            "a stranger's key": ({"strange_key": True}, {}), "an algorithm not allowed": ({"algorithm": "EdDSA"}, {}),
            "another issuer": ({}, {"iss": self.provider.issuer}), "an unknown issuer": ({}, {"iss": "https://evil.example"}),
            "no issuer": ({}, {"iss": None}), "another audience": ({}, {"aud": "somebody"}),
            "expired": ({}, {"iat": now - 600, "exp": now - 120}), "from the future": ({}, {"iat": now + 600, "exp": now + 900}),
            "long ago": ({}, {"iat": now - 86400}), "no event": ({}, {"events": None}), "another event": ({}, {"events": {"x": {}}}),
            "an ID token": ({}, {"events": None, "nonce": "x"}), "with a nonce": ({}, {"nonce": "x"}), "no id": ({}, {"jti": None}),
            "of nobody": ({}, {"sub": None}), "of another": ({}, {"sub": "somebody"}),
        }
        for what, (tell, changes) in wrong.items():
            with self.subTest(what):
                answer = self.log_out(self.sign(tell, **{"sub": "willy", **changes}))
                self.assertEqual(answer.status, 200 if what == "of another" else 400, answer.body)
                self.assertTrue(self.works(access))
        for body in (b"", b"logout_token=", b"logout_token=a.b.c", b"logout_token=" + b"a" * 10000, b"%", b"{}"):
            self.assertEqual(self.ask("POST", "/auth/backchannel-logout", body).status, 400)
        self.assertEqual(self.log_out(self.sign(sub="willy")).status, 200)
        self.assertFalse(self.works(access))


SCIM_TOKEN = "a-token-that-the-admin-of-the-provider-has-made"


class ScimCase(BrowserCase):
    more_settings = {"scim_token_file": "scim.token"}

    @classmethod
    def prepare(cls):
        super().prepare()
        (cls.site.folder / "scim.token").touch(0o600)
        (cls.site.folder / "scim.token").write_text(SCIM_TOKEN + "\n")

    def scim(self, method, path, body=None, token=SCIM_TOKEN):
        answer = self.ask(method, f"/scim/v2/Users{path}", body, token)
        if answer.status != 204:
            self.assertEqual(answer.headers["content-type"], "application/scim+json")
        return answer

    def enter(self, name):
        tokens = [cookie.partition("=")[2] for cookie in self.check_logged_in(self.log_in_by_browser(name, "staff"))]
        return dict(zip(("access_token", "refresh_token"), tokens))

    def find(self, name):
        answer = self.scim("GET", "?" + urllib.parse.urlencode({"filter": f'userName eq "{name}"'}))
        self.assertEqual((answer.status, answer.json.get("totalResults")), (200, 1), answer.body)
        counted = self.scim("GET", "?count=0").json
        self.assertEqual((counted["totalResults"] > 0, counted["itemsPerPage"], counted["Resources"]), (True, 0, []))
        return answer.json["Resources"][0]

    def set_active(self, user, active):
        body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
                "Operations": [{"op": "Replace", "path": "active", "value": active}]}
        return self.scim("PATCH", f"/{user['id']}", body)


class Scim(ScimCase):
    worker_count = 1

    def test_who_has_left_is_out_at_once_with_what_is_being_answered(self):
        made = self.enter("Xaver")
        key = self.admin_ask("POST", "/v1/admin/users/xaver/keys").json["key"]
        user = self.find("Xaver")
        self.assertEqual((user["userName"], user["externalId"], user["active"]), ("xaver", "subject-of-xaver", True))
        with self.answering(made["access_token"]) as connection:
            answer = self.set_active(user, False)
            self.assertEqual((answer.status, answer.json["active"]), (200, False), answer.body)
            self.check_cut(connection, "session_ended")
        self.assertFalse(self.works(made["access_token"]) or self.works(key))
        again = self.form("/auth/token", grant_type="refresh_token", refresh_token=made["refresh_token"])
        self.assertEqual(again.json["error"], "invalid_grant")
        self.check_refused(self.log_in_by_browser("Xaver", "staff"))
        # Who comes back logs in anew; what was revoked stays so.
        self.assertTrue(self.set_active(user, "True").json["active"])
        self.assertFalse(self.works(made["access_token"]) or self.works(key))
        self.assertTrue(self.works(self.enter("Xaver")["access_token"]))
        log = self.admin_ask("GET", "/v1/audit/entries").body.decode()
        self.assertIn("person_shut_out", log)
        self.assertIn("person_let_in", log)
        self.assertNotIn("xaver", log)

    def test_all_ways_to_say_it(self):
        for name, say in (("yann", lambda user: self.scim("PUT", f"/{user['id']}", {**user, "active": False})),
                          ("zoe", lambda user: self.scim("DELETE", f"/{user['id']}")),
                          ("abel", lambda user: self.set_active(user, "False"))):
            with self.subTest(name):
                token = self.enter(name)["access_token"]
                user = self.find(name)
                self.assertIn(say(user).status, (200, 204))
                self.assertFalse(self.works(token))
                self.assertFalse(self.scim("GET", f"/{user['id']}").json["active"])

    def test_whom_an_admin_has_shut_out_no_provider_lets_in(self):
        self.enter("Bella")
        user = self.find("bella")
        self.admin_ask("POST", "/v1/admin/users/bella/disable")
        self.assertFalse(self.set_active(user, True).json["active"])
        self.check_refused(self.log_in_by_browser("Bella", "staff"))

    def test_it_is_said_with_the_token_and_of_the_provider_s_people_alone(self):
        token = self.enter("Carlo")["access_token"]
        user = self.find("carlo")
        for wrong in (None, "", SCIM_TOKEN[:-1], SCIM_TOKEN + "x", SCIM_TOKEN.upper(), self.site.admin_key, token):
            with self.subTest(wrong):
                self.assertEqual(self.scim("GET", f"/{user['id']}", token=wrong).status, 401)
                self.assertEqual(self.scim("DELETE", f"/{user['id']}", token=wrong).status, 401)
        self.assertEqual(self.ask("GET", "/v1/models", key=SCIM_TOKEN).status, 401, "it is for nothing else")
        admin = self.admin_ask("GET", "/v1/admin/users").json["users"][0]
        for other in (admin["id"], 4711, 0, -1, "x", f"{user['id']}/x", "9" * 30):
            with self.subTest(other):
                self.assertEqual(self.scim("DELETE", f"/{other}").status if "/" not in str(other) else 404, 404)
        self.assertEqual(self.scim("GET", '?filter=userName+eq+%22admin%22').json["totalResults"], 0)
        self.assertEqual(self.admin_ask("GET", "/v1/admin/users").status, 200)
        self.assertTrue(self.works(token))

    def test_what_cannot_be_read_changes_nothing(self):
        token = self.enter("Dolf")["access_token"]
        user = self.find("dolf")
        for body in (b"", b"{", {}, {"Operations": []}, {"Operations": [{"op": "replace", "path": "active", "value": "no"}]},
                     {"Operations": [{"op": "replace", "value": {"active": False, "ACTIVE": True}}]}):
            with self.subTest(body):
                self.assertEqual(self.scim("PATCH", f"/{user['id']}", body).status, 400)
        self.assertEqual(self.scim("GET", "?filter=title+pr").status, 400)
        self.assertTrue(self.scim("PATCH", f"/{user['id']}", {"Operations": [
            {"op": "replace", "path": "title", "value": "Dr"}]}).json["active"])
        self.assertTrue(self.works(token))


class Stopping(ScimCase):
    """What waits for the database when the pool ends comes to its end, too."""
    keep_alive = False

    def test_a_pool_ends_well_while_a_provider_shuts_somebody_out(self):
        self.enter("Emil")
        user = self.find("emil")
        leave = {"Operations": [{"op": "replace", "path": "active", "value": False}]}
        pool = self.site.pool.child
        with self.locked_database():
            connection = self.connect()
            connection.send(request("PATCH", f"/scim/v2/Users/{user['id']}", leave, SCIM_TOKEN))
            time.sleep(0.3)  # its entry in the audit log waits for the database
            pool.send_signal(signal.SIGTERM)
            pool.send_signal(signal.SIGINT)  # at once
            time.sleep(0.7)
        self.assertEqual(pool.wait(), 0, self.pool_log()[-2000:])


class OtherAlgorithms(SsoCase):
    algorithm = "ES256"
    claims_in_userinfo = True

    def test_es256_and_claims_of_the_userinfo_endpoint(self):
        answer = self.log_in("Ida", "security")
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual((answer.json["user"], answer.json["role"]), ("ida", "security_officer"))


class Keys(SsoCase):
    algorithm = "EdDSA"

    def test_a_provider_may_change_its_keys(self):
        self.assertEqual(self.log_in("Karl", "staff").status, 200)
        first = self.provider.keys
        self.provider.stop()
        self.provider.start(json.loads(node("make_keys.mjs", "RS256", "EdDSA")))
        self.assertNotEqual(first, self.provider.keys)
        # A key that isn't known is looked for once a minute at most: what was fetched a moment ago is believed till then.
        answer = wait_for("the new keys are there", lambda: (a := self.log_in("Karl", "staff")).status == 200 and a, 180)
        self.assertEqual(answer.json["user"], "karl")

    def test_a_pool_whose_provider_is_away_serves_keys_and_says_so_to_others(self):
        self.assertEqual(self.ask("GET", "/v1/models", key=self.site.user_key).status, 200)
        self.provider.stop()
        answer = self.form("/auth/device")
        self.assertGreaterEqual(answer.status, 400)
        self.assertIn("error", answer.json)
        self.assertEqual(self.ask("GET", "/v1/models", key=self.site.user_key).status, 200)
        self.provider.start(self.provider.keys)


def main():
    if not installed(FOLDER):
        print("1..0 # SKIP the npm packages are not installed: run tools/clients", FOLDER)
        return
    tap.main()


if __name__ == "__main__":
    main()
