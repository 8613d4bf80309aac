"""What sealing what users keep costs: runs its benchmark and prints one table. tools/bench builds what this needs and calls it."""

import argparse
import json
import pathlib
import platform
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from table import Rows, say  # noqa: E402 (found by the line above)

RATIO_BAR = 0.8
SIZES = {"1024": "1 KB", "16384": "16 KB", "1048576": "1 MB"}


def run(program, arguments):
    done = subprocess.run([program, str(arguments.milliseconds)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          check=False)
    if done.returncode != 0:
        sys.exit(f"bench: {program} ended with {done.returncode}")
    return json.loads(done.stdout)


def table(results):
    rows = Rows()
    for size, name in SIZES.items():
        for act in ("seal", "open"):
            for what, bar in (("fernet", RATIO_BAR), ("record", None)):
                plain, ours, ratio = (statistics.median(of(result[size]) for result in results) for of in (
                    lambda r: r[f"plain_{act}_us"], lambda r: r[f"{what}_{act}_us"],
                    lambda r: r[f"plain_{act}_us"] / r[f"{what}_{act}_us"]))
                said = "token" if what == "fernet" else "record"
                rows.add(f"{what}_{act}_{size}", f"{act} a {said} of {name}, µs, speed of the yardstick's", plain, ours, ratio, bar, "",
                         at_least=True)
    return rows


def parse_arguments():
    parser = argparse.ArgumentParser(prog="tools/bench memory", description="What sealing what users keep costs.")
    parser.add_argument("--json", action="store_true", help="print everything measured as JSON")
    parser.add_argument("--runs", type=int, default=3, help="the median counts (default 3)")
    parser.add_argument("--milliseconds", type=int, default=2000, help="for each size (default 2000)")
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if min(arguments.runs, arguments.milliseconds) < 1:
        parser.error("there is one of everything at least")
    return arguments


def main():
    arguments = parse_arguments()
    program = arguments.build.resolve() / "bench" / "bench_sealing"
    results = []
    for number in range(arguments.runs):
        results.append(run(program, arguments))
        say(f"  sealing, run {number + 1}")
    rows = table(results)
    if arguments.json:
        print(json.dumps({"machine": platform.processor() or platform.machine(), "rows": rows.rows, "raw": results}, indent=1))
    else:
        rows.print()


if __name__ == "__main__":
    main()
