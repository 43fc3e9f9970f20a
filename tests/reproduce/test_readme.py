"""Tables in a README: what is replaced, what stays, what is refused."""

import pytest

from bitgate.errors import FormatError
from bitgate.reproduce.readme import insert

TEXT = "# Title\n\n<!-- a -->\nold\n<!-- /a -->\n\n<!-- ab -->\n<!-- /ab -->\nend\n"


def test_only_the_marked_part_is_replaced(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(TEXT)
    assert insert(readme, "a", "\nnew\nlines\n")
    assert readme.read_text() == TEXT.replace("old", "new\nlines")
    assert insert(readme, "ab", "more")
    assert "<!-- ab -->\nmore\n<!-- /ab -->\nend" in readme.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


def test_without_marks_or_file_nothing_happens(tmp_path):
    readme = tmp_path / "README.md"
    assert not insert(readme, "a", "new")
    readme.write_text(TEXT)
    assert not insert(readme, "b", "new")
    assert readme.read_text() == TEXT


def test_a_missing_mark_is_named(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(TEXT.replace("<!-- /a -->", ""))
    with pytest.raises(FormatError, match=r"README.md: <!-- a --> has no <!-- /a --> behind it"):
        insert(readme, "a", "new")
    assert "old" in readme.read_text()
