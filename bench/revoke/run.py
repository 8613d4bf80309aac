"""How long until who may not be here any more is gone: runs the benchmarks and prints one table. tools/bench builds what this
needs and calls it."""

import argparse
import contextlib
import http.client
import json
import os
import pathlib
import signal
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from parts import ANSWER_TOKENS, IDLE_MODEL, MODEL, TEXT_BYTES, Bench, SiteError, raise_descriptor_limit  # noqa: E402
from table import Rows, say  # noqa: E402

CLOSED_BAR_MS, ROTATED_BAR_S = 1000, 60
CONNECTIONS = 32      # clients that ask all the time
FEW_WORKERS = 10      # that answer them, while others end
SLOTS = 64            # of each: no client ever waits for one
LOAD_MS = 5000        # of one piece of load; they follow each other
STREAM_TOKENS = 2000
EXPIRY_SPACING_MS = 20
PAUSE = 0.02          # between two that are revoked
CROWD_SECONDS = 600   # for all to connect, at most
TELLING = ("revoked", "expiring", "owned")
SPARE_DESCRIPTORS = 3000


def p99(values):
    ordered = sorted(values)
    return ordered[-(-len(ordered) * 99 // 100) - 1]


def events(workers, wanted):
    """Worker's id to the Unix time in milliseconds of its last event of this name, as the worker itself saw it."""
    told = (json.loads(line) for line in workers.output.read_text(errors="replace").splitlines() if line.endswith("}"))
    return {event["worker"]: event["at_ms"] for event in told if event["event"] == wanted and "worker" in event}


class Api:
    """The admin's connection, kept alive."""

    def __init__(self, bench, key=None):
        context = ssl.create_default_context(cafile=bench.site.ca_file)
        self.connection = http.client.HTTPSConnection("127.0.0.1", bench.pool_port, context=context, timeout=60)
        self.headers = {"Authorization": f"Bearer {key or bench.site.admin_key}", "Content-Type": "application/json"}

    def ask(self, method, path, body=None):
        self.connection.request(method, path, None if body is None else json.dumps(body), self.headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status not in (200, 201):
            raise SiteError(f"{method} {path}: {answer.status} {text.decode()}")
        return json.loads(text)


class Load:
    """Clients that ask until they are stopped, in pieces."""

    def __init__(self, bench):
        self.bench, self.answers, self.failures = bench, 0, 0
        self.piece = self.start()

    def start(self):
        return self.bench.start_load(self.bench.pool_port, [self.bench.pool_process], "whole", LOAD_MS, "--connections", CONNECTIONS)

    def take(self):
        result = self.bench.finish_load(self.piece, LOAD_MS)
        self.answers += result["answers"]
        self.failures += result["failures"]

    def go_on(self):
        """To be called often: the next piece begins when one is over."""
        if self.piece.poll() is not None:
            self.take()
            self.piece = self.start()

    def end(self):
        self.take()
        return self


class Runs:
    def __init__(self, bench, arguments):
        self.bench, self.arguments = bench, arguments
        self.rows = Rows()
        self.raw = {}

    def times(self, key, what, values, bar):
        """One row of milliseconds: p99 against the bar, the median and the worst beneath."""
        self.raw[key] = values
        worst = p99(values)
        self.rows.add(key, f"{what}, p99 of {len(values)}, ms", None, worst, worst, bar, "ms")
        middle = sorted(values)[len(values) // 2]
        self.rows.add(f"{key}_middle", f"  median (slowest {max(values):.0f})", None, middle, middle, None, "ms")
        say(f"  {what}: median {middle:.0f} ms, p99 {worst:.0f} ms")

    def loaded(self, key, load):
        self.rows.add(key, f"  meanwhile {load.answers} answers, failed", None, load.failures, load.failures, 0, "")

    def start_serving(self, name, count, *options):
        return self.bench.start_workers(name, count, MODEL, "--slots", SLOTS, "--reply-bytes", TEXT_BYTES, "--tokens",
                                        ANSWER_TOKENS, *options)

    # Other keys for all.

    def rotation(self):
        count = self.arguments.rotated
        say(f"rotating the keys of {count} workers…")
        serving = self.start_serving("rotated", count)
        load = Load(self.bench)
        time.sleep(2)
        begun = time.monotonic()
        site = self.bench.site
        command = subprocess.Popen([site.binary, "admin", "worker", "rotate", "--all", "--wait", "300", "--json"], text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   env={**os.environ, **site.environment(site.admin_key)})
        while command.poll() is None:
            load.go_on()
            time.sleep(0.05)
        seconds = time.monotonic() - begun
        output = command.communicate()[0]
        load.end()
        if command.returncode != 0:
            raise SiteError(f"rotating failed: {output}")
        done = json.loads(output)
        if done["done"] != count or done["away"] != done["workers"] - count:
            raise SiteError(f"not all were rotated: {output}")
        self.rows.add("rotate", f"all {count} workers have another key, s", None, seconds, seconds, ROTATED_BAR_S, "s")
        self.loaded("rotate_failed", load)
        say(f"  {seconds:.1f} s")
        self.bench.stop_process(serving)

    # Ends of workers, keys, owners.

    def crowd(self):
        """Thousands that are connected and idle, and among them those that end: enrolled, then once more from the start, for
        only a pool that starts learns of another expiry."""
        b, one = self.bench, self.arguments.samples
        wanted = [("revoked", one, IDLE_MODEL), ("expiring", one, IDLE_MODEL), ("owned", self.arguments.owned, IDLE_MODEL),
                  ("idle1", self.arguments.workers // 2, IDLE_MODEL),
                  ("idle2", self.arguments.workers - self.arguments.workers // 2, IDLE_MODEL)]
        say(f"enrolling {sum(count for _, count, _ in wanted)} workers…")
        tokens = {name: b.join_tokens(name, count, name) for name, count, _ in wanted}
        begun = time.monotonic()
        started = b.start_all([(name, count, model, "--join", tokens[name]) for name, count, model in wanted], enrol=False,
                              seconds=CROWD_SECONDS)
        lead = 3 * (time.monotonic() - begun) + 30
        for workers in started:
            b.stop_process(workers)
        b.site.pool.stop()
        self.set_expiries(int((time.time() + lead) * 1000))
        b.site.start_pool()
        return dict(zip([name for name, _, _ in wanted], b.start_all(wanted, enrol=False, tell=TELLING, seconds=CROWD_SECONDS)))

    def set_expiries(self, first_ms):
        with contextlib.closing(sqlite3.connect(self.bench.site.folder / "pool.db")) as database:
            ids = [row[0] for row in database.execute("SELECT id FROM workers WHERE owner = 'expiring'")]
            self.expiries = {id.hex(): first_ms + i * EXPIRY_SPACING_MS for i, id in enumerate(ids)}
            database.executemany("UPDATE workers SET expires_ms = ? WHERE id = ?",
                                 [(at, bytes.fromhex(id)) for id, at in self.expiries.items()])
            database.commit()
        if len(ids) != self.arguments.samples:
            raise SiteError(f"{len(ids)} workers were to expire")

    def workers_end(self):
        crowd = self.crowd()
        serving = self.start_serving("serving", FEW_WORKERS)
        self.api = Api(self.bench)
        if time.time() * 1000 > min(self.expiries.values()):
            raise SiteError("workers expired before all were connected: this machine is too busy")
        load = Load(self.bench)
        self.expiry(crowd["expiring"], load)
        self.revocations(crowd["revoked"], load)
        self.owner(crowd["owned"], load)
        self.loaded("crowd_failed", load.end())
        self.bench.stop_process(serving)
        self.keys()
        for workers in crowd.values():
            self.bench.stop_process(workers)

    def await_closed(self, workers, count, load):
        while len(events(workers, "closed")) < count:
            load.go_on()
            time.sleep(0.2)
            if self.bench.site.pool.child.poll() is not None:
                raise SiteError("the pool ended")
        return events(workers, "closed")

    def expiry(self, workers, load):
        say("waiting for workers to expire…")
        closed = self.await_closed(workers, len(self.expiries), load)
        self.times("expired", "worker expires → its socket is closed", [closed[id] - at for id, at in self.expiries.items()],
                   CLOSED_BAR_MS)

    def revocations(self, workers, load):
        asked = {}
        for id in events(workers, "open"):
            asked[id] = time.time() * 1000
            self.api.ask("POST", f"/v1/admin/workers/{id}/revoke")
            load.go_on()
            time.sleep(PAUSE)
        closed = self.await_closed(workers, len(asked), load)
        self.times("revoked", f"worker revoked → its socket is closed, {self.arguments.workers} others connected",
                   [closed[id] - at for id, at in asked.items()], CLOSED_BAR_MS)

    def owner(self, workers, load):
        begun = time.time() * 1000
        self.api.ask("POST", "/v1/admin/revoke/owner", {"owner": "owned"})
        closed = self.await_closed(workers, self.arguments.owned, load)
        self.times("owner", "all workers of an owner revoked → each socket is closed", [at - begun for at in closed.values()],
                   CLOSED_BAR_MS)

    def keys(self):
        """Keys whose answers are under way."""
        b = self.bench
        streaming = b.start_workers("serving", FEW_WORKERS, MODEL, "--slots", SLOTS, "--tokens", STREAM_TOKENS, "--reply-bytes",
                                    STREAM_TOKENS, "--events-per-second", 50)
        body = (b.folder / "stream.json").read_text()
        took = []
        for _ in range(self.arguments.keys):
            key = self.api.ask("POST", "/v1/admin/users/demo/keys", {})
            client = Api(b, key["key"])
            client.connection.request("POST", "/v1/chat/completions", body, client.headers)
            answer = client.connection.getresponse()
            if not answer.readline():
                raise SiteError("no answer")
            begun = time.monotonic()
            self.api.ask("POST", f"/v1/admin/keys/{key['key_id']}/revoke")
            rest = answer.read()
            took.append((time.monotonic() - begun) * 1000)
            if b"key_revoked" not in rest:
                raise SiteError("a revoked key's answer went on to its end")
            client.connection.close()
        self.times("key", "key revoked → its answer is cut off", took, CLOSED_BAR_MS)
        b.stop_process(streaming)


def parse_arguments():
    parser = argparse.ArgumentParser(prog="tools/bench revoke", description="How long until who is shut out is gone.")
    parser.add_argument("--json", action="store_true", help="print everything measured as JSON")
    parser.add_argument("--workers", type=int, default=10000, help="idle ones (default 10000)")
    parser.add_argument("--rotated", type=int, default=1000, help="workers whose keys are rotated (default 1000)")
    parser.add_argument("--owned", type=int, default=500, help="workers of the owner who is shut out (default 500)")
    parser.add_argument("--samples", type=int, default=300, help="workers revoked, and as many that expire (default 300)")
    parser.add_argument("--keys", type=int, default=100, help="keys revoked (default 100)")
    parser.add_argument("--runs", help=argparse.SUPPRESS)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"), help=argparse.SUPPRESS)
    return parser.parse_args()


def end(*_):
    sys.exit(130)


def main():
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, end)
    limit = raise_descriptor_limit()
    if arguments.workers + SPARE_DESCRIPTORS > limit:
        arguments.workers = max(0, limit - SPARE_DESCRIPTORS)
        say(f"only {limit} open files are allowed: going on with {arguments.workers} workers (ulimit -Hn)")
    with tempfile.TemporaryDirectory(prefix="cellule-bench-") as folder:
        bench = Bench(folder, arguments.build.resolve())
        runs = Runs(bench, arguments)
        try:
            bench.start_site()
            runs.workers_end()
            runs.rotation()  # last, for fake workers keep another key in their memory alone
        finally:
            bench.stop()
    if arguments.json:
        print(json.dumps({"rows": runs.rows.rows, "raw": runs.raw}, indent=1))
    else:
        runs.rows.print()


try:
    main()
except SiteError as problem:
    sys.exit(f"bench: {problem}")
except KeyboardInterrupt:
    sys.exit(130)
