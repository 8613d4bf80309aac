"""What an admin is told: of slips in the settings, of who is shut out and how that is undone, of how checking stands."""

import signal

import tap
from fleet import eventually
from proof import ProofCase

MACHINE = "ab" * 32


class Oversight(ProofCase):
    settings = {"verify": "every", "check_delay_ms": 0, "verify_tiers": "lapdog=required", "model_grace_ms": 500}

    def said(self, *words):
        return self.site.cellule("admin", *words, key=self.site.admin_key).stdout

    def test_names_that_nobody_has_and_what_waits_for_a_restart_are_named(self):
        self.assertIn("tier=lapdog", self.pool_log())
        self.fake()
        path = self.site.folder / "pool.yaml"
        good = path.read_text()
        path.write_text(good + "verify_models: \"no-such-model=every\"\nidle_timeout_ms: 76000\n")
        before = len(self.pool_log())
        self.site.pool.signal(signal.SIGHUP)
        eventually("it says so", lambda: "model=no-such-model" in self.pool_log()[before:])
        log = self.pool_log()[before:]
        self.assertIn("tier=lapdog", log)
        line, = [line for line in log.splitlines() if "don't count before" in line]
        self.assertIn("idle_timeout_ms", line)
        self.assertNotIn("verify_models", line)
        path.write_text(good)

    def test_who_is_on_the_blacklist_is_shown_and_told_how_to_come_back(self):
        bad, other = self.fake("--machine", MACHINE, owner="mallory"), self.fake(owner="mallory")
        good = self.fake("--machine", "cd" * 32)
        shut = self.said("worker", "blacklist", "add", "--kind", "machine", "--reason", "test", MACHINE)
        self.assertIn("done: 1 enrolled worker is shut out", shut)
        closed = bad.wait("closed")
        self.assertEqual(closed["code"], 4002)
        self.assertIn("start this worker again", closed["text"])
        self.assertEqual([self.enrolled(worker)[0]["state"] for worker in (bad, other, good)],
                         ["blacklisted", "approved", "approved"])
        self.assertEqual(self.enrolled(bad)[0]["machine"], MACHINE)
        line, = [line for line in self.said("worker", "list").splitlines() if self.enrolled(bad)[0]["id"] in line]
        self.assertIn("blacklisted", line)
        self.assertIn(MACHINE[:12] + " ", line)
        shut = self.said("worker", "blacklist", "add", "--kind", "owner", "--reason", "test", "mallory")
        self.assertIn("done: 2 enrolled workers are shut out", shut)
        again = self.fake_again(bad.name, "--machine", MACHINE)
        self.assertEqual(again.wait("refused")["text"], "revoked")
        for kind, value in (("machine", MACHINE), ("owner", "mallory")):
            self.said("worker", "blacklist", "remove", "--kind", kind, value)
        self.fake_again(bad.name, "--machine", MACHINE).wait("serving")
        self.assertEqual(self.enrolled(bad)[0]["state"], "approved")

    def test_the_status_says_how_checking_stands(self):
        before = self.site.admin("status")
        alone = self.fake()
        self.answered(2)
        now = self.site.admin("status")
        self.assertEqual(now["checks_waiting"] + now["checks_running"], 2)
        self.assertEqual([now[name] for name in ("disputes_waiting", "disputes_open", "workers_quarantined")], [0, 0, 0])
        self.assertEqual(now["workers_convicted"], before["workers_convicted"])
        told = self.said("status")
        for words in ("checks ", "disputes ", "quarantine", "convicted"):
            self.assertIn(words, told)
        alone.stop()

    def test_a_model_that_nobody_has_is_not_found_whatever_the_mode(self):
        for mode in ("off", "proved", "required"):
            refused = self.question(headers=[f"X-Cellule-Verify: {mode}"], model="no-such-model", stream=False).finish()
            self.assertEqual((refused.status, refused.error["code"]), (404, "model_not_found"), mode)

    def test_a_body_that_is_too_long_is_told_how_long_it_may_be(self):
        refused = self.ask("POST", "/v1/chat/completions", {"x": "y" * 5_000_000}, self.site.user_key)
        self.assertEqual(refused.status, 413)
        self.assertIn("4194304 bytes", refused.json["error"]["message"])


if __name__ == "__main__":
    tap.main()
