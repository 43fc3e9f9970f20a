"""The measurement: contestants take turns, so that all see the same machine; medians of many short samples.

Threads of a contestant go on spinning for a while when it is done, some for tens of milliseconds, and would take a core
from the next. So with more than one thread a turn begins when this process has come to rest, and with an untimed
millisecond, in which threads wake up.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from bitgate.bench.ours import ternary_lstm
from bitgate.bench.peers import PEERS, Call, Contestant
from bitgate.runtime import MAX_THREADS, Session, simd_path
from bitgate.runtime.engines import count_cores
from bitgate.runtime.simd import UNITS_PER_THREAD, SimdEngine, burn

OURS = "bitgate"
KERNEL = "bitgate kernel"
_SAMPLE_SECONDS = 3e-4
_FLOOR_ROUNDS = 20_000
_WARM_SECONDS = 1e-3
_SLICE_SECONDS = 1e-3
_RESTLESS_SECONDS = 0.2

KINDS = ("step", "run")

Row = dict[str, Any]
"""Of one size and number of threads: contestants' microseconds a step, floors, ratios."""


@dataclass(frozen=True)
class Plan:
    """What to measure."""

    sizes: Sequence[int]
    threads: Sequence[int] = (1,)
    against: Sequence[str] = tuple(PEERS)
    steps: int = 128
    state_bits: int = 8
    seconds: float = 3.0  # of turns for each size and number of threads


def measure(plan: Plan, progress: Callable[[str], None]) -> tuple[list[Row], dict[str, str]]:
    """Rows in the order of threads, then sizes; and why peers were left out, by name."""
    skipped: dict[str, str] = {}
    rows: list[Row] = []
    total = len(plan.sizes) * len(plan.threads)
    begin = time.perf_counter()
    for threads in plan.threads:
        for size in plan.sizes:
            left = (
                (time.perf_counter() - begin) / len(rows) * (total - len(rows)) if rows else total * plan.seconds * 1.5
            )
            progress(f"[{len(rows) + 1}/{total}] {size} units, {threads} thread(s); about {left:.0f} s left")
            rows.append(_measure_row(plan, size, threads, skipped))
    return rows, skipped


def _measure_row(plan: Plan, size: int, threads: int, skipped: dict[str, str]) -> Row:
    frozen = ternary_lstm(size, plan.state_bits)
    contestants = {OURS: _ours(frozen, plan.steps, threads)}
    for name in plan.against:
        if name in skipped:
            continue
        try:
            contestants[name] = PEERS[name](size, plan.steps, threads)
        except ImportError as error:
            skipped[name] = f"not installed ({error})"
    path = simd_path()
    engine = SimdEngine(frozen, path)
    calls: dict[str, Call] = {f"{name} {kind}": getattr(c, kind) for name, c in contestants.items() for kind in KINDS}
    rounds = max(1, 2_000_000 // (8 * size * size))
    calls |= {KERNEL: lambda: engine.multiply(0, rounds)}
    calls |= {f"peak {bits}": partial(burn, path, bits, _FLOOR_ROUNDS) for bits in (2, 8)}
    times = _take_turns(calls, plan.seconds, spins=threads > 1)
    return _row(plan, size, threads, list(contestants), times, rounds, engine.multiply(0, 0))


def _ours(frozen: Any, steps: int, threads: int) -> Contestant:
    session = Session(frozen, threads=min(threads, MAX_THREADS))
    x = np.random.default_rng(0).normal(size=(steps, frozen.input_size)).astype(np.float32)
    first = x[0].copy()
    return Contestant(lambda: session.step(first), lambda: session.run(x))


def _take_turns(calls: dict[str, Call], seconds: float, spins: bool) -> dict[str, list[float]]:
    """Seconds of one call, by name: each sample repeats a call until it has lasted long enough for the clock.

    Where idle threads may spin, each waits for the rest of the others, and warms up.
    """
    repeats: dict[str, int] = {}
    times: dict[str, list[float]] = {name: [] for name in calls}
    for name, call in calls.items():
        call()
        call()
        start = time.perf_counter()
        call()
        repeats[name] = max(1, int(_SAMPLE_SECONDS / (time.perf_counter() - start)))
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[KERNEL]) < 5:
        for name, call in calls.items():
            count = repeats[name]
            if spins:
                _come_to_rest()
                _warm_up(call)
            start = time.perf_counter()
            for _ in range(count):
                call()
            times[name].append((time.perf_counter() - start) / count)
    return times


def _come_to_rest() -> None:
    """Sleeps until no thread of this process works, or long enough to give up."""
    end = time.perf_counter() + _RESTLESS_SECONDS
    while time.perf_counter() < end:
        before = time.process_time()
        time.sleep(_SLICE_SECONDS)
        if time.process_time() - before < _SLICE_SECONDS / 4:
            return


def _warm_up(call: Call) -> None:
    end = time.perf_counter() + _WARM_SECONDS
    while time.perf_counter() < end:
        call()


def _row(
    plan: Plan,
    size: int,
    threads: int,
    names: Sequence[str],
    times: dict[str, list[float]],
    rounds: int,
    packed_bits: tuple[int, int],
) -> Row:
    weights = 8 * size * size
    path = simd_path()
    # The best sample, not the median: a peak is what the processor can do when nothing else runs.
    peak = {bits: burn(path, bits, _FLOOR_ROUNDS) / min(times[f"peak {bits}"]) for bits in (2, 8)}
    row: Row = {
        "size": size,
        "threads": threads,
        "our_threads": max(1, min(threads, MAX_THREADS, count_cores(), size // UNITS_PER_THREAD)),
        "samples": len(times[KERNEL]),
        "us_per_step": {
            name: {
                "step": _summary(times[f"{name} step"], 1.0),
                "run": _summary(times[f"{name} run"], 1.0 / plan.steps),
            }
            for name in names
        },
        "kernel_us": _summary(times[KERNEL], 1 / rounds),
        "kernel_weight_bits": packed_bits,
        "peak_weights_per_second": {str(bits): rate for bits, rate in peak.items()},
        "floor_us": {"2": weights / peak[2] * 1e6, "8": weights / peak[8] * 1e6},
    }
    row["kernel_over_floor"] = row["kernel_us"]["median"] / row["floor_us"]["2"]
    row["best_peer"], row["of_best_peer"] = {}, {}
    for kind in KINDS:
        medians = {name: row["us_per_step"][name][kind]["median"] for name in names if name != OURS}
        if medians:
            best = min(medians, key=lambda name: medians[name])
            row["best_peer"][kind] = best
            row["of_best_peer"][kind] = row["us_per_step"][OURS][kind]["median"] / medians[best]
    return row


def _summary(seconds: Sequence[float], share: float) -> dict[str, float]:
    low, median, high = (1e6 * share * q for q in statistics.quantiles(seconds, n=4))
    return {"median": median, "low": low, "high": high}
