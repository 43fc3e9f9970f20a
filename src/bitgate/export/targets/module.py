"""WebAssembly modules in the runtime wasmtime."""

from pathlib import Path
from typing import Any

from bitgate.errors import ToolError
from bitgate.export.targets.toolchain import require_tool

_FUEL = 1 << 40
_PAGE = 1 << 16


class Module:
    """An instance of a module; its instructions are counted in wasmtime's fuel, one unit for almost each."""

    stack_bytes = None  # locals live in the runtime, not in the module's memory

    def __init__(self, path: Path) -> None:
        wasmtime = require_tool("wasmtime")
        config = wasmtime.Config()
        config.consume_fuel = True
        self._error = wasmtime.WasmtimeError
        engine = wasmtime.Engine(config)
        self._store = wasmtime.Store(engine)
        self._store.set_fuel(_FUEL)
        try:
            module = wasmtime.Module.from_file(engine, str(path))
            instance = wasmtime.Instance(self._store, module, [])
        except self._error as error:
            raise ToolError(f"wasm: {error}") from error
        self._exports = instance.exports(self._store)
        self._memory: Any = self._exports["memory"]
        self._free = self._global("__heap_base")
        self._memory.grow(self._store, 1)  # a page for the driver's buffers

    def _global(self, name: str) -> int:
        return int(self._exports[name].value(self._store))

    @property
    def free_memory(self) -> int:
        """Address of memory that the program does not use."""
        return self._free

    def address(self, symbol: str) -> int:
        """Address of a constant of the module."""
        return self._global(symbol)

    def call(self, function: str, *arguments: int) -> tuple[int, int]:
        """Calls a function: its result (0 for none), and the fuel it took."""
        self._store.set_fuel(_FUEL)
        try:
            result = self._exports[function](self._store, *arguments)
        except self._error as error:
            raise ToolError(f"wasm: {function} failed: {error}") from error
        return int(result or 0), _FUEL - self._store.get_fuel()

    def read(self, address: int, size: int) -> bytes:
        """Bytes of memory."""
        return bytes(self._memory.read(self._store, address, address + size))

    def write(self, address: int, content: bytes) -> None:
        """Overwrites memory."""
        self._memory.write(self._store, content, address)
