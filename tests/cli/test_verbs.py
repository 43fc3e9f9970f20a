"""Every verb on a tiny run: from a file of sequences to C."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from bitgate import load
from bitgate.cli.fit import PRESETS
from bitgate.cli.parser import normalize
from bitgate.data import load_dataset
from bitgate.export import compile_host, run_program
from bitgate.train import Run
from tests.cli.conftest import TINY
from tests.cli.test_errors import refused
from tests.train.tiny import CLASSES, PER_PART

PAPER = [
    (4, 10, "64,32", (732480, 54720, 32128)),
    (22, 96, "64,32", (933888, 69888, 41088)),
    (9, 6, "128,64", (2894016, 198336, 108480)),
    (1, 5, "32,16", (182432, 15872, 10320)),
]


@pytest.mark.parametrize(
    ("written", "parsed"),
    [
        ("--hidden-sizes=64,32", "--hidden_sizes=[64,32]"),
        ("--hidden-sizes 64,32", "--hidden_sizes [64,32]"),
        ("--hidden-sizes 32", "--hidden_sizes [32]"),
        ("--hidden_sizes=32", "--hidden_sizes=[32]"),
        ("--hidden-sizes [64,32]", "--hidden_sizes [64,32]"),
        ("--epochs 32", "--epochs 32"),
        ("--gates o=2,g=3", "--gates {o:_2,_g:_3}"),
        ("--gates=o=2", "--gates={o:_2}"),
        ("--prior 0.1,0.8,0.1", "--prior [0.1,0.8,0.1]"),
        ("--name a=b", "--name a=b"),
        ("runs/a-b,c -o x", "runs/a-b,c -o x"),
    ],
)
def test_lists_and_mappings_are_written_without_brackets(written, parsed):
    assert normalize(written.split()) == [word.replace(":_", ": ").replace(",_", ", ") for word in parsed.split()]


def test_a_preset_gives_options_that_flags_override(bitgate, digits_file, tmp_path):
    flags = ("--hidden-sizes", "4", "--epochs", 1, "--teachers", 1, "--teacher-epochs", 1, "--distill-weight", "0.2")
    answer = bitgate(
        "fit", "--preset", "best", "--data", digits_file, "--runs-dir", tmp_path, "--name", "p", *flags, "--json"
    )
    config = Run(tmp_path / "p").read_config()
    preset = yaml.safe_load(Path(str(PRESETS["best"])).read_text())
    assert answer.code == 0
    assert {name: getattr(config, name) for name in ("weights", "method", "dropout")} == {
        name: preset[name] for name in ("weights", "method", "dropout")
    }
    assert (config.teachers, config.distill_weight) == (1, 0.2)
    assert (tmp_path / "p" / "teacher-0" / "result.json").is_file()
    refused(bitgate("fit", "--preset=bets", "--data", digits_file), "preset: 'bets'", "did you mean best")


def test_fit_writes_a_run_and_tells_where(run_folder):
    names = {path.name for path in run_folder.iterdir()}
    assert names == {"config.yaml", "metrics.csv", "result.json", "training.png", "checkpoints", "tensorboard"}
    assert Run(run_folder).read_config().hidden_sizes == (6,)


def test_data_go_to_stdout_and_progress_to_stderr(bitgate, digits_file, tmp_path):
    answer = bitgate("fit", "--data", digits_file, "--runs-dir", tmp_path, "--name", "a", *TINY)
    assert answer.code == 0
    assert "test accuracy" in answer.out
    assert f"next: bitgate freeze {tmp_path}/a -o a.bitgate" in answer.out
    assert "2/2" in answer.err
    assert "2/2" not in answer.out


def test_configuration_comes_from_a_file_and_flags_override_it(bitgate, digits_file, tmp_path):
    options = {"data": str(digits_file), "runs_dir": str(tmp_path), "name": "b", "hidden_sizes": [5], "draws": 2}
    options |= {"epochs": 7, "gates": {"o": 2}, "weights": 4, "learning_rate": 0.01, "batch_size": 32}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(options))
    answer = bitgate("fit", tmp_path / "config.yaml", "--epochs", 1, "--hidden-sizes", "4,3", "--json")
    assert answer.code == 0
    assert answer.json["run"] == str(tmp_path / "b")
    config = Run(tmp_path / "b").read_config()
    assert (config.epochs, config.hidden_sizes) == (1, (4, 3)), "flags win"
    assert (config.gates, config.weights, config.learning_rate) == ({"o": 2}, 4, 0.01), "the file fills the rest"
    again = bitgate("fit", tmp_path / "b" / "config.yaml", "--resume", "--json")
    assert again.json == answer.json, "a run's own config.yaml resumes it"


@pytest.mark.parametrize("mode", ["map", "sample"])
def test_eval_tests_the_run(bitgate, run_folder, tmp_path, mode):
    answer = bitgate("eval", run_folder, "--mode", mode, "--draws", 3, "--plot", tmp_path / "c.png", "--json")
    result = answer.json
    assert result["n_sequences"] == PER_PART["test"] == np.sum(result["confusion"])
    assert len(result["sample_accuracies"]) == 3
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    if mode == "map":
        assert result["map_accuracy"] == pytest.approx(Run(run_folder).read_result()["test_map"])
    shown = bitgate("eval", run_folder, "--mode", mode, "--draws", 3, "--plot", tmp_path / "c.png").out
    assert f"{result['map_accuracy']:.2%}" in shown
    assert f"{result['sample_accuracy']:.2%}" in shown


def test_eval_takes_other_parts_and_files(bitgate, run_folder, digits_file, tmp_path):
    plot = ("--plot", tmp_path / "c.png", "--json")
    assert bitgate("eval", run_folder, "--part", "val", *plot).json["map_accuracy"] == pytest.approx(
        max(row for row in _column(run_folder, "val_map")), abs=1e-5
    )
    assert bitgate("eval", run_folder, "--data", digits_file, *plot).json["n_sequences"] == sum(PER_PART.values())


def _column(run_folder, name):
    with (run_folder / "metrics.csv").open() as file:
        return [float(row[name]) for row in csv.DictReader(file)]


def test_freeze_tells_what_integers_cost(bitgate, run_folder, tmp_path):
    target = tmp_path / "m.bitgate"
    result = bitgate("freeze", run_folder, "-o", target, "--state-bits", 8, "--json").json
    frozen = load(target)
    assert frozen.state_bits == result["state_bits"] == 8
    assert result["bytes"] == target.stat().st_size
    assert frozen.class_names == tuple("0123")
    assert frozen.metadata["name"] == "tiny"
    val = load_dataset(Run(run_folder).read_config().data).val
    accuracy = np.mean(frozen.predict(*val.padded()) == val.labels)
    assert result["accuracy_8bit"] == pytest.approx(accuracy)
    shown = bitgate("freeze", run_folder, "-o", target).out
    assert f"{accuracy:.2%}" in shown
    assert f"next: bitgate export c {target} -o m-c" in shown


def test_freeze_draws_by_seed(bitgate, run_folder, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        bitgate("freeze", run_folder, "--mode", "sample", "--seed", seed, "-o", tmp_path / name)
    a, b, c = (load(tmp_path / name).flat_layers[0].w_hh.codes for name in "abc")
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_freeze_packs_densely(bitgate, run_folder, tmp_path):
    plain, dense = tmp_path / "plain.bitgate", tmp_path / "dense.bitgate"
    bitgate("freeze", run_folder, "-o", plain)
    bitgate("freeze", run_folder, "--dense", "-o", dense)
    a, b = (load(path).flat_layers[0].w_ih for path in (plain, dense))
    assert (a.is_dense, b.is_dense) == (False, True)
    assert (a.codes == b.codes).all()


def test_freeze_writes_into_the_run_by_default(bitgate, run_folder):
    result = bitgate("freeze", run_folder, "--json").json
    assert result["file"] == str(run_folder / "model.bitgate")
    (run_folder / "model.bitgate").unlink()


@pytest.mark.parametrize(("inputs", "classes", "hidden", "bits"), PAPER, ids=["strokes", "auslan", "har", "epileptic"])
@pytest.mark.parametrize("kind", [0, 1, 2], ids=["continuous", "ternary", "binary"])
def test_info_counts_the_bits_of_the_paper(bitgate, inputs, classes, hidden, bits, kind):
    weights = ("continuous", "ternary", "binary")[kind]
    shape = ("--input-size", inputs, "--n-classes", classes, "--hidden-sizes", hidden, "--weights", weights)
    result = bitgate("info", *shape, "--json").json
    assert result["paper_bits"] == bits[kind]
    lines = bitgate("info", *shape).out.splitlines()
    (counted,) = (line for line in lines if "as the paper does" in line)
    (scales,) = (line for line in lines if "scales" in line)
    assert str(bits[kind]) in counted
    assert str(result["scale_bits"]) in scales
    assert result["scale_bits"] == (0 if weights == "continuous" else 32 * (3 * 2 + 1))


def test_info_tells_about_a_run_and_its_file_alike(bitgate, run_folder, model_file):
    run, file = bitgate("info", run_folder, "--json").json, bitgate("info", model_file, "--json").json
    assert run["paper_bits"] == file["paper_bits"] == 2 * (18 * 14 + CLASSES * 6) + 32 * (18 + CLASSES)
    assert file["file_bytes"] == model_file.stat().st_size
    shown = bitgate("info", model_file).out
    assert "coupled_lstm" in shown
    assert str(file["flash_bytes"]) in shown
    assert str(run["paper_bits"]) in bitgate("info", run_folder).out


def test_info_tells_about_the_installation(bitgate):
    result = bitgate("info", "--json").json
    assert set(result) >= {"bitgate", "training", "native runtime", "C compiler"}
    assert "this installation" in bitgate("info").out


def test_export_run_and_c_agree(bitgate, model_file, digits_file, tmp_path):
    result = bitgate("export", "c", model_file, "-o", tmp_path / "c", "--name", "digit", "--json").json
    names = {path.split("/")[-1] for path in result["files"]}
    assert names >= {"digit.c", "digit.h", "main.c", "Makefile", "README.md"}
    test = load_dataset(digits_file).test
    classes, logits = run_program(compile_host(tmp_path / "c"), [test[k] for k in range(len(test))])
    np.testing.assert_array_equal(logits, load(model_file).run(*test.padded()))
    path = tmp_path / "test.npz"
    np.savez(path, x=test.padded()[0], y=test.labels)
    answer = bitgate("run", model_file, path, "--json")
    assert answer.json["classes"] == [str(k) for k in classes]
    assert answer.json["accuracy"] == pytest.approx(np.mean(classes == test.labels))
    assert "accuracy" in answer.err


def test_run_prints_a_table_that_a_program_can_read(bitgate, model_file, tmp_path):
    x = np.random.default_rng(0).uniform(0, 16, (5, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "new.npz", x=x)
    answer = bitgate("run", model_file, tmp_path / "new.npz")
    assert answer.err == ""
    rows = list(csv.DictReader(answer.out.splitlines()))
    frozen = load(model_file)
    logits = frozen.run(x) * frozen.output_scale
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert [row["sequence"] for row in rows] == list("01234")
    assert [row["class"] for row in rows] == [str(k) for k in logits.argmax(axis=1)]
    assert [float(row["probability"]) for row in rows] == pytest.approx(shares.max(axis=1), rel=1e-5)
    bitgate("run", model_file, tmp_path / "new.npz", "-o", tmp_path / "p.csv")
    assert (tmp_path / "p.csv").read_text() == answer.out
    assert not list(tmp_path.glob(".*.tmp"))


def test_data_list_and_info(bitgate, digits_file):
    rows = bitgate("data", "list", "--json").json
    assert {"digits", "mnist-strokes"} <= {row["name"] for row in rows}
    shown = bitgate("data", "list").out
    assert all(row["name"] in shown for row in rows), "names must not be broken over lines"
    info = bitgate("data", "info", digits_file, "--json").json
    assert {part: values["sequences"] for part, values in info["parts"].items()} == PER_PART
    assert info["class_names"] == list("0123")
    assert "features, 4 classes" in bitgate("data", "info", digits_file).out
    assert bitgate("data", "fetch", "digits").out == "bundled with scikit-learn\n"


def test_json_is_all_that_is_on_stdout(bitgate, run_folder, model_file, digits_file, tmp_path):
    commands = {
        "fit": ["--data", digits_file, "--runs-dir", tmp_path, "--name", "j", *TINY],
        "eval": [run_folder, "--plot", tmp_path / "c.png"],
        "freeze": [run_folder, "-o", tmp_path / "m.bitgate"],
        "info": [model_file],
        "export": ["c", model_file, "-o", tmp_path / "c"],
        "run": [model_file, digits_file],
        "data": ["list"],
    }
    for verb, arguments in commands.items():
        answer = bitgate(verb, *arguments, "--json")
        assert answer.code == 0, f"{verb}: {answer.err}"
        assert json.loads(answer.out), verb


@pytest.mark.parametrize("form", ["integer", "float"])
def test_export_onnx(bitgate, model_file, tmp_path, form):
    files = bitgate("export", "onnx", model_file, "-o", tmp_path, "--name", form, "--form", form, "--json").json[
        "files"
    ]
    assert files == [str(tmp_path / f"{form}.onnx")]
    assert (tmp_path / f"{form}.onnx").stat().st_size > 1000
    if form == "integer":
        shown = bitgate("export", "onnx", model_file, "-o", tmp_path).out
        shown = " ".join(shown.split())
        assert "model.onnx" in shown
        assert "compared with the model" in shown


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["ql_lstm", "gated_rnn"])
def test_other_cells_from_training_to_verified_c(bitgate, digits_file, tmp_path, cell):
    fit = ("fit", "--data", digits_file, "--runs-dir", tmp_path, "--name", "run", "--cell", cell, "--coupled", "false")
    assert bitgate(*fit, *(("--block-size", 3) if cell == "ql_lstm" else ()), *TINY).code == 0
    frozen = tmp_path / "m.bitgate"
    assert bitgate("freeze", tmp_path / "run", "-o", frozen, "--state-bits", 13).code == 0
    told = bitgate("verify", frozen, "--data", digits_file, "--json").json
    assert told["is_equal"]
    assert bitgate("export", "c", frozen, "-o", tmp_path / "c").code == 0
    assert (tmp_path / "c" / "src" / "bg_skip.c").exists() == (cell == "ql_lstm")
