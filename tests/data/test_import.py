import subprocess
import sys

import pytest

from bitgate import data


def test_data_imports_without_torch():
    code = (
        "import sys\n"
        "from bitgate.data import dataset_names\n"
        "assert 'digits' in dataset_names()\n"
        "assert not {'torch', 'lightning'} & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_lazy_name_and_unknown_name():
    assert data.SequenceDataModule.__module__ == "bitgate.data.datamodule"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = data.nothing


def test_every_exported_name_exists():
    assert len(data.__all__) == 11
    for name in data.__all__:
        assert getattr(data, name) is not None
