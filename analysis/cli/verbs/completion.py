"""`litelvlm completion`: a script that lets a shell complete verbs, options and names."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Literal

import tyro

from litelvlm.analysis.cli.options import Common
from litelvlm.analysis.cli.verbs import VERBS

WITH_NAMES = """\
NAMES = {names}
for verb, held in COMPLETION_SPEC['subcommands'].items():
    for option in held['options']:
        for flag in set(option['flags']) & set(NAMES):
            option.update(type='choice', choices=NAMES[flag])
    if verb in NAMES:
        held['options'].append(dict(flags=NAMES[verb], description='name', type='flag'))
"""
"""Python that adds names to tyro's table of options; it has no sign that a shell would change."""


@dataclass(frozen=True, kw_only=True)
class Completion(Common):
    """Print a script that lets your shell complete verbs, options and names with the Tab key.

    Names are those of studies, figures and methods. Print the script again after an update.

    Examples:
      litelvlm completion bash >> ~/.bash_completion
      litelvlm completion zsh > ~/.zfunc/_litelvlm
      litelvlm completion fish > ~/.config/fish/completions/litelvlm.fish
    """

    shell: tyro.conf.PositionalRequiredArgs[Literal["bash", "zsh", "fish"]]
    """The shell."""

    def run(self) -> int:
        """Print the script."""
        script = io.StringIO()
        try:
            with redirect_stdout(script):
                tyro.extras.subcommand_cli_from_dict(
                    {**VERBS},
                    prog="litelvlm",
                    args=["--tyro-print-completion", self.shell],
                    config=(tyro.conf.FlagCreatePairsOff,),
                )
        except SystemExit as stopped:  # tyro prints the script and leaves the program
            if stopped.code:
                raise RuntimeError(f"no completion for {self.shell} could be made") from stopped
        sys.stdout.write(with_names(script.getvalue(), known_names()))
        return 0


def known_names() -> dict[str, list[str]]:
    """The values that may follow an option or a verb, in the order of the tables."""
    from litelvlm.analysis.studies import STUDIES
    from litelvlm.figures import FIGURES
    from litelvlm.pruning import list_pruners

    methods = list(list_pruners())
    return {
        "study": [*STUDIES, "all"],
        "figure": [*FIGURES, "all"],
        "--methods": methods,
        "--pruner": methods,
    }


def with_names(script: str, names: Mapping[str, Sequence[str]]) -> str:
    """Let a script of tyro complete names too: it holds a table of options, in Python.

    Raises:
        RuntimeError: If the script has no such table.
    """
    added = WITH_NAMES.format(names=dict(names)).replace("\\", "\\\\")
    found, count = re.subn(r"^(COMPLETION_SPEC = .*\n)", rf"\1{added}", script, flags=re.MULTILINE)
    if count != 1:
        raise RuntimeError(
            "this release of tyro writes its completion in another way; install the one in "
            "constraints.txt"
        )
    return found
