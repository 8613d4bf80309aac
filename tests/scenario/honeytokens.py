"""Honeytokens, end to end: a marker in what another worker says, or in a document in whatever coding, names the worker that it
was sent to; what only looks like one accuses nobody."""

import base64
import json
import random
import sqlite3
import uuid

import tap
from fleet import eventually
from proof import ProofCase


class Honeytokens(ProofCase):
    settings = {"verify": "off", "honeytoken_every": 1, "honeytoken_delay_ms": 0}

    def marker_of(self, worker):
        """The first one that the pool sent it."""
        worker_id = self.enrolled(worker)[0]["id"]
        database = sqlite3.connect(self.folder / "pool.db")
        try:
            found = []

            def sent():
                found[:] = database.execute("SELECT marker FROM honeytokens WHERE worker_id = ? ORDER BY id",
                                            (bytes.fromhex(worker_id),)).fetchall()
                return found

            eventually("it got a honeytoken", sent)
            return found[0][0]
        finally:
            database.close()

    def baited(self):
        """A worker that was sent a marker and has left, and the marker."""
        worker = self.fake()
        self.answered()
        worker.wait("job", 2)
        marker = self.marker_of(worker)
        worker.stop()
        return worker, marker

    def check(self, content):
        document = self.folder / "document"
        document.write_bytes(content if isinstance(content, bytes) else content.encode())
        return self.site.admin("honeytoken", "check", document)["honeytokens"]

    def listed(self, marker):
        return [one for one in self.site.admin("honeytoken", "list")["honeytokens"] if one["marker"] == marker]

    def test_a_marker_that_another_worker_says_names_the_one_that_logged_it(self):
        worker, marker = self.baited()
        worker_id = self.enrolled(worker)[0]["id"]
        own = self.fake_again(worker.name, "--says", f"I was asked about {marker}.")
        own.wait("serving")
        self.answered()
        self.assertEqual(self.listed(marker), [])
        own.stop()
        other = self.fake("--says", f"A friend's log says \"{marker.upper()}\" somewhere.")
        answer, = self.answered()
        eventually("it is seen", lambda: self.listed(marker))
        seen, = self.listed(marker)
        self.assertEqual(seen["worker"], worker_id)
        self.assertIn(answer.job, seen["seen_where"])
        self.assertIn(self.enrolled(other)[0]["id"], seen["seen_where"])
        said = self.site.cellule("admin", "honeytoken", "list", key=self.site.admin_key).stdout.splitlines()
        self.assertEqual(said[0].split(), ["MARKER", "SENT", "TO", "SENT", "SEEN", "WHERE"])
        self.assertTrue(any(line.startswith(f"{marker} {worker_id} 2") and line.endswith(seen["seen_where"])
                            for line in said[1:]), said)
        eventually("it is counted", lambda: self.metric("honeytokens_seen_total") == 1)
        self.assertIn(worker_id, [line for line in self.pool_log().splitlines() if "honeytoken was seen" in line][0])
        self.assertEqual({self.standings(one)[0]["state"] for one in (worker, other)}, {"new"})

    def test_both_workers_that_answer_at_once_are_sent_markers(self):
        workers = [self.fake(owner=owner) for owner in ("ann", "bob")]
        self.answered(headers=["X-Cellule-Verify: required"])
        self.assertEqual(len({self.marker_of(worker) for worker in workers}), 2)
        for worker in workers:
            worker.wait("job", 2)
            worker.stop()

    def test_a_marker_is_found_in_documents_in_whatever_coding(self):
        worker, marker = self.baited()
        worker_id = self.enrolled(worker)[0]["id"]
        text = f"log: {marker} ende"
        noise = random.Random(1).randbytes(3000)
        half = len(marker) // 2
        codings = {
            "upper case": text.upper(),
            "binary": noise + text.encode() + noise,
            "lines": marker[:half] + "\r\n> " + marker[half:],
            "UTF-16": text.encode("utf-16"),
            "UTF-16BE": text.encode("utf-16-be"),
            "base64": base64.encodebytes(b"x" + text.encode()),
            "base64 of UTF-16": base64.urlsafe_b64encode(text.encode("utf-16")),
            "hexadecimal": text.encode().hex(),
            "URL": "a=" + "".join(f"%{byte:02X}" for byte in text.encode()),
            "JSON": '{"prompt":"' + "".join(f"\\u{byte:04x}" for byte in text.encode()) + '"}',
            "JSON in JSON": json.dumps(json.dumps({"prompt": text})),
            "HTML": "".join(f"&#{byte};" for byte in text.encode()),
        }
        for name, content in codings.items():
            with self.subTest(name):
                self.assertEqual([(one["marker"], one["worker"]) for one in self.check(content)],
                                 [(marker, worker_id)], name)

    def test_a_marker_at_the_end_of_a_long_file_with_many_like_it_is_found(self):
        worker, marker = self.baited()
        document = self.folder / "document"
        generator = random.Random(2)
        with open(document, "w") as file:
            for _ in range(3000):
                file.write(f"{uuid.UUID(int=generator.getrandbits(128), version=4)}\n")
            for _ in range(100):
                file.write("nothing to be seen here\n" * 44000)  # a megabyte
            file.write(f"{marker}")
        found = self.site.admin("honeytoken", "check", document)["honeytokens"]
        self.assertEqual([one["marker"] for one in found], [marker])
        self.assertEqual(found[0]["worker"], self.enrolled(worker)[0]["id"])

    def test_what_comes_on_standard_input_is_searched(self):
        _, marker = self.baited()
        said = self.site.cellule("admin", "honeytoken", "check", "-", "--json", key=self.site.admin_key, stdin=f"seen: {marker}")
        self.assertEqual([one["marker"] for one in json.loads(said.stdout)["honeytokens"]], [marker])

    def test_what_only_looks_like_a_marker_accuses_nobody(self):
        worker, marker = self.baited()
        leaks = self.metric("honeytokens_seen_total")
        digit = "0" if marker[0] != "0" else "1"
        innocent = f"{uuid.uuid4()} {digit}{marker[1:]} {uuid.uuid4().hex} " + marker[:-1]
        self.assertEqual(self.check(innocent), [])
        self.assertEqual(self.check(b""), [])
        document = self.folder / "document"
        said = self.site.cellule("admin", "honeytoken", "check", document, key=self.site.admin_key).stdout
        self.assertIn("No marker", said)
        self.fake("--says", f"{innocent}x")  # lest what it goes on with happens to be the missing digit
        answer = self.question(f"What is {innocent}?")
        self.assert_whole(answer)
        self.answered()
        self.assertEqual(self.listed(marker), [])
        self.assertEqual(self.metric("honeytokens_seen_total"), leaks)
        self.assertEqual(self.standings(worker)[0]["state"], "new")

    def test_a_file_that_cannot_be_read_is_an_error(self):
        for path in (self.folder / "missing", self.folder):
            done = self.site.cellule("admin", "honeytoken", "check", path, key=self.site.admin_key, check=False)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertIn("cannot read", done.stderr)

    def test_more_than_the_pool_looks_up_at_once_is_refused(self):
        body = "\n".join(str(uuid.UUID(int=i << 90 | i, version=4)) for i in range(1, 1100)).encode()
        answer = self.ask("POST", "/v1/admin/honeytokens/check", body, self.site.admin_key)
        self.check_error(answer, 400, "too_many_markers")


if __name__ == "__main__":
    tap.main()
