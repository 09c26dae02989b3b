"""Methods outside the package: by file, by module, by entry point, and the errors on the way."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from types import SimpleNamespace

import pytest
import torch

from litelvlm.pruning import Cues, get_pruner, list_pruners, load_plugin, register_pruner, registry
from tests.figure_files import style

METHOD = '''"""A method of a user."""

from dataclasses import dataclass
from typing import ClassVar

from litelvlm.pruning import Cues, ScorePruner


@dataclass(frozen=True, kw_only=True)
class Last(ScorePruner):
    """Keeps the last tokens."""

    name: ClassVar[str] = "last_tokens"
    title: ClassVar[str] = "last tokens"
    summary: ClassVar[str] = "tokens at the end of the raster"
    needs: ClassVar[frozenset[str]] = frozenset({"cls_attention"})

    sign: int = 1

    def score(self, cues: Cues):
        return self.sign * cues.float32("cls_attention").cumsum(0)
'''
FOUR = Cues.from_tensors(cls_attention=torch.ones(4))


@pytest.fixture(autouse=True)
def clean_table(monkeypatch) -> Iterator[None]:
    """A table without methods of other tests."""
    monkeypatch.setattr(registry, "_REGISTERED", {})
    registry._offered.cache_clear()
    yield
    registry._offered.cache_clear()


@pytest.fixture
def plugin(tmp_path):
    path = tmp_path / "my_method.py"
    path.write_text(METHOD)
    return path


def offer(monkeypatch, **values: str) -> None:
    """Entry points as an installed package has them."""
    entries = [
        metadata.EntryPoint(name=name, value=value, group="litelvlm.pruners")
        for name, value in values.items()
    ]
    monkeypatch.setattr(registry, "metadata", SimpleNamespace(entry_points=lambda group: entries))


def test_a_plugin_file_gives_its_methods(plugin):
    (cls,) = load_plugin(plugin)
    assert cls().select(FOUR, 2).indices.tolist() == [2, 3]
    # The file runs once, so the class is the same.
    assert load_plugin(str(plugin)) == (cls,)
    assert list_pruners()["last_tokens"] is cls


def test_a_field_of_a_plugin_may_have_remarks_of_its_own(plugin):
    remarks = (
        'sign: Annotated[Literal[-1, 1], "which end"] = 1\n    far: Annotated[float, "so far"] = 1'
        '\n    word: str = "ours"'
    )
    plugin.write_text(
        METHOD.replace("sign: int = 1", remarks).replace(
            "ClassVar\n", "Annotated, ClassVar, Literal\n", 1
        )
    )
    (cls,) = load_plugin(plugin)
    assert cls(far=2.5).select(FOUR, 2).indices.tolist() == [2, 3]
    for wrong in ({"sign": 2}, {"far": "x"}, {"word": 3}):
        with pytest.raises(ValueError, match="is not allowed"):
            cls(**wrong)


def test_a_registered_method_stands_wherever_a_name_does(plugin):
    (cls,) = load_plugin(plugin)
    assert register_pruner(cls) is register_pruner(cls) is cls
    assert list(list_pruners())[-1] == "last_tokens"
    assert list_pruners()["last_tokens"] is cls
    assert len(list_pruners()) == len(list(list_pruners()))
    pruner = get_pruner("last_tokens", preset="gap", sign=-1)
    assert pruner.select(FOUR, 2).positions.tolist() == [[0, 1]]
    assert get_pruner(**pruner.config()) == pruner
    turned = get_pruner("reverse", of="last_tokens")
    assert turned.select(FOUR, 1).indices.tolist() == [0]
    assert get_pruner(**turned.config()) == turned


def test_a_file_and_a_class_are_a_name(plugin):
    pruner = get_pruner(f"{plugin}:Last", sign=-1)
    assert pruner.select(FOUR, 1).indices.tolist() == [0]
    assert get_pruner("last_tokens", sign=-1) == pruner
    assert get_pruner("with_uniform", of=f"{plugin}:Last").of == get_pruner("last_tokens")


def test_a_module_and_a_class_are_a_name(plugin, monkeypatch):
    monkeypatch.syspath_prepend(plugin.parent)
    plugin.rename(plugin.with_name("my_installed_method.py"))
    assert get_pruner("my_installed_method:Last").name == "last_tokens"
    with pytest.raises(ValueError, match=r"'my_installed_method:First' does not exist"):
        get_pruner("my_installed_method:First")
    with pytest.raises(
        ValueError, match=r"import of pruner .*my_own_method.* failed.*path of its file"
    ):
        get_pruner("my_own_method:Last")


def test_an_entry_point_is_in_the_table_and_loaded_at_its_first_use(plugin, monkeypatch):
    monkeypatch.syspath_prepend(plugin.parent)
    plugin.rename(plugin.with_name("my_offered_method.py"))
    offer(monkeypatch, last_tokens="my_offered_method:Last", broken="no_such_module:Nothing")
    assert list(list_pruners())[-2:] == ["last_tokens", "broken"]
    assert "broken" in list_pruners()
    assert get_pruner("last_tokens", sign=-1).select(FOUR, 1).indices.tolist() == [0]
    with pytest.raises(ValueError, match="name 'last_tokens' of Last is taken"):
        get_pruner(f"{plugin.with_name('my_offered_method.py')}:Last")
    with pytest.raises(ValueError, match=r"entry point .*failed: ModuleNotFound.*no_such_module"):
        get_pruner("broken")


def test_an_entry_point_of_another_name_than_its_method_is_refused(plugin, monkeypatch):
    monkeypatch.syspath_prepend(plugin.parent)
    plugin.rename(plugin.with_name("my_renamed_method.py"))
    offer(monkeypatch, final_tokens="my_renamed_method:Last")
    with pytest.raises(
        ValueError, match="name 'last_tokens', and the entry point is called 'final"
    ):
        get_pruner("final_tokens")


def test_a_taken_name_is_refused(plugin, monkeypatch):
    offer(monkeypatch, fastv="my_method:Last")
    with pytest.raises(ValueError, match=r"offers a pruner 'fastv' \(my_method:Last\).* is taken"):
        get_pruner("fastv")
    registry._offered.cache_clear()
    offer(monkeypatch)
    plugin.write_text(METHOD.replace("last_tokens", "fastv"))
    with pytest.raises(ValueError, match="name 'fastv' of Last is taken; give the class another"):
        get_pruner(f"{plugin}:Last")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("ScorePruner):", "object):", "defines no pruning method"),
        ("def score", "def rate", "defines no pruning method"),
        (
            '    title: ClassVar[str] = "last tokens"\n',
            "",
            r"incomplete: add title: ClassVar\[str\]",
        ),
        ('"last_tokens"', '"last tokens"', "a name consists of letters, digits and underscores"),
        ("sign: int = 1", "sign: int", "fields without a default: sign"),
        ("@dataclass(frozen=True, kw_only=True)\n", "", "lacks the decorator @dataclass"),
        (
            '"""Keeps the last tokens."""',
            "1 / 0",
            r"failed at line \d+ of my_method.py: ZeroDivisionError",
        ),
        ("class Last", "class Last:", "failed: SyntaxError"),
        (
            '{"cls_attention"}',
            '{"cls_atention"}',
            "unknown cue in needs of .*did you mean 'cls_att",
        ),
        ('{"cls_attention"}', '{"text_embeds"}', r"add text_guided: ClassVar\[bool\] = True"),
        ('frozenset({"cls_attention"})', '("cls_attention",)', "write needs = frozenset"),
    ],
)
def test_what_is_wrong_with_a_plugin_is_said(plugin, old, new, words):
    assert old in METHOD
    plugin.write_text(METHOD.replace(old, new))
    with pytest.raises(ValueError, match=words):
        load_plugin(plugin)


def test_a_reference_to_an_unfinished_class_says_what_is_missing(plugin):
    plugin.write_text(METHOD.replace("def score", "def rate"))
    with pytest.raises(ValueError, match="incomplete: it does not implement score"):
        get_pruner(f"{plugin}:Last")
    plugin.write_text("Last = 1")
    with pytest.raises(ValueError, match="is 1, which does not inherit from"):
        get_pruner(f"{plugin.rename(plugin.with_name('one.py'))}:Last")


def test_a_class_that_is_defined_again_takes_the_place_of_the_former(plugin):
    first, second = (type("Mine", (load_plugin(plugin)[0],), {"name": "mine"}) for _ in range(2))
    classes = [dataclass(frozen=True, kw_only=True)(cls) for cls in (first, second)]
    for cls in classes:
        assert register_pruner(cls) is list_pruners()["mine"] is cls


def test_a_plugin_that_does_not_exist(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing.py' does not exist; give the path"):
        load_plugin(tmp_path / "nothing.py")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"is not a Python file"):
        load_plugin(tmp_path / "notes.txt")


def test_figures_know_a_registered_method_by_its_title(plugin):
    assert style.label("last_tokens") == "last tokens"
    assert style.colour("last_tokens") == style.MUTED
    load_plugin(plugin)
    assert style.label("last_tokens(sign=-1)") == "last tokens, sign -1"
    looks = {(style.colour(name), style.mark(name)) for name in list_pruners()}
    assert len(looks) == len(list_pruners())
    assert style.rank("last_tokens") == len(list_pruners()) - 1 < style.rank("no_method")
