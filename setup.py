"""The optional native libraries: integer inference and the training kernels; everything else is in pyproject.toml.

Without a C compiler the install goes on.
"""

from pathlib import Path

from setuptools import Extension, setup

KERNELS = Path("src/bitgate/csrc")
BINDING = Path("src/bitgate/runtime")
VECTORS = Path("src/bitgate/runtime/csrc")
TRAINING = Path("src/bitgate/ops/csrc")

# Only the example program is no part of the library: it has a main of its own.
sources = [*sorted(KERNELS.glob("bg_*.c")), *sorted(BINDING.glob("native*.c")), *sorted(VECTORS.glob("*.c"))]
headers = [path for folder in (KERNELS, BINDING, VECTORS) for path in sorted(folder.glob("*.h"))]

setup(
    ext_modules=[
        Extension(
            "bitgate._native",
            sources=[path.as_posix() for path in sources],
            depends=[path.as_posix() for path in headers],
            include_dirs=[folder.as_posix() for folder in (KERNELS, BINDING, VECTORS)],
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
            py_limited_api=True,
            # GNU C for vector types. No contraction: the quantization of features rounds after every operation.
            # Paths for newer processors are chosen by pragmas in their own files, so no flag names an instruction set.
            extra_compile_args=[
                *("-std=gnu11", "-O3", "-g0", "-ffp-contract=off", "-fvisibility=hidden"),
                *("-pthread", "-Wall", "-Wextra", "-Wno-psabi"),
            ],
            extra_link_args=["-pthread"],
            optional=True,
        ),
        Extension(
            "bitgate._train",
            sources=[path.as_posix() for path in sorted(TRAINING.glob("*.c"))],
            depends=[path.as_posix() for path in sorted(TRAINING.glob("*.h"))],
            include_dirs=[TRAINING.as_posix()],
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
            py_limited_api=True,
            # GNU C for vector types; products and sums may fuse, as everywhere in torch. Paths for newer processors
            # are chosen by pragmas in their own files, so no flag here may name an instruction set.
            extra_compile_args=[
                *("-std=gnu11", "-O3", "-g0", "-ffp-contract=fast", "-fno-math-errno", "-fvisibility=hidden"),
                *("-pthread", "-Wall", "-Wextra", "-Wno-psabi"),
            ],
            extra_link_args=["-pthread"],
            optional=True,
        ),
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
