"""Build files of an exported program: one set of sources in ``src`` for Make, CMake, Zephyr and Arduino."""

from collections.abc import Sequence

from bitgate import __version__
from bitgate.export.c_header import summary
from bitgate.frozen import FrozenModel

WARNINGS = (
    *("-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wsign-conversion", "-Wshadow"),
    *("-Wdouble-promotion", "-Wfloat-conversion"),
)


def layout_files(frozen: FrozenModel, name: str, sources: Sequence[str]) -> dict[str, str]:
    """Texts of all build files by path; ``sources`` are the names of the C files in ``src``."""
    return {
        "Makefile": _makefile(sources),
        "CMakeLists.txt": _cmake(name, sources),
        "zephyr/module.yml": _zephyr_module(name),
        "zephyr/Kconfig": _zephyr_options(frozen, name),
        "zephyr/CMakeLists.txt": _zephyr_cmake(name, sources),
        "library.properties": _arduino_library(frozen, name),
    }


def _makefile(sources: Sequence[str]) -> str:
    return f"""CC ?= cc
CFLAGS ?= -Os
STRICT = -std=c99 {" ".join(WARNINGS)} -Werror

SOURCES = main.c {" ".join(f"src/{source}" for source in sources)}

program: $(SOURCES:.c=.o)
\t$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^

%.o: %.c $(wildcard src/*.h)
\t$(CC) $(STRICT) $(CFLAGS) -Isrc -c -o $@ $<

clean:
\trm -f program $(SOURCES:.c=.o)

.PHONY: clean
"""


def _cmake(name: str, sources: Sequence[str]) -> str:
    target = f"bitgate_{name}"
    files = "\n".join(f"    src/{source}" for source in sources)
    return f"""# In a project: add_subdirectory(FOLDER), then target_link_libraries(YOURS PRIVATE bitgate::{name}).
# On its own, `cmake -S . -B build && cmake --build build` also makes the example program.
cmake_minimum_required(VERSION 3.13...3.31)
project({target} C)

# Static: of two models that share kernel files, the linker takes each kernel once.
add_library({target} STATIC
{files})
add_library(bitgate::{name} ALIAS {target})
target_include_directories({target} PUBLIC src)
target_compile_features({target} PUBLIC c_std_99)

if(CMAKE_SOURCE_DIR STREQUAL CMAKE_CURRENT_SOURCE_DIR)
    if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
        set(CMAKE_BUILD_TYPE MinSizeRel)
    endif()
    add_executable({target}_program main.c)
    set_target_properties({target}_program PROPERTIES OUTPUT_NAME program)
    target_link_libraries({target}_program PRIVATE {target})
endif()
"""


def _zephyr_module(name: str) -> str:
    return f"""# Add this folder to ZEPHYR_EXTRA_MODULES or to the west manifest; then CONFIG_BITGATE_{name.upper()}=y.
name: bitgate_{name}
build:
  cmake: zephyr
  kconfig: zephyr/Kconfig
"""


def _zephyr_options(frozen: FrozenModel, name: str) -> str:
    return f"""config BITGATE_{name.upper()}
\tbool "{name}: a frozen recurrent model of bitgate"
\thelp
\t  {summary(frozen)}
\t  Integer kernels and constants behind {name}.h.
"""


def _zephyr_cmake(name: str, sources: Sequence[str]) -> str:
    files = "\n".join(f"        {source}" for source in sources)
    return f"""if(CONFIG_BITGATE_{name.upper()})
    set(source_folder ${{CMAKE_CURRENT_LIST_DIR}}/../src)
    zephyr_include_directories(${{source_folder}})
    zephyr_library_named(bitgate_{name})
    # Zephyr links whole libraries, so models that share kernel files must not each bring them.
    get_property(taken GLOBAL PROPERTY BITGATE_SOURCES)
    foreach(source
{files})
        if(NOT source IN_LIST taken)
            zephyr_library_sources(${{source_folder}}/${{source}})
            set_property(GLOBAL APPEND PROPERTY BITGATE_SOURCES ${{source}})
        endif()
    endforeach()
endif()
"""


def _arduino_library(frozen: FrozenModel, name: str) -> str:
    # As an archive, so that two models in one sketch share their kernels and unused files drop out.
    return f"""name={name}
version={__version__}
author=bitgate
maintainer=bitgate
sentence=A frozen recurrent model of bitgate, integers only.
paragraph={summary(frozen)}
category=Data Processing
url=
architectures=*
includes={name}.h
dot_a_linkage=true
"""
