"""Who talks to whom, as the kernel sees it: the system calls of a whole site are traced, and nobody connects to
anything but what he was told. egress.py BINARY"""

import base64
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import tap
from runtime_server import RuntimeServer
from wire import BINARY, Connection, Site, free_port, request, trust, wait_for

ID_BYTES = 8  # of a join token
CALLS = "%network,%process,io_uring_setup"
CONNECT = re.compile(r"connect\(\d+, \{(.*?)\}, \d+\)")
WITH_ADDRESS = re.compile(r"(?:sendto|sendmsg|sendmmsg)\(.*?(sa_family=AF_\w+)")


def forbidden():
    """Why nobody may be traced here, or None."""
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(["strace", "-o", f"{scratch}/log", "true"], capture_output=True, text=True, check=False)
    return done.stderr.strip() if re.search(r"PTRACE_\w+.*(not permitted|not implemented)", done.stderr) else None


class Process:
    """One process of a trace with its threads: what it ran, and what it asked of the network."""

    def __init__(self, verbs=()):
        self.verbs = verbs
        self.lines = []

    def connects(self):
        return [match.group(1) for line in self.lines for match in [CONNECT.search(line)] if match]

    def ports(self):
        """(family and address, port) of each connection begun."""
        found = []
        for place in self.connects():
            inet = re.match(r'sa_family=AF_INET, sin_port=htons\((\d+)\), sin_addr=inet_addr\("([\d.]+)"\)', place)
            found.append((inet.group(2), int(inet.group(1))) if inet else (place, 0))
        return set(found)

    def sockets(self):
        return [line for line in self.lines if re.match(r"socket(pair)?\(", line)]


def join_lines(text):
    """The lines of a trace, in which a call that was interrupted by another's line is put together."""
    begun = {}
    for line in text.splitlines():
        pid, _, rest = line.partition(" ")
        rest = rest.strip()
        if rest.endswith("<unfinished ...>"):
            begun[pid] = rest.removesuffix("<unfinished ...>")
            continue
        resumed = re.match(r"<\.\.\. \w+ resumed>(.*)", rest)
        yield int(pid), begun.pop(pid, "") + resumed.group(1) if resumed else rest


def read_trace(path):
    """[Process] of one strace file. Threads count with the process that began them."""
    processes, owners = [], {}
    for pid, line in join_lines(path.read_text(errors="replace")):
        if pid not in owners:
            owners[pid] = Process()
            processes.append(owners[pid])
        process = owners[pid]
        ran = re.match(r"execve\(\"[^\"]*\", (\[.*?\]),? .*\) = 0", line)
        if ran:
            words = re.findall(r'"([^"]*)"', ran.group(1))
            process.verbs = tuple(words[1:3])
        begun = re.match(r"(?:clone3?|fork|vfork)\((.*)\) = (\d+)", line)
        if begun and "CLONE_THREAD" in begun.group(1):
            owners[int(begun.group(2))] = process
        elif begun and int(begun.group(2)) not in owners:
            child = Process(process.verbs)
            processes.append(child)
            owners[int(begun.group(2))] = child
        process.lines.append(line)
    return processes


@unittest.skipIf(shutil.which("strace") and forbidden(), "the system forbids tracing")
class Traced(unittest.TestCase):
    """One whole site, traced from its making to its end."""

    @classmethod
    def setUpClass(cls):
        scratch = tempfile.TemporaryDirectory(prefix="cellule-scenario-")
        cls.addClassCleanup(scratch.cleanup)
        cls.folder = pathlib.Path(scratch.name)
        cls.traces = cls.folder / "traces"
        cls.traces.mkdir()
        wrapper = cls.folder / "traced"
        # The tracer isn't the parent, so that signals go to the program; a tracee can't look for leaks.
        wrapper.write_text('#!/bin/sh\nASAN_OPTIONS="detect_leaks=0:$ASAN_OPTIONS"; export ASAN_OPTIONS\n'
                           f'exec strace -D -f -s 256 -e trace={CALLS} -o "{cls.traces}/$$" -- "{BINARY}" "$@"\n')
        wrapper.chmod(0o755)
        cls.runtime = RuntimeServer()
        cls.addClassCleanup(cls.runtime.stop)
        cls.site = Site(cls.folder / "site", wrapper, worker_count=2)
        cls.run_site()
        cls.processes = [process for path in sorted(cls.traces.iterdir()) for process in cls.whole(path)]
        cls.pool_port = int(cls.site.address.rpartition(":")[2])
        cls.runtime_port = int(re.search(r":(\d+)", cls.runtime.url).group(1))

    @classmethod
    def run_site(cls):
        site = cls.site
        try:
            site.start()
            site.start_worker(2, "--runtime", cls.runtime.url, "--model", "tiny")
            site.wait_for("the third worker is connected", lambda: site.connected_workers() == 3, site.workers)
            for model in (site.model.stem, "tiny"):
                site.cellule("ask", "--model", model, "--max-tokens", "16", "What is a receipt?", key=site.user_key,
                             timeout=300)
            site.pool.signal(1)
            with Connection(site.address, trust(site.ca_file)) as connection:
                connection.send(request("GET", "/healthz"))
                assert connection.answer().status == 200
        finally:
            site.stop()

    @staticmethod
    def whole(path):
        """The tracer writes on for a moment after the program has ended."""
        pid = path.name
        wait_for(f"trace {pid} is whole", lambda: re.search(rf"^{pid} +\+\+\+ ", path.read_text(errors="replace"),
                                                           re.MULTILINE))
        return read_trace(path)

    def of(self, *verbs):
        found = [process for process in self.processes if process.verbs[:len(verbs)] == verbs]
        self.assertTrue(found, f"no process of {verbs} was seen among {[p.verbs for p in self.processes]}")
        return found

    def test_every_process_was_seen(self):
        for verbs in (("pool", "init"), ("pool", "run"), ("worker", "join"), ("worker", "run"), ("engine",), ("ask",),
                      ("admin",)):
            self.of(*verbs)
        self.assertEqual({process.verbs[0] for process in self.processes if process.verbs},
                         {"pool", "worker", "engine", "ask", "admin"})

    def test_the_pool_connects_to_nobody(self):
        for process in self.of("pool"):
            self.assertEqual(process.connects(), [])

    def test_a_worker_connects_to_its_pool_and_its_runtime(self):
        self.assertEqual({place for process in self.of("worker", "join") for place in process.ports()},
                         {("127.0.0.1", self.pool_port)})
        seen = [process.ports() for process in self.of("worker", "run") if process.ports()]
        both = {("127.0.0.1", self.pool_port), ("127.0.0.1", self.runtime_port)}
        self.assertEqual(sorted(seen, key=len), [{("127.0.0.1", self.pool_port)}] * 2 + [both])

    def test_an_engine_has_no_sockets_at_all(self):
        for process in self.of("engine"):
            self.assertEqual(process.sockets() + process.connects(), [])

    def test_who_asks_connects_to_the_pool_alone(self):
        for verb in ("ask", "admin"):
            self.assertEqual({place for process in self.of(verb) for place in process.ports()},
                             {("127.0.0.1", self.pool_port)})

    def test_nothing_is_sent_without_a_connection_but_to_the_kernel(self):
        for process in self.processes:
            for line in process.lines:
                found = WITH_ADDRESS.search(line)
                self.assertTrue(found is None or found.group(1) == "sa_family=AF_NETLINK", line)

    def test_nothing_goes_by_way_of_io_uring(self):
        self.assertEqual([line for process in self.processes for line in process.lines if "io_uring_setup" in line], [])


class Refused(unittest.TestCase):
    """What is not named is not dialled, and who wanted it is told why."""

    def cellule(self, *arguments, **environment):
        return subprocess.run([BINARY, *arguments], env={**os.environ, **environment}, capture_output=True, text=True,
                              timeout=60, check=False, stdin=subprocess.DEVNULL)

    def test_a_pool_at_a_public_address_is_not_asked_unless_that_is_meant(self):
        with tempfile.NamedTemporaryFile() as ca:
            ca.write(b"-----BEGIN CERTIFICATE-----\n")
            ca.flush()
            done = self.cellule("ask", "hello", CELLULE_URL="https://203.0.113.9:8443", CELLULE_CA=ca.name,
                                CELLULE_KEY="ck_" + "A" * 43)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("203.0.113.9, port 8443: a public address", done.stderr)
        self.assertIn("CELLULE_PUBLIC=yes", done.stderr)

    def test_a_machine_does_not_join_a_pool_at_a_public_address_unless_that_is_meant(self):
        address = base64.urlsafe_b64encode(b"203.0.113.9:8443").decode().rstrip("=")
        token = "cj_" + ".".join(["ab" * ID_BYTES, "A" * 43, "A" * 43, address])
        with tempfile.TemporaryDirectory() as scratch:
            done = self.cellule("worker", "join", token, "--state", f"{scratch}/worker")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("a public address", done.stderr)
        self.assertIn("--public", done.stderr)

    def test_a_wrong_list_in_the_settings_is_named(self):
        with tempfile.TemporaryDirectory() as scratch:
            self.assertEqual(self.cellule("pool", "init", "--site", f"{scratch}/site", "--listen",
                                          f"127.0.0.1:{free_port()}").returncode, 0)
            with open(f"{scratch}/site/pool.yaml", "a", encoding="utf-8") as settings:
                settings.write('egress: "idp.corp:443, somewhere else"\n')
            done = self.cellule("pool", "run", "--site", f"{scratch}/site", "--check")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("egress", done.stderr)
        self.assertIn("somewhere else", done.stderr)


if __name__ == "__main__":
    tap.main()
