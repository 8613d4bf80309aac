"""Runs the benchmarks and prints one table. tools/bench builds what this needs and calls it."""

import argparse
import json
import pathlib
import platform
import signal
import statistics
import sys
import tempfile
import time

from table import Rows, number, say

from parts import (ANSWER_TOKENS, EVENT_BYTES, EVENTS_PER_SECOND, IDLE_MODEL, MODEL, STREAM_TOKENS, TEXT_BYTES, Bench,
                   SiteError, processor_seconds, raise_descriptor_limit, resident_kib)

CONNECTIONS = 32
STREAMS = 200
FEW_WORKERS = 10
SPOT_WARM_UP = 8000  # until no worker is new, of which every answer is checked
SLOTS = 64  # of each: none of the clients ever waits for one
SPARE_DESCRIPTORS = 2000


def cpu_each(result, kind):
    """Microseconds of processor time per answer or event."""
    if result["failures"] or not result[kind]:
        raise SiteError(f"{result['failures']} failures, {result[kind]} {kind}: nothing to be measured")
    return result["cpu_seconds"] * 1e6 / result[kind]


class Runs:
    def __init__(self, bench, arguments):
        self.bench = bench
        self.count = arguments.runs
        self.milliseconds = arguments.milliseconds
        self.rows = Rows()
        self.raw = {}

    def keep(self, name, result):
        self.raw.setdefault(name, []).append(result)
        return result

    # One measurement of each kind.

    def nginx_requests(self):
        b = self.bench
        return cpu_each(self.keep("nginx requests", b.load(b.nginx_port, b.nginx_processes, "whole", self.milliseconds,
                                                           "--connections", CONNECTIONS)), "answers")

    def pool_requests(self, name="pool requests", *options):
        b = self.bench
        return cpu_each(self.keep(name, b.load(b.pool_port, [b.pool_process], "whole", self.milliseconds, "--connections",
                                               CONNECTIONS, *options)), "answers")

    def spot_requests(self):
        return self.pool_requests("spot requests", "--verify", "spot")

    def nginx_events(self):
        b = self.bench
        return cpu_each(self.keep("nginx events", b.load(b.nginx_port, b.nginx_processes, "stream", self.milliseconds,
                                                         "--connections", STREAMS, "--stream", path="/events/",
                                                         warm_up=2000)), "events")

    def pool_events(self):
        b = self.bench
        return cpu_each(self.keep("pool events", b.load(b.pool_port, [b.pool_process], "stream", self.milliseconds,
                                               "--connections", STREAMS, "--stream", warm_up=2000)), "events")

    def latency(self, name, port, processes=()):
        """The median, and the processor time of the processes for each answer."""
        result = self.keep(name, self.bench.load(port, processes, "whole", self.milliseconds, "--connections", 1))
        return result["answer_times"]["p50_us"], cpu_each(result, "answers")

    # The rows.

    def alternate(self, key, what, yardstick, ours, bar):
        pairs = []
        for run in range(self.count):
            pairs.append((yardstick(), ours()))
            say(f"  {what}, run {run + 1}: {number(pairs[-1][0])} and {number(pairs[-1][1])}")
        self.rows.add(key, what, statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs),
                      statistics.median(b / a for a, b in pairs), bar, "×")
        return self.rows.rows[-1]

    def requests_and_events(self):
        serving = self.start_serving("serving")
        self.request_row = self.alternate("request_cpu", f"CPU per request, {CONNECTIONS} clients, µs",
                                          self.nginx_requests, self.pool_requests, 1.5)
        self.bench.load(self.bench.pool_port, [self.bench.pool_process], "whole", 1000, "--connections", 1, "--pause", 5,
                        "--verify", "spot", warm_up=SPOT_WARM_UP)
        self.alternate("request_cpu_spot", "  with spot checks, beside off, µs", self.pool_requests, self.spot_requests, None)
        self.latencies(serving.child.pid)
        self.bench.stop_process(serving)
        streaming = self.start_streaming()
        self.event_row = self.alternate("event_cpu", f"CPU per event, {STREAMS} streams × {EVENTS_PER_SECOND}/s, µs",
                                        self.nginx_events, self.pool_events, 1.5)
        self.event_delays()
        self.bench.stop_process(streaming)

    def start_serving(self, name):
        return self.bench.start_workers(name, FEW_WORKERS, MODEL, "--slots", SLOTS, "--reply-bytes", TEXT_BYTES,
                                        "--tokens", ANSWER_TOKENS)

    def start_streaming(self):
        return self.bench.start_workers("serving", FEW_WORKERS, MODEL, "--slots", SLOTS, "--tokens", STREAM_TOKENS, "--reply-bytes",
                                        STREAM_TOKENS * EVENT_BYTES, "--events-per-second", EVENTS_PER_SECOND,
                                        "--timestamps")

    def latencies(self, worker):
        b = self.bench
        added = {"nginx": [], "pool": [], "worker": []}
        for _ in range(self.count):
            direct, _ = self.latency("direct latency", b.backend_ports["tls"])
            added["nginx"].append(self.latency("nginx latency", b.nginx_port)[0] - direct)
            with_pool, in_worker = self.latency("pool latency", b.pool_port, [worker])
            added["pool"].append(with_pool - direct)
            added["worker"].append(in_worker)
            say(f"  time added, 1 client: nginx {added['nginx'][-1]} µs, pool {added['pool'][-1]} µs")
        ours = statistics.median(added["pool"])
        self.rows.add("added_p50", "p50 added, 1 client, µs", statistics.median(added["nginx"]), ours, ours, 150, "µs")
        in_worker = statistics.median(added["worker"])
        self.rows.add("added_by_worker", "  of it CPU time of the worker, µs", None, in_worker, in_worker, None, "µs")

    def event_delays(self):
        for key, what, field in (("first_event", "first event's way, p50, µs", "first_event_delays"),
                                 ("event", "any event's way, p50, µs", "event_delays")):
            nginx, pool = (statistics.median(result[field]["p50_us"] for result in self.raw[name])
                           for name in ("nginx events", "pool events"))
            self.rows.add(key, what, nginx, pool, pool - nginx, None, "µs")

    def many_workers(self, count):
        b = self.bench
        say(f"enrolling {count} workers…")
        idle = self.start_idle(count)
        self.stop_idle(idle)
        b.site.pool.stop()
        b.site.start_pool()
        before = resident_kib(b.pool_process)
        idle = self.start_idle(count)
        time.sleep(2)
        after = resident_kib(b.pool_process)
        each = (after - before) / count
        self.rows.add("idle_memory", f"memory per idle worker, {count} of them, KiB", None, each, each, 20, "KiB")
        serving = self.start_serving("serving")
        self.compare(self.request_row, "request_cpu_many", f"CPU per request, with {count} idle workers, µs",
                     self.nginx_requests, self.pool_requests)
        b.stop_process(serving)
        streaming = self.start_streaming()
        self.compare(self.event_row, "event_cpu_many", f"CPU per event, with {count} idle workers, µs",
                     self.nginx_events, self.pool_events)
        b.stop_process(streaming)
        self.reconnect(idle, count)

    def start_idle(self, count):
        """Two processes, for what they do to connect takes longer than what the pool does."""
        return self.bench.start_all([("idle1", count // 2, IDLE_MODEL), ("idle2", count - count // 2, IDLE_MODEL)])

    def stop_idle(self, idle):
        for workers in idle:
            self.bench.stop_process(workers)

    def compare(self, few, key, what, yardstick, ours):
        """The same once more; the ratio to the yardstick is compared, for minutes have passed."""
        many = self.alternate(key, what, yardstick, ours, None)
        ratio = many["result"] / few["result"]
        self.rows.rows.remove(many)
        self.rows.add(key, what, few["ours"], many["ours"], ratio, 1.2, "×")

    def reconnect(self, idle, count):
        """All are cut off at once and dial at once, while ten others serve."""
        b = self.bench
        serving = self.start_serving("serving")
        self.stop_idle(idle)
        span = 12000
        load = b.start_load(b.pool_port, [b.pool_process], "whole", span, "--connections", 4, "--pause", 10, warm_up=500)
        try:
            time.sleep(1)
            used = processor_seconds(b.pool_process)
            idle = self.start_idle(count)
            used = processor_seconds(b.pool_process) - used
        finally:
            result = self.keep("reconnect", b.finish_load(load, span))
        seconds = max(workers.all_connected() for workers in idle) / 1000
        self.rows.add("reconnect", f"{count} workers reconnect, s", None, seconds, seconds, 10, "s")
        self.rows.add("reconnect_cpu", "  of it CPU time of the pool, s", None, used, used, None, "s")
        worst = result["answer_times"]["max_us"] / 1000
        self.rows.add("reconnect_worst", f"  meanwhile {result['answers']} answers, slowest, ms", None, worst, worst,
                      None, "ms")
        self.rows.add("reconnect_failed", "  of them failed", None, result["failures"], result["failures"], 0, "")
        self.stop_idle(idle)
        b.stop_process(serving)


def parse_arguments():
    parser = argparse.ArgumentParser(prog="tools/bench", description="CPU, memory and delay of the pool beside nginx.")
    parser.add_argument("--json", action="store_true", help="print everything measured as JSON")
    parser.add_argument("--runs", type=int, default=5, help="of each measurement; the median counts (default 5)")
    parser.add_argument("--milliseconds", type=int, default=3000, help="of each run (default 3000)")
    parser.add_argument("--workers", type=int, default=10000, help="idle ones (default 10000; 0: leave them out)")
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
            bench.start()
            runs.requests_and_events()
            if arguments.workers > 0:
                runs.many_workers(arguments.workers)
        finally:
            bench.stop()
    if arguments.json:
        print(json.dumps({"machine": platform.processor() or platform.machine(), "rows": runs.rows.rows,
                          "raw": runs.raw}, indent=1))
    else:
        runs.rows.print()


try:
    main()
except SiteError as problem:
    sys.exit(f"bench: {problem}")
except KeyboardInterrupt:
    sys.exit(130)
