"""Runs one test file of the real clients against a site of its own: run.py BINARY CLIENTS_FOLDER FILE.test.mjs MAKE_MODELS

CLIENTS_FOLDER is what tools/clients lays out: the test files beside the installed npm packages.
"""

import filecmp
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "tools"))

from cellule_site import Site  # noqa: E402 (found by the line above)

QUEUE_LIMIT_PER_USER = 24
EMBEDDER = "words"


def installed(folder):
    lock = folder / "installed.json"
    return lock.exists() and filecmp.cmp(lock, HERE / "package-lock.json", shallow=False)


def start_embedder(site, make_models):
    """A third worker, with a small encoder of random weights."""
    made = subprocess.run([make_models, site.folder, "-", "bert"], check=True, capture_output=True, text=True)
    site.model = pathlib.Path(made.stdout.strip().split("\t")[1])
    site.start_worker(2, "--name", EMBEDDER)
    site.wait_for("the embedder is connected", lambda: site.connected_workers() == 3, [site.pool, *site.workers])


def main():
    binary, folder, file, make_models = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    if not installed(folder):
        print("1..0 # SKIP the npm packages are not installed: run tools/clients", folder)
        return 0
    with tempfile.TemporaryDirectory(prefix="cellule-clients-") as scratch:
        site = Site(scratch, binary, settings={"queue_limit_per_user": QUEUE_LIMIT_PER_USER})
        with site.running():
            environment = {**os.environ, **site.environment(site.user_key), "CELLULE_MODEL": site.model.stem,
                           "CELLULE_EMBEDDER": EMBEDDER, "CELLULE_BINARY": os.path.abspath(binary),
                           "CELLULE_QUEUE": str(QUEUE_LIMIT_PER_USER), "NODE_EXTRA_CA_CERTS": str(site.ca_file)}
            start_embedder(site, make_models)
            tested = subprocess.run(["node", "--test-reporter=tap", file], cwd=folder, env=environment, check=False)
        if tested.returncode != 0:
            for process in ("pool", "worker1", "worker2", "worker3"):
                print(f"==== {process}.log", file=sys.stderr)
                print((site.folder / f"{process}.log").read_text(errors="replace")[-4000:], file=sys.stderr)
    return tested.returncode


if __name__ == "__main__":
    sys.exit(main())
