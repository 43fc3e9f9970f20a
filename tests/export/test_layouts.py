"""The exported folder as Makefile, CMake, Zephyr and Arduino project: each is built and run, not only looked at."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml

from bitgate import export
from bitgate.frozen import FrozenModel
from tests.export.build import ALL_FLAGS, assert_program_equals
from tests.frozen.make import BINARY, random_frozen_model, random_sequences

STUBS = Path(__file__).parent / "stubs"
needs_cmake = pytest.mark.skipif(shutil.which("cmake") is None, reason="no cmake")
needs_cpp = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++")

# Two models that share kernels and differ in others; prints all logits of both after three steps.
TWO_MODELS = """
#include <stdio.h>
#include "left.h"
#include "right.h"
int main(void) {
    static left_state a;
    static right_state b;
    int16_t x[LEFT_INPUT_SIZE * 3] = {1000, -2000, 3000, 50, 60, 70, -8000, 9000, 10000};
    int32_t logits[LEFT_CLASSES + RIGHT_CLASSES];
    left_init(&a);
    right_init(&b);
    left_run(&a, x, 3);
    right_run(&b, x, 3);
    left_logits(&a, logits);
    right_logits(&b, logits + LEFT_CLASSES);
    for (int k = 0; k < LEFT_CLASSES + RIGHT_CLASSES; ++k) printf("%ld ", (long)logits[k]);
    return 0;
}
"""
CODES = np.array([[1000, -2000, 3000], [50, 60, 70], [-8000, 9000, 10000]])


def run(*command: object, folder: Path, stdin: bytes = b"") -> str:
    done = subprocess.run([str(part) for part in command], cwd=folder, input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    return done.stdout.decode()


def export_two(folder: Path) -> list[int]:
    """Exports the models of TWO_MODELS below ``folder``; returns the logits that it has to print."""
    rng = np.random.default_rng(0)
    expected: list[int] = []
    for name, model in (
        ("left", random_frozen_model(rng)),
        ("right", random_frozen_model(rng, cell="gru", levels=BINARY, classes=3)),
    ):
        export.c99(model, folder / name, name=name)
        expected += logits_of(model, CODES)
    return expected


def logits_of(model: FrozenModel, codes: np.ndarray) -> list[int]:
    """Logits of input codes: features are chosen so that they quantize to them."""
    x = (codes / model.input_map.gain + model.input_map.mean).astype(np.float32)
    np.testing.assert_array_equal(model.quantize(x), codes)
    return model.run(x[None])[0].tolist()


@needs_cmake
def test_cmake_alone_builds_the_example_program(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    model = random_frozen_model(rng)
    export.c99(model, tmp_path, name="gesture")
    flags = f"-DCMAKE_C_FLAGS={' '.join(ALL_FLAGS)}"
    run("cmake", "-S", ".", "-B", "build", flags, "-Werror=dev", folder=tmp_path)
    run("cmake", "--build", "build", folder=tmp_path)
    assert "CMAKE_BUILD_TYPE:STRING=" in (tmp_path / "build" / "CMakeCache.txt").read_text()
    assert_program_equals(model, tmp_path / "build" / "program", rng)


SUBDIRECTORIES = """
cmake_minimum_required(VERSION 3.13...3.31)
project(two C CXX)
add_subdirectory(left)
add_subdirectory(right)
add_executable(two two.LANGUAGE)
target_link_libraries(two PRIVATE bitgate::left bitgate::right)
"""


@pytest.mark.slow
@needs_cmake
@needs_cpp
@pytest.mark.parametrize("language", ["c", "cpp"])
def test_cmake_subdirectories_of_one_program(tmp_path: Path, language: str) -> None:
    expected = export_two(tmp_path)
    (tmp_path / f"two.{language}").write_text(TWO_MODELS)
    (tmp_path / "CMakeLists.txt").write_text(SUBDIRECTORIES.replace("LANGUAGE", language))
    run("cmake", "-S", ".", "-B", "build", "-Werror=dev", folder=tmp_path)
    run("cmake", "--build", "build", folder=tmp_path)
    assert not list((tmp_path / "build").rglob("program")), "the example is no part of other projects"
    assert [int(word) for word in run("build/two", folder=tmp_path).split()] == expected


ZEPHYR_BUILD = """
cmake_minimum_required(VERSION 3.20)
project(firmware C)
include(STUBS/zephyr.cmake)
add_library(zephyr_interface INTERFACE)
SET_OPTIONS
add_subdirectory(left/MODULE left_module)
add_subdirectory(right/MODULE right_module)
get_property(libraries GLOBAL PROPERTY ZEPHYR_LIBS)
add_executable(two two.c)
target_link_libraries(two PRIVATE zephyr_interface -Wl,--whole-archive ${libraries} -Wl,--no-whole-archive)
"""


@pytest.mark.slow
@needs_cmake
@pytest.mark.parametrize("options", [("LEFT", "RIGHT"), ("LEFT",), ()])
def test_zephyr_modules_build(tmp_path: Path, options: tuple[str, ...]) -> None:
    expected = export_two(tmp_path)
    described = yaml.safe_load((tmp_path / "left" / "zephyr" / "module.yml").read_text())
    text = ZEPHYR_BUILD.replace("STUBS", str(STUBS)).replace("MODULE", described["build"]["cmake"])
    text = text.replace("SET_OPTIONS", "\n".join(f"set(CONFIG_BITGATE_{name} y)" for name in options))
    (tmp_path / "CMakeLists.txt").write_text(text)
    (tmp_path / "two.c").write_text(TWO_MODELS if len(options) == 2 else "int main(void) { return 0; }")
    run("cmake", "-S", ".", "-B", "build", folder=tmp_path)
    run("cmake", "--build", "build", folder=tmp_path)
    built = {path.name for path in (tmp_path / "build").rglob("*.a")}
    assert built == {f"libbitgate_{name.lower()}.a" for name in options}
    if len(options) == 2:
        assert [int(word) for word in run("build/two", folder=tmp_path).split()] == expected


def test_zephyr_module_is_described_as_west_reads_it(tmp_path: Path) -> None:
    model = random_frozen_model(np.random.default_rng(0))
    export.c99(model, tmp_path, name="gesture")
    described = yaml.safe_load((tmp_path / "zephyr" / "module.yml").read_text())
    assert described == {"name": "bitgate_gesture", "build": {"cmake": "zephyr", "kconfig": "zephyr/Kconfig"}}
    assert (tmp_path / described["build"]["cmake"] / "CMakeLists.txt").is_file()
    options = (tmp_path / described["build"]["kconfig"]).read_text()
    assert re.fullmatch(r'config BITGATE_GESTURE\n\tbool "[^"\n]+"\n\thelp\n(\t  [^\n]+\n)+', options)


def test_zephyr_options_are_kconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kconfiglib = pytest.importorskip("kconfiglib")
    export.c99(random_frozen_model(np.random.default_rng(0)), tmp_path, name="gesture")
    monkeypatch.setenv("CONFIG_", "CONFIG_")
    options = kconfiglib.Kconfig(str(tmp_path / "zephyr" / "Kconfig"), warn_to_stderr=False)
    assert options.warnings == []
    assert list(options.syms["BITGATE_GESTURE"].assignable) == [0, 2]  # n, y


# What arduino-cli asks of a library: docs.arduino.cc/arduino-cli/library-specification.
ARDUINO_CATEGORIES = {
    *("Display", "Communication", "Signal Input/Output", "Sensors", "Device Control", "Timing"),
    *("Data Storage", "Data Processing", "Other"),
}
ARDUINO_FIELDS = ("name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url")


def test_arduino_library_follows_the_specification(tmp_path: Path) -> None:
    export.c99(random_frozen_model(np.random.default_rng(0)), tmp_path, name="gesture")
    lines = (tmp_path / "library.properties").read_text().splitlines()
    fields = dict(line.split("=", 1) for line in lines)
    assert len(fields) == len(lines)
    assert set(fields) >= {*ARDUINO_FIELDS, "architectures", "includes"}
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,62}", fields["name"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", fields["version"])
    assert fields["category"] in ARDUINO_CATEGORIES
    assert fields["dot_a_linkage"] == "true"
    assert (tmp_path / "src" / fields["includes"]).is_file()
    # Everything below src is compiled: the example program with its main must not lie there.
    compiled = {path.name for path in (tmp_path / "src").rglob("*")}
    assert "gesture.c" in compiled
    assert "main.c" not in compiled
    sketches = list((tmp_path / "examples").rglob("*.ino"))
    assert [path.stem for path in sketches] == [path.parent.name for path in sketches] == ["serial"]


@needs_cpp
@pytest.mark.parametrize("classes", [4, None])
def test_arduino_sketch_answers_every_step(tmp_path: Path, classes: int | None) -> None:
    """The sketch as Arduino builds it: as C++ behind Arduino.h, the library as C in an archive."""
    rng = np.random.default_rng(0)
    model = random_frozen_model(rng, classes=classes, hidden_sizes=(5, 3))
    export.c99(model, tmp_path, name="gesture")
    sketch = (tmp_path / "examples" / "serial" / "serial.ino").read_text()
    runner = "int main() { setup(); while (!feof(stdin)) loop(); }\n"
    (tmp_path / "serial.cpp").write_text(f"#include <Arduino.h>\n{sketch}{runner}")
    warnings = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
    run("gcc", "-std=gnu11", *warnings, "-c", *sorted((tmp_path / "src").glob("*.c")), folder=tmp_path)
    run("ar", "rcs", "libgesture.a", *sorted(tmp_path.glob("*.o")), folder=tmp_path)
    include = ["-Isrc", f"-I{STUBS}"]
    run("g++", "-std=gnu++11", *warnings, *include, "serial.cpp", "libgesture.a", "-o", "sketch", folder=tmp_path)
    x = random_sequences(rng, model, 1, 6)
    shown = run("./sketch", folder=tmp_path, stdin=x.astype("<f4").tobytes())
    answers = [[int(word) for word in line.split()] for line in shown.splitlines()]
    trace = model.trace(x)
    assert len(answers) == 6
    for step, answer in enumerate(answers):
        if classes is None:
            assert answer == trace.h[-1][0, step].tolist()
        else:
            logits = model.run(x[:, : step + 1])[0]
            assert answer == [int(logits.argmax()), *logits.tolist()]


def test_no_file_is_there_twice(tmp_path: Path) -> None:
    written = export.c99(random_frozen_model(np.random.default_rng(0)), tmp_path)
    texts = [path.read_bytes() for path in written]
    assert len(set(texts)) == len(texts) > 20
