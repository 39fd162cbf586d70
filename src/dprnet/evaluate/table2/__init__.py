"""Table 2 of the paper: ten methods on equal terms, a row for every method and seed."""

from dprnet.evaluate.table2.table import table2

__all__ = ["table2"]
