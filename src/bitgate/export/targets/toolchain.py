"""The tools of the extra ``mcu``: Zig's C compiler, the emulators. Imported only when a target needs them."""

import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bitgate.errors import ToolError

TIMEOUT_S = 600


def require_tool(module: str) -> Any:
    """The module of an optional package.

    Raises:
        ToolError: it is not installed, or cannot be loaded on this machine.
    """
    try:
        return import_module(module)
    except (ImportError, OSError) as error:
        raise ToolError(f"{module} is missing ({error}): pip install 'bitgate[mcu]'") from error


def tool_version(package: str) -> str:
    """Name and version of an installed package."""
    return f"{package} {version(package)}"


def zig_command(*arguments: str) -> list[str]:
    """Command line of Zig's C compiler.

    Raises:
        ToolError: the package ziglang is missing.
    """
    require_tool("ziglang")
    return [sys.executable, "-m", "ziglang", "cc", *arguments]


def call_zig(arguments: Sequence[str], folder: Path) -> str:
    """Runs the compiler in ``folder`` and returns what it prints to stdout.

    Raises:
        ToolError: it is missing or fails, with its message.
    """
    command = zig_command(*arguments)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise ToolError(f"zig cc failed:\n{done.stderr.strip()}")
    return done.stdout


@cache
def zig_version() -> str:
    """Such as ``zig cc 0.17.1 (clang version 22.1.8)``: with every count goes the compiler that it belongs to."""
    first, *_ = call_zig(["--version"], Path.cwd()).splitlines()
    return f"zig cc {version('ziglang')} ({first})"
