"""What keeping for users costs: runs the benchmarks and prints one table. tools/bench builds what this needs and calls it."""

import argparse
import json
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(TOP / "bench"), str(TOP / "tests" / "support")]
import postgresql_server as postgresql  # noqa: E402 (found by the line above)
from table import Rows, say  # noqa: E402

RATIO_BAR = 0.8
TURN_CPU_BAR, TURNS_BAR, READ_BAR, SEARCH_BAR = 60, 0.7, 5000, 10
VECTORS, DIMENSIONS = 100000, 384
SIZES = {"1024": "1 KB", "16384": "16 KB", "1048576": "1 MB"}


def run(program, *options):
    done = subprocess.run([program, *map(str, options)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"bench: {program} ended with {done.returncode}")
    return json.loads(done.stdout)


def sealing(rows, results):
    for size, name in SIZES.items():
        for act in ("seal", "open"):
            for what, bar in (("fernet", RATIO_BAR), ("record", None)):
                plain, ours, ratio = (statistics.median(of(result[size]) for result in results) for of in (
                    lambda r: r[f"plain_{act}_us"], lambda r: r[f"{what}_{act}_us"],
                    lambda r: r[f"plain_{act}_us"] / r[f"{what}_{act}_us"]))
                said = "token" if what == "fernet" else "record"
                rows.add(f"{what}_{act}_{size}", f"{act} a {said} of {name}, µs, speed of the yardstick's", plain, ours, ratio, bar, "",
                         at_least=True)


def kept_a_second(rows, key, database, results):
    bare, ours, ratio = (statistics.median(of(result) for result in results) for of in (
        lambda r: r["bare_per_second"], lambda r: r["turns_per_second"], lambda r: r["turns_per_second"] / r["bare_per_second"]))
    rows.add(key, f"turns kept a second, {database}, beside bare INSERTs in transactions of {results[0]['batch']}", bare, ours, ratio,
             TURNS_BAR, "", at_least=True)


def keeping(rows, results):
    def median(of):
        return statistics.median(of(result) for result in results)
    cpu = median(lambda r: r["cpu_us"])
    rows.add("turn_cpu", "a turn kept: CPU of loop and store, sealing too, µs", None, cpu, cpu, TURN_CPU_BAR, "µs")
    kept_a_second(rows, "turns", "SQLite", results)
    for key, what in (("list", "20 conversations listed and opened"), ("read", "a turn read and opened")):
        ours = median(lambda r, key=key: r[f"{key}_p50_us"])
        rows.add(key, f"{what}, of {results[0]['records']} turns, p50", None, ours, ours, READ_BAR, "µs")
        late = median(lambda r, key=key: r[f"{key}_p99_us"])
        rows.add(f"{key}_p99", "  p99", None, late, late, READ_BAR, "µs")


def searching(rows, results):
    ours = statistics.median(result["seconds"] * 1000 for result in results)
    read = statistics.median(result["read_seconds"] * 1000 for result in results)
    rows.add("search", f"searching {VECTORS} vectors × {DIMENSIONS}, beside reading them, ms", read, ours, ours, SEARCH_BAR, "ms")


def keep_in_server(program, turns):
    """In a PostgreSQL that is started for it, with nothing in it."""
    server = postgresql.Server(fsync=True)
    try:
        return run(program, server.url(), turns, 0)
    finally:
        server.close()


def parse_arguments():
    parser = argparse.ArgumentParser(prog="tools/bench memory", description="What sealing what users keep costs.")
    parser.add_argument("--json", action="store_true", help="print everything measured as JSON")
    parser.add_argument("--runs", type=int, default=5, help="the median counts (default 5)")
    parser.add_argument("--milliseconds", type=int, default=2000, help="for each size (default 2000)")
    parser.add_argument("--turns", type=int, default=50000, help="kept in each run (default 50,000)")
    parser.add_argument("--records", type=int, default=1000000, help="turns in the database that is read (default 1,000,000)")
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if min(arguments.runs, arguments.milliseconds, arguments.turns) < 1 or arguments.records < 0:
        parser.error("there is one of everything at least")
    return arguments


def main():
    arguments = parse_arguments()
    programs = arguments.build.resolve() / "bench"
    parts = {"sealing": [], "keeping": [], "keeping on PostgreSQL": [], "searching": []}
    if postgresql.binaries() is None:
        say("  no PostgreSQL is installed (tools/bootstrap test): its row is left out")
    for number in range(arguments.runs):
        parts["sealing"].append(run(programs / "bench_sealing", arguments.milliseconds))
        with tempfile.TemporaryDirectory(prefix="cellule-bench-") as folder:
            parts["keeping"].append(run(programs / "bench_turns", f"{folder}/turns.db", arguments.turns, arguments.records))
        if postgresql.binaries() is not None:
            parts["keeping on PostgreSQL"].append(keep_in_server(programs / "bench_turns", arguments.turns))
        parts["searching"].append(run(programs / "bench_search", VECTORS, DIMENSIONS))
        say(f"  run {number + 1}")
    rows = Rows()
    sealing(rows, parts["sealing"])
    keeping(rows, parts["keeping"])
    if parts["keeping on PostgreSQL"]:
        kept_a_second(rows, "turns_postgresql", "PostgreSQL", parts["keeping on PostgreSQL"])
    searching(rows, parts["searching"])
    if arguments.json:
        print(json.dumps({"machine": platform.processor() or platform.machine(), "rows": rows.rows, "raw": parts}, indent=1))
    else:
        rows.print()


if __name__ == "__main__":
    main()
