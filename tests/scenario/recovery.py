"""Users who have lost all their keys get their memory back from several officers together. recovery.py BINARY"""

import base64
import ctypes
import ctypes.util
import hashlib
import hmac
import json
import os
import signal
import sqlite3

import tap
from wire import SiteCase, wait_for

OFFICERS = ("olga", "otto", "oskar")
sodium = ctypes.CDLL(ctypes.util.find_library("sodium") or "libsodium.so.23")


def text_of(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def bytes_of(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Hand:
    """An officer who uses a program of his own, so that he can send whatever he likes."""

    def __init__(self):
        public, self.private = ctypes.create_string_buffer(32), ctypes.create_string_buffer(32)
        sodium.crypto_box_keypair(public, self.private)
        self.public = public

    def open(self, sealed):
        plain = ctypes.create_string_buffer(len(sealed) - 48)
        assert sodium.crypto_box_seal_open(plain, sealed, ctypes.c_ulonglong(len(sealed)), self.public, self.private) == 0
        return plain.raw

    @staticmethod
    def seal(public, plain):
        sealed = ctypes.create_string_buffer(len(plain) + 48)
        assert sodium.crypto_box_seal(sealed, plain, ctypes.c_ulonglong(len(plain)), public) == 0
        return sealed.raw


def multiply(a, b):
    """In GF(2^8), of which the shares are."""
    product = 0
    for bit in range(8):
        product ^= a << bit if b >> bit & 1 else 0
    for bit in range(14, 7, -1):
        product ^= 0x11b << (bit - 8) if product >> bit & 1 else 0
    return product


class Kept(SiteCase):
    """What the cases of this file share."""

    worker_count = 1
    needed = 2

    @classmethod
    def prepare(cls):
        cls.files = cls.site.folder / "officers"
        cls.files.mkdir()
        cls.passphrase = cls.files / "passphrase"
        cls.passphrase.write_text("correct horse battery staple\n")
        cls.passphrase.chmod(0o600)
        cls.hand = Hand()
        public = {name: cls.make_key(name) for name in OFFICERS[:2]}
        public["oskar"] = text_of(cls.hand.public.raw)
        cls.public = public
        cls.write_settings(cls.needed, public)

    @classmethod
    def make_key(cls, name):
        return cls.site.cellule("admin", "recovery-key", "--passphrase-file", cls.passphrase, cls.files / name).stdout.strip()

    @classmethod
    def write_settings(cls, needed, public):
        path = cls.site.folder / "pool.yaml"
        lines = [line for line in path.read_text().splitlines() if not line.startswith("recovery_")]
        named = ", ".join(f"{name}={key}" for name, key in public.items())
        path.write_text("\n".join([*lines, f'recovery_officers: "{named}"', f"recovery_needed: {needed}", ""]))

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.keys = {name: cls.site.admin("user", "add", name, "--role", "security_officer")["key"] for name in OFFICERS}

    def reload(self, needed, public):
        self.write_settings(needed, public)
        before = self.site.pool.last_lines(2000).count("settings reloaded")
        self.site.pool.signal(signal.SIGHUP)
        wait_for("it has read them", lambda: self.site.pool.last_lines(2000).count("settings reloaded") > before)

    def keep(self, key, question="What is a heron?"):
        answer = self.ask("POST", "/v1/chat/completions", self.chat_body(question, store=True), key)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.headers["x-cellule-conversation"]

    def row_count(self, where="1"):
        database = sqlite3.connect(f"file:{self.site.folder / 'pool.db'}?mode=ro", uri=True)
        try:
            return database.execute(f"SELECT count(*) FROM recovery_shares WHERE {where}").fetchone()[0]
        finally:
            database.close()

    def state(self, key):
        answer = self.ask("GET", "/v1/memory/recovery", key=key)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json

    def covered(self, key):
        wait_for("the officers have shares", lambda: self.state(key)["covered"])

    def new_user(self, name, role="employee"):
        """Keeps a conversation, loses the key, gets another; (old key, new key, conversation)."""
        old = self.add_user(name, role)["key"] if role == "employee" else self.keys[name]
        conversation = self.keep(old, f"What does {name} keep?")
        self.covered(old)
        return old, self.admin_ask("POST", f"/v1/admin/users/{name}/keys", {}).json["key"], conversation

    def request(self, key):
        answer = self.ask("POST", "/v1/memory/recovery", key=key)
        self.assertIn(answer.status, (200, 201), answer.body)
        return answer.json

    def approve(self, officer, asked, code=None, key=None, stdin=None):
        said = [] if stdin is not None else ["--code", code or asked["code"]]
        return self.site.cellule("admin", "recovery", "approve", asked["id"], "--key", self.files / (key or officer),
                                 "--passphrase-file", self.passphrase, *said, key=self.keys[officer], check=False,
                                 stdin=stdin or "")

    def share_of_hand(self, asked, key=None):
        answer = self.ask("GET", f"/v1/admin/recoveries/{asked['id']}/share", key=key or self.keys["oskar"])
        self.assertEqual(answer.status, 200, answer.body)
        return self.hand.open(bytes_of(answer.json["share"]))

    def give(self, asked, plain, public=None, key=None):
        sealed = self.hand.seal(bytes_of(public or asked["public_key"]), plain)
        return self.ask("POST", f"/v1/admin/recoveries/{asked['id']}/share", {"share": text_of(sealed)},
                        key or self.keys["oskar"])

    def opens(self, key, conversation):
        answer = self.ask("GET", f"/v1/conversations/{conversation}", key=key)
        return answer.status == 200 and len(answer.json["turns"]) == 1

    def entries(self):
        found, size = [], 1
        while len(found) < size:
            answer = self.admin_ask("GET", f"/v1/audit/entries?from={len(found)}").json
            size = answer["size"]
            found += [json.loads(text) for text in answer["entries"]]
        return found


class Recovery(Kept):
    def test_two_officers_give_a_user_back_what_he_kept(self):
        old, new, conversation = self.new_user("anna")
        self.check_error(self.ask("GET", "/v1/conversations", key=new), 403, "key_opens_nothing")
        state = self.state(new)
        self.assertEqual((state["on"], state["needed"], state["officers"], state["shares"], state["request"]),
                         (True, 2, list(OFFICERS), 3, None))
        asked = self.request(new)
        self.assertEqual(self.request(new)["id"], asked["id"], "once is enough")
        listed = self.site.cellule("admin", "recovery", "list", key=self.keys["olga"]).stdout
        self.assertIn(asked["id"], listed)
        self.assertNotIn(asked["code"], listed)
        self.assertEqual(self.approve("olga", asked).stdout, "1 of 2 shares are there\n")
        self.check_error(self.ask("GET", "/v1/conversations", key=new), 403, "key_opens_nothing")
        said = self.approve("otto", asked, stdin=asked["code"].upper().replace("-", " ") + "\n")
        self.assertIn("2 of 2 shares are there", said.stdout)
        self.assertIn("anna", said.stderr)
        self.assertNotIn(asked["code"], said.stderr)
        self.assertEqual(self.state(new)["request"]["state"], "ready")
        self.check_error(self.give(asked, self.share_of_hand(asked)), 409, "conflict")
        self.assertTrue(self.opens(new, conversation))
        self.assertIsNone(self.state(new)["request"])
        self.assertTrue(self.opens(old, conversation), "its other keys open it as before")
        self.check_error(self.ask("POST", "/v1/memory/recovery", key=new), 409, "conflict")
        third = self.admin_ask("POST", "/v1/admin/users/anna/keys", {}).json["key"]
        self.check_error(self.ask("GET", "/v1/conversations", key=third), 403, "key_opens_nothing")
        acts = [(entry["action"], entry["outcome"]) for entry in self.entries() if asked["id"] in entry.get("target", "")]
        for act in (("recovery_requested", "noted"), ("recovery_decide", "allowed"), ("recovery_ready", "noted")):
            self.assertIn(act, acts)
        self.assertEqual(acts.count(("recovery_requested", "noted")), 1)
        self.assertNotIn("anna", json.dumps(self.entries()))

    def test_what_a_revoked_key_opened_is_given_to_the_new_one(self):
        old, new, conversation = self.new_user("lena")
        first = min(key["id"] for key in self.admin_ask("GET", "/v1/admin/users/lena/keys").json["keys"])
        self.assertEqual(self.admin_ask("POST", f"/v1/admin/keys/{first}/revoke").status, 200)
        asked = self.request(new)
        for officer in OFFICERS[:2]:
            self.assertEqual(self.approve(officer, asked).returncode, 0)
        session = self.ask("POST", "/v1/session", {}, new).json["access_token"]
        self.assertEqual(self.ask("POST", "/v1/memory/unlock", {"key": new}, session).status, 200)
        self.assertTrue(self.opens(session, conversation))
        self.assertTrue(self.opens(new, conversation))
        self.assertEqual(self.ask("GET", "/v1/conversations", key=old).status, 401)

    def test_one_share_is_not_enough_and_counts_once(self):
        _, new, conversation = self.new_user("bruno")
        asked = self.request(new)
        plain = self.share_of_hand(asked)
        self.assertEqual(self.give(asked, plain).json["given"], 1)
        for _ in range(3):
            self.check_error(self.give(asked, plain), 409, "conflict")
        self.check_error(self.ask("GET", f"/v1/conversations/{conversation}", key=new), 403, "key_opens_nothing")
        self.assertEqual(self.state(new)["request"]["given"], 1)

    def test_a_share_that_is_wrong_foreign_or_anothers_is_refused_and_logged(self):
        _, clara, conversation = self.new_user("clara")
        _, dora, _ = self.new_user("dora")
        asked, other = self.request(clara), self.request(dora)
        plain = self.share_of_hand(asked)
        foreign = self.share_of_hand(other)
        wrong = [plain[:i] + bytes([plain[i] ^ 1]) + plain[i + 1:] for i in range(len(plain))]
        before = len([entry for entry in self.entries() if entry["outcome"] == "failed"])
        for share in (*wrong, foreign, plain[:-1], plain + b"\0", b"", b"\0" * len(plain)):
            self.check_error(self.give(asked, share), 400)
        self.check_error(self.give(asked, plain, public=other["public_key"]), 400)
        self.check_error(self.give(asked, plain, key=self.keys["olga"]), 400)
        for body in ({}, {"share": 7}, {"share": ""}, {"share": "x" * 1000}, {"share": "=="}, "nothing"):
            self.check_error(self.ask("POST", f"/v1/admin/recoveries/{asked['id']}/share", body, self.keys["oskar"]), 400)
        failed = [entry for entry in self.entries() if entry["outcome"] == "failed"]
        self.assertGreaterEqual(len(failed) - before, len(wrong) + 6)
        self.assertEqual(self.state(clara)["request"]["given"], 0)
        self.assertEqual(self.give(asked, plain).status, 200)
        self.assertEqual(self.approve("olga", asked).returncode, 0)
        self.assertTrue(self.opens(clara, conversation))

    def forge(self, name):
        """Whoever writes the database shares out a key of his own making, as the pool does."""
        secret, slope, number = os.urandom(32), os.urandom(32), os.urandom(16)
        database = sqlite3.connect(self.site.folder / "pool.db", timeout=60)
        user, salt = database.execute("SELECT id, salt FROM vaults JOIN users ON users.id = user_id WHERE name = ?",
                                      (name,)).fetchone()
        rows = database.execute("SELECT officer, public_key FROM recovery_shares WHERE user_id = ?", (user,)).fetchall()
        common = bytes([1]) + user.to_bytes(8, "big") + salt + number + bytes([self.needed, len(rows)])
        check = hmac.digest(secret, b"cellule recovery check\0" + common, "sha256")
        for point, (officer, public) in enumerate(rows, 1):
            part = bytes(a ^ multiply(b, point) for a, b in zip(secret, slope))
            plain = common + bytes([point]) + check + part + bytes([len(officer)]) + officer.encode()
            with database:
                database.execute("UPDATE recovery_shares SET set_id = ?, digest = ?, sealed = ? WHERE user_id = ? AND officer = ?",
                                 (number, hashlib.sha256(plain).digest(), self.hand.seal(public, plain), user, officer))
        database.close()

    def test_whoever_writes_the_database_cannot_have_a_key_of_his_given_to_a_user(self):
        old, new, conversation = self.new_user("greta")
        self.forge("greta")
        self.assertFalse(self.state(new)["covered"])
        asked = self.request(new)
        for officer in OFFICERS[:2]:
            done = self.approve(officer, asked)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertIn("isn't your share", done.stderr)
        self.check_error(self.give(asked, self.share_of_hand(asked)), 400)
        self.check_error(self.ask("GET", "/v1/conversations", key=new), 403, "key_opens_nothing")
        self.assertEqual(self.ask("POST", f"/v1/admin/recoveries/{asked['id']}/refuse", key=self.keys["oskar"]).status, 200)
        self.ask("POST", "/v1/memory/lock", key=old)
        self.assertTrue(self.opens(old, conversation))
        self.covered(old)
        asked = self.request(new)
        for officer in OFFICERS[:2]:
            self.assertEqual(self.approve(officer, asked).returncode, 0)
        self.assertTrue(self.opens(new, conversation), "shares were made anew when it was opened")

    def test_nobody_helps_himself(self):
        _, new, conversation = self.new_user("oskar", "security_officer")
        asked = self.request(new)
        self.assertEqual([row["id"] for row in self.ask("GET", "/v1/admin/recoveries", key=new).json["recoveries"]
                          if row["user"] == "oskar"], [])
        for key in (new, self.keys["oskar"]):
            for act in ("share", "refuse"):
                self.check_error(self.ask("POST", f"/v1/admin/recoveries/{asked['id']}/{act}", {"share": "AAAA"}, key), 403)
            self.check_error(self.ask("GET", f"/v1/admin/recoveries/{asked['id']}/share", key=key), 403)
        self.assertEqual(self.approve("olga", asked).returncode, 0)
        self.assertFalse(self.opens(new, conversation))
        self.assertEqual(self.approve("otto", asked).returncode, 0)
        self.assertTrue(self.opens(new, conversation))

    def test_an_admin_and_an_officer_who_is_not_named_can_do_nothing(self):
        _, new, _ = self.new_user("emil")
        asked = self.request(new)
        stranger = self.add_user("odette", "security_officer")["key"]
        for key, statuses in ((self.site.admin_key, (403, 403, 403, 403)), (stranger, (200, 403, 403, 403))):
            answers = [self.ask("GET", "/v1/admin/recoveries", key=key),
                       self.ask("GET", f"/v1/admin/recoveries/{asked['id']}/share", key=key),
                       self.ask("POST", f"/v1/admin/recoveries/{asked['id']}/share", {"share": "AAAA"}, key),
                       self.ask("POST", f"/v1/admin/recoveries/{asked['id']}/refuse", key=key)]
            self.assertEqual(tuple(answer.status for answer in answers), statuses)
        self.check_error(self.give(asked, self.share_of_hand(asked), key=stranger), 403)

    def test_the_officer_hears_the_code_from_the_user_or_gives_nothing(self):
        _, new, _ = self.new_user("fritz")
        asked = self.request(new)
        for said in ("0000-0000-0000-0000", asked["code"][:-1], asked["code"] + "0", "x"):
            done = self.approve("olga", asked, code=said)
            self.assertEqual(done.returncode, 1)
            self.assertIn("nothing was given", done.stderr)
        for said in ("", "\n", " \r\n"):
            done = self.approve("olga", asked, stdin=said)
            self.assertEqual(done.returncode, 1)
            self.assertIn("no code was given", done.stderr)
            self.assertNotIn("refuse it", done.stderr, "nobody is suspected of anything")
        self.assertIn("doesn't open with this key", self.approve("olga", asked, key="otto").stderr)
        self.assertEqual(self.state(new)["request"]["given"], 0)

    def test_blanks_around_a_code_that_was_pasted_are_no_sign_of_an_impostor(self):
        _, new, _ = self.new_user("felix")
        asked = self.request(new)
        self.assertEqual(self.approve("olga", asked, stdin=f"  {asked['code']} \r\n").returncode, 0)
        self.assertEqual(self.approve("otto", asked, code=asked["code"] + " ").returncode, 0)

    def test_a_user_asks_on_the_command_line(self):
        _, new, conversation = self.new_user("frida")

        def verb(name):
            return self.site.cellule("memory", "recovery", name, key=new).stdout

        self.assertIn("2 of these officers", verb("status"))
        self.assertIn("What you keep is covered.", verb("status"))
        asked = self.state(new)
        self.assertIsNone(asked["request"])
        said = verb("ask")
        asked = self.state(new)["request"]
        for told in (said, verb("status")):
            self.assertIn(f"code: {asked['code']}\n", told)
            self.assertIn("0 of 2 shares", told)
        for officer in ("olga", "otto"):
            self.assertEqual(self.approve(officer, asked).returncode, 0)
        self.assertTrue(self.opens(new, conversation))

    def test_a_request_ends_when_it_is_refused_and_when_its_key_does(self):
        _, new, _ = self.new_user("gerda")
        asked = self.request(new)
        self.assertEqual(self.site.cellule("admin", "recovery", "refuse", asked["id"], key=self.keys["otto"]).returncode, 0)
        self.assertIsNone(self.state(new)["request"])
        self.assertIn("no such request", self.approve("olga", asked).stderr)
        again = self.request(new)
        self.assertNotEqual((again["id"], again["public_key"]), (asked["id"], asked["public_key"]))
        (key_id,) = [key["id"] for key in self.admin_ask("GET", "/v1/admin/users/gerda/keys").json["keys"][-1:]]
        self.assertEqual(self.admin_ask("POST", f"/v1/admin/keys/{key_id}/revoke").status, 200)
        self.assertIn("no such request", self.approve("olga", again).stderr)

    def test_a_user_who_is_shut_out_gets_nothing(self):
        _, new, _ = self.new_user("hanna")
        asked = self.request(new)
        self.assertEqual(self.approve("olga", asked).returncode, 0)
        self.assertEqual(self.admin_ask("POST", "/v1/admin/users/hanna/disable").status, 200)
        self.assertIn("no such request", self.approve("otto", asked).stderr)

    def test_a_session_cannot_ask_and_who_keeps_nothing_has_nothing_to_recover(self):
        user = self.add_user("ida")["key"]
        self.check_error(self.ask("POST", "/v1/memory/recovery", key=user), 404)
        _, new, _ = self.new_user("jan")
        session = self.ask("POST", "/v1/session", {}, new).json["access_token"]
        self.check_error(self.ask("POST", "/v1/memory/recovery", key=session), 409, "key_needed")

    def test_the_newest_request_of_a_user_counts(self):
        _, first, conversation = self.new_user("karl")
        asked = self.request(first)
        self.assertEqual(self.approve("olga", asked).returncode, 0)
        second = self.admin_ask("POST", "/v1/admin/users/karl/keys", {}).json["key"]
        again = self.request(second)
        self.assertEqual(again["given"], 0)
        self.assertIn("no such request", self.approve("otto", asked).stderr)
        for officer in OFFICERS[:2]:
            self.assertEqual(self.approve(officer, again).returncode, 0)
        self.check_error(self.ask("GET", "/v1/conversations", key=first), 403, "key_opens_nothing")
        self.assertTrue(self.opens(second, conversation))

    def test_a_key_file_is_sealed_and_private(self):
        text = (self.files / "olga").read_bytes()
        self.assertTrue(text.startswith(b"cellule sealed key 1\n"))
        self.assertEqual((self.files / "olga").stat().st_mode & 0o777, 0o600)
        again = self.site.cellule("admin", "recovery-key", "--passphrase-file", self.passphrase, self.files / "olga", check=False)
        self.assertIn("there already", again.stderr)
        self.assertEqual((self.files / "olga").read_bytes(), text)
        open_one = self.site.cellule("admin", "recovery-key", self.files / "open", check=False)
        self.assertIn("give a passphrase", open_one.stderr)
        self.assertFalse((self.files / "open").exists())

    def test_settings_that_make_no_sense_are_refused(self):
        key = self.public["olga"]
        for needed, named in ((1, f"a={key}"), (2, f"a={key}"), (2, f"a={key}, a={self.public['otto']}"),
                              (2, f"a={key}, b={key}"), (2, "a, b"), (2, f"a={key}, b={key[:-1]}"),
                              (2, f"a={key}, b={'A' * 43}"), (2, ""), (2, f"={key}, b={self.public['otto']}")):
            path = self.site.folder / "bad.yaml"
            path.write_text(f'recovery_officers: "{named}"\nrecovery_needed: {needed}\n')
            done = self.site.cellule("pool", "run", "--check", "--site", self.site.folder, "--config", path, check=False)
            self.assertNotEqual(done.returncode, 0, (needed, named, done.stdout))
            self.assertIn("recovery_", done.stderr)


class Stops(Kept):
    keep_alive = False

    def kill(self):
        os.kill(self.site.pool.child.pid, signal.SIGKILL)
        self.site.pool.child.wait()
        self.site.stop()
        self.site.start()

    def test_a_request_ends_with_the_pool_and_can_be_made_anew(self):
        _, new, conversation = self.new_user("anna")
        asked = self.request(new)
        self.assertEqual(self.approve("olga", asked).returncode, 0)
        self.kill()
        self.assertIn("no such request", self.approve("otto", asked).stderr)
        again = self.request(new)
        self.assertEqual(again["given"], 0)
        for officer in OFFICERS[:2]:
            self.assertEqual(self.approve(officer, again).returncode, 0)
        self.kill()  # put together, not yet wrapped: nothing of it is on the disk
        self.check_error(self.ask("GET", "/v1/conversations", key=new), 403, "key_opens_nothing")
        last = self.request(new)
        self.assertEqual(self.give(last, self.share_of_hand(last)).status, 200)
        self.assertEqual(self.approve("otto", last).returncode, 0)
        self.assertTrue(self.opens(new, conversation))
        self.kill()
        self.assertTrue(self.opens(new, conversation), "the new key is one like any other")

    def test_a_kill_while_shares_are_made_leaves_all_of_them_or_none(self):
        for i in range(6):
            user = self.add_user(f"user{i}")["key"]
            self.keep(user)
            self.kill()
            self.assertEqual(self.row_count("user_id = (SELECT max(id) FROM users)") % len(OFFICERS), 0)
            self.ask("GET", "/v1/conversations", key=user)
            self.covered(user)


class Changes(Kept):
    """Officers come and go."""

    def test_off_nothing_is_stored_and_nothing_can_be_asked_for(self):
        self.reload(0, self.public)
        user = self.add_user("anna")["key"]
        conversation = self.keep(user)
        new = self.admin_ask("POST", "/v1/admin/users/anna/keys", {}).json["key"]
        state = self.state(new)
        self.assertEqual((state["on"], state["officers"], state["shares"]), (False, [], 0))
        self.check_error(self.ask("POST", "/v1/memory/recovery", key=new), 409, "recovery_off")
        self.reload(2, self.public)
        self.check_error(self.ask("POST", "/v1/memory/recovery", key=new), 404)
        self.lock(user)
        self.assertTrue(self.opens(user, conversation))
        self.covered(user)

    def lock(self, key):
        self.assertEqual(self.ask("POST", "/v1/memory/lock", key=key).status, 200)

    def test_another_set_of_officers_takes_the_place_of_the_last_at_the_next_opening(self):
        self.reload(2, self.public)
        old, new, conversation = self.new_user("bruno")
        asked = self.request(new)
        stale = self.share_of_hand(asked)
        self.assertEqual(self.approve("olga", asked).returncode, 0)
        fewer = {name: self.public[name] for name in ("olga", "otto")}
        self.reload(2, fewer)
        self.check_error(self.give(asked, stale), 403)
        self.assertEqual(self.approve("otto", asked).returncode, 0, "who still is one may go on")
        self.assertTrue(self.opens(new, conversation))
        wait_for("the shares are those of two", lambda: self.row_count("officer = 'oskar'") == 0)
        self.covered(new)
        self.assertEqual(self.state(new)["shares"], 2)
        self.reload(2, self.public)
        self.lock(new)
        self.assertTrue(self.opens(new, conversation))
        self.covered(new)
        self.assertEqual(self.state(new)["shares"], 3)
        third = self.admin_ask("POST", "/v1/admin/users/bruno/keys", {}).json["key"]
        again = self.request(third)
        self.check_error(self.give(again, stale), 400)
        self.reload(0, self.public)
        self.assertIn("no such request", self.approve("olga", again).stderr)
        self.lock(new)
        self.assertTrue(self.opens(new, conversation))
        wait_for("none is stored", lambda: self.row_count() == 0)
        announced = [entry["target"] for entry in self.entries() if entry["action"] == "pool_policy"]
        for text in ("recovery by 2 of 3 officers", "recovery by 2 of 2 officers", "recovery off"):
            self.assertIn(text, announced)


class Off(SiteCase):
    worker_count = 1

    def test_by_default_there_are_no_shares_and_no_officers(self):
        answer = self.ask("POST", "/v1/chat/completions", self.chat_body(store=True), self.site.user_key)
        self.assertEqual(answer.status, 200)
        state = self.ask("GET", "/v1/memory/recovery", key=self.site.user_key).json
        self.assertEqual((state["on"], state["needed"], state["shares"]), (False, 0, 0))
        self.check_error(self.ask("POST", "/v1/memory/recovery", key=self.site.user_key), 409, "recovery_off")
        database = sqlite3.connect(f"file:{self.site.folder / 'pool.db'}?mode=ro", uri=True)
        self.assertEqual(database.execute("SELECT count(*) FROM recovery_shares").fetchone()[0], 0)
        database.close()


if __name__ == "__main__":
    tap.main()
