"""``bitgate bench``: speed of one LSTM layer against what else runs LSTMs on this machine's CPU."""

import json
import sys
from typing import Any

from bitgate.bench import OURS, PEERS, Plan, describe_machine, measure
from bitgate.cli.parser import Arguments, Parser, Verb, output_file
from bitgate.errors import ArgumentError, ToolError
from bitgate.report import plot_bench, print_table
from bitgate.runtime import native_available, native_status

SIZES = (32, 64, 128, 256, 512, 1024)


def add_arguments(parser: Parser) -> None:
    """Sizes, peers, threads."""
    names = ",".join(PEERS)
    parser.add_argument("--against", default=names, help=f"some of {names}; those not installed are left out")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="units, and as many inputs")
    parser.add_argument("--threads", type=int, nargs="+", default=[1], help="of all; ours has one below 512 units")
    parser.add_argument("--steps", type=int, default=128, help="steps of a sequence that runs in one call")
    parser.add_argument("--state_bits", type=int, default=8, help="bits of our inputs and hidden states, 8 to 16")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each size and number of threads")
    parser.add_argument("-o", "--output", help="JSON file to write; the plot goes beside it as .svg")


def run(arguments: Arguments, show: bool) -> dict[str, Any]:
    """Measures, prints, and writes where asked."""
    plan = _plan(arguments)
    target = output_file(arguments.output) if arguments.output else None
    if not native_available():
        raise ToolError(f"bench: needs the native runtime: {native_status()}")
    machine = describe_machine()
    rows, skipped = measure(plan, lambda text: print(text, file=sys.stderr, flush=True))
    for name, reason in skipped.items():
        print(f"{name} left out: {reason}", file=sys.stderr)
    result = {"machine": machine, "plan": vars(plan), "skipped": skipped, "rows": rows}
    if show:
        for threads in plan.threads:
            print_rows([row for row in rows if row["threads"] == threads], threads)
    if target is not None:
        target.write_text(json.dumps(result, indent=1) + "\n")
        plot_bench(rows, target.with_suffix(".svg"))
        print(f"wrote {target} and {target.with_suffix('.svg')}", file=sys.stderr)
    return result


def _plan(arguments: Arguments) -> Plan:
    against = [name for name in arguments.against.strip("[]").split(",") if name]
    unknown = [name for name in against if name not in PEERS]
    if unknown:
        raise ArgumentError(f"--against: unknown {unknown[0]!r}, expected some of {', '.join(PEERS)}")
    for name in ("sizes", "threads", "steps"):
        values = getattr(arguments, name)
        if min(values if isinstance(values, list) else [values], default=0) < 1:
            raise ArgumentError(f"--{name}: {values}, expected whole numbers from 1")
    if not 8 <= arguments.state_bits <= 16:
        raise ArgumentError(f"--state-bits: {arguments.state_bits}, expected 8 to 16")
    if arguments.seconds <= 0:
        raise ArgumentError(f"--seconds: {arguments.seconds}, expected a positive number")
    return Plan(arguments.sizes, arguments.threads, against, arguments.steps, arguments.state_bits, arguments.seconds)


def print_rows(rows: list[dict[str, Any]], threads: int) -> None:
    """The table of one number of threads."""
    names = [name for name in rows[0]["us_per_step"] if name != OURS]
    columns = ("units", OURS, *names, "of the best", "floor", "kernel / floor")
    cells = [
        (
            row["size"],
            *(_pair(row["us_per_step"][name]) for name in (OURS, *names)),
            " ; ".join(f"{row['of_best_peer'][kind]:.2f}" for kind in row["of_best_peer"]),
            f"{row['floor_us']['2']:.2f}",
            f"{row['kernel_over_floor']:.2f}",
        )
        for row in rows
    ]
    print_table(
        f"microseconds a step on {threads} thread(s): one step a call ; in one call of a whole sequence",
        columns,
        cells,
        caption="medians; floor: the products of a step, two bits a weight, at this processor's measured peak",
    )


def _pair(entry: dict[str, dict[str, float]]) -> str:
    return " ; ".join(f"{entry[kind]['median']:.3g}" for kind in ("step", "run"))


VERB = Verb(
    "bench",
    "Speed of one ternary LSTM layer, stepped and in sequences, against other runtimes; all take turns.",
    """
bitgate bench
bitgate bench --against onnxruntime-int8 --sizes 64 256 --seconds 1
bitgate bench --threads 1 2 -o bench.json
""",
    add_arguments,
    run,
)
