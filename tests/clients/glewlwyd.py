"""Single sign-on with another real provider, Debian's glewlwyd: glewlwyd.py BINARY CLIENTS_FOLDER

In the folder beside the clients' into which tools/glewlwyd has unpacked it, or as it is installed; skipped where it is neither."""

import contextlib
import gzip
import json
import os
import pathlib
import re
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request

import sso
import tap
from cellule_site import free_port
from wire import wait_for

UNPACKED = pathlib.Path(sys.argv[2]).resolve().parent / "glewlwyd"
ROOT = UNPACKED if (UNPACKED / "unpacked").exists() else pathlib.Path("/")
PROGRAM = ROOT / "usr/bin/glewlwyd"
MODULES = ROOT / "usr/lib/glewlwyd"
SAMPLE = ROOT / "usr/share/doc/glewlwyd/glewlwyd.conf.sample.gz"
TABLES = ROOT / "usr/share/dbconfig-common/data/glewlwyd/install/sqlite3"
SECRET = "TheSecretOfCellule"  # it doesn't decode what HTTP Basic brings (RFC 6749 2.3.1): letters alone
CLAIMS = {"preferred_username": "username", "groups": "groups"}


class NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


class Person:
    """Whoever talks to the provider; keeps its cookies, also over loopback's plain HTTP."""

    def __init__(self, address):
        self.address, self.cookies = address, {}
        self.opener = urllib.request.build_opener(NoRedirects())

    def ask(self, method, url, body=None):
        """Status, where it leads, and the text."""
        headers = {"Content-Type": "application/json", "Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items())}
        data = None if body is None else json.dumps(body).encode()
        url = url if url.startswith("http") else f"{self.address}/api{url}"
        try:
            answer = self.opener.open(urllib.request.Request(url, data, headers, method=method), timeout=60)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            for cookie in answer.headers.get_all("set-cookie") or ():
                name, _, value = cookie.partition("=")
                self.cookies[name] = value.partition(";")[0]
            return answer.status, answer.headers.get("location"), answer.read().decode()

    def must(self, method, url, body=None):
        status, _, text = self.ask(method, url, body)
        assert status == 200, (method, url, status, text)
        return text

    def log_in(self, name, password):
        self.must("POST", "/auth/", {"username": name, "password": password})


class Glewlwyd:
    def __init__(self, folder, pool_address):
        self.folder, self.pool_address, self.port = pathlib.Path(folder), pool_address, free_port()
        self.address = f"http://localhost:{self.port}"
        self.issuer = f"{self.address}/api/oidc"
        self.child = None

    def configuration(self):
        text = gzip.open(SAMPLE, "rt").read()
        values = {"port": self.port, "bind_address": '"127.0.0.1"', "external_url": f'"{self.address}"', "cookie_secure": 0,
                  "log_level": '"WARNING"', "static_files_path": f'"{ROOT}/usr/share/glewlwyd/webapp/"',
                  **{f"{kind}_module_path": f'"{MODULES}/{folder}"' for kind, folder in (
                      ("user", "user"), ("client", "client"), ("user_auth_scheme", "scheme"), ("plugin", "plugin"))},
                  "user_middleware_module_path": f'"{self.folder}/none"'}
        for name, value in values.items():
            text = re.sub(rf"(?m)^#?{name} *=.*$", f"{name}={value}", text)
        return text.replace("/var/cache/glewlwyd/glewlwyd.db", f"{self.folder}/glewlwyd.db")

    def start(self):
        (self.folder / "none").mkdir()
        with contextlib.closing(sqlite3.connect(self.folder / "glewlwyd.db")) as database:
            database.executescript(TABLES.read_text())
            ((text,),) = database.execute("SELECT gumi_parameters FROM g_user_module_instance").fetchall()
            parameters = json.loads(text)
            parameters["data-format"]["groups"] = {"multiple": True, "read": True, "write": True}
            database.execute("UPDATE g_user_module_instance SET gumi_parameters = ?", (json.dumps(parameters),))
            database.commit()
        (self.folder / "glewlwyd.conf").write_text(self.configuration())
        environment = {**os.environ, "LD_LIBRARY_PATH": f"{ROOT}/usr/lib/{os.uname().machine}-linux-gnu"}
        with open(self.folder / "glewlwyd.log", "ab") as log:
            self.child = subprocess.Popen([PROGRAM, "-c", self.folder / "glewlwyd.conf"], stdout=log, stderr=log, env=environment)
        wait_for("the provider answers", self.answers)
        self.admin = Person(self.address)
        self.admin.log_in("admin", "password")
        self.add_plugin()
        self.add_client()

    def answers(self):
        with contextlib.suppress(OSError):
            return Person(self.address).ask("GET", "/none")[0] != 0
        return False

    def stop(self):
        if self.child is not None:
            self.child.terminate()
            self.child.wait()

    def add_plugin(self):
        key = subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], check=True,
                             capture_output=True, text=True).stdout
        public = subprocess.run(["openssl", "pkey", "-pubout"], input=key, check=True, capture_output=True, text=True).stdout
        flows = {f"auth-type-{kind}-enabled": kind in ("code", "device", "refresh")
                 for kind in ("code", "token", "id-token", "none", "password", "client", "device", "refresh")}
        claims = [{"name": name, "user-property": of, "type": "string", "mandatory": True, "on-demand": False, "scope": []}
                  for name, of in CLAIMS.items()]
        parameters = {"iss": self.issuer, "jwt-type": "rsa", "jwt-key-size": "256", "key": key, "cert": public,
                      "access-token-duration": 600, "refresh-token-duration": 600, "code-duration": 600, "refresh-token-rolling": True,
                      "device-authorization-expiration": 600, "device-authorization-interval": 1, "pkce-allowed": True,
                      "pkce-method-plain-allowed": False, "subject-type": "public", "scope": [], "additional-parameters": [],
                      "allowed-scope": ["openid"], "jwks-show": True, "claims": claims, **flows}
        self.admin.must("POST", "/mod/plugin/", {"module": "oidc", "name": "oidc", "display_name": "oidc", "order_rank": 0,
                                                 "readonly": False, "parameters": parameters})

    def add_client(self):
        self.admin.must("POST", "/client/?source=database", {
            "client_id": "cellule", "name": "Cellule", "confidential": True, "enabled": True, "client_secret": SECRET,
            "redirect_uri": [f"https://{self.pool_address}/auth/callback"], "scope": ["openid"],
            "authorization_type": ["code", "device_authorization"], "token_endpoint_auth_method": ["client_secret_basic"]})

    def person(self, name, *groups):
        """A new one, logged in with the provider, who lets the pool know who it is."""
        self.admin.must("POST", "/user/?source=database", {
            "username": name, "password": f"password of {name}", "name": name, "enabled": True, "groups": list(groups),
            "scope": ["openid", "g_profile"]})
        person = Person(self.address)
        person.log_in(name, f"password of {name}")
        person.must("PUT", "/auth/grant/cellule", {"scope": "openid"})
        return person

    def yaml(self):
        roles = "".join(f"      - {{group: {group}, role: {role}}}\n" for group, role in sso.ROLES)
        return (f"providers:\n  - name: glewlwyd\n    issuer: {self.issuer}\n    client_id: cellule\n"
                f"    client_secret_file: sso.secret\n    algorithms: RS256\n    scopes: openid\n    roles:\n{roles}")


class WithGlewlwyd(sso.BrowserCase):
    @classmethod
    def prepare(cls):
        (cls.site.folder / "sso.secret").touch(0o600)
        (cls.site.folder / "sso.secret").write_text(SECRET)
        cls.provider = Glewlwyd(cls.site.folder, cls.site.address)
        cls.addClassCleanup(cls.provider.stop)
        cls.provider.start()
        (cls.site.folder / "sso.yaml").write_text(cls.provider.yaml())

    def come_back(self, person, location):
        """Where the provider leads a person who is logged in there."""
        status, leads_to, text = person.ask("GET", f"{location}&g_continue")
        self.assertEqual(status, 302, text)
        self.assertTrue(leads_to.startswith(f"{self.site.url}/auth/callback?"), leads_to)
        return urllib.parse.urlsplit(leads_to).query

    def test_a_person_logs_in_in_a_browser_with_the_role_of_a_group(self):
        person = self.provider.person("gina", "staff", "llm-admins")
        location, cookie = self.start_login(**{"return": "/x"})
        query = self.come_back(person, location)
        access, _ = self.check_logged_in(self.callback(query, cookie), "/x")
        shown = self.with_cookie("GET", "/v1/session", access, sso.OWN).json
        self.assertEqual((shown["user"], shown["role"], shown["issuer"]), ("gina", "it_admin", self.provider.issuer))
        self.check_refused(self.callback(query, cookie), 400)
        self.check_error(self.with_cookie("GET", "/v1/admin/users", access, "Sec-Fetch-Site: cross-site"), 401)

    def test_who_is_in_no_group_does_not(self):
        person = self.provider.person("hugo", "visitors")
        location, cookie = self.start_login()
        answer = self.callback(self.come_back(person, location), cookie)
        self.check_refused(answer)
        self.assertIn("groups", answer.json["error"]["message"])

    def test_a_code_is_worth_nothing_in_another_login(self):
        person = self.provider.person("ines", "staff")
        location, cookie = self.start_login()
        code = dict(urllib.parse.parse_qsl(self.come_back(person, location)))
        other, others_cookie = self.start_login()
        state = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(other).query))["state"]
        # The verifier isn't that of the code: the provider itself refuses.
        self.check_refused(self.callback({**code, "state": state}, others_cookie))
        self.check_refused(self.callback(code, others_cookie), 400)
        location, cookie = self.start_login()
        self.check_logged_in(self.callback(self.come_back(person, location), cookie))

    def test_a_person_logs_in_from_a_program(self):
        person = self.provider.person("jana", "staff")
        begun = self.begin()
        uri = begun.get("verification_uri_complete") or f"{begun['verification_uri']}?code={begun['user_code']}"
        status, _, text = person.ask("GET", f"{uri}&g_continue")
        self.assertIn(status, (200, 302), text)
        answer = self.poll(begun)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual((answer.json["user"], answer.json["role"]), ("jana", "employee"))


def main():
    if not PROGRAM.exists():
        print("1..0 # SKIP glewlwyd is neither unpacked nor installed")
        return
    tap.main()


if __name__ == "__main__":
    main()
