"""The optional native library; everything else is in pyproject.toml. Without a C compiler the install goes on."""

import os
from pathlib import Path

from setuptools import Extension, setup

KERNELS = Path("src/bitgate/csrc")
BINDING = Path("src/bitgate/runtime")

# Only the example program is no part of the library: it has a main of its own.
sources = [*sorted(KERNELS.glob("bg_*.c")), *sorted(BINDING.glob("native*.c"))]
headers = [*sorted(KERNELS.glob("*.h")), *sorted(BINDING.glob("*.h"))]

setup(
    ext_modules=[
        Extension(
            "bitgate._native",
            sources=[path.as_posix() for path in sources],
            depends=[path.as_posix() for path in headers],
            include_dirs=[KERNELS.as_posix(), BINDING.as_posix()],
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
            py_limited_api=True,
            extra_compile_args=[] if os.name == "nt" else ["-std=c99", "-O2", "-Wall", "-Wextra"],
            optional=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
