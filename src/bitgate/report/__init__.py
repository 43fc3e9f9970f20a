"""What people look at: tables for the terminal, plots, and pages of both. No torch."""

from bitgate.report.bench import plot_bench
from bitgate.report.html import Page
from bitgate.report.plots import plot_confusion, plot_training, read_metrics
from bitgate.report.tables import print_table

__all__ = ["Page", "plot_bench", "plot_confusion", "plot_training", "print_table", "read_metrics"]
