"""The command line: typed verbs that parse, call one function and print.

Exit codes: 0 done (a partial result says so), 2 something the user can mend, 3 some of several items failed,
130 interrupted. A traceback is a fault of ours.
"""

from dprnet.cli.app import main, run

__all__ = ["main", "run"]
