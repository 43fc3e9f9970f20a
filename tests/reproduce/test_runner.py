"""Running grids: complete, resumable, shared between processes and machines."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from bitgate.errors import ArgumentError, BitgateError
from bitgate.reproduce import Results, load_grid, run_grid
from bitgate.reproduce.trial import run_trial
from bitgate.train import fit

UNEQUAL = ("commit", "seconds", "step_us")


def rows_of(grid):
    return {
        (row["cell"], row["trial"]): {key: value for key, value in row.items() if key not in UNEQUAL}
        for row in Results.read(grid).rows
    }


@pytest.fixture
def runs(tmp_path):
    return str(tmp_path / "runs")


@pytest.mark.slow
def test_runs_everything_once(grid_file, runs):
    grid = load_grid(grid_file)
    assert run_grid(grid, runs_dir=runs, jobs=2, progress=False) == 4
    assert rows_of(grid).keys() == {(cell, n) for cell in ("qat", "r") for n in (1, 2)}
    before = grid.results_file.read_bytes()
    assert run_grid(grid, runs_dir=runs, jobs=2, progress=False) == 0
    assert grid.results_file.read_bytes() == before


def test_a_row_is_that_of_the_run(grid_file, runs, tmp_path):
    trial = load_grid(grid_file).schedule()[3]
    row = run_trial(trial, runs)
    result = fit(trial.config(str(tmp_path / "again")), progress=False)
    assert row["test"] == {k.removeprefix("test_"): v for k, v in result.items() if k.startswith("test_")}
    assert row["best_epoch"] == {"map": result["epoch_map"], "sample": result["epoch_sample"]}
    assert (row["trial"], row["seed"], row["epochs"], row["config"]) == (2, 1, 3, trial.cell.identity)
    assert row["curves"]["val_map"][0] == [1, 2, 3]
    json.dumps(row)


def test_a_trial_that_another_process_has_is_left_to_it(grid_file, runs, tmp_path):
    trial = load_grid(grid_file).schedule()[0]
    (tmp_path / "runs").mkdir()
    with (tmp_path / "runs" / f"{trial.config(runs).run_name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run_trial(trial, runs) is None
    assert run_trial(trial, runs) is not None, "a lock ends with its holder"


def wait_for_epochs(metrics, epochs, process, seconds=300):
    until = time.monotonic() + seconds
    while not (metrics.is_file() and len(metrics.read_text().splitlines()) > epochs):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.slow
def test_killed_and_started_again_gives_the_same_rows(grid_file, runs, tmp_path):
    """The whole group of processes is killed, as when a terminal is closed or memory runs out."""
    grid_file.write_text(grid_file.read_text().replace("epochs: 3", "epochs: 40"))
    grid = load_grid(grid_file)
    command = (
        "from pathlib import Path; from bitgate.reproduce import load_grid, run_grid; "
        f"run_grid(load_grid(Path({str(grid_file)!r})), runs_dir={runs!r}, jobs=2)"
    )
    process = subprocess.Popen([sys.executable, "-c", command], start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        wait_for_epochs(tmp_path / "runs" / grid.schedule()[1].config(runs).run_name / "metrics.csv", 5, process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert ("r", 1) not in rows_of(grid)
    run_grid(grid, runs_dir=runs, jobs=2, progress=False)
    resumed = rows_of(grid)
    grid.results_file.unlink()
    run_grid(grid, runs_dir=str(tmp_path / "uninterrupted"), jobs=2, progress=False)
    assert resumed == rows_of(grid)


@pytest.mark.slow
def test_a_failing_trial_does_not_stop_the_others(grid_file, runs):
    text = grid_file.read_text().replace("trials: 2", "trials: 1")
    grid_file.write_text(text + "  - {name: lost, data: no-such-set}\n")
    grid = load_grid(grid_file)
    with pytest.raises(BitgateError, match=r"1 of 3 trials failed; the first: lost, trial 1: .*no-such-set"):
        run_grid(grid, runs_dir=runs, jobs=2, progress=False)
    assert len(rows_of(grid)) == 2


def test_arguments(grid_file):
    with pytest.raises(ArgumentError, match="jobs: 0"):
        run_grid(load_grid(grid_file), jobs=0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_on_a_cluster_of_two_workers(grid_file, runs, tmp_path):
    """The same rows as here."""
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    from ray.cluster_utils import Cluster

    grid = load_grid(grid_file)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1)
        assert run_grid(grid, runs_dir=runs, ray_address=cluster.address, progress=False) == 4
    finally:
        ray.shutdown()
        cluster.shutdown()
    on_cluster = rows_of(grid)
    grid.results_file.unlink()
    run_grid(grid, runs_dir=str(tmp_path / "here"), jobs=2, progress=False)
    assert on_cluster == rows_of(grid)
