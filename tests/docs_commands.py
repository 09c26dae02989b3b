"""The commands that the pages show, as they stand there and as tests run them.

``reduced`` makes the work small by these rules:

- two images or clips (``--limit``, ``--images``, ``images=``, ``clips=``), and the fields of
  ``tests.small_studies``;
- two methods in place of ``all``, one budget where none is named, two seeds and draws;
- all studies of the bundled model, two of them of a model of one's own;
- budgets above 144 tokens are quartered: a full-size model has 576, the miniature 144;
- two images, one budget and one method of an audit;
- two timed rounds after one;
- one step of fine-tuning, on the split that the reader's data have;
- the bundled LLaVA and a tiny random Qwen-VL in place of those of the hub;
- figures may be drawn of such unfinished runs.
"""

import re
import shlex
from pathlib import Path

from litelvlm.analysis.studies import BY_NAME, STUDIES
from tests.small_studies import SMALL

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LIGHT = {"ls"}
"""Verbs that load no model and write no file."""


def blocks(page):
    """The lines of each block of code, whatever its language."""
    found, inside = [], False
    for line in page.read_text().splitlines():
        if line.lstrip().startswith("```"):
            inside = not inside
            found += [[]] if inside else []
        elif inside:
            found[-1].append(line)
    return found


def commands_of(page):
    """Each line of the blocks of a page that calls the suite, in the order of the page."""
    whole = "\n".join("\n".join(block).replace("\\\n", " ") for block in blocks(page))
    return [line.strip() for line in whole.splitlines() if re.match(r"\s*litelvlm ", line)]


def words_of(line):
    """The arguments of a command, with the study sink where a reader names one."""
    given = shlex.split(line.replace("$SLURM_ARRAY_TASK_ID", "2"), comments=True)[1:]
    given = given[: next((i for i, word in enumerate(given) if word in (">", ">>")), None)]
    return ["sink" if word == "NAME" else word.replace("NAME-", "sink-") for word in given]


def in_one_process(words):
    """The same arguments for a run in this process, which draws no report."""
    line = Line(words)
    for option in ("--engine", "--workers", "--address", "--report"):
        line.options.pop(option, None)
    return line.words()


class Line:
    """A command in parts: its verb, what stands without an option, and options with values."""

    def __init__(self, words):
        self.verb, *rest = words
        first = next((i for i, word in enumerate(rest) if word.startswith("--")), len(rest))
        self.named, self.options = rest[:first], {}
        for word in rest[first:]:
            if word.startswith("--"):
                self.options[word] = []
            else:
                self.options[next(reversed(self.options))].append(word)

    def words(self):
        """The arguments again."""
        options = (word for name, values in self.options.items() for word in (name, *values))
        return [self.verb, *self.named, *options]


def reduced(line):
    """The arguments of a command by the rules of this module; folders are relative."""
    text = line.replace("--model PATH", "--model MODEL").replace("--data PATH", "--data DATA")
    text = text.replace("llava-hf/llava-1.5-7b-hf", "embedded")
    text = text.replace("Qwen/Qwen2.5-VL-3B-Instruct", "tiny/qwen")
    made = Line([re.sub(r"^/shared/", "shared/", word) for word in words_of(text)])
    options = made.options
    if options.get("--methods") == ["all"]:
        options["--methods"] = ["litelvlm", "random"]
    for option in ("--budgets", "--budget"):
        if any(float(budget) > 144 for budget in options.get(option, ())):
            options[option] = [str(int(budget) // 4) for budget in options[option]]
    for option, least in (("--seeds", 2), ("--rounds", 2), ("--images", 2), ("--draws", 2)):
        if option in options:
            options[option] = [str(least)]
    if made.verb == "study":
        small_study(made)
    elif made.verb == "evaluate":
        options |= {"--limit": ["2"], "--budgets": options.get("--budgets", ["48"])[:1]}
    elif made.verb == "bench":
        options |= {"--rounds": ["2"], "--warm-up": ["1"], "--decoded": ["1"]}
        options |= {"--budgets": options.get("--budgets", ["48"])[:1]}
        options |= {"--methods": options.get("--methods", ["litelvlm", "fastv"])}
    elif made.verb == "finetune":
        least = ("--steps", "--batch", "--accumulation", "--expressions")
        one = {option: ["1"] for option in least}
        options |= one | {"--split": ["val"], "--warmup": ["0"]}
    elif made.verb == "figure":
        options["--partial"] = []
    elif made.verb == "audit" and "--limit" in options:
        options |= {"--limit": ["2"], "--budgets": options["--budgets"][:1]}
        options["--method"] = ["holov"]
    elif made.verb == "reproduce" and "--images" in options:
        options |= {"--methods": ["litelvlm"], "--tokens": ["64"]}
    return made.words()


def small_study(made):
    """Fewer images, and small fields that the command does not set itself."""
    options, fields = made.options, {}
    if "all" in made.named and "--model" in options:
        made.named = ["reversal", "sweep"]
    whole = [name for name in STUDIES if name not in BY_NAME]
    for name in whole if "all" in made.named else made.named:
        for field, value in SMALL[name].items():
            if f"--{field}" not in options and field != "limit":
                fields[f"{name}.{field}"] = value
    for entry in options.get("--set", ()):
        place, _, value = entry.partition("=")
        fields[place] = 2 if place.endswith((".images", ".clips", ".sampled")) else value
    if fields:
        options["--set"] = [f"{place}={written(value)}" for place, value in fields.items()]
    options["--limit"] = ["2"]


def written(value):
    """A value as a command line writes it.

    Example:
        >>> written((48, 8)), written(2)
        ('[48, 8]', '2')
    """
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else str(value)
