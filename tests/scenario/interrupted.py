"""A pool that dies, or finds the disk full, at one change of its database's files after the other, while keys are exchanged,
what is kept is erased, or all is copied. interrupted.py BINARY TOP FAKE_WORKER COMPILER…"""

import os
import sqlite3
import struct
import subprocess
import sys

import tap
from wire import BINARY, HERE, PATIENCE, Connection, SiteCase, wait_for

COMPILER = sys.argv[4:]
FACT = "My dog is called Rex"
# Changes that are made before it dies; between them are those that the unit tests go through one by one.
PLACES = (1, 4, 9, 16, 30, 60, 110, 200)


class Interrupted(SiteCase):
    worker_count = 0
    keep_alive = False

    @classmethod
    def prepare(cls):
        folder = cls.site.folder
        shim = folder / "ends_at.so"
        subprocess.run([*COMPILER, "-shared", "-fPIC", "-O1", "-o", shim, HERE / "ends_at.c"], check=True)
        cls.number_file = folder / "ends_at"
        cls.number_file.write_bytes(bytes(8))
        cls.preload = {"LD_PRELOAD": str(shim), "ENDS_AT": str(cls.number_file),
                       "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}
        cls.site.pool_environment = cls.preload

    def end_before(self, changes):
        with open(self.number_file, "r+b") as file:
            file.write(struct.pack("=q", changes))

    def tell(self, method, path, body, key):
        """The answer, or None where the pool is gone before."""
        try:
            with Connection(self.site.address, self.context) as connection:
                answer = connection.ask(method, path, body, key)
        except OSError:
            return None
        return answer if answer.status != 0 and answer.complete else None

    def alive_again(self):
        """Whether it had died; it runs again."""
        died = self.number_file.read_bytes() == bytes(8)
        self.end_before(0)
        if died:
            self.assertEqual(self.site.pool.child.wait(PATIENCE), 137)  # it was on its way out
            self.site.start_pool()
        return died

    def rows(self, where, path=None):
        database = sqlite3.connect(f"file:{path or self.site.folder / 'pool.db'}?mode=ro", uri=True)
        try:
            return database.execute(f"SELECT count(*) FROM {where}").fetchone()[0]
        finally:
            database.close()

    def user(self, name):
        made = self.add_user(name)
        self.assertEqual(self.ask("POST", "/v1/memory/facts", {"text": FACT}, made["key"]).status, 200)
        return made

    def opens(self, key):
        answer = self.ask("GET", "/v1/memory/facts", key=key)
        return answer.status == 200 and [fact["text"] for fact in answer.json["facts"]] == [FACT]

    def interrupt(self, name, act, check):
        """Until the pool outlives it."""
        died = 0
        for place in PLACES:
            made = self.user(f"{name}{place}")
            self.end_before(place)
            done = act(made)
            if self.alive_again():
                died += 1
                check(made, done)
            elif done:
                break
        self.assertGreater(died, 2)
        check(made, done)

    def rotate(self, old):
        """What its user has seen of it: the new key, and that the old one is revoked."""
        made = self.tell("POST", "/v1/keys", {}, old["key"])
        if made is None or made.status != 201:
            return None
        revoked = self.tell("POST", f"/v1/keys/{old['key_id']}/revoke", {}, made.json["key"])
        return made.json["key"], revoked is not None and revoked.status == 200

    def check_rotation(self, old, done):
        held = old["key"] if done is None else done[0]
        wait_for("a key opens", lambda: self.opens(held))
        if done is not None and done[1]:
            self.assertEqual(self.ask("GET", "/v1/models", key=old["key"]).status, 401)
        again = self.ask("POST", "/v1/keys", {}, held)
        self.assertEqual(again.status, 201, again.body)
        self.assertTrue(self.opens(again.json["key"]))

    def test_1_a_rotation_leaves_a_key_that_opens(self):
        self.interrupt("anna", self.rotate, self.check_rotation)

    def test_2_an_erasure_has_not_begun_or_goes_on(self):
        def erase(made):
            answer = self.tell("POST", "/v1/privacy/erase", {"confirm": "everything"}, made["key"])
            return answer is not None and answer.status == 200

        def check(made, done):
            user = f"user_id = (SELECT user_id FROM keys WHERE id = {made['key_id']})"
            if self.rows(f"vault_wraps WHERE {user}"):
                self.assertFalse(done)
                self.assertTrue(self.opens(made["key"]))
                self.assertTrue(erase(made))
            for table in ("vault_wraps", "vaults", "facts"):
                wait_for(f"no {table} are left", lambda name=table: not self.rows(f"{name} WHERE {user}"))
        self.interrupt("bruno", erase, check)

    def test_3_a_full_disk_leaves_a_key_that_opens_and_a_pool_that_goes_on(self):
        refused = 0
        for place in PLACES:
            old = self.user(f"dora{place}")
            self.end_before(-place)
            done = self.rotate(old)
            held = old["key"] if done is None else done[0]  # the old one is shut out at once, stored or not
            wait_for("a key opens without room", lambda key=held: self.opens(key))
            self.end_before(0)
            self.check_rotation(old, done)
            if done is not None and done[1]:
                break
            refused += 1
        self.assertGreater(refused, 2)
        self.assertTrue(self.site.pool.alive())

    def test_4_a_copy_is_whole_or_empty(self):
        self.site.stop()
        source = self.site.folder / "pool.db"
        for place in (1, 4, 20, 70, 200, 400, 600, 900, 10000):
            target = self.site.folder / f"copy{place}.db"
            command = [BINARY, "admin", "database", "copy", str(source), str(target)]
            self.end_before(place)
            status = subprocess.run(command, env={**os.environ, **self.preload}, capture_output=True, check=False).returncode
            self.end_before(0)
            self.assertIn(status, (0, 137))
            again = subprocess.run(command, capture_output=True, text=True, check=False)
            if again.returncode != 0:
                self.assertIn("empty", again.stderr)
            for table in ("users", "keys", "vault_wraps", "facts", "audit_entries"):
                self.assertEqual(self.rows(table, target), self.rows(table, source), table)
            if status == 0:
                break
        self.assertEqual(status, 0)
        self.site.start_pool("--database", str(target))
        self.assertEqual(self.add_user("clara")["user"], "clara")


if __name__ == "__main__":
    tap.main()
