"""Tables for the terminal."""

from bitgate.report import print_table


def test_table_holds_title_cells_and_caption(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    print_table("a title", ("name", "value"), [("first", 1), ("second", 2.5)], caption="a caption")
    out = capsys.readouterr().out
    assert out.startswith("a title")
    for text in ("name", "value", "first", "1", "second", "2.5", "a caption"):
        assert text in out


def test_names_in_the_first_column_stay_whole(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    long = "a-name-of-twenty-four-ch"
    print_table("t", ("name", *"abcd"), [(long, *["words that may be folded"] * 4)])
    assert long in capsys.readouterr().out


def test_headers_fold_before_numbers_in_a_narrow_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "34")
    print_table("t", ("name", "accuracy of samples", "core hours"), [("the-first", "95.12±0.31", "12.25")])
    out = capsys.readouterr().out
    for whole in ("the-first", "95.12±0.31", "12.25"):
        assert whole in out
    assert "accuracy of samples" not in out


def test_long_name_leaves_room_for_its_value(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    print_table("t", ("name", "value"), [("x" * 80, "the value")])
    out = capsys.readouterr().out
    assert "the value" in out
    assert out.count("x") == 80, "folded, not cut"


def test_text_that_looks_like_markup_is_printed_as_it_is(capsys):
    print_table("[t]", ("file",), [("[bold]x[/bold]",), ("a[0]",)])
    out = capsys.readouterr().out
    assert "[bold]x[/bold]" in out
    assert "a[0]" in out
    assert "[t]" in out
