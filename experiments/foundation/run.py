"""Runs the grid of grid.yaml trial by trial, or prints its table.

    python experiments/foundation/run.py              # first trial of every cell, then the second, ...
    python experiments/foundation/run.py --table      # ours beside the published figures

A trial that is in results/foundation.jsonl is not run again, and one that was interrupted goes on from its last epoch,
so the command can be stopped and started at any time. Several at once share the work: a lock file claims each trial.
"""

import argparse
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.console import Console
from rich.table import Table

from bitgate.train import FitConfig, fit

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "foundation.jsonl"


def rows() -> list[dict[str, Any]]:
    """Results so far."""
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def is_of(row: dict[str, Any], cell: dict[str, Any]) -> bool:
    """Whether a result belongs to a cell as the grid has it now: another number of epochs is another experiment."""
    return bool(row["cell"] == cell["name"] and row["epochs"] == cell["epochs"])


def commit() -> str:
    """Commit that the code runs from."""
    command = ["git", "-C", str(HERE), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def run_trial(grid: dict[str, Any], cell: dict[str, Any], seed: int, runs_dir: str) -> None:
    """Trains one cell with one seed and appends its row, unless it is done or another process has it."""
    if any(is_of(row, cell) and row["seed"] == seed for row in rows()):
        return
    options = {k: v for k, v in cell.items() if k not in ("name", "published")}
    config = FitConfig(
        **{**grid["common"], "hidden_sizes": tuple(grid["common"]["hidden_sizes"]), **options},
        seed=seed,
        name=f"{grid['experiment']}-{cell['name']}-{cell['epochs']}epochs-seed{seed}",
        runs_dir=runs_dir,
    )
    lock = Path(runs_dir) / f"{config.run_name}.lock"
    lock.parent.mkdir(exist_ok=True)
    if lock.exists() and Path(f"/proc/{lock.read_text()}").exists():
        return
    lock.write_text(str(os.getpid()))
    at_commit = commit()
    result = fit(config, resume=True)
    row = {
        "experiment": grid["experiment"],
        "cell": cell["name"],
        "dataset": config.data,
        "weights": config.weights,
        "gates": config.gates,
        "method": None if config.weights == "continuous" else config.method,
        "trial": seed + 1,
        "seed": seed,
        "commit": at_commit,
        "epochs": config.epochs,
        "val": {k: result[k] for k in ("val_sample", "val_map") if k in result},
        "test": {k.removeprefix("test_"): v for k, v in result.items() if k.startswith("test_")},
        "best_epoch": {k.removeprefix("epoch_"): v for k, v in result.items() if k.startswith("epoch_")},
        "seconds": result["seconds"],
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a") as file:
        file.write(json.dumps(row) + "\n")
    lock.unlink()


def table(grid: dict[str, Any]) -> Table:
    """Ours beside the published figures, in %; results of earlier, shorter grids in rows of their own."""
    result = Table("method", "epochs", "metric", "published", "ours", "difference", "trials", title="Test accuracy, %")
    for cell in grid["cells"]:
        found = [row for row in rows() if row["cell"] == cell["name"]]
        for epochs in sorted({row["epochs"] for row in found}):
            for metric, (mean, std) in cell["published"].items():
                values = [100 * row["test"][metric] for row in found if row["epochs"] == epochs]
                spread = f" ± {np.std(values, ddof=1):.2f}" if len(values) > 1 else ""
                ours, difference = f"{np.mean(values):.2f}{spread}", f"{np.mean(values) - mean:+.2f}"
                published = f"{mean:.2f} ± {std:.2f}"
                result.add_row(cell["name"], str(epochs), metric, published, ours, difference, str(len(values)))
    return result


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="print the results so far and train nothing")
    parser.add_argument("--runs-dir", default="runs", help="folder for checkpoints (default: runs)")
    arguments = parser.parse_args()
    grid = yaml.safe_load((HERE / "grid.yaml").read_text())
    if not arguments.table:
        for seed in range(grid["trials"]):
            for cell in grid["cells"]:
                run_trial(grid, cell, seed, arguments.runs_dir)
    Console().print(table(grid))


if __name__ == "__main__":
    main()
