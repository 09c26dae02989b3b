"""`litelvlm doctor`: what this machine has, and what can run on it."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from litelvlm.analysis.cli.options import Printing
from litelvlm.analysis.cli.terminal.screen import print_json, print_table


@dataclass(frozen=True, kw_only=True)
class Doctor(Printing):
    """Say what this machine has, and what can run on it: packages, device, memory, disk, extras.

    Loads no model and fetches nothing. `litelvlm check` looks at a model and a data set.

    Examples:
      litelvlm doctor
      litelvlm doctor --json
    """

    def run(self) -> int:
        """Print the findings; 1 if a package that everything needs is missing or too old."""
        from litelvlm.analysis.cli.terminal.machine import abilities, environment, packages

        found = {"environment": environment(), "packages": packages(), "can run": abilities()}
        broken = [line for line in found["packages"] if line["state"] == "FAIL"]
        if self.json:
            print_json(found)
        else:
            for title, lines in found.items():
                sys.stdout.write(f"{title}\n")
                print_table([tuple(lines[0]), *(tuple(line.values()) for line in lines)])
                sys.stdout.write("\n")
        return int(bool(broken))
