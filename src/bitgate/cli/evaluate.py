"""``bitgate eval``: test a trained model."""

from pathlib import Path
from typing import Any

from bitgate.cli.parser import Arguments, Parser, Verb, output_file
from bitgate.cli.trained import load_trained
from bitgate.data import check_input_size, read_sequences
from bitgate.report import plot_confusion, print_table
from bitgate.train import evaluate


def add_arguments(parser: Parser) -> None:
    """The run, the data and the draws."""
    parser.add_argument("run", help="folder of a run, such as runs/NAME")
    parser.add_argument("--data", help="file with labelled sequences; the run's own test part where not given")
    parser.add_argument("--part", default="test", choices=["train", "val", "test"], help="part of the run's data set")
    parser.add_argument("--data_dir", help="folder with packed data sets")
    parser.add_argument("--mode", default="map", choices=["map", "sample"], help="which best epoch: by MAP or sample")
    parser.add_argument("--draws", type=int, default=5, help="networks drawn from the posterior")
    parser.add_argument("--seed", type=int, default=0, help="of the draws")
    parser.add_argument("--plot", help="where to draw the confusion matrix (default: RUN/confusion.png)")


def run(arguments: Arguments, show: bool) -> dict[str, Any]:
    """Evaluates, draws the confusion matrix, tells."""
    plot = output_file(arguments.plot) if arguments.plot else Path(arguments.run) / "confusion.png"
    model, dataset, _ = load_trained(arguments.run, mode=arguments.mode, data_dir=arguments.data_dir)
    sequences = getattr(dataset, arguments.part)
    if arguments.data:
        sequences, _, _ = read_sequences(arguments.data, class_names=dataset.class_names)
        check_input_size(sequences, dataset.input_size, arguments.data)
    result = evaluate(model, sequences, draws=arguments.draws, seed=arguments.seed)
    plot_confusion(result.confusion, dataset.class_names, plot)
    if show:
        rows = [("accuracy, most probable weights (MAP)", f"{result.map_accuracy:.2%}")]
        if result.sample_accuracy is not None:
            spread = f" ± {result.sample_std:.2%}" if result.sample_std is not None else ""
            rows.append(
                (f"accuracy, {arguments.draws} drawn networks (sample)", f"{result.sample_accuracy:.2%}{spread}")
            )
            rows.append(("accuracy, their ensemble", f"{result.ensemble_accuracy:.2%}"))
        rows.append(("negative log-likelihood of the ensemble, nats", f"{result.ensemble_nll:.4f}"))
        rows.append(("calibration error of the ensemble", f"{result.ensemble_calibration_error:.4f}"))
        title = f"{result.n_sequences} sequences of {arguments.data or dataset.name}"
        print_table(title, ("", "value"), rows, caption=f"confusion matrix: {plot}")
    return {**result.as_dict(), "plot": str(plot)}


VERB = Verb(
    "eval",
    "Test a trained model: MAP, sample and ensemble accuracy, calibration, confusion matrix.",
    """
bitgate eval runs/NAME
bitgate eval runs/NAME --mode sample --draws 20
bitgate eval runs/NAME --data new.csv --plot new.png --json
""",
    add_arguments,
    run,
)
