"""What it costs to know who asks: runs its benchmark and prints one table. tools/bench builds what this needs and calls it."""

import argparse
import json
import pathlib
import platform
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from table import Rows, say  # noqa: E402 (found by the line above)

KEY_BAR, TOKEN_BAR, MEMORY_BAR, COMPARISON_BAR = 3, 130, 200, 10


def run(program, arguments):
    done = subprocess.run([program, str(arguments.keys), str(arguments.tokens)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"bench: {program} ended with {done.returncode}")
    return json.loads(done.stdout)


def table(results, arguments):
    rows = Rows()
    keys = f"{arguments.keys / 1e6:g} M keys"
    for key, what, bar, unit in (("key_us", f"a key, of {keys}, CPU", KEY_BAR, "µs"),
                                 ("fresh_us", "a session token not seen before, CPU", TOKEN_BAR, "µs"),
                                 ("known_us", "one that was seen, CPU", KEY_BAR, "µs"),
                                 ("keys_mb", f"memory of {keys}", MEMORY_BAR, "MB"),
                                 ("comparison_t", "comparison, early or late byte: Welch's t", COMPARISON_BAR, "")):
        ours = statistics.median(result[key] for result in results)
        rows.add(key, what, None, ours, ours, bar, unit)
    return rows


def parse_arguments():
    parser = argparse.ArgumentParser(prog="tools/bench auth", description="What it costs to know who asks.")
    parser.add_argument("--json", action="store_true", help="print everything measured as JSON")
    parser.add_argument("--runs", type=int, default=3, help="the median counts (default 3)")
    parser.add_argument("--keys", type=int, default=1000000, help="of users (default 1000000)")
    parser.add_argument("--tokens", type=int, default=5000, help="of sessions (default 5000)")
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if min(arguments.runs, arguments.tokens) < 1 or arguments.keys < 10000:
        parser.error("there is one of everything at least, and 10000 keys")
    return arguments


def main():
    arguments = parse_arguments()
    program = arguments.build.resolve() / "bench" / "bench_callers"
    results = []
    for number in range(arguments.runs):
        results.append(run(program, arguments))
        say(f"  callers, run {number + 1}")
    rows = table(results, arguments)
    if arguments.json:
        print(json.dumps({"machine": platform.processor() or platform.machine(), "rows": rows.rows, "raw": results}, indent=1))
    else:
        rows.print()


if __name__ == "__main__":
    main()
