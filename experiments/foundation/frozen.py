"""What integers cost: a shortly trained ternary network per data set, float against frozen, on the whole test part.

python experiments/foundation/frozen.py              # trains what is not trained yet, writes results/frozen.json
python experiments/foundation/frozen.py --table      # prints the results
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bitgate import freeze
from bitgate.train import FitConfig, Run, build_model, evaluate, fit, load_run_dataset, load_weights

RESULTS = Path(__file__).parent / "results" / "frozen.json"
CONFIGS = {
    "mnist-strokes": {"hidden_sizes": (64, 32), "epochs": 8},
    "auslan": {"hidden_sizes": (64, 32), "epochs": 25},
    "uci-har": {"hidden_sizes": (128, 64), "epochs": 5},
    "epileptic": {"hidden_sizes": (32, 16), "epochs": 10},
}
STATE_BITS = (8, 13, 16)


def measure(data: str, runs_dir: str) -> dict[str, Any]:
    """Trains one network by QAT and compares its accuracies on the test part."""
    config = FitConfig(
        data=data, weights="ternary", method="qat", name=f"frozen-{data}", runs_dir=runs_dir, **CONFIGS[data]
    )
    fit(config, resume=True)
    dataset = load_run_dataset(config)
    model = build_model(config, dataset)
    load_weights(model, Run(Path(runs_dir) / config.run_name), "map")
    x, lengths = dataset.test.padded()
    row: dict[str, Any] = {"n_test": len(dataset.test), "float": evaluate(model, dataset.test).map_accuracy}
    for bits in STATE_BITS:
        frozen = freeze(model, dataset.val, state_bits=bits)
        row[f"{bits}-bit states"] = float(np.mean(frozen.predict(x, lengths) == dataset.test.labels))
    return row


def table(results: dict[str, dict[str, Any]]) -> Table:
    """Accuracies in %, and the difference to the float network in points."""
    result = Table(
        "data", "test sequences", "float", *(f"{b}-bit states" for b in STATE_BITS), title="Test accuracy, %"
    )
    for data, row in results.items():
        cells = [
            f"{100 * row[f'{b}-bit states']:.2f} ({100 * (row[f'{b}-bit states'] - row['float']):+.2f})"
            for b in STATE_BITS
        ]
        result.add_row(data, str(row["n_test"]), f"{100 * row['float']:.2f}", *cells)
    return result


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="print the results and train nothing")
    parser.add_argument("--runs-dir", default="runs", help="folder for checkpoints (default: runs)")
    arguments = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if not arguments.table:
        for data in track([name for name in CONFIGS if name not in results], description="data sets"):
            results[data] = measure(data, arguments.runs_dir)
            RESULTS.parent.mkdir(exist_ok=True)
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    Console().print(table(results))


if __name__ == "__main__":
    main()
