"""How machines come in and why they go: requests, approvals, tokens, ends, copied keys. enrolment.py BINARY TOP FAKE_WORKER"""

import contextlib
import hashlib
import json
import pathlib
import select
import shutil
import signal
import socket
import sqlite3
import threading
import time
import unittest

import tap
from fleet import FakeWorker, FleetCase, eventually, write_private
from wire import SiteCase, scratch_site

DAY_MS = 24 * 3600 * 1000


class PeopleCase(FleetCase):
    """A site with an admin, an officer who approves, and an owner of machines."""

    settings = {"approval": "on"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for name, role in (("officer", "security_officer"), ("other", "it_admin"), ("olga", "worker_owner"),
                           ("omar", "worker_owner"), ("eve", "employee")):
            setattr(cls, name, cls.site.admin("user", "add", name, "--role", role)["key"])
        cls.admin_name = "admin"

    def check_calm(self):
        pass

    def request(self, key=None, owner="bob", **more):
        answer = self.ask("POST", "/v1/enrolments", {"owner": owner, **more}, key or self.site.admin_key)
        self.assertEqual(answer.status, 201, answer.body)
        return answer.json

    def approve(self, asked, key=None, **more):
        return self.ask("POST", f"/v1/admin/approvals/{asked['id']}/approve", {"hash": asked["hash"], **more},
                        key or self.officer)

    def draw(self, asked, key=None):
        return self.ask("POST", f"/v1/enrolments/{asked['id']}/token", {}, key or self.site.admin_key)

    def approved_token(self, **more):
        asked = self.request(**more)
        self.assertEqual(self.approve(asked).status, 200)
        answer = self.draw(asked)
        self.assertEqual(answer.status, 201, answer.body)
        return asked, answer.json["token"]

    def join(self, token, state, *options):
        return self.site.cellule("worker", "join", token, "--state", self.folder / state, *options, check=False)

    def workers(self):
        return {worker["id"]: worker for worker in self.site.admin("worker", "list")["workers"]}

    def entries(self, **wanted):
        found, size = [], 1
        while len(found) < size:
            answer = self.admin_ask("GET", f"/v1/audit/entries?from={len(found)}").json
            size = answer["size"]
            found += [json.loads(text) for text in answer["entries"]]
        return [entry for entry in found if all(entry.get(name) == value for name, value in wanted.items())]

    def change(self, sql, *values):
        """While the pool stands still."""
        self.site.pool.stop()
        with contextlib.closing(sqlite3.connect(self.folder / "pool.db")) as database, database:
            self.assertEqual(database.execute(sql, values).rowcount, 1)
        self.site.start_pool()


class Approval(PeopleCase):
    def test_request_approval_token_and_key_of_its_own(self):
        asked = self.request(owner="ann", tiers="lab", days=7, **{"class": "gpu"})
        self.assertEqual((asked["state"], asked["requested_by"]), ("waiting", "admin"))
        self.assertEqual(asked["hash"], hashlib.sha256(asked["request"].encode()).hexdigest())
        written = json.loads(asked["request"])
        self.assertEqual(asked["request"], json.dumps(written, sort_keys=True, separators=(",", ":")))
        self.assertEqual((written["owner"], written["class"], written["tiers"]), ("ann", "gpu", "lab"))
        self.check_error(self.draw(asked), 409)
        shown = self.ask("GET", f"/v1/admin/approvals/{asked['id']}", key=self.officer).json
        self.assertEqual(shown, asked)
        decided = self.approve(asked)
        self.assertEqual((decided.json["state"], decided.json["decided_by"]), ("approved", "officer"))
        token = self.draw(asked).json["token"]
        self.check_error(self.draw(asked), 409)
        joined = json.loads(self.join(token, "ann", "--class", "gpu", "--json").stdout)
        worker = self.workers()[joined["worker_id"]]
        self.assertEqual((worker["owner"], worker["class"], worker["tiers"]), ("ann", "gpu", "lab"))
        self.assertEqual(worker["expires_ms"], written["expires_ms"])
        self.assertEqual(worker["approval"], asked["id"])
        self.assertNotEqual(worker["requested_by"], worker["approved_by"])
        self.assertNotEqual(self.join(token, "thief", "--class", "gpu").returncode, 0)
        # Who, what, approved by whom, of which request: in the log, in this order.
        asked_for = self.entries(action="approval_asked", approval=str(asked["id"]))
        self.assertEqual([entry["target"] for entry in asked_for], [f"sha256 {asked['hash']}"])
        target = f"POST /v1/admin/approvals/{asked['id']}/approve sha256 {asked['hash']}"
        self.assertEqual([entry["outcome"] for entry in self.entries(action="approval_decide", target=target)], ["allowed"])
        self.assertTrue(self.entries(action="enrolment_request", target=f"POST /v1/enrolments/{asked['id']}/token"))
        enrolled = self.entries(action="worker_enrolled", target=joined["worker_id"])
        self.assertEqual([entry["approval"] for entry in enrolled], [str(asked["id"])])

    def test_an_admin_alone_enrols_nobody(self):
        self.check_error(self.admin_ask("POST", "/v1/admin/join-tokens", {"owner": "x"}), 403, "approval_wanted")
        asked = self.request()
        error = self.check_error(self.approve(asked, self.site.admin_key), 403)
        self.assertIn("another person", error["message"])
        self.check_error(self.draw(asked), 409)
        number = f"POST /v1/admin/approvals/{asked['id']}/approve"
        outcomes = [entry["outcome"] for entry in self.entries(action="approval_decide")
                    if entry.get("target", "").startswith(number)]
        self.assertEqual(outcomes, ["allowed"])
        self.assertTrue(self.entries(action="approval_decide", outcome="failed", detail="status 403"))

    def test_a_second_key_of_the_same_person_is_the_same_person(self):
        asked = self.request()
        second = self.admin_ask("POST", "/v1/admin/users/admin/keys").json["key"]
        self.check_error(self.approve(asked, second), 403)

    def test_only_what_was_shown_is_approved(self):
        first, second = self.request(owner="first"), self.request(owner="second")
        self.check_error(self.approve(first, hash=second["hash"]), 409)
        for wrong in ("", "0" * 63, "0" * 64, first["hash"].upper()):
            with self.subTest(wrong):
                self.assertIn(self.approve(first, hash=wrong).status, (400, 409))
        self.check_error(self.ask("POST", f"/v1/admin/approvals/{first['id']}/approve", {}, self.officer), 400)
        self.check_error(self.draw(first), 409)
        self.assertEqual(self.approve(first).status, 200)

    def test_a_request_that_was_altered_is_not_approved(self):
        asked = self.request(owner="honest")
        self.change("UPDATE approvals SET request = CAST(replace(CAST(request AS TEXT), 'honest', 'mallet') AS BLOB) "
                    "WHERE id = ?", asked["id"])
        shown = self.ask("GET", f"/v1/admin/approvals/{asked['id']}", key=self.officer).json
        self.assertTrue(shown["altered"])
        self.check_error(self.approve(asked), 409)
        mine = hashlib.sha256(shown["request"].encode()).hexdigest()
        self.check_error(self.approve(asked, hash=mine), 409)

    def test_a_request_that_was_altered_after_its_approval_gives_no_token(self):
        asked = self.request(owner="decent")
        self.assertEqual(self.approve(asked).status, 200)
        self.change("UPDATE approvals SET request = CAST(replace(CAST(request AS TEXT), 'decent', 'mallet') AS BLOB) "
                    "WHERE id = ?", asked["id"])
        self.check_error(self.draw(asked), 409)

    def test_only_who_asked_gets_the_token(self):
        asked = self.request()
        self.assertEqual(self.approve(asked).status, 200)
        self.check_error(self.draw(asked, self.other), 403)
        self.check_error(self.draw(asked, self.olga), 403)
        self.check_error(self.draw(asked, self.officer), 403)
        self.assertEqual(self.draw(asked).status, 201)

    def test_what_is_refused_or_expired_stays_so(self):
        asked = self.request()
        refused = self.ask("POST", f"/v1/admin/approvals/{asked['id']}/refuse", {}, self.officer)
        self.assertEqual(refused.json["state"], "refused")
        self.check_error(self.approve(asked), 409)
        self.check_error(self.draw(asked), 409)
        late = self.request()
        self.assertEqual(self.approve(late).status, 200)
        self.change("UPDATE approvals SET expires_ms = 1000 WHERE id = ?", late["id"])
        self.check_error(self.draw(late), 409)
        self.assertEqual(self.ask("GET", f"/v1/admin/approvals/{late['id']}", key=self.officer).json["state"], "expired")
        for number in ("0", "x", "99999", "-1", "18446744073709551616"):
            with self.subTest(number):
                self.check_error(self.ask("GET", f"/v1/admin/approvals/{number}", key=self.officer), 404)
                self.check_error(self.ask("POST", f"/v1/enrolments/{number}/token", {}, self.site.admin_key), 404)

    def test_what_was_approved_by_who_was_shut_out_since_counts_for_nothing(self):
        leaver = self.add_user("leaver", "security_officer")["key"]
        asked, other = self.request(), self.request()
        for one in (asked, other):
            self.assertEqual(self.approve(one, leaver).status, 200)
        token = self.draw(other).json["token"]
        self.assertEqual(self.admin_ask("POST", "/v1/admin/users/leaver/disable").status, 200)
        self.check_error(self.draw(asked), 403)
        self.assertEqual(self.join(token, "never").returncode, 1)

    def test_the_requests_for_an_owner_who_is_shut_out_end_with_him(self):
        waiting, approved, other = self.request(owner="gone"), self.request(owner="gone"), self.request(owner="stays")
        for one in (approved, other):
            self.assertEqual(self.approve(one).status, 200)
        self.site.cellule("admin", "revoke", "owner", "gone", key=self.officer)
        self.check_error(self.approve(waiting), 409)
        self.check_error(self.draw(approved), 409)
        self.assertEqual(self.draw(other).status, 201)

    def test_an_owner_asks_for_machines_of_ones_own(self):
        self.check_error(self.ask("POST", "/v1/enrolments", {"owner": "bob"}, self.olga), 403)
        self.check_error(self.ask("POST", "/v1/enrolments", {"owner": "olga", "referee": True}, self.olga), 403)
        asked = self.request(self.olga, "olga")
        own = self.ask("GET", "/v1/enrolments", key=self.olga).json["approvals"]
        self.assertEqual([one["id"] for one in own], [asked["id"]])
        self.assertEqual(self.ask("GET", "/v1/enrolments", key=self.omar).json["approvals"], [])
        self.check_error(self.approve(asked, self.olga), 403)
        self.assertEqual(self.approve(asked, self.site.admin_key).status, 200)
        self.check_error(self.draw(asked, self.omar), 403)
        self.assertEqual(self.draw(asked, self.olga).status, 201)

    def test_a_contractors_machine_has_an_end_that_is_near(self):
        for wrong in ({}, {"days": 0}, {"days": 31}, {"days": "7"}):
            with self.subTest(wrong):
                body = {"owner": "carl", "contractor": True, **wrong}
                self.check_error(self.admin_ask("POST", "/v1/enrolments", body), 400)
        _, token = self.approved_token(owner="carl", contractor=True, days=30)
        joined = json.loads(self.join(token, "carl", "--json").stdout)
        worker = self.workers()[joined["worker_id"]]
        self.assertTrue(worker["contractor"])
        self.assertLessEqual(worker["expires_ms"], int(time.time() * 1000) + 30 * DAY_MS)

    def test_the_class_that_was_approved_is_the_one_that_joins(self):
        _, token = self.approved_token(owner="gregor", **{"class": "gpu"})
        refused = self.join(token, "gregor")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("--class gpu", refused.stderr)
        self.assertEqual(self.join(token, "gregor", "--class", "gpu").returncode, 0)
        file = self.folder / "gregor" / "pool.json"
        file.write_text(file.read_text().replace('"gpu"', '"cpu"'))
        worker = FakeWorker(self.folder, "gregor", "--once")
        self.addCleanup(worker.stop)
        self.assertEqual(worker.wait("refused")["text"], "class")
        file.write_text(file.read_text().replace('"cpu"', '"gpu"'))
        again = FakeWorker(self.folder, "gregor", "--once")
        self.addCleanup(again.stop)
        again.wait("serving")

    def test_the_command_line_goes_the_same_way(self):
        asked = self.site.cellule("admin", "enrolment", "request", "--owner", "cli", "--days", "3", key=self.site.admin_key)
        command = asked.stdout.split("\n\n")[1].split()
        self.assertEqual(command[:4], ["cellule", "admin", "approval", "approve"])
        number = command[4]
        self.assertIn('"owner":"cli"', asked.stdout)
        refused = self.site.cellule(*command[1:], key=self.site.admin_key, check=False)
        self.assertEqual(refused.returncode, 1)
        shown = self.site.cellule("admin", "approval", "show", number, key=self.officer)
        self.assertIn(command[-1], shown.stdout)
        self.site.cellule(*shown.stdout.split("\n\n")[1].split()[1:], key=self.officer)
        self.assertIn("approved", self.site.cellule("admin", "approval", "list", key=self.officer).stdout)
        self.assertIn("approved", self.site.cellule("admin", "enrolment", "list", key=self.site.admin_key).stdout)
        line = self.site.cellule("admin", "enrolment", "token", number, key=self.site.admin_key).stdout
        self.assertEqual(self.join(line.split()[-1], "cli").returncode, 0)
        other = self.request()
        self.site.cellule("admin", "approval", "refuse", other["id"], key=self.officer)


class Policy(PeopleCase):
    """The setting `approval` changes while the pool runs."""

    settings = {"approval": "off"}

    def test_a_token_that_nobody_approved_is_worth_nothing_once_approval_is_asked(self):
        self.assertIn("one admin is enough", self.pool_log())
        self.assertTrue(self.entries(action="pool_policy", target="approval off"))
        early = self.admin_ask("POST", "/v1/admin/join-tokens", {"owner": "early"}).json["token"]
        used = self.admin_ask("POST", "/v1/admin/join-tokens", {"owner": "used"}).json["token"]
        self.assertEqual(self.join(used, "used").returncode, 0)
        file = self.folder / "pool.yaml"
        file.write_text(file.read_text().replace('approval: "off"', 'approval: "on"'))
        self.site.pool.signal(signal.SIGHUP)
        eventually("the policy is told", lambda: self.entries(action="pool_policy", target="approval on"))
        self.assertIn("another person must approve", self.pool_log())
        refused = self.join(early, "early")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("not approved", refused.stderr)
        self.check_error(self.admin_ask("POST", "/v1/admin/join-tokens", {"owner": "late"}), 403, "approval_wanted")
        worker = FakeWorker(self.folder, "used", "--once")
        self.addCleanup(worker.stop)
        worker.wait("serving")  # who is in stays in

    def test_an_owner_needs_approval_in_any_case(self):
        self.check_error(self.ask("POST", "/v1/admin/join-tokens", {"owner": "olga"}, self.olga), 403)
        asked = self.request(self.olga, "olga")
        self.check_error(self.draw(asked, self.olga), 409)


class NoPolicy(unittest.TestCase):
    """A site whose settings don't say asks for approval."""

    def test_without_the_setting_approval_is_asked(self):
        def forget(site):
            file = site.folder / "pool.yaml"
            lines = [line for line in file.read_text().splitlines() if not line.startswith("approval:")]
            file.write_text("\n".join([*lines, ""]))

        with scratch_site(worker_count=0, prepare=forget) as site:
            refused = site.cellule("admin", "worker", "token", "--owner", "x", key=site.admin_key, check=False)
            self.assertEqual(refused.returncode, 1)
            self.assertIn("another person", refused.stderr)


class End(FleetCase):
    """An enrolment ends by its date, on a live connection, and beats have no part in it."""

    settings = {"beat_ms": 60000}

    def test_a_live_connection_is_closed_when_its_time_comes(self):
        first = self.fake()
        first.stop()
        for seconds in (10, 40, 160):  # a slow machine may not be back in time for the first
            self.site.pool.stop()
            end = int((time.time() + seconds) * 1000)
            with contextlib.closing(sqlite3.connect(self.folder / "pool.db")) as database, database:
                database.execute("UPDATE workers SET expires_ms = ?", (end,))
            self.site.start_pool()
            worker = self.fake_again(first.name, "--once")
            eventually("it is in, or refused", lambda: worker.of("connected") or worker.of("refused"))  # noqa: B023
            if worker.of("connected"):
                break
        told = worker.wait("revoked", seconds=300)
        self.assertIn("expired", told["text"])
        self.assertGreaterEqual(told["at_ms"], end)
        self.assertLess(told["at_ms"], end + 30000, "half a beat: no beat has brought it about")
        again = self.fake_again(worker.name, "--once")
        self.assertEqual(again.wait("refused")["text"], "expired")
        self.workers_before = 0


class Relay(threading.Thread):
    """Takes connections and passes them on to the pool from another address of this machine."""

    def __init__(self, address, source):
        super().__init__(daemon=True)
        host, _, port = address.rpartition(":")
        self.pool, self.source = (host, int(port)), source
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                client = self.listener.accept()[0]
                threading.Thread(target=self.pass_on, args=(client,), daemon=True).start()

    def pass_on(self, client):
        with client, socket.create_connection(self.pool, source_address=(self.source, 0)) as pool, \
                contextlib.suppress(OSError):
            while True:
                for ready in select.select([client, pool], [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    (pool if ready is client else client).sendall(data)

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class CopiedKey(FleetCase):
    """A key file that was copied to another machine."""

    settings = {"beat_ms": 1000}
    mine, theirs = "aa" * 32, "bb" * 32

    def copy(self, worker, address=None):
        """The folder as a thief has it; through `address` if it dials from elsewhere."""
        type(self).number += 1
        name = f"copied{self.number}"
        shutil.copytree(self.folder / worker, self.folder / name)
        if address is not None:
            file = self.folder / name / "pool.json"
            file.write_text(json.dumps({**json.loads(file.read_text()), "address": address}))
        return name

    def relay(self):
        relay = Relay(self.site.address, "127.0.0.2")
        self.addCleanup(relay.stop)
        return relay.address

    def state(self, worker):
        identity = json.loads((self.folder / worker / "pool.json").read_text())["worker_id"]
        listed = self.site.admin("worker", "list")["workers"]
        return identity, next(one for one in listed if one["id"] == identity)

    def check_quarantined(self, name):
        identity, listed = self.state(name)
        self.assertEqual(listed["state"], "quarantined")
        self.assertGreater(listed["suspected_ms"], 0)
        eventually("neither is connected", lambda: not self.state(name)[1]["connected"])
        answer = self.admin_ask("GET", "/v1/audit/entries?from=0")
        entries = [json.loads(text) for text in answer.json["entries"]]
        self.assertTrue([one for one in entries if one["action"] == "worker_quarantined" and one["target"] == identity])
        # Whoever has its key would have the next one too.
        self.check_error(self.admin_ask("POST", f"/v1/admin/workers/{identity}/rotate"), 409)
        return identity

    def test_two_sessions_of_two_machines_are_both_quarantined(self):
        worker = self.fake("--machine", self.mine)
        thief = self.fake_again(self.copy(worker.name), "--machine", self.theirs)
        self.assertEqual(thief.wait("refused")["text"], "quarantined")
        self.assertIn("two places", worker.wait("revoked")["text"])
        self.check_quarantined(worker.name)
        for machine in (self.mine, self.theirs):
            again = self.fake_again(worker.name, "--machine", machine, "--once")
            self.assertEqual(again.wait("refused")["text"], "quarantined")

    def test_a_key_that_turns_up_on_another_machine_is_quarantined(self):
        worker = self.fake("--machine", self.mine)
        worker.stop()
        for thief in ("--machine", self.theirs), ():  # one that says its own id, one that says none
            with self.subTest(thief):
                stolen = self.fake_again(self.copy(worker.name), *thief, "--once")
                self.assertEqual(stolen.wait("refused")["text"], "quarantined")
                identity = self.check_quarantined(worker.name)
                self.assertEqual(self.admin_ask("POST", f"/v1/admin/workers/{identity}/clear").status, 200)
                back = self.fake_again(worker.name, "--machine", self.mine)
                back.wait("serving")
                back.stop()
        self.check_error(self.admin_ask("POST", f"/v1/admin/workers/{identity}/clear"), 409, "nothing_to_clear")

    def test_quarantine_outlives_a_restart_and_a_new_token(self):
        worker = self.fake("--machine", self.mine)
        thief = self.fake_again(self.copy(worker.name), "--machine", self.theirs)
        thief.wait("refused")
        self.site.pool.stop()
        self.site.start_pool()
        self.check_quarantined(worker.name)
        again = self.fake_again(worker.name, "--machine", self.mine, "--once")
        self.assertEqual(again.wait("refused")["text"], "quarantined")
        listed = self.state(worker.name)[1]
        token = self.site.admin("worker", "token", "--owner", listed["owner"])["token"]
        refused = self.site.cellule("worker", "join", token, "--state", self.folder / worker.name, check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("another machine", refused.stderr)

    def test_two_that_live_at_once_at_two_addresses_are_both_quarantined(self):
        """A machine that was cloned with its id."""
        worker = self.fake("--machine", self.mine)
        clone = self.fake_again(self.copy(worker.name, self.relay()), "--machine", self.mine)
        clone.wait("connected")
        clone.wait("revoked")
        self.check_quarantined(worker.name)

    def test_a_worker_that_comes_back_from_elsewhere_is_no_thief(self):
        """Its old connection is dead, though the pool doesn't know yet."""
        worker = self.fake("--machine", self.mine)
        worker.signal(signal.SIGSTOP)
        moved = self.fake_again(self.copy(worker.name, self.relay()), "--machine", self.mine)
        moved.wait("serving")
        eventually("the old connection is gone", lambda: self.metrics()["cellule_http_connections"] <= 2)
        self.assertEqual(self.state(worker.name)[1]["state"], "approved")
        self.assertTrue(self.state(worker.name)[1]["connected"])
        worker.signal(signal.SIGKILL)

    def test_a_machine_without_an_id_stays_unsuspected(self):
        worker = self.fake()
        worker.stop()
        self.fake_again(self.copy(worker.name)).wait("serving")


@unittest.skipUnless(pathlib.Path("/etc/machine-id").is_file() and pathlib.Path("/etc/machine-id").read_text().strip(),
                     "this machine has no id")
class CopiedRealKey(SiteCase):
    """The same with the program as it is: the worker ends, and its engine with it."""

    worker_count = 1

    def test_the_real_worker_ends(self):
        shutil.copytree(self.site.worker_folder(0), self.site.folder / "stolen")
        thief = FakeWorker(self.site.folder, "stolen", "--machine", "cc" * 32, "--once")
        self.addCleanup(thief.stop)
        self.assertEqual(thief.wait("refused")["text"], "quarantined")
        worker = self.site.workers[0]
        eventually("the worker ends", lambda: not worker.alive())
        self.assertEqual(worker.child.returncode, 1)
        self.assertIn("two places", worker.last_lines())
        self.assertEqual(self.site.admin("worker", "list")["workers"][0]["state"], "quarantined")


if __name__ == "__main__":
    tap.main()
