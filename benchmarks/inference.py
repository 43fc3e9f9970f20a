"""Speed of one ternary LSTM layer against other runtimes, and of opening a model: the published measurement.

python benchmarks/inference.py                 # every peer, one and two threads; about five minutes
python benchmarks/inference.py --seconds 0.5 --sizes 64 256 --threads 1 --out quick.json

The same code as `bitgate bench`. All run with one and two threads; ours takes the second for 512 units and more.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import bitgate
from bitgate.bench import PEERS, Plan, describe_machine, measure
from bitgate.bench.ours import ternary_lstm
from bitgate.cli.bench import SIZES, print_rows
from bitgate.report import plot_bench, print_table
from bitgate.runtime import Session

ROOT = Path(__file__).resolve().parent.parent
TARGETS = {64: (0.3, 0.4), 256: (0.35, 0.6), 512: (0.3, 0.7), 1024: (0.3, 0.3)}
"""Of the best peer's time at most, step by step and in sequences: what was promised."""


def main() -> None:
    args = parse_arguments()
    machine = describe_machine()
    plan = Plan(args.sizes, args.threads, args.against, seconds=args.seconds)
    rows, skipped = measure(plan, lambda text: print(text, file=sys.stderr, flush=True))
    for threads in args.threads:
        print_rows([row for row in rows if row["threads"] == threads], threads)
    targets = compare_with_targets([row for row in rows if row["threads"] == args.threads[0]])
    document = {
        "machine": machine,
        "plan": vars(plan),
        "skipped": skipped,
        "rows": rows,
        "targets": targets,
        "threads_compared": compare_threads(rows),
        "call": time_call(),
        "loading": time_loading(),
    }
    print_table("promised and measured", ("units", "", "of the best peer", "at most"), [
        (row["size"], row["kind"], f"{row['found']:.3f}", row["at_most"]) for row in targets
    ])  # fmt: skip
    for row in document["threads_compared"]:
        print(
            f"{row['size']} units, {row['kind']}: {row['threads']} threads take {row['of_one']:.2f} of the time of one"
        )
    print(f"a call with 16 units: {document['call']['us']:.2f} us;", json.dumps(document["loading"]))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(document, indent=1) + "\n")
    if args.plot is not None:
        plot_bench(rows, args.plot)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--against", nargs="+", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--seconds", type=float, default=15.0, help="for each size and number of threads")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/inference.json")
    parser.add_argument("--plot", type=Path, help="for example docs/images/inference.svg")
    return parser.parse_args()


def compare_with_targets(rows: list[dict]) -> list[dict]:
    return [
        {"size": row["size"], "kind": kind, "found": row["of_best_peer"][kind], "at_most": limit}
        for row in rows
        if row["size"] in TARGETS and row["of_best_peer"]
        for kind, limit in zip(("step", "run"), TARGETS[row["size"]], strict=True)
    ]


def compare_threads(rows: list[dict]) -> list[dict]:
    """Our times with more threads as shares of those with one."""
    ours = {(row["size"], row["our_threads"]): row["us_per_step"]["bitgate"] for row in rows}
    return [
        {
            "size": size,
            "kind": kind,
            "threads": threads,
            "of_one": entry[kind]["median"] / ours[size, 1][kind]["median"],
        }
        for (size, threads), entry in ours.items()
        if threads > 1 and (size, 1) in ours
        for kind in ("step", "run")
    ]


def time_call() -> dict[str, float]:
    """Microseconds of one step of a layer so small that the call is nearly all of it: 16 units."""
    session, x = Session(ternary_lstm(16)), np.zeros(16, np.float32)
    return {"us": 1e6 * median_seconds(lambda: [session.step(x) for _ in range(1000)], 50) / 1000}


def time_loading(size: int = 1024) -> dict[str, float]:
    """Milliseconds to open a model file, and to pack its weights for a session."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.bitgate")
        ternary_lstm(size).save(path)
        load = 1e3 * median_seconds(lambda: bitgate.load(path), 30)
        models = iter([bitgate.load(path) for _ in range(31)])  # a session of a known model finds it packed
        session = 1e3 * median_seconds(lambda: Session(next(models)), 30)
        return {"units": size, "file_bytes": path.stat().st_size, "load_ms": load, "session_ms": session}


def median_seconds(call, count: int) -> float:
    call()
    times = []
    for _ in range(count):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


if __name__ == "__main__":
    main()
