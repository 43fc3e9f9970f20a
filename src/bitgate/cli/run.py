"""``bitgate run``: predict the classes of a file of sequences."""

import csv
import sys
from typing import Any

import numpy as np

from bitgate.cli.parser import Arguments, Parser, Verb, output_file
from bitgate.data import check_input_size, read_sequences
from bitgate.frozen import load
from bitgate.runtime import Session


def add_arguments(parser: Parser) -> None:
    """Model and sequences."""
    parser.add_argument("model", help="model file written by `bitgate freeze`")
    parser.add_argument("input", help="sequences: .npz, .parquet or .csv (labels are optional)")
    parser.add_argument("-o", "--output", help="CSV file to write; stdout where not given")


def run(arguments: Arguments, show: bool) -> dict[str, Any]:
    """Predicts, and tells the accuracy where labels are given."""
    target = output_file(arguments.output) if arguments.output else None
    frozen = load(arguments.model)
    sequences, _, _ = read_sequences(arguments.input, class_names=frozen.class_names)
    check_input_size(sequences, frozen.input_size, arguments.input)
    x, lengths = sequences.padded()
    logits = np.asarray(Session(frozen).run(x, lengths))
    classes = [frozen.class_names[k] for k in logits.argmax(axis=-1)]
    result: dict[str, Any] = {"model": arguments.model, "n_sequences": len(sequences), "classes": classes}
    if sequences.labels is not None:
        result["accuracy"] = float(np.mean(logits.argmax(axis=-1) == sequences.labels))
        print(f"accuracy {result['accuracy']:.2%} on {len(sequences)} labelled sequences", file=sys.stderr)
    rows = [
        (k, name, f"{score:.6g}")
        for k, (name, score) in enumerate(zip(classes, _best(logits, frozen.output_scale), strict=True))
    ]
    if target is not None:
        temporary = target.with_name(f".{target.name}.tmp")
        with temporary.open("w", newline="") as file:
            _write(file, rows)
        temporary.replace(target)
    elif show:
        _write(sys.stdout, rows)
    return result


def _best(logits: np.ndarray[Any, Any], scale: float) -> list[float]:
    """Probability of the predicted class."""
    scores = logits * scale
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return list((shares / shares.sum(axis=-1, keepdims=True)).max(axis=-1))


def _write(file: Any, rows: list[tuple[int, str, str]]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("sequence", "class", "probability"))
    writer.writerows(rows)


VERB = Verb(
    "run",
    "Predict the classes of a file of sequences with a frozen model.",
    """
bitgate run model.bitgate new.csv
bitgate run model.bitgate new.npz -o predictions.csv
""",
    add_arguments,
    run,
)
