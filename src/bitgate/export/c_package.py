"""Export to C99: constants, the fixed kernels that the model needs, examples, build files and a README."""

import os
import re
import tempfile
from pathlib import Path

from bitgate.errors import ArgumentError, UnsupportedError
from bitgate.export.c_data import model_source, names_source
from bitgate.export.c_fast import Kernels, check_kernels
from bitgate.export.c_header import model_header
from bitgate.export.c_kernels import all_kernel_files, kernel_files, source_folder
from bitgate.export.c_layouts import layout_files
from bitgate.export.c_readme import model_readme
from bitgate.frozen import FrozenModel

FOLDERS = ("src", "examples/serial", "zephyr")

# Names whose files would replace another file of the export, or hide a header of the C library from the compiler.
_RESERVED = re.compile(
    r"main|example|program|arduino|bg_.*|"
    r"assert|ctype|errno|float|limits|math|signal|stdbool|stddef|stdint|stdio|stdlib|string|time|wchar",
    re.IGNORECASE,
)
_KEYWORDS = re.compile(
    "auto|break|case|char|const|continue|default|do|double|else|enum|extern|for|goto|if|inline|int|long|register|"
    "restrict|return|short|sizeof|static|struct|switch|typedef|union|unsigned|void|volatile|while"
)


def export_c99(
    frozen: FrozenModel, directory: str | os.PathLike[str], *, name: str = "model", kernels: Kernels = "plain"
) -> list[Path]:
    """Writes ``frozen`` as a C99 program into ``directory`` (docs/c-api.md).

    The files are made beside ``directory`` and then moved, so that nothing half-written remains. Files of the same
    names are replaced, files of an earlier export that are no longer needed are removed, all others stay.

    Args:
        frozen: the model.
        directory: folder to write to, made if missing.
        name: C identifier that begins every symbol and file of the model.
        kernels: how rows of weights are summed, with the same integers: "plain" for any model; "table" (ternary, at
            most 13-bit states) and "lanes" (ternary, 8-bit states; Cortex-M4 and M7) are faster and need more RAM.

    Returns:
        Paths of the written files, sorted.

    Raises:
        ArgumentError: ``name`` is no usable C identifier, no such ``kernels``, or ``directory`` is a file.
        UnsupportedError: the model is bidirectional, or ``kernels`` do not fit it.
    """
    target = Path(directory)
    _check(frozen, target, name)
    check_kernels(frozen, kernels)
    texts = _texts(frozen, name, kernels)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as temporary:
        for path, text in texts.items():
            (Path(temporary) / path).parent.mkdir(parents=True, exist_ok=True)
            (Path(temporary) / path).write_text(text, encoding="utf-8", newline="\n")
        for folder in ("", *FOLDERS):
            (target / folder).mkdir(parents=True, exist_ok=True)
        for path in texts:
            (Path(temporary) / path).replace(target / path)
    for path in {f"src/{file_name}" for file_name in (*all_kernel_files(), f"{name}_names.c")} - set(texts):
        (target / path).unlink(missing_ok=True)
    return sorted(target / path for path in texts)


def _check(frozen: FrozenModel, target: Path, name: str) -> None:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or _KEYWORDS.fullmatch(name):
        raise ArgumentError(f"name: {name!r} is no C identifier (letters, digits and _, beginning with a letter)")
    if _RESERVED.fullmatch(name):
        raise ArgumentError(f"name: {name!r} is taken by the files of the export or of C itself; choose another")
    for path in (target, target / "examples", *(target / folder for folder in FOLDERS)):
        if path.exists() and not path.is_dir():
            raise ArgumentError(f"directory: {path} is a file, expected a folder or a new name")
    if any(len(directions) > 1 for directions in frozen.layers):
        raise UnsupportedError(
            "export to C: the model is bidirectional, so its output needs the whole sequence in memory; "
            "the C program runs step by step. Train with bidirectional=False."
        )


def _texts(frozen: FrozenModel, name: str, kernels: Kernels) -> dict[str, str]:
    """Content of every file of the export, by its path with slashes."""
    fixed = kernel_files(frozen, kernels)
    code = {file_name: (source_folder() / file_name).read_text(encoding="utf-8") for file_name in fixed}
    code[f"{name}.h"] = model_header(frozen, name, kernels)
    code[f"{name}.c"] = model_source(frozen, name, kernels)
    if frozen.readout is not None:
        code[f"{name}_names.c"] = names_source(frozen, name)
    sources = sorted(file_name for file_name in code if file_name.endswith(".c"))
    return {
        **{f"src/{file_name}": text for file_name, text in code.items()},
        "main.c": _example("example.c", name),
        "examples/serial/serial.ino": _example("example.ino", name),
        "README.md": model_readme(frozen, name, sources, kernels),
        **layout_files(frozen, name, sources),
    }


def _example(file_name: str, name: str) -> str:
    text = (source_folder() / file_name).read_text(encoding="utf-8")
    text = re.sub(r"\bMODEL_", f"{name.upper()}_", text)
    return re.sub(r"\bmodel(_|\.h\b)", rf"{name}\1", text)
