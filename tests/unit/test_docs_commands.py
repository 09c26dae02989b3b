"""Every command that the pages show is one that the command line takes, and every page has terms.

Commands that need no model run here. The others are read by the real parser, and their names of
studies, methods, figures and fields are looked up as the command would;
``tests/acceptance/test_docs_run.py`` runs them.
"""

import pytest
import tyro

from litelvlm.analysis.cli import VERBS, main
from litelvlm.analysis.cli.actions import evaluate as work_of_evaluate
from litelvlm.analysis.cli.actions import study as work_of_study
from litelvlm.figures import FIGURES
from litelvlm.names import check_name
from tests.docs_commands import LIGHT, PAGES, commands_of, words_of
from tests.study_inputs import Method


def commands():
    """Every command, named by its page."""
    for page in PAGES:
        for line in commands_of(page):
            yield pytest.param(line, id=f"{page.stem}: {line[:60]}")


@pytest.mark.parametrize("line", list(commands()))
def test_a_command_of_the_pages_is_taken(line, capsys):
    name, *arguments = words_of(line)
    if name in LIGHT:
        assert main([name, *arguments]) == 0
        assert capsys.readouterr().out
        return
    config = (tyro.conf.FlagCreatePairsOff,)
    verb = tyro.cli(VERBS[check_name(name, VERBS, "verb")], args=arguments, config=config)
    if name == "study":
        for study in verb.chosen():
            work_of_study.configure(verb, study)
    elif name == "evaluate":
        work_of_evaluate.configure(verb)
    elif name == "segment":
        Method.parse(verb.pruner)
    elif name == "figure":
        check_name(verb.name, [*FIGURES, "all"], "figure")


def test_there_are_commands_on_the_pages_and_wrong_ones_would_be_found():
    assert len(list(commands())) > 30
    assert words_of('litelvlm ls methods >> ~/.x  # "so"') == ["ls", "methods"]
    with pytest.raises(SystemExit):
        test_a_command_of_the_pages_is_taken("litelvlm segment a.png x --no-such-option", None)
    with pytest.raises(ValueError, match="unknown verb"):
        test_a_command_of_the_pages_is_taken("litelvlm segmnt a.png x", None)
