"""What workers are shown of the pool's keys. pool_keys.py BINARY TOP FAKE_WORKER"""

import json

import tap
from fleet import FleetCase
from wire import SiteCase, wait_for

EXCHANGES = 8


def rotate(site, kind):
    site.cellule("admin", "secrets", "rotate", kind, "--json", key=site.admin_key)


class Shown(FleetCase):
    def test_whatever_a_worker_is_shown_is_signed_by_the_last_key_that_it_was_told_of(self):
        """They ask for proofs without end while the key is exchanged, so that one is always under way."""
        worker = self.fake("--behave", "curious", "--slots", 1, count=3)
        worker.wait("proved", 3, keys=0)
        for count in range(1, EXCHANGES + 1):
            rotate(self.site, "pool")
            worker.wait("proved", 3, keys=count)
        self.assertEqual(worker.of("forked"), [])
        self.assertEqual(worker.of("closed"), [])
        late = self.fake("--behave", "curious", "--slots", 1)
        late.wait("proved", keys=EXCHANGES)
        self.assertEqual(late.of("forked"), [])


class Late(SiteCase):
    """Enrolled by a join token of the usual form, which names no key."""

    worker_count = 0

    def test_a_machine_that_joins_after_exchanges_serves_and_knows_the_keys(self):
        rotate(self.site, "pool")
        rotate(self.site, "pool")
        self.site.start_worker(0)
        wait_for("it serves", lambda: self.metrics()["cellule_workers_connected"] == 1)
        self.check_good_request()
        kept = list(self.site.worker_folder(0).glob("keys-*.json"))
        self.assertEqual([len(json.loads(file.read_text())["steps"]) for file in kept], [2])
        self.assertEqual(kept[0].stat().st_mode & 0o777, 0o600)
        rotate(self.site, "pool")
        wait_for("it knows the next", lambda: len(json.loads(kept[0].read_text())["steps"]) == 3)
        self.check_good_request()


if __name__ == "__main__":
    tap.main()
