"""One trial: a training run and the row it leaves."""

import fcntl
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import bitgate
from bitgate.report import read_metrics
from bitgate.reproduce.grid import Trial
from bitgate.reproduce.latency import step_microseconds
from bitgate.reproduce.results import Row
from bitgate.train import FitConfig, Run, build_model, fit, load_run_dataset

_CURVES = ("train_loss", "val_sample", "val_map", "entropy_bits")


def run_trial(trial: Trial, runs_dir: str, data_dir: str | None = None) -> Row | None:
    """Trains, or goes on with what was interrupted, and gives the trial's row; None if another process has it.

    The lock is the operating system's: it ends with the process that holds it, however that ends.
    """
    config = trial.config(runs_dir, data_dir)
    folder = Path(runs_dir)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{config.run_name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        code = commit()
        result = fit(config, resume=True, progress=False)
    return _make_row(trial, config, result, code)


def _make_row(trial: Trial, config: FitConfig, result: dict[str, Any], code: str | None) -> Row:
    """What is kept of a trial: what it was, what it gave, and where."""
    metrics = read_metrics(Run(folder_of(config)).metrics_file)
    return {
        "cell": trial.cell.name,
        "config": trial.cell.identity,
        "trial": trial.number,
        "seed": trial.seed,
        "data": config.data,
        "split": config.split,
        "commit": code,
        "version": bitgate.__version__,
        "epochs": result["epochs"],
        "val": {key: result[f"val_{key}"] for key in ("sample", "map") if f"val_{key}" in result},
        "test": _with_prefix(result, "test_"),
        "best_epoch": _with_prefix(result, "epoch_"),
        "bits": result["paper_bits"],
        "parameters": result["parameters"],
        "recurrent_parameters": result["recurrent_parameters"],
        "seconds": result["seconds"],
        "step_us": round(step_microseconds(build_model(config, load_run_dataset(config))), 2),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {config.accelerator}",
        "curves": {name: metrics[name] for name in _CURVES if name in metrics},
    }


def folder_of(config: FitConfig) -> Path:
    """The folder of a run."""
    return Path(config.runs_dir) / config.run_name


def _with_prefix(result: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {key.removeprefix(prefix): value for key, value in result.items() if key.startswith(prefix)}


def commit() -> str | None:
    """Commit of the code, with ``+`` where files differ from it; None outside of a checkout."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        name = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no", "."], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return name.stdout.strip() + "+" * bool(changed.stdout.strip())
