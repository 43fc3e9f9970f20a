"""What a firmware engineer relies on besides the integers: reentrancy, no recursion, documented functions and sizes."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from bitgate import export
from bitgate.export.c_fast import KERNELS, Kernels
from bitgate.export.c_kernels import STEP_FUNCTIONS, SUMS_STEP_FUNCTIONS, all_kernel_files, source_folder
from tests.export.build import can_sanitize
from tests.frozen.make import random_frozen_model

# Two threads, each with a stream of its own (or, for the sabotage, with one for both); all logits of both.
TWO_THREADS = """
#include <pthread.h>
#include <stdio.h>
#include "model.h"
enum { STEPS = 200 };
static model_state states[2];
static void *work(void *argument) {
    model_state *state = argument;
    int16_t x[MODEL_INPUT_SIZE];
    model_init(state);
    for (int t = 0; t < STEPS; ++t) {
        for (int k = 0; k < MODEL_INPUT_SIZE; ++k) x[k] = (int16_t)((t * 31 + k * 17) % (2 * MODEL_CODE_LIMIT) - MODEL_CODE_LIMIT);
        model_step(state, x);
    }
    return NULL;
}
int main(void) {
    pthread_t threads[2];
    int32_t logits[MODEL_CLASSES];
    for (int k = 0; k < 2; ++k) pthread_create(&threads[k], NULL, work, &states[k * STREAMS / 2]);
    for (int k = 0; k < 2; ++k) pthread_join(threads[k], NULL);
    for (int k = 0; k < STREAMS; ++k) {
        model_logits(&states[k], logits);
        for (int j = 0; j < MODEL_CLASSES; ++j) printf("%ld ", (long)logits[j]);
    }
    return 0;
}
"""  # noqa: E501
STEPS = 200


def run_threads(folder: Path, streams: int) -> subprocess.CompletedProcess[str]:
    (folder / "threads.c").write_text(TWO_THREADS)
    sources = [path.name for path in (folder / "src").glob("*.c")]
    command = ["gcc", "-std=gnu11", "-O1", "-g", "-fsanitize=thread", "-pthread", f"-DSTREAMS={streams}", "-Isrc"]
    command += ["threads.c", *(f"src/{name}" for name in sources), "-o", "threads"]
    subprocess.run(command, cwd=folder, check=True)
    return subprocess.run(["./threads"], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("kernels", KERNELS)
def test_threads_with_a_state_each_do_not_meet(tmp_path: Path, kernels: Kernels) -> None:
    if not can_sanitize("gcc", "thread"):
        pytest.skip("gcc has no thread sanitizer")
    model = random_frozen_model(np.random.default_rng(0), state_bits=8)
    export.c99(model, tmp_path, kernels=kernels)
    done = run_threads(tmp_path, 2)
    if "unexpected memory mapping" in done.stderr:
        pytest.skip("the thread sanitizer does not run on this kernel")
    assert done.returncode == 0, done.stderr
    t, k = np.mgrid[:STEPS, : model.input_size]
    limit = 127
    codes = (t * 31 + k * 17) % (2 * limit) - limit
    x = (codes / model.input_map.gain + model.input_map.mean).astype(np.float32)
    np.testing.assert_array_equal(model.quantize(x), codes)
    assert [int(word) for word in done.stdout.split()] == 2 * model.run(x[None])[0].tolist()
    assert "data race" in run_threads(tmp_path, 1).stderr, "one state for both threads must be found"


def _call_graph(folder: Path) -> dict[str, set[str]]:
    """Functions by caller, as gcc sees them; a call by pointer leads to all functions of that pointer's type."""
    sources = [str(source_folder() / name) for name in all_kernel_files() if name.endswith(".c")]
    command = ["gcc", "-std=c99", "-O0", "-fcallgraph-info", "-c", *sources]
    subprocess.run(command, cwd=folder, check=True)
    graph: dict[str, set[str]] = {}
    for path in folder.glob("*.ci"):
        for caller, called in re.findall(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"', path.read_text()):
            graph.setdefault(caller.split(":")[-1], set()).add(called.split(":")[-1])
    steps = {*STEP_FUNCTIONS.values(), *SUMS_STEP_FUNCTIONS.values()}
    for caller, called in graph.items():
        if "__indirect_call" in called:
            called.remove("__indirect_call")
            # Three types of pointers: a model calls steps, steps call sums, all others call rows.
            sums = {"bg_table_sums", "bg_lanes_sums", "bg_lanes_joint_sums"}
            rows = {"bg_row_binary", "bg_row_ternary", "bg_row_levels"}
            called |= steps if caller == "bg_model_step" else sums if caller in steps else rows
    return graph


def _cycle(graph: dict[str, set[str]], name: str, path: tuple[str, ...] = ()) -> tuple[str, ...]:
    if name in path:
        return (*path, name)
    return next((found for called in graph.get(name, ()) if (found := _cycle(graph, called, (*path, name)))), ())


@pytest.mark.skipif(shutil.which("gcc") is None, reason="only gcc tells the calls")
def test_no_recursion(tmp_path: Path) -> None:
    graph = _call_graph(tmp_path)
    assert graph["bg_model_step"] >= set(STEP_FUNCTIONS.values())
    assert any("bg_row_ternary" in called for called in graph.values())
    assert not any(_cycle(graph, name) for name in graph)
    assert _cycle({**graph, "bg_row_ternary": {"bg_model_step"}}, "bg_model_step"), "the check finds cycles"


def _doxygen(folder: Path) -> subprocess.CompletedProcess[str]:
    settings = {
        "INPUT": "model.h bg_model.h bg_types.h bg_readout.h bg_input.h",
        "QUIET": "YES", "GENERATE_HTML": "NO", "GENERATE_LATEX": "NO", "GENERATE_XML": "YES", "XML_OUTPUT": "xml",
        "EXTRACT_STATIC": "YES", "OPTIMIZE_OUTPUT_FOR_C": "YES", "WARN_AS_ERROR": "FAIL_ON_WARNINGS",
    }  # fmt: skip
    text = "".join(f"{key} = {value}\n" for key, value in settings.items())
    return subprocess.run(["doxygen", "-"], cwd=folder, input=text, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("doxygen") is None, reason="missing: doxygen")
@pytest.mark.parametrize("kernels", KERNELS)
def test_doxygen_finds_everything_documented(tmp_path: Path, kernels: Kernels) -> None:
    export.c99(random_frozen_model(np.random.default_rng(0), state_bits=8), tmp_path, kernels=kernels)
    header = tmp_path / "src" / "model.h"
    done = _doxygen(header.parent)
    assert done.returncode == 0, done.stderr
    whole = header.read_text()
    removable = (
        r"#define MODEL_STATE_SIZE \d+( /\*\*<[^\n]*)",
        r"( \* @param x [^\n]*\n)",
        r"(/\*\* State of[^\n]*\n)",
    )
    for pattern in removable:
        match = re.search(pattern, whole)
        assert match, pattern
        header.write_text(whole.replace(match[1], "", 1))
        assert _doxygen(header.parent).returncode != 0, f"without {match[1]!r} it must fail"


def test_every_function_of_the_header_tells_parameters_stack_and_reentrancy(tmp_path: Path) -> None:
    export.c99(random_frozen_model(np.random.default_rng(0)), tmp_path)
    text = (tmp_path / "src" / "model.h").read_text()
    functions = re.findall(r"/\*\*((?:(?!\*/).)*)\*/\nstatic inline [\w *]*?(\w+)\(([^)]*)\)", text, re.DOTALL)
    assert {name for _, name, _ in functions} == {
        *("model_init", "model_reset", "model_step", "model_run", "model_output", "model_quantize"),
        *("model_logits", "model_predict"),
    }
    for comment, name, parameters in functions:
        assert "Stack: under" in comment, name
        assert "Reentrant" in comment, name
        for parameter in parameters.split(","):
            assert f"@param {parameter.split()[-1].lstrip('*')}" in " ".join(comment.split()), (name, parameter)
