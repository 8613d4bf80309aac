"""Ending what somebody may do: an owner's workers, everything, and the way back. revocation.py BINARY"""

import contextlib
import json
import pathlib
import sqlite3

import tap
from wire import SiteCase, children, frozen, request, wait_for


def log_of(worker):
    return pathlib.Path(worker.log).read_text(errors="replace")


class Owner(SiteCase):
    worker_count = 2

    def join(self, token, state):
        return self.site.cellule("worker", "join", token, "--state", self.site.folder / state, check=False)

    def workers(self):
        return {worker["owner"]: worker for worker in self.site.admin("worker", "list")["workers"]}

    def test_all_of_an_owners_workers_and_join_tokens_end_at_once(self):
        body = self.long_body(seed=11)
        whole = self.ask("POST", "/v1/chat/completions", body, self.site.user_key)
        theirs = self.admin_ask("POST", "/v1/admin/join-tokens", {"owner": "owner1"}).json["token"]
        others = self.admin_ask("POST", "/v1/admin/join-tokens", {"owner": "owner2"}).json["token"]
        engines = children(self.site.workers[0].child.pid)
        with self.connect() as connection:
            connection.send(request("POST", "/v1/chat/completions", body, self.site.user_key))
            self.assertEqual(connection.head()[0], 200)
            text = connection.chunk()
            with frozen(self.site):
                done = self.admin_ask("POST", "/v1/admin/revoke/owner", {"owner": "owner1"})
                self.assertEqual(done.status, 200, done.body)
                self.assertEqual((done.json["workers"], done.json["join_tokens"]), (1, 1))
                listed = self.workers()
            while chunk := connection.chunk():
                text += chunk
        self.assertEqual((listed["owner1"]["state"], listed["owner1"]["connected"]), ("revoked", False))
        self.assertEqual((listed["owner2"]["state"], listed["owner2"]["connected"]), ("approved", True))
        self.assertTrue(text.rstrip().endswith(b"[DONE]"), "the answer goes on elsewhere if it was there")
        said = [line[6:] for line in text.decode().split("\n") if line.startswith("data: {")]
        self.assertEqual("".join(choice["delta"].get("content", "") for event in said
                                 for choice in json.loads(event).get("choices", ())), whole.text)
        refused = self.join(theirs, "more")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("expired", refused.stderr)
        self.assertEqual(self.join(others, "another").returncode, 0)
        first = self.site.workers[0]
        wait_for("its process ends", lambda: not first.alive())
        self.assertEqual(first.child.returncode, 1)
        wait_for("and its engine", lambda: not any(pathlib.Path(f"/proc/{pid}").exists() for pid in engines))
        self.assertIn("wiped", log_of(first).split("the engine's memory")[1].splitlines()[0])
        self.check_good_request()
        again = self.admin_ask("POST", "/v1/admin/revoke/owner", {"owner": "owner1"})
        self.assertEqual((again.status, again.json["workers"]), (200, 0))

    def test_a_name_that_owns_nothing_is_said_so(self):
        self.check_error(self.admin_ask("POST", "/v1/admin/revoke/owner", {"owner": "nobody"}), 404)
        for wrong in ({}, {"owner": ""}, {"owner": 7}, {"owner": "x" * 65}, {"owner": "a\nb"}):
            with self.subTest(wrong):
                self.check_error(self.admin_ask("POST", "/v1/admin/revoke/owner", wrong), 400)
        self.check_error(self.ask("POST", "/v1/admin/revoke/owner", {"owner": "owner2"}, self.site.user_key), 403)
        done = self.site.cellule("admin", "revoke", "owner", "nobody", key=self.site.admin_key, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("nobody", done.stderr)

    def test_the_verbs_of_revoke_are_those_of_their_own_places(self):
        added = self.add_user("leaves")
        done = self.site.cellule("admin", "revoke", "key", added["key_id"], key=self.site.admin_key)
        self.assertEqual(done.stdout, "done\n")
        self.assertEqual(self.ask("GET", "/v1/models", key=added["key"]).status, 401)
        second = self.add_user("leaves-too")
        self.site.cellule("admin", "revoke", "user", "leaves-too", key=self.site.admin_key)
        self.assertEqual(self.ask("GET", "/v1/models", key=second["key"]).status, 401)


class Everything(SiteCase):
    worker_count = 2
    keep_alive = False

    def test_only_who_may_and_means_it_revokes_everything(self):
        path = "/v1/admin/revoke/everything"
        self.check_error(self.ask("POST", path, {"confirm": "everything"}, self.site.user_key), 403)
        self.check_error(self.ask("POST", path, {"confirm": "everything"}), 401)
        for wrong in ({}, {"confirm": True}, {"confirm": "yes"}):
            with self.subTest(wrong):
                self.check_error(self.admin_ask("POST", path, wrong), 400)
        done = self.site.cellule("admin", "revoke", "everything", key=self.site.admin_key, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("--yes", done.stderr)
        self.check_good_request()

    def test_z_everything_ends_but_the_way_back(self):
        other_admin = self.add_user("second-admin", "it_admin")["key"]
        token = self.admin_ask("POST", "/v1/admin/join-tokens", {"owner": "late"}).json["token"]
        asked = self.admin_ask("POST", "/v1/enrolments", {"owner": "later"}).json
        self.assertEqual(asked["state"], "waiting")
        pool = self.site.pool.child.pid
        with self.connect() as connection:
            connection.send(request("POST", "/v1/chat/completions", self.long_body(seed=11), self.site.user_key))
            self.assertEqual(connection.head()[0], 200)
            last = connection.chunk()
            with frozen(self.site):
                done = self.site.cellule("admin", "revoke", "everything", "--yes", "--json", key=self.site.admin_key)
                answer = json.loads(done.stdout)
                while chunk := connection.chunk():
                    last = chunk
            self.assertEqual(chunk, b"", "an orderly end of the body")
            self.assertIn(b"key_revoked", last)
            self.assertNotIn(b"[DONE]", last)
        self.assertEqual((answer["workers"], answer["join_tokens"], answer["user"]), (2, 1, "admin"))
        self.assertGreaterEqual(answer["keys"], 3)
        for key in (self.site.user_key, self.site.admin_key, other_admin):
            self.check_error(self.ask("GET", "/v1/models", key=key), 401, "invalid_api_key")
        back = answer["key"]
        listed = self.ask("GET", "/v1/admin/workers", key=back)
        self.assertEqual(listed.status, 200, listed.body)
        self.assertEqual({(one["state"], one["connected"]) for one in listed.json["workers"]}, {("revoked", False)})
        for worker in self.site.workers:
            wait_for("its process ends", lambda worker=worker: not worker.alive())
            self.assertEqual(worker.child.returncode, 1)
        refused = self.site.cellule("worker", "join", token, "--state", self.site.folder / "late", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertEqual(self.ask("GET", f"/v1/admin/approvals/{asked['id']}", key=back).json["state"], "expired")
        entries = self.ask("GET", "/v1/audit/entries?from=0", key=back).json["entries"]
        acts = [json.loads(text) for text in entries]
        self.assertIn(("everything_revoke", "allowed"), [(act["action"], act["outcome"]) for act in acts])
        # The way back leads to a site that works.
        user = self.ask("POST", "/v1/admin/users/demo/keys", {}, back)
        self.assertEqual(user.status, 201, user.body)
        self.assertEqual(self.ask("GET", "/v1/models", key=user.json["key"]).status, 200)
        self.assertEqual(self.site.pool.child.pid, pool)
        self.offline(back)

    def offline(self, back):
        """Should that key be lost too: on the pool's machine."""
        site = ["--site", self.site.folder, "--json"]
        refused = self.site.cellule("pool", "admin-key", *site, check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("another pool serves the site", refused.stderr)
        self.site.pool.stop()
        made = json.loads(self.site.cellule("pool", "admin-key", *site).stdout)
        for name in ("demo", "No Name"):
            self.assertEqual(self.site.cellule("pool", "admin-key", *site, "--admin", name, check=False).returncode, 1)
        fresh = json.loads(self.site.cellule("pool", "admin-key", *site, "--admin", "fresh").stdout)
        (self.site.folder / "admin.key").write_text(made["admin_key"])
        self.site.start_pool()
        for key in (back, made["admin_key"], fresh["admin_key"]):
            self.assertEqual(self.ask("GET", "/v1/admin/workers", key=key).status, 200)
        entries = self.ask("GET", "/v1/audit/entries?from=0", key=back).json["entries"]
        made = [json.loads(text) for text in entries if "admin_key_made" in text]
        self.assertEqual([entry["outcome"] for entry in made], ["allowed"] * 2)
        self.assertTrue(all("person" in entry for entry in made))


class Kept(SiteCase):
    worker_count = 1
    keep_alive = False

    def test_everything_is_kept_over_a_restart(self):
        answer = self.admin_ask("POST", "/v1/admin/revoke/everything", {"confirm": "everything"}).json
        self.site.pool.stop()
        with contextlib.closing(sqlite3.connect(f"file:{self.site.folder}/pool.db?mode=ro", uri=True)) as db:
            alive = db.execute("SELECT count(*) FROM keys WHERE revoked_ms IS NULL").fetchone()[0]
            workers = db.execute("SELECT count(*) FROM workers WHERE state = 'approved'").fetchone()[0]
        self.assertEqual((alive, workers), (1, 0))
        (self.site.folder / "admin.key").write_text(answer["key"])
        self.site.start_pool()
        self.check_error(self.ask("GET", "/v1/models", key=self.site.user_key), 401)
        self.assertEqual(self.ask("GET", "/v1/models", key=answer["key"]).status, 200)


if __name__ == "__main__":
    tap.main()
