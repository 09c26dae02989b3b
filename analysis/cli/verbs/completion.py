"""`litelvlm completion`: a script that lets a shell complete verbs and options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import tyro

from litelvlm.analysis.cli.options import Common
from litelvlm.analysis.cli.verbs import VERBS


@dataclass(frozen=True, kw_only=True)
class Completion(Common):
    """Print a script that lets your shell complete verbs and options with the Tab key.

    Examples:
      litelvlm completion bash >> ~/.bash_completion
      litelvlm completion zsh > ~/.zfunc/_litelvlm
      litelvlm completion fish > ~/.config/fish/completions/litelvlm.fish
    """

    shell: tyro.conf.PositionalRequiredArgs[Literal["bash", "zsh", "fish"]]
    """The shell."""

    def run(self) -> int:
        """Print the script."""
        try:
            tyro.extras.subcommand_cli_from_dict(
                {**VERBS},
                prog="litelvlm",
                args=["--tyro-print-completion", self.shell],
                config=(tyro.conf.FlagCreatePairsOff,),
            )
        except SystemExit as stopped:  # tyro prints the script and leaves the program
            if stopped.code:
                raise RuntimeError(f"no completion for {self.shell} could be made") from stopped
        return 0
