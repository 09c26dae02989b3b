"""Every command that the pages show is one that the command line takes, and every page has terms.

Commands that need no model run here. The others are read by the real parser, and their names of
studies, methods, figures and fields are looked up as the command would;
``tests/acceptance/test_docs_run.py`` runs them.
"""

import re

import pytest
import tyro
import yaml

from litelvlm.analysis.cli import VERBS, main
from litelvlm.analysis.cli.actions import evaluate as work_of_evaluate
from litelvlm.analysis.cli.actions import study as work_of_study
from litelvlm.analysis.studies import STUDIES
from litelvlm.figures import FIGURES
from litelvlm.names import check_name
from tests.docs_commands import LIGHT, PAGES, ROOT, commands_of, words_of
from tests.study_inputs import Method

TERMS = ("Reversal index", "Null", "Context token", "Raster order", "Interval", "Verdict")


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
    assert words_of('litelvlm completion bash >> ~/.x  # "so"') == ["completion", "bash"]
    with pytest.raises(SystemExit):
        test_a_command_of_the_pages_is_taken("litelvlm segment a.png x --no-such-option", None)
    with pytest.raises(ValueError, match="unknown verb"):
        test_a_command_of_the_pages_is_taken("litelvlm segmnt a.png x", None)


def test_every_page_leads_to_the_glossary_and_the_glossary_has_the_terms():
    glossary = (ROOT / "docs" / "glossary.md").read_text()
    assert all(f"\n## {term}\n" in glossary for term in TERMS)
    without = [
        p.name for p in PAGES if p.name != "glossary.md" and "glossary.md" not in p.read_text()
    ]
    assert without == []


def test_links_into_the_glossary_lead_to_a_term():
    anchors = {
        re.sub(r"[^\w\- ]", "", head).strip().lower().replace(" ", "-")
        for head in re.findall(r"^## (.*)$", (ROOT / "docs" / "glossary.md").read_text(), re.M)
    }
    used = {a for p in PAGES for a in re.findall(r"glossary\.md#([\w-]+)", p.read_text())}
    used |= set(re.findall(r"\]\(#([\w-]+)\)", (ROOT / "docs" / "glossary.md").read_text()))
    assert used
    assert used <= anchors


def test_the_site_lists_every_page_and_every_study_is_known():
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert site["theme"]["font"] is False  # nothing is fetched when a page is read
    listed = set(re.findall(r"[\w-]+\.md", str(site["nav"])))
    assert listed == {page.name for page in (ROOT / "docs").glob("*.md")}
    assert set(STUDIES)


def test_the_python_reference_names_what_exists():
    from importlib import import_module

    names = re.findall(r"^::: (\S+)$", (ROOT / "docs" / "reference.md").read_text(), re.M)
    assert len(names) > 12
    for name in names:
        module, thing = name, []
        while True:
            try:
                found = import_module(module)
                break
            except ModuleNotFoundError:
                module, _, last = module.rpartition(".")
                thing.insert(0, last)
        for part in thing:
            found = getattr(found, part)
        assert found.__doc__
