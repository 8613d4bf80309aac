"""What the processes of a running site can't do any more, as the kernel has it. confined.py BINARY"""

import errno
import os
import pathlib
import re
import signal
import struct
import subprocess
import tempfile
import unittest

import inject
import postgresql_server
import tap
from runtime_server import RuntimeServer
from wire import BINARY, SiteCase, children, scratch_site, wait_for

LACKS = "the kernel lacks what would confine this process wholly"


def status(pid, field):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return re.search(rf"^{field}:\s*(.*)$", text, re.MULTILINE).group(1)


def threads(pid):
    return [int(path.name) for path in pathlib.Path(f"/proc/{pid}/task").iterdir()]


def is_running(pid):
    try:
        return not status(pid, "State").startswith("Z")
    except FileNotFoundError:
        return False


def open_files(pid):
    """What its descriptors lead to, sockets and pipes left out."""
    found = set()
    folder = pathlib.Path(f"/proc/{pid}/fd")
    if not os.access(folder, os.R_OK):
        raise unittest.SkipTest("a process that is hidden shows its descriptors to root alone")
    for path in folder.iterdir():
        try:
            found.add(os.readlink(path))
        except FileNotFoundError:
            pass
    return {name for name in found if name.startswith("/")}


REFUSED = {-errno.EPERM, -errno.EACCES, -errno.ENOSYS}
HERE = -100  # AT_FDCWD
TO_SOMEBODY = struct.pack("<H", 2) + struct.pack(">H", 9) + bytes([127, 0, 0, 1]) + bytes(8)
PROGRAM = ("execve", b"/bin/true\0", [b"true"], 0)
FOLDER = ("openat", HERE, b"/\0", os.O_RDONLY | os.O_DIRECTORY, 0)
SYSTEM_FILE = ("openat", HERE, b"/etc/hostname\0", os.O_RDONLY, 0)
OWN_MEMORY = ("openat", HERE, b"/proc/self/mem\0", os.O_RDWR, 0)
TO_BEGIN = [PROGRAM, ("fork",), ("clone", signal.SIGCHLD, 0, 0, 0, 0), ("kill", 1, 0)]
TO_CONNECT = [("socket", 2, 1, 0), ("socket", 10, 2, 0), ("connect", 0, TO_SOMEBODY, len(TO_SOMEBODY))]
# Nobody may: Unix sockets, listening, io_uring, tracing others, to be traced.
EVER = [("socket", 1, 1, 0), ("listen", 0, 1), ("io_uring_setup", 1, 0), ("ptrace", 16, 1, 0, 0), FOLDER, SYSTEM_FILE]
HIDDEN = [("mmap", 0, 4096, 5, 0x22, -1, 0), ("prctl", 4, 1, 0, 0, 0)]
NOTHING = [*EVER, *HIDDEN, *TO_BEGIN, *TO_CONNECT, OWN_MEMORY]


def file_acts(path):
    """To read a file, to change it, to make one beside it."""
    name = os.fsencode(path)
    return [("openat", HERE, name + b"\0", os.O_RDONLY, 0), ("openat", HERE, name + b"\0", os.O_WRONLY, 0),
            ("openat", HERE, name + b".new\0", os.O_WRONLY | os.O_CREAT, 0o600), ("unlink", name + b"\0")]


@unittest.skipUnless(inject.SUPPORTED, "x86-64 only")
class Taken(SiteCase):
    """What whoever has taken over a process can't do in it: the very processes are made to try."""

    def setUp(self):
        if LACKS in self.pool_log():
            self.skipTest("this kernel lacks seccomp or Landlock")
        if not inject.may_trace(self.site.pool.child.pid):
            self.skipTest("this user may trace nobody")

    def refuse(self, pid, acts):
        with inject.Taken(pid) as process:
            results = [(act, process.call(*act)) for act in acts]
        self.assertEqual([(act, result) for act, result in results if result not in REFUSED], [])

    def allow(self, pid, act):
        with inject.Taken(pid) as process:
            self.assertGreaterEqual(process.call(*act), 0, act)

    def helper(self, name):
        return next(pid for pid in children(self.site.pool.child.pid) if status(pid, "Name") == f"cellule-{name}")

    def test_the_serving_pool_does_nothing_but_serve(self):
        folder = self.site.folder
        self.refuse(self.site.pool.child.pid, [*NOTHING, *file_acts(folder / "pool.key"), *file_acts(folder / "server.key"),
                                               *file_acts(folder / "verify.key"), *file_acts(folder / "pool.db"),
                                               *file_acts(folder / "pool.yaml")])
        self.check_good_request()

    def test_the_signer_does_nothing_but_sign(self):
        self.refuse(self.helper("signer"), [*NOTHING, *file_acts(self.site.folder / "pool.key")])

    def test_the_keeper_has_the_site_s_folder_alone(self):
        with tempfile.NamedTemporaryFile() as elsewhere:
            self.refuse(self.helper("keeper"), [*NOTHING, *file_acts(elsewhere.name)])
        self.allow(self.helper("keeper"), ("openat", HERE, os.fsencode(self.site.folder / "server.pem") + b"\0", os.O_RDONLY, 0))

    def test_an_agent_has_its_folder_its_model_and_its_pool(self):
        agent = self.site.workers[0].child.pid
        self.refuse(agent, [*EVER, PROGRAM, OWN_MEMORY, *file_acts(self.site.folder / "pool.key"),
                            ("openat", HERE, os.fsencode(self.site.model) + b"\0", os.O_WRONLY, 0)])
        self.allow(agent, ("openat", HERE, os.fsencode(self.site.model) + b"\0", os.O_RDONLY, 0))
        with inject.Taken(agent) as process:
            socket = process.call("socket", 2, 1, 0)
            self.assertGreaterEqual(socket, 0)
            self.assertIn(process.call("connect", socket, TO_SOMEBODY, len(TO_SOMEBODY)), REFUSED)

    def test_an_engine_does_nothing_but_compute(self):
        for engine in children(self.site.workers[0].child.pid):
            self.refuse(engine, [*NOTHING, *file_acts(self.site.model)])
        self.check_good_request()


@unittest.skipIf(postgresql_server.missing(), postgresql_server.missing())
class TakenOnServer(Taken):
    """What a lost connection to the database takes to be made anew is left, and no more."""

    @classmethod
    def prepare(cls):
        cls.server = postgresql_server.Server()
        cls.addClassCleanup(cls.server.close)
        cls.site.settings = {}
        cls.site.cellule("admin", "database", "copy", cls.site.folder / "pool.db", cls.server.url(tcp=True))
        with open(cls.site.folder / "pool.yaml", "a", encoding="utf-8") as settings:
            settings.write(f'database: "{cls.server.url(tcp=True)}"\n')

    def test_the_serving_pool_does_nothing_but_serve(self):
        pool, folder = self.site.pool.child.pid, self.site.folder
        port = struct.pack("<H", 2) + struct.pack(">H", self.server.port) + bytes([127, 0, 0, 1]) + bytes(8)
        self.refuse(pool, [*EVER, *HIDDEN, *TO_BEGIN, OWN_MEMORY, *file_acts(folder / "pool.key"),
                           *file_acts(folder / "pool.yaml"), *file_acts(folder / "pool.db")])
        with inject.Taken(pool) as process:
            for address, wanted in ((TO_SOMEBODY, REFUSED), (port, {0})):
                socket = process.call("socket", 2, 1, 0)
                self.assertGreaterEqual(socket, 0)
                self.assertIn(process.call("connect", socket, address, len(address)), wanted)
                process.call("close", socket)
        self.check_good_request()


class Confined(SiteCase):
    def setUp(self):
        if LACKS in self.pool_log():
            self.skipTest("this kernel lacks seccomp or Landlock")

    def helpers(self):
        found = {status(pid, "Name"): pid for pid in children(self.site.pool.child.pid)}
        self.assertEqual(set(found), {"cellule-signer", "cellule-keeper"})
        return found

    def test_it_says_so_at_its_start(self):
        line = [text for text in self.pool_log().splitlines() if "confined:" in text]
        self.assertEqual(len(line), 1, self.pool_log())
        self.assertIn("may_connect_to=nobody", line[0])
        log = (self.site.folder / "worker1.log").read_text()
        self.assertIn('event=confined may_start="the engine"', log)

    def test_every_thread_of_every_process_is_behind_the_filter(self):
        self.check_good_request()
        agent = self.site.workers[0].child.pid
        for pid in [self.site.pool.child.pid, agent, *self.helpers().values(), *children(agent)]:
            for thread in threads(pid):
                self.assertEqual(status(thread, "Seccomp"), "2", f"thread {thread} of {pid}")
                self.assertEqual(status(thread, "NoNewPrivs"), "1")

    def test_no_key_stays_open(self):
        for pid in [self.site.pool.child.pid, *self.helpers().values()]:
            self.assertEqual([name for name in open_files(pid) if name.endswith(".key")], [])
        agent = self.site.workers[0].child.pid
        self.assertEqual([name for name in open_files(agent) if name.endswith(".key")], [])

    def test_the_pool_has_its_database_open_and_nothing_else_of_its_folder(self):
        folder = str(self.site.folder)
        mine = {name.removeprefix(folder + "/") for name in open_files(self.site.pool.child.pid) if name.startswith(folder)}
        self.assertEqual(mine, {"lock", "pool.db", "pool.db-wal", "pool.db-shm", "pool.db.lock", "pool.log"})

    def test_a_worker_still_writes_down_what_the_pool_signed_of_its_audit_log(self):
        folder = self.site.worker_folder(0)
        before = {path: path.read_bytes() for path in folder.glob("audit-*.checkpoint")}
        self.site.cellule("admin", "user", "list", key=self.site.admin_key)
        wait_for("the worker remembers the log as it is now",
                 lambda: any(before.get(path) != path.read_bytes() for path in folder.glob("audit-*.checkpoint")))

    def test_receipts_are_countersigned_all_the_same(self):
        done = self.site.cellule("ask", "--max-tokens", "8", "What is a receipt?", key=self.site.user_key, timeout=300)
        self.assertIn("receipt: valid", done.stderr)


class Endings(unittest.TestCase):
    def test_nothing_of_a_pool_stays_behind_when_it_is_killed(self):
        with scratch_site(worker_count=0) as site:
            pool = site.pool.child.pid
            helpers = children(pid=pool)
            self.assertEqual(len(helpers), 2)
            os.kill(pool, signal.SIGKILL)
            site.pool.child.wait(60)
            wait_for("the helpers are gone", lambda: not any(is_running(pid) for pid in helpers))

    def test_a_pool_whose_signer_is_gone_stops_and_says_so(self):
        for name in ("signer", "keeper"):
            with self.subTest(name), scratch_site(worker_count=0) as site:
                pid = next(pid for pid in children(site.pool.child.pid) if status(pid, "Name") == f"cellule-{name}")
                os.kill(pid, signal.SIGKILL)
                self.assertEqual(site.pool.child.wait(60), 1)
                self.assertIn(f"the pool's {name} process has ended", (site.folder / "pool.log").read_text())

    def test_the_last_entry_of_the_audit_log_is_written_without_opening_anything(self):
        with scratch_site(worker_count=0) as site:
            self.assertEqual(site.pool.stop(), 0)
            self.assertNotIn("error", (site.folder / "pool.log").read_text())
            self.assertEqual((site.folder / "pool.db-wal").stat().st_size, 0)
            site.start_pool()
            self.assertIn("pool_stop", site.cellule("admin", "audit", "list", key=site.admin_key).stdout)

    def test_a_pool_can_be_told_to_keep_its_rights(self):
        with scratch_site(worker_count=0) as site:
            site.pool.stop()
            with open(site.folder / "pool.log", "ab") as log:
                pool = subprocess.Popen([BINARY, "pool", "run", "--site", str(site.folder), "--unconfined"], stderr=log,
                                        stdin=subprocess.DEVNULL)
            try:
                wait_for("it serves", site.pool_answers)
                self.assertEqual(children(pool.pid), [])
                self.assertEqual(status(pool.pid, "Seccomp"), "0")
                self.assertIn("--unconfined", (site.folder / "pool.log").read_text())
            finally:
                pool.terminate()
                self.assertEqual(pool.wait(60), 0)


class WithARuntime(unittest.TestCase):
    def test_an_agent_without_an_engine_starts_nothing(self):
        runtime = RuntimeServer()
        self.addCleanup(runtime.stop)
        with scratch_site(worker_count=0) as site:
            worker = site.start_worker(0, "--runtime", runtime.url, "--model", "tiny")
            site.wait_for("the worker is connected", lambda: site.connected_workers() == 1, [worker])
            log = (site.folder / "worker1.log").read_text()
            if LACKS in log:
                self.skipTest("this kernel lacks seccomp or Landlock")
            self.assertIn("may_start=nothing", log)
            done = site.cellule("ask", "--model", "tiny", "--max-tokens", "8", "hello", key=site.user_key, timeout=300)
            self.assertIn("receipt: valid", done.stderr)


class Cache(unittest.TestCase):
    def test_packed_weights_are_still_written_beside_the_model(self):
        with tempfile.TemporaryDirectory(prefix="cellule-scenario-") as scratch, scratch_site(worker_count=0) as site:
            model = pathlib.Path(scratch) / "linked.gguf"
            model.symlink_to(site.model)
            site.model = model
            worker = site.start_worker(0, "--cache")
            site.wait_for("the worker is connected", lambda: site.connected_workers() == 1, [worker])
            wait_for("the weights are packed", lambda: pathlib.Path(f"{model}.packed").exists())


if __name__ == "__main__":
    tap.main()
