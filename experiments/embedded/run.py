"""Trains, freezes, verifies and measures the networks of networks.yml, or prints the tables.

    python experiments/embedded/run.py                        # everything that is not done yet
    python experiments/embedded/run.py --only verify --targets cortex-m4 host
    python experiments/embedded/run.py --table                # the results so far

What is in results/ is not done again, so the command can be stopped and started at any time: training goes on from the
last epoch, a verification that was interrupted begins anew. Verifications and sizes belong to the C kernels they were
measured with; after a change of the kernels they are measured again.
"""

import argparse
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from networks import Network, networks
from tables import show
from verification import kernels_of, sizes, verify_all

HERE = Path(__file__).parent
RESULTS = HERE / "results"
STAGES = ("train", "sizes", "verify")
Row = dict[str, Any]


def read(stage: str) -> list[Row]:
    """Results so far."""
    path = RESULTS / f"{stage}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def matching(stage: str, key: Row) -> list[Row]:
    """The results under ``key``."""
    return [row for row in read(stage) if all(row.get(name) == value for name, value in key.items())]


def measure(stage: str, key: Row, run: Callable[[], Row]) -> None:
    """Appends what ``run`` gives under ``key``, unless it is there."""
    if not matching(stage, key):
        append(stage, key, run)


def append(stage: str, key: Row, run: Callable[[], Row]) -> None:
    """Appends what ``run`` gives under ``key``."""
    command = ["git", "-C", str(HERE), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    start = time.monotonic()
    row = {**key, **run(), "commit": commit, "seconds": round(time.monotonic() - start, 1)}
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / f"{stage}.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")


def named(grid: dict[str, Any], network: Network) -> Row:
    """What every row begins with."""
    return {"experiment": grid["experiment"], "dataset": network.config.data, "gates": network.gates}


def train(grid: dict[str, Any], network: Network) -> None:
    """Trains and freezes a network and measures its accuracies; again with rounded states where the grid says so."""
    for training in network.all_trainings:
        train_one(grid, training)


def train_one(grid: dict[str, Any], network: Network) -> None:
    """One training of a network."""
    config = network.config

    def run() -> Row:
        result = network.train()
        accuracies = network.accuracies(grid["state_bits"])
        return {
            "weights": config.weights,
            "method": config.method,
            "trial": 1,
            "val": {"map": result["val_map"]},
            "test": {"map": result["test_map"]},
            "accuracy": accuracies,
        }

    key = {"epochs": config.epochs, "seed": config.seed, "trained_bits": config.state_bits}
    measure("train", {**named(grid, network), **key}, run)


def measure_sizes(grid: dict[str, Any], network: Network) -> None:
    """Flash and RAM for every target, kind of kernels and optimization."""
    if network.config.data not in grid["sizes"]["networks"]:
        return
    for target in grid["sizes"]["targets"]:
        for kernels, bits in grid["sizes"]["kernels"].items():
            model = network.frozen(bits)
            for optimize in grid["sizes"]["optimize"]:
                key = {
                    **named(grid, network),
                    "target": target,
                    "kernels": kernels,
                    "state_bits": bits,
                    "optimize": optimize,
                    **kernels_of(model, kernels),
                }
                measure("sizes", key, lambda m=model, t=target, k=kernels, o=optimize: sizes(m, t, k, o))


def verify(grid: dict[str, Any], network: Network, entry: Row) -> None:
    """Compares every state and logit with the interpreter."""
    test = network.dataset().test
    frozen = network.frozen(entry["state_bits"])
    count = min(entry["sequences"] or len(test), len(test))
    chosen = {name: entry[name] for name in ("target", "kernels", "state_bits")}
    key = {**named(grid, network), **chosen, **kernels_of(frozen, entry["kernels"])}
    if any(row["n_sequences"] >= count for row in matching("verify", key)):
        return

    def run() -> Row:
        return verify_all(frozen, [test[k] for k in range(count)], entry["target"], entry["kernels"])

    append("verify", key, run)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="print the results so far and run nothing")
    parser.add_argument("--markdown", action="store_true", help="print the tables as in the README")
    parser.add_argument("--only", choices=STAGES, help="one stage")
    parser.add_argument("--targets", nargs="+", help="verify on these targets only")
    parser.add_argument("--data", nargs="+", help="networks of these data sets only")
    parser.add_argument("--gates", nargs="+", help="networks with these gates only, such as step")
    parser.add_argument("--seed", type=int, help="another seed than the grid's, for --only train")
    parser.add_argument("--runs-dir", default="runs", help="folder for checkpoints and frozen models (default: runs)")
    arguments = parser.parse_args()
    grid = yaml.safe_load((HERE / "networks.yml").read_text())
    if arguments.seed is not None and arguments.only != "train":
        parser.error("--seed: only trainings of other seeds are kept; add --only train")
    if not arguments.table:
        chosen = [
            n
            for n in networks(grid, arguments.runs_dir, arguments.seed)
            if (not arguments.data or n.config.data in arguments.data)
            and (not arguments.gates or n.gates in arguments.gates)
        ]
        if arguments.only in (None, "train"):
            for network in chosen:
                train(grid, network)
        if arguments.only in (None, "sizes"):
            for network in chosen:
                measure_sizes(grid, network)
        if arguments.only in (None, "verify"):
            for entry in grid["verify"]:
                for network in chosen:
                    if not arguments.targets or entry["target"] in arguments.targets:
                        verify(grid, network, entry)
    show({stage: read(stage) for stage in STAGES}, arguments.markdown)


if __name__ == "__main__":
    main()
