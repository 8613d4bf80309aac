"""How rights begin and end: keys, users, join tokens, workers. keys.py BINARY"""

import base64
import contextlib
import json
import socket
import sqlite3
import ssl
import subprocess
import threading
import time

import tap
from wire import BINARY, Answer, SiteCase, free_port, frozen, request, wait_for

def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Keys(SiteCase):
    worker_count = 1

    def check_401(self, answer, code):
        error = self.check_error(answer, 401, code)
        self.assertEqual(error["type"], "authentication_error")
        self.assertTrue(answer.headers["www-authenticate"].startswith("Bearer"))

    def test_no_key_and_no_good_key_are_401(self):
        path = "/v1/models"
        self.check_401(self.ask("GET", path), "missing_api_key")
        good = self.site.user_key
        swapped = good[:-2] + ("A" if good[-2] != "A" else "B") + good[-1]
        for name, value in {
            "another key": f"Bearer {swapped}", "half a key": f"Bearer {good[:20]}", "a longer key": f"Bearer {good}A",
            "the last bits that count for nothing": f"Bearer {good[:-1]}" + chr(ord(good[-1]) ^ 1),
            "upper case": f"Bearer {good.upper()}", "an OpenAI key": "Bearer sk-" + "a" * 48,
            "no scheme": good, "another scheme": f"Basic {good}", "an empty key": "Bearer ", "a word": "Bearer",
            "a path": "Bearer ../../admin", "SQL": "Bearer ' OR 1=1 --", "two": f"Bearer {good}, Bearer {good}",
            "a long one": "Bearer " + "a" * 5000, "a join token's form": "Bearer cj_" + "a" * 43,
        }.items():
            with self.subTest(name):
                self.check_401(self.ask("GET", path, headers=[f"Authorization: {value}"]), "invalid_api_key")
        twice = [f"Authorization: Bearer {good}", f"Authorization: Bearer {self.site.admin_key}"]
        self.check_401(self.ask("GET", path, headers=twice), None)
        for elsewhere in (f"/v1/models?api_key={good}", f"/v1/models?key={good}"):
            self.check_401(self.ask("GET", elsewhere), "missing_api_key")
        self.check_401(self.ask("GET", path, headers=[f"X-Api-Key: {good}", f"Cookie: key={good}"]), "missing_api_key")
        self.assertEqual(self.ask("GET", path, headers=[f"authorization: bearer {good}"]).status, 200)

    def test_a_receipt_is_its_owners_alone(self):
        job = self.chat().headers["x-cellule-job"]
        self.assertEqual(self.ask("GET", f"/v1/receipts/{job}", key=self.site.user_key).status, 200)
        for key in (self.site.admin_key, self.add_user("curious")["key"]):
            self.check_error(self.ask("GET", f"/v1/receipts/{job}", key=key), 404)

    def test_revoking_a_key_ends_what_it_asks_and_only_that(self):
        first = self.add_user("leaver")
        second = self.admin_ask("POST", "/v1/admin/users/leaver/keys").json
        body = self.long_body()
        with self.connect() as mine, self.connect() as other:
            with frozen(self.site):
                for connection, key in ((mine, first["key"]), (other, second["key"])):
                    connection.send(request("POST", "/v1/chat/completions", body, key))
                wait_for("both run", lambda: self.metrics()["cellule_jobs_running"] == 2)
            for connection in (mine, other):
                self.assertEqual(connection.head()[0], 200)
            with frozen(self.site):
                self.assertEqual(self.admin_ask("POST", f"/v1/admin/keys/{first['key_id']}/revoke").status, 200)
                last = b""
                while chunk := mine.chunk():
                    last = chunk
            self.assertEqual(chunk, b"", "an orderly end of the body")
            self.assertNotIn(b"[DONE]", last)
            error = json.loads(last.decode().strip().rpartition("data: ")[2])["error"]
            self.assertEqual(error["code"], "key_revoked")
            self.assertTrue(other.chunk(), "the other key's stream goes on")
        self.check_401(self.ask("GET", "/v1/models", key=first["key"]), "invalid_api_key")
        self.assertEqual(self.ask("GET", "/v1/models", key=second["key"]).status, 200)
        again = self.admin_ask("POST", f"/v1/admin/keys/{first['key_id']}/revoke")
        self.assertIn(again.status, (200, 409))
        self.check_nothing_left()

    def test_a_disabled_user_is_shut_out_with_all_keys(self):
        keys = [self.add_user("dismissed", "it_admin")["key"],
                self.admin_ask("POST", "/v1/admin/users/dismissed/keys").json["key"]]
        token = self.ask("POST", "/v1/admin/join-tokens", {"owner": "x"}, keys[0]).json["token"]
        with frozen(self.site), self.connect() as connection:
            connection.send(request("POST", "/v1/chat/completions", self.long_body(stream=False), keys[0]))
            wait_for("it runs", lambda: self.metrics()["cellule_jobs_running"] == 1)
            self.assertEqual(self.admin_ask("POST", "/v1/admin/users/dismissed/disable").status, 200)
            self.check_error(connection.answer(), 401, "key_revoked")
        for key in keys:
            self.check_401(self.ask("GET", "/v1/models", key=key), "invalid_api_key")
        refused = self.site.cellule("worker", "join", token, "--state", self.site.folder / "theirs", check=False)
        self.assertEqual(refused.returncode, 1, "a token of somebody who was shut out")
        self.assertNotEqual(self.admin_ask("POST", "/v1/admin/users/dismissed/keys").status, 201)
        self.check_nothing_left()

    def test_a_name_that_is_taken_is_a_conflict(self):
        self.add_user("twin")
        self.check_error(self.admin_ask("POST", "/v1/admin/users", {"name": "twin"}), 409)

    def test_a_key_is_shown_once_and_stored_as_a_hash(self):
        added = self.add_user("once")
        listed = self.admin_ask("GET", "/v1/admin/users/once/keys")
        self.assertNotIn(added["key"].encode(), listed.body)
        for file in self.site.folder.glob("pool.db*"):
            self.assertNotIn(added["key"].encode(), file.read_bytes())
        self.assertNotIn(added["key"], self.pool_log())

    def admin(self, *words):
        return self.site.cellule("admin", *words, key=self.site.admin_key)

    def modes(self, name):
        return {key["id"]: key["verify"] for key in self.admin_ask("GET", f"/v1/admin/users/{name}/keys").json["keys"]}

    def test_how_a_keys_answers_are_checked_is_kept_and_changed(self):
        first = self.add_user("checked", verify="every")
        second = self.admin_ask("POST", "/v1/admin/users/checked/keys").json
        self.assertEqual((first["verify"], second["verify"]), ("every", "off"))
        self.assertEqual(self.modes("checked"), {first["key_id"]: "every", second["key_id"]: "off"})
        path = f"/v1/admin/keys/{second['key_id']}/verify"
        self.assertEqual(self.admin_ask("POST", path, {"verify": "required"}).status, 200)
        self.assertEqual(self.modes("checked"), {first["key_id"]: "every", second["key_id"]: "required"})
        for wrong in ({}, {"verify": "always"}, {"verify": 1}, {"verify": "off" * 20}, {"verify": ""}):
            with self.subTest(wrong):
                self.check_error(self.admin_ask("POST", path, wrong), 400)
        self.check_error(self.admin_ask("POST", "/v1/admin/users", {"name": "unchecked", "verify": "never"}), 400)
        self.check_error(self.admin_ask("POST", "/v1/admin/keys/999/verify", {"verify": "spot"}), 404)
        self.check_error(self.admin_ask("POST", "/v1/admin/keys/x/verify", {"verify": "spot"}), 404)
        done = self.admin("user", "verify", "--mode", "spot", first["key_id"])
        self.assertEqual(done.stdout, "done\n")
        self.assertRegex(self.admin("user", "keys", "checked").stdout, r"spot +active")


class JoinTokens(SiteCase):
    worker_count = 1

    def token(self, owner="owner", **more):
        return self.admin_ask("POST", "/v1/admin/join-tokens", {"owner": owner, **more}).json["token"]

    def admin(self, *words):
        return self.site.cellule("admin", *words, key=self.site.admin_key)

    def join(self, token, state, *options):
        return self.site.cellule("worker", "join", token, "--state", self.site.folder / state, *options, check=False)

    def check_refused(self, done, *words):
        self.assertEqual(done.returncode, 1)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertNotRegex(done.stderr, "cj_[0-9a-f]", "the token is a secret")

    def test_a_token_enrols_one_machine_once(self):
        token = self.token()
        self.assertEqual(self.join(token, "first").returncode, 0)
        self.check_refused(self.join(token, "second"), "used")
        self.check_refused(self.join(token, "first"), "used")

    def test_only_a_referees_token_makes_a_referee(self):
        line = self.admin("worker", "token", "--owner", "operator", "--referee").stdout
        self.assertEqual(self.join(line.split()[-1], "judge").returncode, 0)
        self.assertEqual(self.join(self.token("citizen"), "judged").returncode, 0)
        listed = self.admin_ask("GET", "/v1/admin/workers").json["workers"]
        referees = {worker["owner"]: worker["referee"] for worker in listed}
        self.assertEqual((referees["operator"], referees["citizen"]), (True, False))
        self.assertEqual(self.admin("worker", "list").stdout.count(" yes "), 1)
        self.check_error(self.admin_ask("POST", "/v1/admin/join-tokens", {"owner": "x", "referee": "yes"}), 400)
        self.assertEqual(self.join(self.token("operator"), "judge").returncode, 0)  # joins again as any other
        self.assertNotIn(" yes ", self.admin("worker", "list").stdout)

    def test_two_machines_with_one_token_at_once_are_one(self):
        token = self.token()
        done = []
        crowd = [threading.Thread(target=lambda i=i: done.append(self.join(token, f"race{i}").returncode))
                 for i in range(4)]
        for one in crowd:
            one.start()
        for one in crowd:
            one.join()
        self.assertEqual(sorted(done), [0, 1, 1, 1])

    def test_a_token_that_was_changed_is_refused(self):
        token = self.token()
        marks = token.split(".")
        self.assertGreaterEqual(len(marks), 3)
        other = base64url(bytes(32))
        self.check_refused(self.join(token.replace(marks[1], other[:len(marks[1])]), "a"))
        for bad in ("", "cj_", "ck_" + "a" * 43, token[:-1], token + "A", token.replace(".", ""), token.upper(),
                    "x" * 4000, "cj_..."):
            with self.subTest(length=len(bad)):
                self.check_refused(self.join(bad, "b"))
        self.assertEqual(self.join(token, "c").returncode, 0, "all that has cost it nothing")

    def test_a_machine_that_joins_again_stays_itself(self):
        """Hole: registering a worker's id anew must not take over what is its."""
        self.assertEqual(self.join(self.token("alice"), "alice", "--json").returncode, 0)
        again = self.join(self.token("alice"), "alice", "--json")
        self.assertEqual(again.returncode, 0)
        theirs = self.join(self.token("mallory"), "alice")
        self.check_refused(theirs, "another owner")
        listed = {worker["id"]: worker for worker in self.site.admin("worker", "list")["workers"]}
        self.assertEqual(listed[json.loads(again.stdout)["worker_id"]]["owner"], "alice")

    def test_a_foreign_key_cant_be_enrolled_without_owning_it(self):
        token = self.token("mallory")
        victim = json.loads((self.site.worker_folder(0) / "pool.json").read_text())["worker_id"]
        before = self.site.admin("worker", "list")["workers"]
        for signature in (base64url(bytes(64)), "", "A" * 85):
            forged = {"token_id": token.split("_")[1].split(".")[0], "token_secret": token.split(".")[1],
                      "public_key": base64url(bytes(32)), "name": "x", "class": "cpu", "signature": signature,
                      "worker_id": victim}
            answer = self.ask("POST", "/v1/worker/enrol", forged)
            self.assertIn(answer.status, (400, 403))
            self.check_error(answer, answer.status)
        self.assertEqual([worker["id"] for worker in self.site.admin("worker", "list")["workers"]],
                         [worker["id"] for worker in before])
        self.assertEqual(self.join(token, "fine").returncode, 0)

    def test_a_revoked_machine_doesnt_come_back_with_a_new_token(self):
        joined = json.loads(self.join(self.token("bob"), "bob", "--json").stdout)
        self.site.admin("worker", "revoke", joined["worker_id"])
        self.check_refused(self.join(self.token("bob"), "bob"), "revoked")
        run = subprocess.run([BINARY, "worker", "run", "--state", str(self.site.folder / "bob"), "--model",
                              str(self.site.model)], capture_output=True, text=True, timeout=60, check=False,
                             stdin=subprocess.DEVNULL)
        self.assertEqual(run.returncode, 1, run.stderr)
        self.assertIn("may not serve", run.stdout + run.stderr)

    def elsewhere(self, token, address):
        return ".".join([*token.split(".")[:-1], base64url(address.encode())])

    def test_nothing_is_sent_to_a_pool_of_another_authority(self):
        """The pin in the token is of the site's CA: whoever else answers there learns nothing."""
        folder = self.site.folder / "stranger"
        self.site.cellule("pool", "init", "--site", folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.pem", folder / "server.key")
        heard = []

        def listen(listener):
            with listener, listener.accept()[0] as plain:
                plain.settimeout(20)
                with contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as stream:
                    heard.append(stream.recv(1000))

        listener = socket.create_server(("127.0.0.1", 0))
        thread = threading.Thread(target=listen, args=(listener,))
        thread.start()
        refused = self.join(self.elsewhere(self.token(), f"127.0.0.1:{listener.getsockname()[1]}"), "lured")
        thread.join()
        self.check_refused(refused, "certificate")
        self.assertNotIn("pool refused", refused.stderr)
        self.assertEqual(b"".join(heard), b"")

    def test_a_pool_that_isnt_there_is_said_so(self):
        address = f"127.0.0.1:{free_port()}"
        self.check_refused(self.join(self.elsewhere(self.token(), address), "nowhere"), address)


class Revocation(SiteCase):
    worker_count = 2

    def running(self):
        workers = self.site.admin("worker", "list")["workers"]
        return next((worker["id"] for worker in workers if worker.get("running")), None)

    def revoke_in_mid_answer(self, body):
        """The worker, and the answer that went on elsewhere; None if it was over before its worker stood still."""
        with self.connect() as connection:
            connection.send(request("POST", "/v1/chat/completions", body, self.site.user_key))
            status, headers = connection.head()
            self.assertEqual(status, 200)
            first = connection.chunk()
            with frozen(self.site):
                worker = self.running()
                if worker is None:
                    return None
                self.assertEqual(self.admin_ask("POST", f"/v1/admin/workers/{worker}/revoke").status, 200)
                listed = {one["id"]: one for one in self.site.admin("worker", "list")["workers"]}
            self.assertFalse(listed[worker]["connected"])
            self.assertEqual(listed[worker]["state"], "revoked")
            moved = Answer(status, headers, first)
            while chunk := connection.chunk():
                moved.body += chunk
        return worker, moved

    def test_a_revoked_worker_is_cut_off_at_once_and_its_answers_go_on_elsewhere(self):
        for seed in range(7, 27):
            body = self.long_body(seed=seed)
            whole = self.ask("POST", "/v1/chat/completions", body, self.site.user_key)
            self.assertEqual(whole.events[-1], "[DONE]")
            if revoked := self.revoke_in_mid_answer(body):
                break
        worker, moved = revoked
        self.assertEqual(moved.events[-1], "[DONE]")
        self.assertEqual(moved.text, whole.text, "the same bits from the other worker")
        self.assertEqual(self.metrics()["cellule_jobs_redispatched_total"], 1)
        ended = wait_for("its process ends", lambda: [one for one in self.site.workers if not one.alive()])
        self.assertEqual([one.child.returncode for one in ended], [1])
        receipt = self.ask("GET", f"/v1/receipts/{moved.headers['x-cellule-job']}", key=self.site.user_key)
        self.assertEqual(receipt.status, 200)
        self.assertNotIn(worker.encode(), receipt.body)
        self.check_nothing_left()
        self.check_good_request()


class Dated(SiteCase):
    """What the clock ends, by dates put into the stopped site's database."""

    settings = {"join_token_minutes": 1}

    def change(self, sql, *values):
        with sqlite3.connect(self.site.folder / "pool.db") as database:
            self.assertEqual(database.execute(sql, values).rowcount, 1)
        database.close()


class Expiry(Dated):
    def test_dates_that_have_passed_count(self):
        user = self.add_user("shortly", days=1)
        token = self.admin_ask("POST", "/v1/admin/join-tokens", {"owner": "late"}).json["token"]
        self.assertEqual(self.ask("GET", "/v1/models", key=user["key"]).status, 200)
        self.site.stop()
        self.change("UPDATE keys SET expires_ms = 1000 WHERE id = ?", user["key_id"])
        self.change("UPDATE join_tokens SET expires_ms = 1000 WHERE owner = 'late'")
        self.change("UPDATE workers SET expires_ms = 1000")
        self.site.start_pool()
        answer = self.ask("GET", "/v1/models", key=user["key"])
        self.assertIn("expired", self.check_error(answer, 401, "invalid_api_key")["message"])
        late = self.site.cellule("worker", "join", token, "--state", self.site.folder / "late", check=False)
        self.assertEqual(late.returncode, 1)
        self.assertIn("expired", late.stderr)
        worker = self.site.start_worker(0)
        self.assertEqual(worker.child.wait(60), 1)
        self.assertIn("may not serve", worker.last_lines())
        self.check_error(self.chat(), 404, "model_not_found")


class ExpiryMeanwhile(Dated):
    worker_count = 2

    def streaming(self, connections):
        """All of them are being answered, and the engine stands still: it is up to whoever leaves this."""
        with frozen(self.site):
            for connection, key in connections:
                connection.send(request("POST", "/v1/chat/completions", self.long_body(seed=7), key))
            wait_for("all run", lambda: self.metrics()["cellule_jobs_running"] == len(connections))
        for connection, _ in connections:
            self.assertEqual(connection.head()[0], 200)
        return frozen(self.site)

    def check_cut(self, connection, code):
        last = b""
        while chunk := connection.chunk():
            last = chunk
        self.assertNotIn(b"[DONE]", last)
        self.assertEqual(json.loads(last.decode().strip().rpartition("data: ")[2])["error"]["code"], code)

    def test_an_answer_under_way_ends_when_its_key_does(self):
        short, other = self.add_user("short-term", days=1), self.add_user("long-term", days=2)
        for seconds in (10, 30, 50):  # a slow machine may not be back in time for the first
            self.site.stop()
            end = int((time.time() + seconds) * 1000)
            self.change("UPDATE keys SET expires_ms = ? WHERE id = ?", end, short["key_id"])
            self.site.start()
            session = self.ask("POST", "/v1/session", {}, short["key"])
            if session.status == 201 and time.time() * 1000 < end - 5000:
                break
        time.sleep(max(0, end / 1000 - 8 - time.time()))  # engines that stand still for 20 s are taken to hang
        with self.connect() as by_key, self.connect() as by_session, self.connect() as by_other:
            with self.streaming([(by_key, short["key"]), (by_session, session.json["access_token"]),
                                 (by_other, other["key"])]):
                self.assertLess(time.time() * 1000, end)
                self.check_cut(by_key, "key_expired")
                self.assertGreaterEqual(time.time() * 1000, end)
                self.check_cut(by_session, "session_ended")
                self.assertLess(time.time() * 1000, end + 30000, "nothing looks through all of them every minute")
                wait_for("its job is taken back", lambda: self.metrics()["cellule_jobs_running"] == 1)
            self.assertTrue(by_other.chunk(), "another's stream goes on")


if __name__ == "__main__":
    tap.main()
