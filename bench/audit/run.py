"""What the audit log costs: runs its benchmark and prints one table. tools/bench builds what this needs and calls it."""

import argparse
import json
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from table import Rows, say  # noqa: E402 (found by the line above)

ENTRIES_BAR, RAW_BAR, PROOF_MS_BAR, PROOF_BYTES_BAR = 10000, 0.8, 1000, 1024


def run(program, arguments):
    with tempfile.TemporaryDirectory(prefix="cellule-bench-", dir=arguments.folder) as folder:
        done = subprocess.run([program, folder, str(arguments.entries), str(arguments.log)], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"bench: {program} ended with {done.returncode}")
    return json.loads(done.stdout)


def table(results, arguments):
    rows = Rows()

    def median(of):
        return statistics.median(of(result) for result in results)

    ours = median(lambda r: r["per_second"])
    raw = median(lambda r: r["raw_per_second"])
    rows.add("entries", "entries durable, a second", raw, ours, ours, ENTRIES_BAR, "/s", at_least=True)
    rows.add("of_raw", "of what the same bytes in as many syncs would be", None, ours,
             median(lambda r: r["per_second"] / r["raw_per_second"]), RAW_BAR, "", at_least=True)
    million = f"{arguments.log / 1e6:g} M entries"
    for kind in ("inclusion", "consistency"):
        ours = median(lambda r, kind=kind: r[f"{kind}_p50_us"])
        rows.add(f"{kind}_p50", f"proof of {kind}, {million}, p50", None, ours, ours, PROOF_MS_BAR, "µs")
        ours = median(lambda r, kind=kind: r[f"{kind}_p99_us"])
        rows.add(f"{kind}_p99", f"proof of {kind}, {million}, p99", None, ours, ours, None, "µs")
        ours = max(result[f"{kind}_bytes"] for result in results)
        rows.add(f"{kind}_bytes", f"proof of {kind}, {million}, bytes", None, ours, ours, PROOF_BYTES_BAR, "B")
    ours = median(lambda r: r["check_per_second"])
    rows.add("check", "entries checked when the pool starts, a second", None, ours, ours, None, "/s", at_least=True)
    grown = median(lambda r: r["resident_after_kib"] - r["resident_before_kib"])
    rows.add("memory", f"memory more after {arguments.entries} entries, KiB", None, grown, grown, None, "KiB")
    return rows


def parse_arguments():
    parser = argparse.ArgumentParser(prog="tools/bench audit", description="What the audit log costs.")
    parser.add_argument("--json", action="store_true", help="print everything measured as JSON")
    parser.add_argument("--runs", type=int, default=3, help="the median counts (default 3)")
    parser.add_argument("--entries", type=int, default=200000, help="written (default 200000)")
    parser.add_argument("--log", type=int, default=10000000, help="entries of the log that proofs are of (default 10000000)")
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("build"),
                        help="on the disk that is measured (default build)")
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if min(arguments.runs, arguments.entries) < 1 or arguments.log < 2:
        parser.error("there is one of everything at least, and two entries")
    return arguments


def main():
    arguments = parse_arguments()
    program = arguments.build.resolve() / "bench" / "bench_audit"
    results = []
    for number in range(arguments.runs):
        results.append(run(program, arguments))
        say(f"  audit log, run {number + 1}")
    rows = table(results, arguments)
    if arguments.json:
        print(json.dumps({"machine": platform.processor() or platform.machine(), "rows": rows.rows, "raw": results}, indent=1))
    else:
        rows.print()


if __name__ == "__main__":
    main()
