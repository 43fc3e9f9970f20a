"""What all tests share: one thread, a fixed seed, reproducible Hypothesis examples, no backend from outside."""

import os
from collections.abc import Iterator

import pytest
import torch
from hypothesis import HealthCheck, settings

torch.set_num_threads(1)

# GPU kernels run in Triton's interpreter, which it chooses when it is first imported: by whichever test comes first.
os.environ["TRITON_INTERPRET"] = "1"

# Deadlines measure the machine, not the code; derandomized examples fail for everyone or for no one.
settings.register_profile(
    "bitgate", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("bitgate")


def pytest_configure(config: pytest.Config) -> None:
    # torch.nn.LSTM's own, raised once a process by whichever test comes first.
    config.addinivalue_line("filterwarnings", "ignore:LSTM with projections is not supported with oneDNN:UserWarning")


@pytest.fixture(autouse=True)
def _same_start(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test starts from the same seed, on the backend that users get."""
    monkeypatch.delenv("BITGATE_BACKEND", raising=False)
    torch.manual_seed(0)
    yield
    assert torch.get_default_dtype() == torch.float32, "a test changed the default dtype"
