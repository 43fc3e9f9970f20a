"""Sessions of several threads: the integers of one thread, whatever is shared; and threads that come, sleep and go."""

import gc
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitgate import runtime
from bitgate.errors import ArgumentError
from bitgate.frozen import FrozenModel
from bitgate.runtime import Session, engines, simd
from bitgate.runtime.plain import zero_states
from tests.frozen.make import CELL_GATES, TERNARY, random_frozen_model, random_sequences
from tests.runtime.test_simd import PACKED, PATHS, UNPACKED, assert_equal_traces, break_layer, models

pytestmark = pytest.mark.skipif(not runtime.native_available(), reason=runtime.native_status())
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
needs_cores = pytest.mark.skipif(engines.count_cores() < 2, reason="one core has one thread")


def shared(engine: simd.SimdEngine, threads: int) -> simd.SimdEngine:
    """The engine with threads that share layers of any size, and never go alone."""
    return engine.with_threads(threads, least_units=1, patient=True)


def count_threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


@pytest.fixture
def wide() -> FrozenModel:
    """Two layers, of which the first is large enough for two threads."""
    return random_frozen_model(
        np.random.default_rng(0), input_size=9, hidden_sizes=(600, 20), state_bits=8, levels=TERNARY, product_bits=64
    )


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=40, deadline=None)
@given(
    models(),
    st.integers(1, 11),
    st.integers(1, 9),
    st.sampled_from([UNPACKED, PACKED]),
    st.booleans(),
    st.sampled_from([2, 3]),
)
def test_sequences(
    path: str,
    pair: tuple[FrozenModel, np.random.Generator],
    batch: int,
    steps: int,
    int8_weights: int | None,
    extensions: bool,
    threads: int,
) -> None:
    model, rng = pair
    engine = shared(simd.SimdEngine(model, path, int8_weights, extensions), threads)
    x = random_sequences(rng, model, batch, steps)
    for lengths in (None, rng.integers(1, steps + 1, batch)):
        assert_equal_traces(engine.trace(x, lengths), model.trace(x, lengths))
        np.testing.assert_array_equal(engine.run(x, lengths), model.run(x, lengths))


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=30, deadline=None)
@given(models(), st.integers(1, 70), st.sampled_from([UNPACKED, PACKED]), st.booleans(), st.sampled_from([2, 3]))
def test_steps(
    path: str,
    pair: tuple[FrozenModel, np.random.Generator],
    batch: int,
    int8_weights: int | None,
    extensions: bool,
    threads: int,
) -> None:
    """All layers that fit each other; every state of every step."""
    model, rng = pair
    if any(len(directions) > 1 for directions in model.layers):
        model = replace(model, layers=(model.layers[0][:1],), readout=None)
    streams = shared(simd.SimdEngine(model, path, int8_weights, extensions), threads).streams(batch)
    alone = simd.SimdEngine(model, path, int8_weights, extensions).streams(batch)
    state, x = model.init_state(batch), random_sequences(rng, model, batch, 4)
    found, expected = zero_states(model, batch), zero_states(model, batch)
    for t in range(4):
        state, output = model.step(state, x[:, t])
        features = np.ascontiguousarray(x[:, t])
        np.testing.assert_array_equal(streams.step(features), output)
        alone.step(features)
        streams.save(found)
        alone.save(expected)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    cell=st.sampled_from(list(CELL_GATES)),
    sizes=st.tuples(st.integers(1, 300), st.integers(60, 300)),
    state_bits=st.sampled_from([8, 16]),
    steps=st.integers(1, 70),
    int8_weights=st.sampled_from([UNPACKED, PACKED, 1 << 20]),
    extensions=st.booleans(),
    threads=st.sampled_from([2, 3, 5]),
)
def test_wide_ternary_layers(
    path: str,
    seed: int,
    cell: str,
    sizes: tuple[int, int],
    state_bits: int,
    steps: int,
    int8_weights: int | None,
    extensions: bool,
    threads: int,
) -> None:
    """Shares that end inside of a block of rows, and blocks that belong to two of them."""
    rng = np.random.default_rng(seed)
    model = random_frozen_model(
        rng, cell=cell, input_size=sizes[0], hidden_sizes=sizes[1:], state_bits=state_bits, levels=TERNARY
    )
    x = random_sequences(rng, model, 1, steps)
    engine = simd.SimdEngine(model, path, int8_weights, extensions)
    assert_equal_traces(shared(engine, threads).trace(x, None), model.trace(x))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("change", ["code", "swap", "bias", "sharing", "skip"])
def test_the_comparison_turns_red(path: str, change: str) -> None:
    rng = np.random.default_rng(1)
    model = random_frozen_model(
        rng, input_size=20, hidden_sizes=(40,), product_bits=64, state_bits=8, sharing="odd", block_size=2
    )
    broken = replace(model, layers=((break_layer(model.layers[0][0], change),),))
    x = random_sequences(rng, model, 6, 5)
    with pytest.raises(AssertionError):
        assert_equal_traces(shared(simd.SimdEngine(broken, path), 2).trace(x, None), model.trace(x))


def test_a_session_with_two_threads(wide: FrozenModel) -> None:
    """As its user has it: steps that find the other thread asleep, and steps that do not."""
    one, two = Session(wide), Session(wide, threads=2)
    x = random_sequences(np.random.default_rng(1), wide, 3, 40)
    np.testing.assert_array_equal(two.run(x, [40, 1, 17]), wide.run(x, [40, 1, 17]))
    for t in range(40):
        if t % 10 == 0:
            time.sleep(0.01)
        np.testing.assert_array_equal(two.step(x[:, t]), one.step(x[:, t]))
        for a, b in zip(two.state, one.state, strict=True):
            np.testing.assert_array_equal(a.h, b.h)
            np.testing.assert_array_equal(a.c, b.c)
    branch = two.copy()
    assert branch.threads == two.threads == 2
    np.testing.assert_array_equal(branch.step(x[:, 0]), one.step(x[:, 0]))
    assert two.kernel == one.kernel


@needs_linux
def test_every_thread_has_enough_units() -> None:
    """Of sixteen threads three are started."""
    model = random_frozen_model(np.random.default_rng(0), hidden_sizes=(3 * simd.UNITS_PER_THREAD,))
    before = count_threads()
    engine = simd.SimdEngine(model, PATHS[-1]).with_threads(16)
    engine.run(random_sequences(np.random.default_rng(1), model, 1, 20), None)
    assert count_threads() == before + 2


def test_one_core_has_one_thread(wide: FrozenModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "count_cores", lambda: 1)
    session = Session(wide, threads=2)
    assert session.threads == 2
    assert session._engine is Session(wide)._engine


@needs_linux
@needs_cores
def test_threads_come_sleep_and_go(wide: FrozenModel) -> None:
    x = random_sequences(np.random.default_rng(1), wide, 1, 20)[0]
    before = count_threads()
    session = Session(wide, threads=2)
    small = Session(random_frozen_model(np.random.default_rng(0), hidden_sizes=(511,)), threads=2)
    small.run(random_sequences(np.random.default_rng(1), small.frozen, 1, 20))
    assert count_threads() == before, "there was nothing to share so far"
    session.run(x)
    assert count_threads() == before + 1
    time.sleep(0.05)
    begin = time.process_time()
    time.sleep(0.4)
    assert time.process_time() - begin < 0.1, "an idle session burns time"
    np.testing.assert_array_equal(session.run(x), wide.run(x))
    copies = [session.copy() for _ in range(5)]
    for copy in copies:
        copy.run(x)
    assert count_threads() == before + 6
    del session, copies, copy
    gc.collect()
    assert count_threads() == before


def test_sessions_of_many_threads(wide: FrozenModel) -> None:
    """Each with a session of two threads, and all of them in one, whose second thread only one of them can have."""
    inputs = [random_sequences(np.random.default_rng(seed), wide, 2, 20) for seed in range(6)]
    expected = [wide.run(x) for x in inputs]

    def stream(x: np.ndarray) -> np.ndarray:
        session = Session(wide, threads=2)
        for t in range(x.shape[1]):
            result = session.step(np.ascontiguousarray(x[:, t]))
        return result

    common = Session(wide, threads=2)
    with ThreadPoolExecutor(4) as pool:
        for run in (stream, common.run, stream, common.run):
            for found, right in zip(pool.map(run, inputs), expected, strict=True):
                np.testing.assert_array_equal(found, right)


FORK = """
import os, sys, time, warnings
import numpy as np
from bitgate.bench.ours import ternary_lstm
from bitgate.runtime import Session

warnings.simplefilter("ignore")  # forking a process with threads is what is tested
model = ternary_lstm(512)
x = np.random.default_rng(0).normal(size=(60, 512)).astype(np.float32)
expected = Session(model).run(x)
session, unused = Session(model, threads=2), Session(model, threads=2)

def check():
    assert np.array_equal(session.run(x), expected)
    session.reset()
    for row, right in zip(x, expected):
        assert np.array_equal(session.step(row), right)

check()
unused.run(x)
for generation in range(3):
    child = os.fork()
    if child == 0:
        del unused
        check()  # twice: with the thread that was not inherited, then with its own
        check()
        if os.fork() == 0:
            check()
            os._exit(0)
        os._exit(os.wait()[1] != 0)
    assert os.waitpid(child, 0)[1] == 0
    check()
print("equal")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_children_go_on() -> None:
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "equal\n"), done.stderr


@pytest.mark.parametrize("threads", [0, -1, engines.MAX_THREADS + 1, True, 2.0, "2", None])
def test_bad_threads(threads: Any) -> None:
    with pytest.raises(ArgumentError, match=r"threads: .*, expected a whole number from 1 to 16"):
        Session(random_frozen_model(np.random.default_rng(0)), threads=threads)


@pytest.mark.parametrize("backend", ["plain", "interpreter"])
def test_backends_of_one_thread(backend: Any) -> None:
    model = random_frozen_model(np.random.default_rng(0))
    assert Session(model, backend, threads=1).threads == 1
    with pytest.raises(ArgumentError, match=f"threads: 2, but the {backend} backend has one"):
        Session(model, backend, threads=2)


def test_the_largest_number_is_that_of_the_kernels() -> None:
    native = simd.import_native()
    native.Crew(engines.MAX_THREADS)
    with pytest.raises(ValueError, match="expected 1 to 16"):
        native.Crew(engines.MAX_THREADS + 1)
