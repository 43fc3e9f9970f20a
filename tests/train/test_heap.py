"""The heap keeps what it frees."""

import ctypes
import platform
from types import SimpleNamespace

import pytest

from bitgate.train import keep_freed_memory


def test_glibc_takes_both_settings() -> None:
    assert keep_freed_memory() is (platform.libc_ver()[0] == "glibc")


def test_both_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    libc = SimpleNamespace(mallopt=lambda option, value: calls.append((option, value)) or 1)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: libc)
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.36"))
    assert keep_freed_memory()
    assert calls == [(-3, 32 << 20), (-1, 256 << 20)]


def test_another_libc_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not keep_freed_memory()
