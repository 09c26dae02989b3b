"""The command line: one file per verb, and one place that turns errors into exit codes.

Results go to stdout, progress and messages to stderr. Exit codes: 0 done, 1 failed samples or a
failed check, 2 usage, 130 interrupted with finished parts kept, 141 nobody reads the output any
more. This package alone knows every room (library, studies, figures).
"""

import errno
import io
import logging
import sys
from collections import Counter
from collections.abc import Sequence
from inspect import cleandoc

import tyro

from litelvlm.analysis.cli.options import Common
from litelvlm.analysis.cli.terminal import READER_GONE, mute, reader_gone
from litelvlm.analysis.cli.verbs import VERBS
from litelvlm.names import printable, unknown_name
from litelvlm.version import __version__

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
CONFIG = (tyro.conf.FlagCreatePairsOff,)
"""How options are read: a flag has no opposite."""

DESCRIPTION = """Neutral referee for visual-token pruning in pixel grounding.

Examples:
  litelvlm segment photo.jpg "the yellow giraffe" --pruner litelvlm --budget 48
  litelvlm evaluate --methods litelvlm --budgets 48
  litelvlm study all --report report
  litelvlm ls methods
  litelvlm check
  litelvlm VERB --help"""

_MISUSE = (
    ValueError,
    FileNotFoundError,
    FileExistsError,
    PermissionError,
    NotADirectoryError,
    IsADirectoryError,
)
_log = logging.getLogger("litelvlm")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; an interrupt at any moment gives the code of an interrupt.

    Where the reader of the output goes away (`| head`), the program ends without a message.

    Args:
        argv: Arguments after the program's name; those of the process by default.

    Returns:
        The exit code.

    Raises:
        SystemExit: With 0 after --help and --tyro-print-completion, with 2 if the arguments do not
            parse.
    """
    try:
        try:
            return run_verb(list(sys.argv[1:] if argv is None else argv))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        mute()
        return READER_GONE
    except KeyboardInterrupt:  # before or after the verb's own work
        sys.stderr.write("interrupted\n")
        return INTERRUPTED


def run_verb(arguments: Sequence[str]) -> int:
    """Read the arguments and run the verb that they name."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a lone surrogate must not end in an error
            stream.reconfigure(errors="backslashreplace")
    if not arguments or arguments[0] in ("-h", "--help"):
        (sys.stdout if arguments else sys.stderr).write(overview())
        return DONE if arguments else USAGE
    if arguments[0] == "--version":
        sys.stdout.write(f"litelvlm {__version__}\n")
        return DONE
    if arguments[0] == "--tyro-print-completion":  # of the program as a whole
        tyro.extras.subcommand_cli_from_dict(
            {**VERBS}, prog="litelvlm", args=arguments, config=CONFIG
        )
    name, *rest = arguments
    if name not in VERBS:
        return refuse(unknown_name(name, VERBS, "verb"), USAGE)
    twice = given_twice(rest)
    if twice:
        said = (
            f"{', '.join(twice)} is given more than once, and only the last would count; name all "
            "values at once"
        )
        return refuse(ValueError(said), USAGE)
    verb = parse(name, rest)
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(message)s")
    # Ours alone: other libraries stay at their warnings.
    _log.setLevel("DEBUG" if verb.verbose else verb.log.upper())
    return guarded(verb)


def parse(name: str, arguments: Sequence[str]) -> Common:
    """Read the arguments of a verb.

    Raises:
        SystemExit: After --help, and with 2 if the arguments do not parse.
    """
    verb: Common = tyro.cli(
        VERBS[name],
        prog=f"litelvlm {name}",
        description=cleandoc(VERBS[name].__doc__ or ""),
        args=arguments,
        config=CONFIG,
    )
    return verb


def given_twice(arguments: Sequence[str]) -> list[str]:
    """Options that stand more than once among the arguments.

    Example:
        >>> given_twice(["sweep", "--set", "a.b=1", "--seed=2", "--set", "c.d=3"])
        ['--set']
    """
    named = Counter(word.partition("=")[0] for word in arguments if word.startswith("--"))
    return [option for option, count in named.items() if count > 1]


def overview() -> str:
    """The help of the program: its verbs, each with the first sentence of its description."""
    width = max(map(len, VERBS))
    lines = [
        f"  {name:<{width}}  {cleandoc(cls.__doc__ or '').splitlines()[0]}"
        for name, cls in VERBS.items()
    ]
    return "\n".join(["usage: litelvlm VERB [OPTIONS]", "", DESCRIPTION, "", "Verbs:", *lines, ""])


def guarded(verb: Common) -> int:
    """Run a verb and turn what can go wrong into one line on stderr and an exit code."""
    try:
        verb.load_plugins()
        return verb.run()
    except KeyboardInterrupt:
        sys.stderr.write(
            "interrupted; finished parts are kept; run the same command again to continue\n"
        )
        return INTERRUPTED
    except _MISUSE as error:
        return refuse(error, USAGE)
    except BrokenPipeError as error:
        if reader_gone(sys.stdout) or reader_gone(sys.stderr):
            raise
        return refuse(error, FAILED)  # of another pipe, to a process of ours
    except (OSError, RuntimeError) as error:
        return refuse(error, FAILED)
    except Exception as error:
        return refuse_unexpected(error)


def refuse(error: Exception, code: int) -> int:
    """Say what went wrong in one line; the traceback is in the debug log (--verbose)."""
    sys.stderr.write(f"litelvlm: {one_line(error)}\n")
    _log.debug("traceback of the error above", exc_info=error)
    return code


def refuse_unexpected(error: Exception) -> int:
    """Print the trace of a defect of ours, and say in a last line that it is one."""
    import traceback

    sys.stderr.write(printable("".join(traceback.format_exception(error))))
    sys.stderr.write(
        f"litelvlm: unexpected {type(error).__name__}: {one_line(error)}; this is a defect of the "
        "suite, whose trace stands above\n"
    )
    return FAILED


def one_line(error: Exception) -> str:
    """The message of an error without line breaks; a pydantic error names its fields."""
    return printable(_message(error))


def _message(error: Exception) -> str:
    from pydantic import ValidationError

    from litelvlm.analysis.runs.config import problems_of

    if isinstance(error, ValidationError):
        return problems_of(error)
    if isinstance(error, OSError) and error.filename is not None:
        kept = "; what was finished is kept; make room and run the same command again"
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return f"{error.strerror}: {error.filename}{kept if full else ''}"
    return " ".join(str(error).split()) or type(error).__name__
