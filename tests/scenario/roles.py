"""Every address of the API with every role, as the program's own table has it. roles.py BINARY"""

import json
import re
import subprocess

import tap
from wire import BINARY, SiteCase

NOBODY = "nobody"
TABLE = json.loads(subprocess.run([BINARY, "pool", "routes", "--json"], check=True, capture_output=True).stdout)
ROLES = TABLE["roles"]

# Written out by hand: an address that asks for no key is to be noticed.
OPEN = {("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/v1/pool"), ("GET", "/v1/pool/keys"), ("GET", "/v1/release"), ("GET", "/v1/worker"),
        ("POST", "/v1/worker/enrol"), ("POST", "/v1/worker/certificate"), ("GET", "/.well-known/jwks.json"), ("POST", "/auth/token"),
        ("POST", "/auth/device"), ("GET", "/auth/login"), ("GET", "/auth/callback"), ("POST", "/auth/refresh"),
        ("POST", "/auth/logout"), ("POST", "/auth/backchannel-logout"),
        # With the SCIM token of a provider alone (tests/clients/sso.py).
        ("GET", "/scim/v2/Users"), *((method, "/scim/v2/Users/*") for method in ("GET", "PATCH", "PUT", "DELETE"))}
# Of these, what refuses a request that doesn't bring its own kind of proof: that it comes from a page of the pool, or a token.
PROVEN = {("POST", "/auth/refresh"), ("POST", "/auth/logout"),
          *((method, path) for method, path in OPEN if path.startswith("/scim/"))}

# What a request needs beside its path, so that whoever may is answered.
QUERIES = {"/v1/audit/proof/inclusion": "?index=0", "/v1/audit/proof/consistency": "?from=1"}


class Roles(SiteCase):
    worker_count = 0

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.keys = {role: cls.site.admin("user", "add", f"role-{role.replace('_', '-')}", "--role", role)["key"]
                    for role in ROLES}

    def call(self, route, key):
        """A body that no address takes, and ids that nobody has: nothing is changed by whoever may."""
        path = route["path"].replace("*", "none") + QUERIES.get(route["path"], "")
        return self.ask(route["method"], path, "nothing" if route["method"] == "POST" else None, key)

    def test_the_roles_are_the_four(self):
        self.assertEqual(ROLES, ["employee", "worker_owner", "it_admin", "security_officer"])

    def test_only_these_addresses_are_open(self):
        self.assertEqual({(route["method"], route["path"]) for route in TABLE["routes"] if route["open"]}, OPEN)

    def test_no_address_is_listed_twice(self):
        listed = [(route["method"], route["path"]) for route in TABLE["routes"]]
        self.assertEqual(len(listed), len(set(listed)))

    def test_every_address_takes_exactly_its_roles(self):
        for route in TABLE["routes"]:
            for role in (NOBODY, *ROLES):
                with self.subTest(path=f"{route['method']} {route['path']}", role=role):
                    answer = self.call(route, self.keys.get(role))
                    if (route["method"], route["path"]) in PROVEN:
                        self.assertIn(answer.status, (401, 403))
                    elif route["open"] or role in route["roles"]:
                        self.assertNotIn(answer.status, (401, 403), answer.body)
                        self.assertLess(answer.status, 500)
                    elif role == NOBODY:
                        self.check_error(answer, 401, "missing_api_key")
                    else:
                        self.assertEqual(self.check_error(answer, 403, "not_allowed")["type"], "permission_error")

    def test_what_is_not_listed_is_refused_to_everybody(self):
        def is_listed(method, path):
            return any(route["method"] == method and re.fullmatch(re.escape(route["path"]).replace(r"\*", "[^/]+"), path)
                       for route in TABLE["routes"])

        listed = {(route["method"], route["path"].replace("*", "none")) for route in TABLE["routes"]}
        listed |= {("GET", "/v1/conversations/search"), ("DELETE", "/v1/conversations/search")}  # as if that were an id
        paths = sorted({path for _, path in listed})
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
            for path in [*paths, "/", "/v1", "/v1/admin", "/v1/admin/users/none", "/v1/admin/none"]:
                if is_listed(method, path):
                    continue
                for role in (NOBODY, "it_admin"):
                    with self.subTest(path=f"{method} {path}", role=role):
                        answer = self.ask(method, path, key=self.keys.get(role))
                        self.assertIn(answer.status, (404, 405))

    def test_reading_the_head_alone_needs_the_same_role(self):
        for route in TABLE["routes"]:
            if route["method"] == "GET" and not route["open"] and "employee" not in route["roles"]:
                with self.subTest(route["path"]), self.connect() as connection:
                    path = route["path"].replace("*", "none")
                    connection.send(f"HEAD {path} HTTP/1.1\r\nHost: pool\r\n"
                                    f"Authorization: Bearer {self.keys['employee']}\r\n\r\n")
                    self.assertEqual(connection.head()[0], 403)

    def test_what_is_audited_is_in_the_log_for_each_role(self):
        audited = [route for route in TABLE["routes"] if route["audited"]]
        self.assertTrue(audited)
        actions = {route["action"] for route in audited}
        for route in audited:
            for role in ROLES:
                self.call(route, self.keys[role])
        entries, size = [], 1
        while len(entries) < size:
            answer = self.admin_ask("GET", f"/v1/audit/entries?from={len(entries)}").json
            size = answer["size"]
            entries += [json.loads(text) for text in answer["entries"]]
        seen = {(entry["action"], entry.get("role"), entry["outcome"]) for entry in entries}
        for action in actions:
            allowed = {role for route in audited if route["action"] == action for role in route["roles"]}
            for role in ROLES:
                self.assertIn((action, role, "allowed" if role in allowed else "refused"), seen)


if __name__ == "__main__":
    tap.main()
