"""What a measurement must say about the machine that it was made on."""

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("bitgate", "numpy", "torch", "onnxruntime", "openvino")
_FLAGS = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "amx_int8", "asimddp")


def describe_machine() -> dict[str, Any]:
    """Processor, its vector instructions, versions, and the load before the measurement."""
    from bitgate.runtime import simd_path

    return {
        "cpu": _from_cpuinfo("model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "flags": [flag for flag in _FLAGS if flag in (_from_cpuinfo("flags") or _from_cpuinfo("Features")).split()],
        "simd_path": simd_path(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version for name in PACKAGES if (version := _version(name))},
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
    }


def _from_cpuinfo(key: str) -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), "")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
