"""Real workers that cheat (`worker run --cheat`, only in test builds) among honest ones are convicted, in each mode of
checking; nobody else is, and who asks for `required` never sees what they said."""

import json
import pathlib
import struct
import subprocess
import unittest

import tap
from fleet import MODEL, FleetCase, eventually
from wire import BINARY

QUESTIONS_MAX = 40  # until a cheat that cheats in each answer is convicted


def can_cheat():
    """Builds that can't say that the option is none of theirs."""
    done = subprocess.run([BINARY, "worker", "run", "--model", "x", "--state", "/nonexistent", "--cheat", "replay"],
                          capture_output=True, check=False)
    return done.returncode == 1


def write_other_model(path):
    """The same model, but for the constant in its norms."""
    data = bytearray(MODEL.read_bytes())
    at = data.index(b"layer_norm_rms_epsilon") + len(b"layer_norm_rms_epsilon") + 4  # behind the value's type
    data[at:at + 4] = struct.pack("<f", 0.5)
    path.write_bytes(data)


@unittest.skipUnless(MODEL.exists(), f"no model {MODEL}")
@unittest.skipUnless(can_cheat(), "this build can't cheat")
class Cheats(FleetCase):
    settings = {"check_delay_ms": 0, "verify": "every"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.honest = [cls.start(0), cls.start(1)]
        cls.index = 1

    @classmethod
    def start(cls, index, *options):
        """Its worker id, once it is connected."""
        before = cls.site.connected_workers()
        worker = cls.site.start_worker(index, *options)
        cls.site.wait_for("the worker is connected", lambda: cls.site.connected_workers() > before, [worker])
        return json.loads((cls.site.worker_folder(index) / "pool.json").read_text())["worker_id"]

    def state(self, worker):
        return self.site.admin("worker", "standing", worker)["state"]

    def ask_some(self, number):
        """A question of its own each time."""
        body = self.chat_body() | {"model": MODEL.stem, "seed": number, "max_tokens": 24, "temperature": 1,
                                   "messages": [{"role": "user", "content": f"What is {number}?"}]}
        answer = self.ask("POST", "/v1/chat/completions", body, self.site.user_key)
        self.assertEqual(answer.status, 200, answer.body)

    def convicts(self, way):
        type(self).index += 1
        cheat = self.start(self.index, "--unconfined", "--cheat", way)  # its other model is in another folder
        process = self.site.workers[-1]
        asked = 0
        while self.state(cheat) != "convicted":
            self.assertLess(asked, QUESTIONS_MAX, self.site.admin("worker", "standing", cheat))
            self.ask_some(asked)
            asked += 1
            if self.metric("verify_waiting") + self.metric("verify_running") > 0:
                eventually("what is asked is checked",
                           lambda: self.metric("verify_waiting") + self.metric("verify_running") == 0)
        eventually("it has gone", lambda: not process.alive())
        self.site.workers.remove(process)
        process.stop()
        for worker in self.honest:
            eventually("nobody honest is suspected", lambda: self.state(worker) in ("new", "regular", "alert"))
        bundle = pathlib.Path(self.folder) / "evidence.json"
        self.site.cellule("admin", "worker", "evidence", cheat, "--output", bundle, key=self.site.admin_key)
        pool_id = self.ask("GET", "/v1/pool").json["pool_id"]
        self.site.cellule("verify", "evidence", "--pool-id", pool_id, bundle)

    def test_one_that_edits_a_token_is_convicted(self):
        self.convicts("edit:3")

    def test_one_that_repeats_itself_is_convicted(self):
        self.convicts("replay")

    def test_one_with_another_model_is_convicted(self):
        other = pathlib.Path(self.folder) / "other.gguf"
        write_other_model(other)
        self.convicts(f"model:{other}")

    def test_one_that_cheats_now_and_then_is_convicted(self):
        self.convicts("edit:3,share=0.5")


@unittest.skipUnless(MODEL.exists(), f"no model {MODEL}")
class Room(FleetCase):
    settings = {"check_delay_ms": 0, "verify": "every"}

    def start(self, index, *options):
        worker = self.site.start_worker(index, *options)
        self.addCleanup(self.site.workers.clear)
        self.addCleanup(worker.stop)
        eventually("it is connected", lambda: self.site.connected_workers() > index)

    def cut_answer(self):
        """One that ended for want of room."""
        for seed in range(30):
            body = self.chat_body("Tell me everything.", temperature=2, max_tokens=1500, seed=seed)
            answer = self.ask("POST", "/v1/chat/completions", body, self.site.user_key)
            if answer.json["choices"][0]["finish_reason"] == "length":
                return answer.headers["x-cellule-job"]
        raise AssertionError("every answer had room")

    def test_one_with_less_room_than_those_who_check_it_is_no_cheat(self):
        self.start(0, "--context", "64")
        job = self.cut_answer()
        self.start(1)
        self.start(2)
        eventually("it is checked", lambda: self.ask("GET", f"/v1/receipts/{job}", key=self.site.user_key)
                   .json["verification"] == "agreed")
        for worker in self.site.admin("worker", "list")["workers"]:
            self.assertIn(self.site.admin("worker", "standing", worker["id"])["state"], ("new", "regular"))


class Spot(Cheats):
    settings = {"check_delay_ms": 0, "verify": "spot"}


class Required(Cheats):
    """Two at once, and so many questions at once that the cheat has its part in them: what it says is never let out alone."""

    mode = "required"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.honest.append(cls.start(2))
        cls.index = 2

    def asked(self, number):
        members = {"model": MODEL.stem, "seed": number, "max_tokens": 24, "temperature": 1}
        return self.question(f"What is {number}?", headers=[f"X-Cellule-Verify: {self.mode}"], **members)

    def ask_some(self, number):
        answers = [self.asked(number % 4 + i) for i in range(4)]
        for i, answer in enumerate(answers):
            self.assert_whole(answer)
            text = self.right.setdefault(number % 4 + i, answer.text)
            self.assertEqual(answer.text, text)

    def convicts(self, way):
        self.right = {i: self.asked(i).finish().text for i in range(8)}
        super().convicts(way)


if __name__ == "__main__":
    tap.main()
