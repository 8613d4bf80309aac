"""What checking answers costs: runs the benchmarks and prints one table. tools/bench builds what this needs and calls it."""

import argparse
import json
import pathlib
import platform
import signal
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from parts import MODEL, Bench, SiteError  # noqa: E402 (found by the line above)
from table import Rows, number, say  # noqa: E402

FORMATS = ("q8_0", "q4_k_m")
WORKERS = 10000
DECIDING_BAR, KEEPING_BAR, RECEIPTS_BAR, CHECK_BAR, FIRST_TOKEN_BAR = 20, 30, 10000, 0.12, 150
TOKENS_TIMED = 15  # first tokens of each kind in a run
TOKENS_PER_SECOND = 50


class BenchError(Exception):
    pass


def run_json(command):
    done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"{' '.join(map(str, command))} ended with {done.returncode}")
    return json.loads(done.stdout)


class Table:
    def __init__(self, arguments, folder):
        self.arguments = arguments
        self.folder = pathlib.Path(folder)
        self.programs = arguments.build.resolve() / "bench"
        self.cellule = arguments.build.resolve() / "src" / "cellule"
        self.rows = Rows()
        self.raw = []

    def repeat(self, what, command):
        results = []
        for run in range(self.arguments.runs):
            results.append(run_json(command()))
            say(f"  {what}, run {run + 1}")
        self.raw += [{"what": what, **result} for result in results]
        return lambda of: statistics.median(of(result) for result in results)

    def deciding(self):
        databases = iter(range(self.arguments.runs))
        median = self.repeat("deciding", lambda: [self.programs / "bench_deciding", self.folder / f"deciding{next(databases)}.db",
                                                  WORKERS, self.arguments.answers])
        for mode, what in (("spot", "in spot"), ("every", "in every")):
            ours = median(lambda r, mode=mode: r[mode]["deciding_us"] + r[mode]["drawn"] * r["choosing_us"])
            self.rows.add(f"deciding_{mode}", f"deciding {what}, {WORKERS} workers, CPU an answer", None, ours, ours,
                          DECIDING_BAR if mode == "spot" else None, "µs")
        for key, what, more, less, bar in (("spot_all", "spot, nothing kept: with its share of checks stored, more than off", "spot",
                                            "off", None),
                                           ("kept_all", "an answer kept for a re-check, more than not", "kept", "spot", KEEPING_BAR)):
            ours = median(lambda r, more=more, less=less: r[more]["all_us"] - r[less]["all_us"])
            self.rows.add(key, f"{what}, CPU an answer", None, ours, ours, bar, "µs")

    def receipts(self):
        databases = iter(range(self.arguments.runs))
        median = self.repeat("receipts", lambda: [self.programs / "bench_receipts", self.folder / f"{next(databases)}.db",
                                                  self.arguments.answers])
        ours = median(lambda r: 1e6 / r["sign_and_store_us"])
        self.rows.add("receipts", "receipts signed and stored, a second of CPU", None, ours, ours, RECEIPTS_BAR, "/s",
                      at_least=True)
        for field, what in (("verify_us", "a worker's signature verified, CPU"),
                            ("countersign_us", "verified and countersigned, at the first fetch, CPU")):
            value = median(lambda r, field=field: r[field])
            self.rows.add(field, what, None, value, value, None, "µs")

    def two_at_once(self):
        """What asking two idle workers for each answer costs its first token: one question with it, one without, in turn."""
        bench = Bench(self.folder / "required", self.arguments.build.resolve())
        runs = []
        try:
            bench.folder.mkdir()
            bench.start_site()
            bench.start_pair(MODEL, "--events-per-second", TOKENS_PER_SECOND)
            for run in range(self.arguments.runs):
                times = {"off": [], "required": []}
                for _ in range(TOKENS_TIMED):
                    for mode, taken in times.items():
                        bench.await_idle()
                        taken.append(1000 * bench.first_token(("X-Cellule-Verify", mode)))
                runs.append({mode: statistics.median(taken) for mode, taken in times.items()})
                self.raw.append({"what": "first token, ms", **times})
                say(f"  first token, run {run + 1}: {number(runs[-1]['off'])} and {number(runs[-1]['required'])}")
        finally:
            bench.stop()
        plain, required = (statistics.median(run[mode] for run in runs) for mode in ("off", "required"))
        self.rows.add("required_first_token", "first token of required, ms", plain, required,
                      statistics.median(run["required"] - run["off"] for run in runs), FIRST_TOKEN_BAR, "ms")

    def checking(self, kind):
        """One thread, so that time is processor time."""
        model = self.folder / f"{kind}.gguf"
        subprocess.run([self.programs / "bench_make_model", kind, model], check=True)
        for prompt, answer in self.arguments.tokens:
            size = f"{prompt}/{answer}"
            command = [self.cellule, "engine", "bench", model, "--json", "--threads", 1, "--prefill", 8, "--decode", 4,
                       "--batch", 0, "--depth", 0, "--runs", 1, "--score", f"{prompt},{answer},{self.arguments.at_once}"]
            median = self.repeat(f"{kind} {size}", lambda command=command: command)
            many = f"{self.arguments.at_once} at once"
            for key, what, of, bar in (
                    ("alone", "checked alone, of writing it alone", lambda r: r["score_seconds"] / r["produce_seconds"], None),
                    ("batch", f"checked {many}, of writing {many}",
                     lambda r: r["score_batch_seconds"] / r["produce_batch_seconds"], CHECK_BAR),
                    ("batch_of_alone", f"checked {many}, of writing it alone",
                     lambda r: r["score_batch_seconds"] / r["produce_seconds"], None)):
                ours = median(of)
                self.rows.add(f"{kind}_{prompt}_{answer}_{key}", f"{kind} {size}: {what}", None, ours, ours, bar, "")
        model.unlink()


def sizes(text):
    try:
        pairs = [tuple(int(number) for number in pair.split("/")) for pair in text.split(",")]
        if all(len(pair) == 2 and min(pair) > 0 for pair in pairs):
            return pairs
    except ValueError:
        pass
    raise argparse.ArgumentTypeError("a prompt's and an answer's tokens, as 128/256,512/256")


def parse_arguments():
    parser = argparse.ArgumentParser(prog="tools/bench proof", description="What checking answers costs.")
    parser.add_argument("--json", action="store_true", help="print everything measured as JSON")
    parser.add_argument("--runs", type=int, default=3, help="of each measurement; the median counts (default 3)")
    parser.add_argument("--formats", default=",".join(FORMATS), help="of the models (default: both)")
    parser.add_argument("--tokens", type=sizes, default="128/256,512/256", help="of prompts and answers (default 128/256,512/256)")
    parser.add_argument("--at-once", type=int, default=12, help="answers written, and checked, together (default 12)")
    parser.add_argument("--answers", type=int, default=200000, help="decided about, and receipts stored (default 200000)")
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.formats = arguments.formats.split(",") if arguments.formats else []
    if not set(arguments.formats) <= set(FORMATS) or min(arguments.runs, arguments.at_once, arguments.answers) < 1:
        parser.error(f"formats are {', '.join(FORMATS)}; there is one of everything at least")
    return arguments


def end(*_):
    sys.exit(130)


def main():
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, end)
    with tempfile.TemporaryDirectory(prefix="cellule-bench-") as folder:
        table = Table(arguments, folder)
        try:
            table.deciding()
            table.receipts()
            table.two_at_once()
            for kind in arguments.formats:
                table.checking(kind)
        except (BenchError, SiteError, subprocess.CalledProcessError) as error:
            sys.exit(f"bench: {error}")
    if arguments.json:
        print(json.dumps({"machine": platform.processor() or platform.machine(), "rows": table.rows.rows, "raw": table.raw},
                         indent=1))
    else:
        table.rows.print()


if __name__ == "__main__":
    main()
