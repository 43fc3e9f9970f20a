"""Runs the trials of a grid side by side: one single-threaded process per core, or tasks on a Ray cluster."""

import logging
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

from bitgate.errors import ArgumentError, BitgateError
from bitgate.reproduce.grid import Grid, Trial
from bitgate.reproduce.progress import GridProgress
from bitgate.reproduce.results import Results, Row, append
from bitgate.reproduce.trial import run_trial

Submit = Callable[[Trial], "Future[Row | None]"]


def run_grid(
    grid: Grid,
    *,
    runs_dir: str = "runs",
    data_dir: str | None = None,
    jobs: int | None = None,
    ray_address: str | None = None,
    progress: bool = True,
) -> int:
    """Runs what the results file does not hold yet, first trials first; appends each result as it comes.

    Kill it at any time: finished trials are in the file, unfinished ones go on from their last epoch the next time.
    Several calls at once share the work.

    Args:
        grid: the grid, or a part of it (``Grid.only``).
        runs_dir: folder of the training runs; on several machines, one that all of them see.
        data_dir: folder with packed data sets; $BITGATE_DATA where not given.
        jobs: processes; one per core where not given.
        ray_address: address of a Ray cluster ("local" starts one here) to run on instead.
        progress: whether to show progress with the time that remains on stderr.

    Returns:
        How many trials were added.

    Raises:
        ArgumentError: ``jobs`` is not positive, or Ray is not installed.
        BitgateError: trials failed; the others have been run.
    """
    jobs = os.cpu_count() or 1 if jobs is None else jobs
    if jobs < 1:
        raise ArgumentError(f"jobs: {jobs}, expected 1 or more")
    results = Results.read(grid)
    trials = [trial for trial in grid.schedule() if not results.has(trial)]
    if not trials:
        return 0
    workers = _ray(ray_address, runs_dir, data_dir) if ray_address else _processes(jobs, runs_dir, data_dir)
    added, failures = 0, []
    with workers as submit, GridProgress(grid, trials, runs_dir, show=progress) as bar:
        for trial, row in _finished({submit(trial): trial for trial in trials}, bar):
            if isinstance(row, BaseException):
                failures.append(f"{trial.cell.name}, trial {trial.number}: {type(row).__name__}: {row}")
            elif row is not None:
                added += append(grid.results_file, row)
    if failures:
        raise BitgateError(f"{len(failures)} of {len(trials)} trials failed; the first: {failures[0]}")
    return added


def _finished(
    futures: "dict[Future[Row | None], Trial]", bar: GridProgress
) -> Iterator[tuple[Trial, Row | BaseException | None]]:
    while futures:
        done, _ = wait(futures, timeout=1.0, return_when=FIRST_COMPLETED)
        for future in done:
            trial = futures.pop(future)
            error = future.exception()
            bar.finish(trial)
            yield trial, error if error is not None else future.result()
        bar.update()


@contextmanager
def _processes(jobs: int, runs_dir: str, data_dir: str | None) -> Iterator[Submit]:
    # Spawned, and a new process for each trial: none inherits threads or generators of another.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, max_tasks_per_child=1)
    try:
        yield lambda trial: pool.submit(run_trial, trial, runs_dir, data_dir)
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _ray(address: str, runs_dir: str, data_dir: str | None) -> Iterator[Submit]:
    try:
        import ray
    except ImportError:
        raise ArgumentError("ray: Ray is not installed; pip install 'bitgate[sweep]'") from None
    connected = ray.is_initialized()
    if not connected:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    task: Any = ray.remote(num_cpus=1, max_calls=1)(run_trial)
    folder = os.path.abspath(runs_dir)  # noqa: PTH100 - a text for another machine's process
    try:
        yield lambda trial: task.remote(trial, folder, data_dir or os.environ.get("BITGATE_DATA")).future()
    finally:
        if not connected:
            ray.shutdown()
