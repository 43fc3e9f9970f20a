"""Bias and variance of the gradient estimators against the exact gradient of a tiny LSTM (docs/estimators.md).

python benchmarks/estimators.py
python benchmarks/estimators.py --reuse
python benchmarks/estimators.py --draws 4096 --out quick.json --plot quick.svg --page ""
"""

import argparse
import json
import platform
import subprocess
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from bitgate.research.comparison import HEADERS, Row, Summary, cells, contestants, markdown, summarize
from bitgate.research.enumeration import Enumeration
from bitgate.research.measure import Measurement, measure
from bitgate.research.plot import plot
from bitgate.research.problem import TinyProblem, make_problem
from bitgate.weights import BINARY, TERNARY

ROOT = Path(__file__).resolve().parent.parent
POSTERIORS = {"flat": 0.5, "sharp": 2.5}  # standard deviation of the logits
BEGIN, END = "<!-- table: begin (benchmarks/estimators.py) -->\n", "<!-- table: end -->\n"


def main() -> None:
    args = parse_arguments()
    torch.set_num_threads(1)
    console = Console(width=98)
    rows = load(Path(args.out)) if args.reuse else run(args, console)
    summaries = summarize(rows)
    print_tables(console, summaries)
    if not args.reuse:
        save(args, rows, summaries)
    if args.plot:
        plot(summaries, Path(args.plot))
    if args.page:
        fill_page(Path(args.page), markdown(summaries))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=65536, help="draws per estimator and posterior")
    parser.add_argument("--seeds", type=int, default=3, help="posteriors of each kind")
    parser.add_argument("--steps", type=int, default=6, help="length T of the sequences")
    parser.add_argument("--reuse", action="store_true", help="tables and plot from --out, without measuring")
    parser.add_argument("--out", default=str(ROOT / "benchmarks/results/estimators.json"))
    parser.add_argument("--plot", default=str(ROOT / "docs/images/estimators.svg"), help="empty for none")
    parser.add_argument("--page", default=str(ROOT / "docs/estimators.md"), help="page whose table to fill in")
    return parser.parse_args()


def run(args: argparse.Namespace, console: Console) -> list[Row]:
    problems = {"binary": make_problem(BINARY, n_steps=args.steps)}
    problems["ternary"] = make_problem(TERNARY, input_size=1, n_steps=args.steps)
    total = args.seeds * len(POSTERIORS) * sum(len(contestants(len(p.levels))) for p in problems.values())
    columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as progress:
        task = progress.add_task("", total=total)
        rows = []
        for name, problem in problems.items():
            for row in compare(name, problem, args.draws, args.seeds):
                rows.append(row)
                progress.update(task, advance=1, description=row.label)
    return rows


def load(path: Path) -> list[Row]:
    rows = json.loads(path.read_text())["rows"]
    return [Row(**{**row, "measurement": Measurement(**row["measurement"])}) for row in rows]


def compare(name: str, problem: TinyProblem, n_draws: int, n_seeds: int) -> Iterator[Row]:
    enumeration = Enumeration(problem)
    for posterior, std in POSTERIORS.items():
        for seed in range(n_seeds):
            generator = torch.Generator().manual_seed(seed)
            shape = (len(problem.levels), problem.n_weights)
            logits = std * torch.randn(shape, dtype=torch.float64, generator=generator)
            exact = enumeration.gradient(logits)
            for c in contestants(len(problem.levels)):
                found = measure(c.estimator, problem, logits, exact, n_draws, generator=generator)
                yield Row(name, posterior, seed, c.label, c.family, c.temperature, c.n_networks, found)


def print_tables(console: Console, summaries: list[Summary]) -> None:
    for key in dict.fromkeys((s.weights, s.posterior) for s in summaries):
        table = Table(
            title=f"{key[0]} weights, {key[1]} posterior (relative to |exact gradient|)",
            box=box.SIMPLE,
            collapse_padding=True,
            pad_edge=False,
        )
        for header in HEADERS:
            table.add_column(header, justify="left" if header == "estimator" else "right", no_wrap=True)
        for summary in summaries:
            if (summary.weights, summary.posterior) == key:
                table.add_row(*cells(summary), style=None if summary.n_biased else "green")
        console.print(table)
    console.print("green: no bias found; break-even: draws after which leave-one-out REINFORCE is the more accurate")


def save(args: argparse.Namespace, rows: list[Row], summaries: list[Summary]) -> None:
    document = {
        "machine": {"cpu": cpu_model(), "python": platform.python_version(), "torch": torch.__version__, "threads": 1},
        "commit": commit(),
        "settings": {"draws": args.draws, "seeds": args.seeds, "steps": args.steps, "logit_std": POSTERIORS},
        "summaries": [asdict(s) for s in summaries],
        "rows": [asdict(row) for row in rows],
    }
    path = Path(args.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n")


def fill_page(path: Path, table: str) -> None:
    before, rest = path.read_text().split(BEGIN)
    path.write_text(before + BEGIN + table + END + rest.split(END)[1])


def cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def commit() -> str | None:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


if __name__ == "__main__":
    main()
