"""The kernels give one and the same bits: every form, by gcc and clang at -O1 to -O3, on x86-64 and on 64-bit ARM.

golden.py TOP: builds tests/support/golden_kernels.c from the sources, with the project's flags for arithmetic, and
compares what it prints with tests/build/golden_kernels.txt. That file changes only with the normative arithmetic of
the engine's README.
"""

import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import tap

TOP = pathlib.Path(sys.argv[1])
ENGINE = TOP / "src" / "domain" / "engine"
EXPECTED = (TOP / "tests" / "build" / "golden_kernels.txt").read_text()
SOURCES = [TOP / "tests" / "support" / "golden_kernels.c"] + [
    ENGINE / name for name in ("golden/golden.c", "golden/inputs.c", "kernel/plain.c", "kernel/matrix.c", "kernel/kernels.c",
                               "arithmetic/arithmetic.c", "format/type.c")]
FLAGS = ["-std=c17", "-D_GNU_SOURCE", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", f"-I{ENGINE}",
         f"-I{ENGINE / 'include'}", f"-I{TOP / 'src' / 'core' / 'base' / 'include'}"]
AVX512 = ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mfma", "-mf16c"]
X86_FORMS = {"avx2": ["-mavx2", "-mfma", "-mf16c"], "avx512": AVX512, "avx512_vnni": AVX512 + ["-mavx512vnni"]}
ARM_FORMS = {"neon": ["-march=armv8.2-a+dotprod"]}
ARM_COMPILER = "aarch64-linux-gnu-gcc"
ARM_RUNNER = "qemu-aarch64"


def run(command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=1800, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}\n{done.stderr}")
    return done.stdout


def skip_without(case, *tools):
    for tool in tools:
        if shutil.which(tool) is None:
            case.skipTest(f"no {tool} here")


def skip_unless_x86(case):
    if os.uname().machine != "x86_64":
        case.skipTest("not an x86-64 machine")


def build(compiler, level, forms, folder, link, sources, more=(), room=ENGINE / "kernel"):
    """The program's path; its forms, files of `room`, are compiled as the project does, each for its own instruction set."""
    def compile_one(source, flags):
        output = folder / (source.parent.name + "_" + source.stem + ".o")
        run([compiler, level, *FLAGS, *more, *flags, "-c", source, "-o", output])
        return output

    jobs = [(room / f"{form}.c", flags) for form, flags in forms.items()]
    jobs += [(source, []) for source in sources]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(lambda job: compile_one(*job), jobs))
    program = folder / "golden"
    run([compiler, *objects, *link, "-lm", "-o", program])
    return program


class Golden(unittest.TestCase):
    def check(self, compiler, level, forms, link=(), runner=()):
        """The names of the forms that ran."""
        skip_without(self, compiler, *runner[:1])
        self.maxDiff = None
        with tempfile.TemporaryDirectory() as folder:
            program = build(compiler, level, forms, pathlib.Path(folder), link, SOURCES)
            names = run([*runner, program, "forms"]).split()
            for name in names:
                self.assertEqual(run([*runner, program, name]), EXPECTED, name)
                self.assertEqual(run([*runner, program, name, "odd"]), EXPECTED, f"{name}, odd environment")
        return names

    def check_x86(self, compiler, level):
        skip_unless_x86(self)
        self.assertIn("plain", self.check(compiler, level, X86_FORMS))

    def test_gcc_o1(self):
        self.check_x86("gcc", "-O1")

    def test_gcc_o2(self):
        self.check_x86("gcc", "-O2")

    def test_gcc_o3(self):
        self.check_x86("gcc", "-O3")

    def test_clang_o1(self):
        self.check_x86("clang", "-O1")

    def test_clang_o2(self):
        self.check_x86("clang", "-O2")

    def test_clang_o3(self):
        self.check_x86("clang", "-O3")

    def test_arm_o1(self):
        self.assertEqual(self.check(ARM_COMPILER, "-O1", ARM_FORMS, ["-static"], [ARM_RUNNER]), ["neon", "plain"])

    def test_arm_o3(self):
        self.assertEqual(self.check(ARM_COMPILER, "-O3", ARM_FORMS, ["-static"], [ARM_RUNNER]), ["neon", "plain"])

    def test_arm_without_dot_product_runs_the_plain_form(self):
        runner = [ARM_RUNNER, "-cpu", "cortex-a53"]
        self.assertEqual(self.check(ARM_COMPILER, "-O2", ARM_FORMS, ["-static"], runner), ["plain"])


if __name__ == "__main__":
    tap.main()
