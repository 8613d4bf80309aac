"""The engine beside llama.cpp and the machine's limits: runs the benchmarks and prints one table. tools/bench builds what
this needs and calls it."""

import argparse
import json
import os
import pathlib
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from table import Rows, number, say  # noqa: E402 (found by the line above)

LLAMA = "node_modules/@node-llama-cpp/linux-x64/bins/linux-x64"
PREFILL, DECODE, BATCH, DEPTH = 256, 64, 8, 2048
SCORE_PROMPT, SCORE_ANSWER, SCORE_STREAMS = 128, 256, 12
FIRST_TOKEN_CONTEXT = 512
ANSWER_WORDS = "Tell me about the weather."

# Bars of each format: decode and prefill against llama.cpp at one thread, score's share of producing.
FORMATS = {"q8_0": {"decode": 1.8, "prefill": 3.5, "score": 0.12},
           "q4_0": {"decode": 1.7, "prefill": 2.5, "score": 0.18},
           "q4_k": {"decode": 1.7, "prefill": 2.5, "score": None}}
TWO_THREADS_BAR, AVX2_BAR, BATCH_BAR, DEPTH_BAR = 1.7, 1.3, 1.3, 0.30
FIRST_TOKEN_BAR, MEMORY_BAR = 1.5, 1.15


class BenchError(Exception):
    pass


def run_json(command):
    done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"{' '.join(map(str, command))} ended with {done.returncode}")
    return json.loads(done.stdout)


def in_words(threads):
    return "1 thread" if threads == 1 else f"{threads} threads"


def median(values):
    return statistics.median(list(values))


def attention_share(result):
    """Of the time of a prompt's part at a depth. The part's time grows with the positions that its tokens see, on average
    half of the part at the beginning, and by `depth` more there; all that grows is attention."""
    shallow, deep = result["prefill_seconds"], result["deep_prefill_seconds"]
    each = (deep - shallow) / DEPTH
    return each * (DEPTH + PREFILL / 2) / deep


class Engines:
    """One measurement of either engine, by its own program."""

    def __init__(self, build, library):
        self.cellule = build / "src" / "cellule"
        self.programs = build / "bench"
        self.library = library if library.is_dir() else None
        self.raw = []

    def make_model(self, folder, kind):
        path = pathlib.Path(folder) / f"{kind}.gguf"
        subprocess.run([self.programs / "bench_make_model", kind, path], check=True)
        return path

    def limits(self, threads):
        return run_json([self.programs / "bench_limits", threads])

    def llama(self, model, threads, form=None, depth=0):
        if self.library is None:
            return None
        command = [self.programs / "bench_llama", "--library", self.library, "--model", model, "--threads", threads,
                   "--prefill", PREFILL, "--decode", DECODE, "--batch", BATCH, "--depth", depth]
        return self.keep("llama.cpp", model, run_json(command + (["--form", form] if form else [])))

    def ours(self, model, threads, kernels=None, depth=0, score=False):
        command = [self.cellule, "engine", "bench", model, "--json", "--threads", threads, "--prefill", PREFILL,
                   "--decode", DECODE, "--batch", BATCH, "--depth", depth, "--runs", 1]
        command += ["--kernels", kernels] if kernels else []
        command += ["--score", f"{SCORE_PROMPT},{SCORE_ANSWER},{SCORE_STREAMS}" if score else "0"]
        return self.keep("cellule", model, run_json(command))

    def keep(self, engine, model, result):
        self.raw.append({"engine": engine, "model": model.stem, **result})
        return result

    def first_token(self, model):
        """Seconds from start to the first text of an answer, and the resident KiB then."""
        command = [self.cellule, "engine", "run", model, ANSWER_WORDS, "--context", FIRST_TOKEN_CONTEXT]
        started = time.monotonic()
        with subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL) as engine:
            first = os.read(engine.stdout.fileno(), 1)
            seconds = time.monotonic() - started
            status = pathlib.Path(f"/proc/{engine.pid}/status").read_text() if first else ""
            engine.terminate()
        for line in status.splitlines():
            if line.startswith("VmRSS:"):
                return seconds, int(line.split()[1])
        raise BenchError(f"{' '.join(map(str, command))} writes nothing")


class Table:
    def __init__(self, engines, arguments):
        self.engines = engines
        self.count = arguments.runs
        self.rows = Rows()
        self.limits = {threads: engines.limits(threads) for threads in (1, 2)}

    def pairs(self, name, yardstick, ours):
        """Both in turn, so that what else the machine does meets both."""
        results = []
        for run in range(self.count):
            results.append((yardstick(), ours()))
            theirs, mine = ("-" if result is None else f"{1 / result['decode_seconds']:.1f}" for result in results[-1])
            say(f"  {name}, run {run + 1}: decode {theirs} and {mine} tokens/s")
        return results

    def speed(self, key, what, pairs, tokens, field, bar):
        """Tokens a second, and how many times llama.cpp's that is."""
        ours = median(tokens / mine[field] for _, mine in pairs)
        if pairs[0][0] is None:
            self.rows.add(key, what, None, ours, ours, None, "")
            return
        theirs = median(tokens / their[field] for their, _ in pairs)
        ratio = median(their[field] / mine[field] for their, mine in pairs)
        self.rows.add(key, what, theirs, ours, ratio, bar, "×", at_least=True)

    def share(self, key, what, pairs, of, bar):
        """A share or ratio that each engine has by itself."""
        theirs = None if pairs[0][0] is None else median(of(their) for their, _ in pairs)
        ours = median(of(mine) for _, mine in pairs)
        self.rows.add(key, what, theirs, ours, ours, bar, "")

    def format(self, kind, model):
        bars = FORMATS[kind]
        e = self.engines
        single = self.pairs(f"{kind}, 1 thread", lambda: e.llama(model, 1), lambda: e.ours(model, 1, score=True))
        double = self.pairs(f"{kind}, 2 threads", lambda: e.llama(model, 2), lambda: e.ours(model, 2))
        for threads, pairs, bar in ((1, single, bars["decode"]), (2, double, TWO_THREADS_BAR)):
            self.speed(f"{kind}_decode_{threads}", f"{kind} decode, {in_words(threads)}, tokens/s", pairs, 1, "decode_seconds", bar)
            self.bandwidth(kind, model, threads, pairs)
            self.speed(f"{kind}_prefill_{threads}", f"{kind} prefill of {PREFILL}, {in_words(threads)}, tokens/s", pairs, PREFILL,
                       "prefill_seconds", bars["prefill"])
        self.share(f"{kind}_batch", f"{kind} step of {BATCH} sequences, of one's time", single,
                   lambda r: r["batch_seconds"] / r["batch_one_seconds"], BATCH_BAR)
        ours = [(None, mine) for _, mine in single]
        self.share(f"{kind}_score", f"{kind} score, of producing alone", ours,
                   lambda r: r["score_seconds"] / r["produce_seconds"], bars["score"])
        self.share(f"{kind}_score_batch", f"{kind} score, of producing {SCORE_STREAMS} at once", ours,
                   lambda r: r["score_seconds"] / r["produce_batch_seconds"], None)

    def bandwidth(self, kind, model, threads, pairs):
        """The weights that a step reads, beside what the machine can read; the embedding is read as the head."""
        most = self.limits[threads]["read_gb_per_second"]
        size = model.stat().st_size / 1e9
        ours = median(size / mine["decode_seconds"] for _, mine in pairs)
        theirs = None if pairs[0][0] is None else median(size / their["decode_seconds"] for their, _ in pairs)
        self.rows.add(f"{kind}_bandwidth_{threads}", "  as GB/s read", theirs, ours, ours / most, None, f"of {most:.1f}")

    def avx2(self, model):
        pairs = self.pairs("q8_0, AVX2", lambda: self.engines.llama(model, 1, form="haswell"),
                           lambda: self.engines.ours(model, 1, kernels="avx2"))
        self.speed("avx2_decode", "q8_0 decode, AVX2, tokens/s", pairs, 1, "decode_seconds", AVX2_BAR)
        self.speed("avx2_prefill", f"q8_0 prefill of {PREFILL}, AVX2, tokens/s", pairs, PREFILL, "prefill_seconds", None)

    def depth(self, model):
        pair = self.pairs(f"q8_0, behind {DEPTH} tokens", lambda: self.engines.llama(model, 1, depth=DEPTH),
                          lambda: self.engines.ours(model, 1, depth=DEPTH))
        self.share("attention", f"attention at {DEPTH}, of prefill", pair, attention_share, DEPTH_BAR)

    def load(self, model):
        size = model.stat().st_size
        model.read_bytes()  # into the page cache
        results = [self.engines.first_token(model) for _ in range(self.count)]
        seconds = median(seconds for seconds, _ in results)
        self.rows.add("first_token", f"first token of a file of {size / 1e9:.2f} GB, s", None, seconds, seconds,
                      FIRST_TOKEN_BAR, "s")
        resident = median(kib * 1024 / size for _, kib in results)
        self.rows.add("memory", f"resident memory, context {FIRST_TOKEN_CONTEXT}, of the file", None, resident, resident,
                      MEMORY_BAR, "×")


def parse_arguments():
    parser = argparse.ArgumentParser(prog="tools/bench engine", description="The engine's speed and memory beside llama.cpp.")
    parser.add_argument("--json", action="store_true", help="print everything measured as JSON")
    parser.add_argument("--runs", type=int, default=5, help="of each measurement; the median counts (default 5)")
    parser.add_argument("--formats", default=",".join(FORMATS), help="of the models (default: all)")
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"), help=argparse.SUPPRESS)
    parser.add_argument("--clients", type=pathlib.Path, default=pathlib.Path("build/clients"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.formats = arguments.formats.split(",")
    if not set(arguments.formats) <= set(FORMATS) or arguments.runs < 1:
        parser.error(f"formats are {', '.join(FORMATS)}; there is one run at least")
    return arguments


def end(*_):
    sys.exit(130)


def main():
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, end)
    engines = Engines(arguments.build.resolve(), (arguments.clients / LLAMA).resolve())
    if engines.library is None:
        say("llama.cpp is not there (npm, x86-64): the machine's limits alone are the yardstick")
    with tempfile.TemporaryDirectory(prefix="cellule-bench-") as folder:
        try:
            table = Table(engines, arguments)
            for kind in arguments.formats:
                model = engines.make_model(folder, kind)
                table.format(kind, model)
                if kind == "q8_0":
                    if platform.machine() == "x86_64":
                        table.avx2(model)
                    table.depth(model)
                    table.load(model)
                model.unlink()
        except (BenchError, subprocess.CalledProcessError) as error:
            sys.exit(f"bench: {error}")
    if arguments.json:
        print(json.dumps({"machine": platform.processor() or platform.machine(), "rows": table.rows.rows,
                          "limits": table.limits, "raw": engines.raw}, indent=1))
    else:
        table.rows.print()
        forms = sorted({result["form"] for result in engines.raw if "form" in result})
        peaks = " and ".join(f"{number(limit['int8_gops'])} GOPS with {in_words(threads)}"
                             for threads, limit in table.limits.items())
        say(f"llama.cpp's forms: {', '.join(forms) or 'none'}; 8-bit integer peak: {peaks}")


if __name__ == "__main__":
    main()
