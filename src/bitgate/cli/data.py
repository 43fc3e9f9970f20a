"""``bitgate data``: the data sets."""

from typing import Any

import numpy as np

from bitgate.cli.parser import Arguments, Parser, Verb, fail
from bitgate.data import Sequences, describe, fetch, load_dataset
from bitgate.report import print_table


def add_arguments(parser: Parser) -> None:
    """What to do, and with which set."""
    parser.add_argument("action", choices=["list", "fetch", "info"], help="list all, fetch one, or describe one")
    parser.add_argument("name", nargs="?", help="a data set's name, or a path to your .npz, .parquet or .csv")
    parser.add_argument("--data_dir", help="folder with packed data sets ($BITGATE_DATA where not given)")
    parser.add_argument("--split", default="paper", choices=["paper", "honest"], help="which split `info` describes")


def run(arguments: Arguments, show: bool) -> Any:
    """Does it."""
    if arguments.action == "list":
        return _list(arguments, show)
    if arguments.name is None:
        fail(f"data {arguments.action}: which data set? `bitgate data list` names them")
    if arguments.action == "fetch":
        path = fetch(arguments.name, data_dir=arguments.data_dir)
        where = str(path) if path else "bundled with scikit-learn"
        if show:
            print(where)
        return {"name": arguments.name, "location": where}
    return _info(arguments, show)


def _list(arguments: Arguments, show: bool) -> list[dict[str, Any]]:
    found = describe(arguments.data_dir)
    if show:
        rows = [
            (r.name, r.sequences, r.input_size, r.n_classes, r.length, ", ".join(r.splits), _where(r.location))
            for r in found
        ]
        columns = ("name", "sequences", "features", "classes", "steps", "splits", "here")
        print_table("data sets", columns, rows, caption="`bitgate data fetch NAME` downloads one from its source")
    return [vars(row) for row in found]


def _where(location: str) -> str:
    return {"": "no", "bundled": "bundled"}.get(location, "yes")


def _part(sequences: Sequences) -> dict[str, Any]:
    labels = [] if sequences.labels is None else np.bincount(sequences.labels).tolist()
    shortest, mean, longest = sequences.length.min(), sequences.length.mean(), sequences.length.max()
    return {
        "sequences": len(sequences),
        "shortest": int(shortest),
        "mean_length": round(float(mean), 2),
        "longest": int(longest),
        "per_class": labels,
    }


def _info(arguments: Arguments, show: bool) -> dict[str, Any]:
    dataset = load_dataset(arguments.name, data_dir=arguments.data_dir, split=arguments.split)
    parts = {name: _part(getattr(dataset, name)) for name in ("train", "val", "test")}
    if show:
        rows = [
            (name, p["sequences"], p["shortest"], p["mean_length"], p["longest"], _spread(p["per_class"]))
            for name, p in parts.items()
        ]
        caption = f"{dataset.input_size} features, {dataset.n_classes} classes; {dataset.source}"
        columns = ("part", "sequences", "shortest", "mean", "longest", "per class")
        print_table(f"{dataset.name}, {dataset.split} split", columns, rows, caption=caption)
    names = {"class_names": list(dataset.class_names), "feature_names": list(dataset.feature_names)}
    return {"name": dataset.name, "split": dataset.split, **names, "source": dataset.source, "parts": parts}


def _spread(counts: list[int]) -> str:
    return f"{min(counts)}-{max(counts)}" if counts else ""


VERB = Verb(
    "data",
    "List, fetch and describe data sets.",
    """
bitgate data list
bitgate data fetch uci-har
bitgate data info mnist-strokes --data-dir path/to/data
bitgate data info my-sequences.csv --json
""",
    add_arguments,
    run,
)
