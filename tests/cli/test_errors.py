"""One clear line on stderr and exit code 2, whatever is wrong; never a traceback."""

import numpy as np
import pytest

from bitgate.cli import main
from tests.cli.conftest import TINY


def refused(answer, *parts: str) -> None:
    assert answer.code == 2
    assert answer.out == "", "data go to stdout, complaints do not"
    assert answer.err.startswith("bitgate: error: ")
    assert answer.err.endswith("\n")
    assert answer.err.count("\n") == 1, f"more than one line: {answer.err}"
    for part in parts:
        assert part in answer.err


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["frez"], ["no verb 'frez'", "did you mean freeze?", "demo, fit"]),
        (["xyzzy"], ["no verb 'xyzzy' (verbs:"]),
        (["fit", "--epochz", "3"], ["unrecognized arguments: --epochz", "did you mean --epochs?", "fit --help"]),
        (["fit", "--epochs", "ten"], ["--epochs: expected a whole number, got ten"]),
        (["fit", "--seed", "1.5"], ["--seed: expected a whole number, got 1.5"]),
        (["fit", "--learning-rate", "fast"], ["--learning-rate: expected a number, got fast"]),
        (["fit", "--coupled", "maybe"], ["--coupled: expected true or false, got maybe"]),
        (["fit", "--hidden-sizes", "a,b"], ["--hidden-sizes: expected numbers such as 64,32, got a,b"]),
        (["fit", "--gates", "o2"], ["--gates: expected a mapping such as o=2,g=2, got o2"]),
        (["fit", "--weights", "four"], ["--weights: expected continuous or", "ternary or binary or a whole number"]),
        (["fit", "--cell", "rnn"], ["--cell: expected lstm or gru or ql_lstm or gated_rnn, got rnn"]),
        (["fit", "--epochs", "0"], ["epochs: 0, expected a positive number"]),
        (["fit", "--gates", "x=2"], ["this cell has no gate 'x'; its gates are i, g, o"]),
        (["fit", "--gates", "f=2"], ["a coupled cell computes f as 1 - i"]),
        (["fit", "--method", "qat", "--kl-weight", "1"], ["kl_weight: 1.0, but these weights have no posterior"]),
        (["fit", "--data", "digit"], ["no data set is called 'digit': did you mean digits"]),
        (["fit", "--data", "missing.csv"], ["missing.csv: no such file"]),
        (["fit", "--data", "uci-har", "--data-dir", "nowhere"], ["nowhere"]),
        (["fit", "missing.yaml"], ["File does not exist", "missing.yaml"]),
        (["fit", "sequences.npz"], ["'sequences.npz' is no .yaml file of options", "--data sequences.npz"]),
        (["eval", "missing"], ["missing holds no config.yaml; give the folder of a run"]),
        (["eval", "missing", "--part", "dev"], ["--part", "'dev'"]),
        (["freeze", "missing"], ["missing holds no config.yaml"]),
        (["freeze", "missing", "-o", "nowhere/x.bitgate"], ["folder nowhere does not exist; create it first"]),
        (["freeze", "missing", "--state-bits", "12"], ["--state-bits", "12", "8, 13, 16"]),
        (["info", "missing"], ["missing: no such model file"]),
        (["info", "--input-size", "3"], ["give both --input-size and --n-classes"]),
        (["info", "--input-size", "0", "--n-classes", "2"], ["input_size: 0, expected an integer of at least 1"]),
        (["export", "c", "missing", "-o", "x"], ["missing: no such model file"]),
        (["export", "c", "missing"], ["required: output"]),
        (["export", "cobol", "missing", "-o", "x"], ["'cobol'"]),
        (["run", "missing", "x.csv"], ["missing: no such model file"]),
        (["run"], ["required"]),
        (["data", "lst"], ["'lst'", "list"]),
        (["data", "info"], ["which data set? `bitgate data list` names them"]),
        (["data", "info", "digit"], ["did you mean digits"]),
        (["data", "info", "digits", "--split", "honest"], ["split='honest' for digits"]),
        (["data", "fetch", "nothing"], ["no data set is called 'nothing'"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_arguments_are_explained_in_one_line(bitgate, tmp_path, monkeypatch, arguments, parts):
    monkeypatch.chdir(tmp_path)
    refused(bitgate(*arguments), *parts)
    assert list(tmp_path.iterdir()) == [], "a refused command leaves nothing behind"


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"epochs: [1\n", "while parsing"),
        (b"epoch: 3\n", "epoch"),
        (b"epochs: 0\n", "epochs: 0, expected a positive number"),
        (b"\xff\xfe\x00", "utf-8"),
        (b"- 1\n", "config"),
    ],
)
def test_broken_configuration_is_refused(bitgate, tmp_path, content, part):
    (tmp_path / "config.yaml").write_bytes(content)
    refused(bitgate("fit", tmp_path / "config.yaml"), part)


def test_existing_run_is_refused(bitgate, run_folder, digits_file):
    again = ("fit", "--data", digits_file, "--runs-dir", run_folder.parent, "--name", "tiny", *TINY)
    refused(bitgate(*again), "--resume continues it, --overwrite starts again, --name chooses another")
    refused(bitgate(*again, "--seed", 9, "--resume"), "differs from the configuration given")


def test_run_without_a_checkpoint_is_refused(bitgate, run_folder, tmp_path):
    (tmp_path / "config.yaml").write_bytes((run_folder / "config.yaml").read_bytes())
    refused(bitgate("eval", tmp_path), "best-map.ckpt does not exist; let the run reach its first validation")


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "flipped"])
@pytest.mark.parametrize("verb", ["info", "run", "export"])
def test_corrupt_model_file_is_refused(bitgate, model_file, digits_file, tmp_path, damage, verb):
    whole = model_file.read_bytes()
    broken = {
        "empty": b"",
        "text": b"this is no model",
        "cut": whole[:-10],
        "flipped": whole.replace(b"ternary", b"ternary").replace(b'\\"state_bits\\": 16', b'\\"state_bits\\": 99'),
    }[damage]
    assert broken != whole
    path = tmp_path / "broken.bitgate"
    path.write_bytes(broken)
    arguments = {"info": [], "run": [digits_file], "export": ["-o", tmp_path / "c"]}[verb]
    start = ["export", "c"] if verb == "export" else [verb]
    refused(bitgate(*start, path, *arguments), "broken.bitgate")


def test_input_with_other_features_is_refused(bitgate, model_file, run_folder, tmp_path):
    path = tmp_path / "narrow.npz"
    np.savez(path, x=np.zeros((2, 3, 5), np.float32), y=np.array([0, 1]))
    refused(bitgate("run", model_file, path), "narrow.npz: 5 features per step, but 8 are expected")
    refused(bitgate("eval", run_folder, "--data", path), "narrow.npz: 5 features per step, but 8 are expected")


def test_unknown_label_is_refused(bitgate, model_file, run_folder, tmp_path):
    path = tmp_path / "strange.npz"
    np.savez(path, x=np.zeros((2, 3, 8), np.float32), y=np.array([0, 7]))
    refused(bitgate("run", model_file, path), "strange.npz", "7")
    refused(bitgate("eval", run_folder, "--data", path), "strange.npz", "7")


def test_labels_are_needed_to_evaluate(bitgate, run_folder, tmp_path):
    path = tmp_path / "bare.npz"
    np.savez(path, x=np.zeros((2, 3, 8), np.float32))
    refused(bitgate("eval", run_folder, "--data", path), "no labels; use `bitgate run`")


def test_folder_in_the_place_of_a_file_is_refused(bitgate, model_file, digits_file, tmp_path):
    refused(bitgate("run", tmp_path, digits_file), str(tmp_path))
    refused(bitgate("run", model_file, digits_file, "-o", tmp_path), f"{tmp_path} is a folder, expected the name")
    refused(bitgate("export", "c", model_file, "-o", digits_file), "is a file, expected a folder")


def test_file_in_a_folder_that_is_missing_is_refused(bitgate, model_file, run_folder, digits_file, tmp_path):
    missing = tmp_path / "no"
    complaint = f"folder {missing} does not exist; create it first"
    refused(bitgate("run", model_file, digits_file, "-o", missing / "x.csv"), complaint)
    refused(bitgate("freeze", run_folder, "-o", missing / "x.bitgate"), complaint)
    refused(bitgate("eval", run_folder, "--plot", missing / "x.png"), complaint)


def test_unusable_c_name_is_refused(bitgate, model_file, tmp_path):
    refused(bitgate("export", "c", model_file, "-o", tmp_path / "c", "--name", "9lives"), "'9lives' is no C identifier")


def test_interruption_is_no_error_and_has_its_own_code(bitgate, monkeypatch):
    from bitgate.cli import info

    def interrupted(arguments, show):
        raise KeyboardInterrupt

    monkeypatch.setattr(info, "VERB", info.VERB.__class__(**{**vars(info.VERB), "run": interrupted}))
    assert bitgate("info") == (130, "", "bitgate: interrupted\n")


def test_ctrl_c_while_training_has_that_code_too(bitgate, monkeypatch, digits_file, tmp_path):
    import signal

    from bitgate.train.module import ClassifierTraining

    def interrupted(self, batch, batch_idx):
        raise KeyboardInterrupt

    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(ClassifierTraining, "training_step", interrupted)
    try:
        answer = bitgate("fit", "--data", digits_file, "--runs-dir", tmp_path, "--name", "x", *TINY)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert answer.code == 130
    assert answer.err.splitlines()[-1] == "bitgate: interrupted"


def test_mistakes_of_ours_are_not_hidden(monkeypatch):
    """Only errors meant for the user become one line; a bug keeps its traceback."""
    from bitgate.cli import info

    def buggy(arguments, show):
        raise ZeroDivisionError

    monkeypatch.setattr(info, "VERB", info.VERB.__class__(**{**vars(info.VERB), "run": buggy}))
    with pytest.raises(ZeroDivisionError):
        main(["info"])
