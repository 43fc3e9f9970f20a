"""bitgate analyze and bitgate report on tiny cells and a tiny run."""

import json
import re

from tests.cli.test_errors import refused


def test_untrained_cells_are_counted_and_drawn(bitgate, tmp_path):
    sizes = ("--input-size", 4, "--hidden-size", 5, "--steps", 20, "--long-steps", 600)
    answer = bitgate("analyze", *sizes, "-o", tmp_path / "a", "--json")
    assert answer.code == 0
    found = answer.json
    assert found == json.loads((tmp_path / "a" / "analysis.json").read_text())
    assert found["costs"][0]["recurrent"] == 4 * 5 * 9 + 2 * 20
    assert [memory["range"]["is_finite"] for memory in found["memory"]][:-1] == [True] * (len(found["memory"]) - 1)
    for name in ("memory.png", "memory.svg"):
        assert (tmp_path / "a" / name).stat().st_size > 10_000


def test_a_trained_run_is_analyzed_on_its_test_part(bitgate, run_folder, tmp_path):
    answer = bitgate("analyze", run_folder, "-o", tmp_path / "a", "--long-steps", 300)
    assert answer.code == 0
    assert re.search(r"tiny\s+7\s", answer.out)  # digits have eight


def test_a_report_holds_everything_inside(bitgate, run_folder, tmp_path):
    target = tmp_path / "report.html"
    answer = bitgate("report", run_folder, "-o", target, "--long-steps", 300)
    assert answer.code == 0
    text = target.read_text()
    assert len(re.findall(r"data:image/png;base64,", text)) == 3
    assert not re.findall(r'(?:src|href)="(?!data:)', text)
    assert "test accuracy, most probable weights (MAP)" in text


def test_a_report_of_nothing_is_refused(bitgate):
    refused(bitgate("report"), "runs: none given")
