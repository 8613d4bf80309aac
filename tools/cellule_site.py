"""A whole site on this machine: a pool and workers as real processes. tools/demo, tools/run and the tests use it."""

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODEL = ROOT / "demo" / "cellule-demo.gguf"
START_SECONDS = 120
STOP_SECONDS = 60


class SiteError(Exception):
    """A sentence for the user; no trace is wanted."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def write_private(path, text):
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


class Process:
    """A child with its log in a file; ended by its own id."""

    def __init__(self, name, command, log, environment=None):
        self.name = name
        self.log = log
        with open(log, "ab") as out:
            self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                          env={**os.environ, **(environment or {})})

    def alive(self):
        return self.child.poll() is None

    def signal(self, number):
        if self.alive():
            self.child.send_signal(number)

    def stop(self):
        self.signal(signal.SIGTERM)
        try:
            return self.child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.child.kill()
            return self.child.wait()

    def last_lines(self, count=15):
        lines = pathlib.Path(self.log).read_text(errors="replace").splitlines()
        return "\n".join(lines[-count:])


class Site:
    def __init__(self, folder, binary, model=MODEL, worker_count=2, settings=None):
        self.folder = pathlib.Path(folder).resolve()
        self.binary = str(binary)
        self.model = pathlib.Path(model)
        self.worker_count = worker_count
        self.settings = settings or {}
        self.init_options = ()  # of pool init
        self.pool_environment = {}
        self.pool = None
        self.workers = []

    # What the site consists of on disk.

    @property
    def admin_key_file(self):
        return self.folder / "admin.key"

    @property
    def user_key_file(self):
        return self.folder / "user.key"

    @property
    def address(self):
        match = re.search(r'^listen: "?([^"\n]+)"?', (self.folder / "pool.yaml").read_text(), re.MULTILINE)
        return match.group(1)

    @property
    def url(self):
        return f"https://{self.address}"

    @property
    def admin_key(self):
        return self.admin_key_file.read_text().strip()

    @property
    def user_key(self):
        return self.user_key_file.read_text().strip()

    @property
    def ca_file(self):
        return self.folder / "ca.pem"

    def environment(self, key):
        return {"CELLULE_URL": self.url, "CELLULE_CA": str(self.ca_file), "CELLULE_KEY": key}

    def cellule(self, *arguments, key=None, check=True, timeout=60, stdin=""):
        """Runs the program to its end, with that text as its standard input; the completed process, output as text."""
        environment = {**os.environ, **(self.environment(key) if key else {})}
        done = subprocess.run([self.binary, *map(str, arguments)], env=environment, text=True, timeout=timeout,
                              capture_output=True, check=False, input=stdin)
        if check and done.returncode != 0:
            raise SiteError(f"cellule {' '.join(map(str, arguments[:3]))}: {done.stderr.strip()}")
        return done

    def admin(self, *arguments):
        """An admin verb with --json; what it printed, parsed."""
        return json.loads(self.cellule("admin", *arguments, "--json", key=self.admin_key).stdout)

    def make(self):
        """`pool init`, once; a second run reuses what is there. True if it was made now."""
        if (self.folder / "pool.yaml").exists():
            if not self.admin_key_file.exists():
                raise SiteError(f"{self.folder} is a site made by hand: its admin key isn't kept in admin.key; "
                                "choose another folder with --site DIR")
            return False
        listen = f"127.0.0.1:{free_port()}"
        made = json.loads(self.cellule("pool", "init", "--site", self.folder, "--listen", listen, "--json",
                                       *self.init_options).stdout)
        write_private(self.admin_key_file, made["admin_key"])
        if self.settings:
            lines = (self.folder / "pool.yaml").read_text().splitlines()
            kept = [line for line in lines if line.partition(":")[0] not in self.settings]
            added = [f"{name}: {json.dumps(value)}" for name, value in self.settings.items()]
            (self.folder / "pool.yaml").write_text("\n".join([*kept, *added, ""]))
        return True

    # Running it.

    def start_pool(self, *options):
        self.pool = Process("pool", [self.binary, "pool", "run", "--site", str(self.folder), *options],
                            self.folder / "pool.log", self.pool_environment)
        self.wait_for("the pool answers", self.pool_answers, [self.pool])

    def pool_answers(self):
        return self.cellule("admin", "status", key=self.admin_key, check=False).returncode == 0

    def ensure_user(self):
        if not self.user_key_file.exists():
            added = self.admin("user", "add", "demo", "--role", "employee")
            write_private(self.user_key_file, added["key"])
        client = {"url": self.url, "ca": str(self.ca_file), "key": self.user_key}
        write_private(self.folder / "client.json", json.dumps(client) + "\n")

    def worker_folder(self, index):
        return self.folder / f"worker{index + 1}"

    def join_worker(self, index):
        if not (self.worker_folder(index) / "worker.key").exists():
            token = self.admin("worker", "token", "--owner", f"owner{index + 1}")["token"]
            self.cellule("worker", "join", token, "--state", self.worker_folder(index))

    def start_worker(self, index, *options):
        self.join_worker(index)
        command = [self.binary, "worker", "run", "--state", str(self.worker_folder(index)), "--model",
                   str(self.model), *options]
        worker = Process(f"worker {index + 1}", command, self.folder / f"worker{index + 1}.log")
        self.workers.append(worker)
        return worker

    def connected_workers(self):
        return sum(1 for worker in self.admin("worker", "list")["workers"] if worker["connected"])

    def start(self):
        self.make()
        self.start_pool()
        self.ensure_user()
        for index in range(self.worker_count):
            self.start_worker(index)
        self.wait_for(f"{self.worker_count} workers are connected",
                      lambda: self.connected_workers() >= self.worker_count, [self.pool, *self.workers])

    def wait_for(self, what, condition, processes=(), seconds=START_SECONDS):
        end = time.monotonic() + seconds
        while not condition():
            for process in processes:
                if not process.alive():
                    raise SiteError(f"the {process.name} ended while waiting until {what}:\n{process.last_lines()}")
            if time.monotonic() > end:
                logs = "\n".join(process.last_lines() for process in processes)
                raise SiteError(f"{seconds} s passed and not yet: {what}\n{logs}")
            time.sleep(0.05)

    def stop(self):
        for process in [*self.workers, self.pool]:
            if process is not None:
                process.stop()
        self.workers = []
        self.pool = None

    @contextlib.contextmanager
    def running(self):
        try:
            self.start()
            yield self
        finally:
            self.stop()


def stop_on_signals():
    """SIGTERM and SIGINT end the script as Ctrl-C does, so that it stops what it started."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def say(text):
    print(text, flush=True)


def fail(problem):
    print(problem, file=sys.stderr, flush=True)
    sys.exit(1)
