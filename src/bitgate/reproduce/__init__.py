"""Published tables and figures as grids of training runs: run them trial by trial, print ours beside theirs."""

from bitgate.reproduce.comparison import Comparison, compare, to_markdown
from bitgate.reproduce.figures import draw
from bitgate.reproduce.grid import Cell, Grid, Trial, find_grids, load_grid
from bitgate.reproduce.results import Results
from bitgate.reproduce.runner import run_grid

__all__ = [
    "Cell",
    "Comparison",
    "Grid",
    "Results",
    "Trial",
    "compare",
    "draw",
    "find_grids",
    "load_grid",
    "run_grid",
    "to_markdown",
]
