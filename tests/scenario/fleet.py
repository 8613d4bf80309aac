"""What the scenarios with faulty workers share: fake workers (tests/support/fake_worker) and questions whose answers are
read as they come. Run as NAME.py BINARY TOP FAKE_WORKER."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading

from wire import Connection, SiteCase, request, trust, wait_for, write_private  # noqa: F401
from cellule_site import MODEL  # noqa: F401 (for the tests)

FAKE_WORKER = sys.argv[3] if len(sys.argv) > 3 else "build/tests/fake_worker"
PATIENCE = 120  # seconds for anything that should come at once, on a machine that may be slow and busy


def eventually(what, condition):
    return wait_for(what, condition, PATIENCE)


class FakeWorker:
    """One fake_worker process; `events` are the lines it has printed so far."""

    def __init__(self, folder, name, *options):
        self.name = name
        self.events = []
        self.arrived = threading.Condition()
        self.log = open(folder / f"{name}.log", "ab")  # noqa: SIM115
        self.child = subprocess.Popen([FAKE_WORKER, "--state", str(folder / name), *map(str, options)],
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.child.stdout:
            event = json.loads(line)
            with self.arrived:
                self.events.append(event)
                self.arrived.notify_all()

    def of(self, kind):
        with self.arrived:
            return [event for event in self.events if event["event"] == kind]

    def wait(self, kind, count=1, seconds=PATIENCE, **members):
        """The first `count` events of this kind, with these members; the last of them is returned."""
        def matching():
            return [event for event in self.events
                    if event["event"] == kind and all(event.get(key) == value for key, value in members.items())]
        with self.arrived:
            if not self.arrived.wait_for(lambda: len(matching()) >= count, seconds):
                raise AssertionError(f"{self.name}: no {count} × {kind} {members} within {seconds} s; "
                                     f"it told: {self.events[-20:]}")
            return matching()[count - 1]

    def signal(self, number):
        if self.child.poll() is None:
            self.child.send_signal(number)

    def stop(self):
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            code = self.child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.child.kill()
            code = self.child.wait()
        self.reader.join(PATIENCE)
        self.child.stdout.close()
        self.log.close()
        return code


class Question:
    """A chat request on a connection of its own; what comes is read by a thread, at once or from go_on()."""

    def __init__(self, site, question="What is Cellule?", stream=True, model="demo", read=True, headers=(),
                 **members):
        body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": question}], **members}
        self.socket = Connection(site.address, trust(site.ca_file), PATIENCE).socket
        self.raw = b""
        self.thread = None
        self.socket.sendall(request("POST", "/v1/chat/completions", body, site.user_key,
                                    ["Connection: close", *headers]))
        if read:
            self.go_on()

    def go_on(self):
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        try:
            while True:
                piece = self.socket.recv(65536)
                if not piece:
                    return
                self.raw += piece  # by this thread alone
        except OSError:
            return  # cut: what came is not complete

    def leave(self):
        """As a client that is gone: the connection is shut down at once."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        if self.thread is not None:
            self.thread.join(PATIENCE)

    def wait_for_text(self, length=1):
        eventually(f"{length} bytes of the answer", lambda: len(self.text) >= length)
        return self

    def finish(self, seconds=300):
        self.thread.join(seconds)
        if self.thread.is_alive():
            raise AssertionError(f"the answer did not end within {seconds} s; so far: {self.raw[-500:]}")
        self.socket.close()
        return self

    # What came. Only finish() makes all of it final.

    @property
    def status(self):
        return int(self.raw.split(b" ", 2)[1]) if b"\r\n" in self.raw else None

    @property
    def headers(self):
        head = self.raw.partition(b"\r\n\r\n")[0].decode()
        return {name.lower(): value.strip() for name, _, value in
                (line.partition(":") for line in head.split("\r\n")[1:])}

    @property
    def body(self):
        """The body, without the chunks' frames."""
        body = self.raw.partition(b"\r\n\r\n")[2]
        if self.headers.get("transfer-encoding") != "chunked":
            return body
        whole = []
        while b"\r\n" in body:
            size, _, rest = body.partition(b"\r\n")
            whole.append(rest[:int(size, 16)])
            body = rest[int(size, 16) + 2:]
        return b"".join(whole)

    @property
    def complete(self):
        """Whether HTTP says that the body is whole."""
        head, _, body = self.raw.partition(b"\r\n\r\n")
        if b"chunked" in head.lower():
            return body.endswith(b"\r\n0\r\n\r\n") or body == b"0\r\n\r\n"
        return "content-length" in self.headers and len(body) == int(self.headers["content-length"])

    @property
    def events(self):
        """The data of each whole SSE event, comments left out."""
        blocks = self.body.decode("utf-8", "replace").split("\n\n")[:-1]
        return [block.removeprefix("data: ") for block in blocks if block.startswith("data: ")]

    @property
    def chunks(self):
        return [json.loads(event) for event in self.events if event != "[DONE]"]

    @property
    def text(self):
        if self.status is not None and "json" in self.headers.get("content-type", ""):
            return self.json["choices"][0]["message"]["content"] if self.complete and self.status == 200 else ""
        return "".join(choice["delta"].get("content") or "" for chunk in self.chunks
                       for choice in chunk.get("choices", []))

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        """The error told, in whichever form; None if there is none."""
        if self.status is not None and "json" in self.headers.get("content-type", ""):
            return self.json.get("error")
        return next((chunk["error"] for chunk in self.chunks if "error" in chunk), None)

    @property
    def job(self):
        return self.headers["x-cellule-job"]


class FleetCase(SiteCase):
    """A pool without workers; each test starts those that it needs, and they are stopped after it."""

    worker_count = 0

    @classmethod
    def setUpClass(cls):
        cls.settings = {"verify": "off", **cls.settings}  # checks take slots; proof.py is about them
        super().setUpClass()
        cls.folder = cls.site.folder
        cls.number = 0
        cls.addClassCleanup(cls.check_end)

    @classmethod
    def check_end(cls):
        """The pool ends well; a sanitizer's finding, leaks included, is a failure."""
        code = cls.site.pool.stop()
        assert code == 0, f"the pool ended with {code}:\n{cls.site.pool.last_lines(60)}"

    def setUp(self):
        self.workers_before = self.metric("workers_connected")
        self.addCleanup(self.check_calm)

    def check_calm(self):
        """Whatever a test did: once its workers and clients have gone, nothing is left in the pool."""
        eventually("the workers have gone", lambda: self.metric("workers_connected") == self.workers_before)
        eventually("no job is left", lambda: self.metric("jobs_running") + self.metric("jobs_queued") == 0)
        self.assertEqual(self.metric("slots_busy"), 0)

    @classmethod
    def start_fake(cls, *options, count=1, owner="owner{}", referee=False, tiers=None):
        """A fake worker process with `count` sessions, enrolled now. The caller stops it."""
        cls.number += 1
        tokens = cls.folder / f"tokens{cls.number}"
        more = [*(["--referee"] if referee else []), *(["--tiers", tiers] if tiers else [])]
        lines = [cls.site.admin("worker", "token", "--owner", owner.format(i), *more)["token"] for i in range(count)]
        write_private(tokens, "\n".join(lines) + "\n")
        return FakeWorker(cls.folder, f"fake{cls.number}", "--join", tokens, "--count", count, *options)

    def fake(self, *options, count=1, serving=True, owner="owner{}", referee=False, tiers=None):
        """One for this test. `serving`: waits until all its sessions serve."""
        worker = self.start_fake(*options, count=count, owner=owner, referee=referee, tiers=tiers)
        self.addCleanup(worker.stop)
        if serving:
            worker.wait("serving")
        return worker

    def fake_again(self, name, *options):
        """One more process with the keys that `name` has enrolled."""
        worker = FakeWorker(self.folder, name, *options)
        self.addCleanup(worker.stop)
        return worker

    def question(self, *arguments, **members):
        asked = Question(self.site, *arguments, **members)
        self.addCleanup(asked.leave)
        return asked

    def metric(self, name):
        return int(self.metrics()[f"cellule_{name}"])

    def assert_receipt_holds(self, answer, question="What is Cellule?"):
        """The receipt of a finished answer verifies offline against what was asked and what came."""
        receipt = self.folder / "receipt.json"
        text = self.folder / "answer.txt"
        receipt.write_bytes(self.ask("GET", f"/v1/receipts/{answer.job}", key=self.site.user_key).body)
        text.write_text(answer.text, newline="")
        pool_id = self.ask("GET", "/v1/pool").json["pool_id"]
        self.site.cellule("verify", "receipt", "--pool-id", pool_id, "--question", question, "--answer", text, receipt)

    def assert_whole(self, answer):
        """A streamed answer that ended well: one [DONE], last, and no error."""
        answer.finish()
        self.assertEqual(answer.status, 200, answer.raw[:600])
        self.assertIsNone(answer.error)
        self.assertEqual(answer.events.count("[DONE]"), 1)
        self.assertEqual(answer.events[-1], "[DONE]")
        self.assertTrue(answer.complete)

    def assert_broken_off(self, answer, code):
        """A streamed answer that failed after its first byte: an error event, never [DONE]."""
        answer.finish()
        self.assertEqual(answer.status, 200, answer.raw[:600])
        self.assertNotIn("[DONE]", answer.events)
        self.assertIsNotNone(answer.error, answer.raw[-600:])
        self.assertEqual(answer.error["code"], code)
        self.assertIn("error", json.loads(answer.events[-1]))
