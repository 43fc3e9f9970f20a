"""``bitgate freeze``: turn a trained model into integers."""

from pathlib import Path
from typing import Any

import torch

from bitgate.cli.parser import Arguments, Parser, Verb, output_file
from bitgate.cli.trained import load_trained
from bitgate.freezing import freeze
from bitgate.report import print_table


def add_arguments(parser: Parser) -> None:
    """The run, the file and the choices of freezing."""
    parser.add_argument("run", help="folder of a run, such as runs/NAME")
    parser.add_argument("-o", "--output", help="model file to write (default: RUN/model.bitgate)")
    parser.add_argument("--mode", default="map", choices=["map", "sample"], help="most probable weights, or one draw")
    parser.add_argument("--state_bits", type=int, default=16, choices=[8, 13, 16], help="bits of inputs and states")
    parser.add_argument("--dense", action="store_true", help="ternary weights five to a byte; slower in plain C")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--data_dir", help="folder with packed data sets")


def run(arguments: Arguments, show: bool) -> dict[str, Any]:
    """Freezes, calibrates on the validation part, tells what integers cost."""
    target = output_file(arguments.output) if arguments.output else Path(arguments.run) / "model.bitgate"
    model, dataset, config = load_trained(arguments.run, mode=arguments.mode, data_dir=arguments.data_dir)
    generator = torch.Generator().manual_seed(arguments.seed)
    frozen = freeze(
        model, dataset.val, mode=arguments.mode, state_bits=arguments.state_bits, generator=generator
    ).with_metadata(
        name=config.run_name,
        data=dataset.name,
        class_names=list(dataset.class_names),
        feature_names=list(dataset.feature_names),
    )
    frozen = frozen.with_packing(dense=arguments.dense)
    frozen.save(target)
    calibration = dict(frozen.metadata["calibration"])
    if show:
        rows = [
            ("float network", f"{calibration['float_accuracy']:.2%}", ""),
            *(
                (
                    f"integers, {b}-bit states",
                    f"{calibration[f'accuracy_{b}bit']:.2%}",
                    f"{calibration[f'agreement_{b}bit']:.2%}",
                )
                for b in (8, 16)
            ),
        ]
        caption = f"{target}: {target.stat().st_size} bytes, {arguments.state_bits}-bit states"
        title = f"{calibration['n_sequences']} validation sequences of {dataset.name}"
        print_table(title, ("", "accuracy", "same class as float"), rows, caption=caption)
        print(f"next: bitgate export c {target} -o {target.stem}-c")
    return {"file": str(target), "bytes": target.stat().st_size, "state_bits": arguments.state_bits, **calibration}


VERB = Verb(
    "freeze",
    "Turn a trained model into integers and say what that costs in accuracy.",
    """
bitgate freeze runs/NAME -o model.bitgate
bitgate freeze runs/NAME --state-bits 8
bitgate freeze runs/NAME --mode sample --seed 3 -o draw3.bitgate
""",
    add_arguments,
    run,
)
