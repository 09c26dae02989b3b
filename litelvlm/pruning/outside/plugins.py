"""Methods outside this package: classes in a Python file or in an installed module."""

import sys
from dataclasses import MISSING, fields, is_dataclass
from hashlib import sha256
from importlib import import_module
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec
from inspect import isabstract
from pathlib import Path
from types import ModuleType

from litelvlm.names import unknown_name
from litelvlm.pruning.base import Pruner
from litelvlm.pruning.cue_table import CUES
from litelvlm.pruning.foreign import foreign_code
from litelvlm.pruning.outside.own_code import note_code


def methods_in(path: str | Path) -> tuple[type[Pruner], ...]:
    """The methods that a Python file defines, in the order of their definition.

    The file is run once in a process.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no Python file, fails to run, or defines no method or an incomplete
            one.
    """
    module = _module_of(Path(path))
    found = tuple(
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Pruner)
        and value.__module__ == module.__name__
        and not isabstract(value)
    )
    if not found:
        raise ValueError(
            f"plugin {str(path)!r} defines no pruning method; write a class that inherits from "
            "ScorePruner, Pruner or another base class of litelvlm.pruning and implements its "
            "abstract methods (docs/adding-a-method.md)"
        )
    return tuple(
        check_method(cls, f"class {cls.__name__} of plugin {str(path)!r}") for cls in found
    )


def is_reference(text: str) -> bool:
    """Whether a text is "module:Class" or "file.py:Class", rather than a name and a preset.

    Example:
        >>> is_reference("my_methods:Mine"), is_reference("fastv:matched")
        (True, False)
    """
    where, _, name = text.rpartition(":")
    return bool(where) and name.isidentifier() and (where.endswith(".py") or name[:1].isupper())


def method_at(reference: str) -> type[Pruner]:
    """The class at "module:Class" or "file.py:Class".

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the module cannot be imported, or there is no such class or it is no complete
            method.
    """
    where, _, name = reference.rpartition(":")
    if where.endswith(".py"):
        module = _module_of(Path(where))
    else:
        try:
            with foreign_code(f"the import of pruner {reference!r}"):
                module = import_module(where)
        except ValueError as error:
            raise ValueError(
                f"{error}; install its module, or give the path of its file: "
                "'my_method.py:MyMethod'"
            ) from error
    if not hasattr(module, name):
        raise ValueError(f"pruner {reference!r} does not exist: {where} defines no {name}")
    return check_method(getattr(module, name), f"pruner {reference!r}")


def check_method(cls: object, what: str, name: str | None = None) -> type[Pruner]:
    """Return a class if it is a complete method.

    Args:
        cls: The class.
        what: Where it is from, for the message.
        name: Name that it must have.

    Raises:
        ValueError: Naming what is missing.
    """
    if not (isinstance(cls, type) and issubclass(cls, Pruner)):
        raise ValueError(f"{what} is {cls!r}, which does not inherit from litelvlm.pruning.Pruner")
    if isabstract(cls):
        missing = ", ".join(sorted(cls.__abstractmethods__))
        raise ValueError(f"{what} is incomplete: it does not implement {missing}")
    for attribute in ("name", "title", "summary"):
        if not isinstance(getattr(cls, attribute, None), str):
            raise ValueError(f'{what} is incomplete: add {attribute}: ClassVar[str] = "..."')
    if not cls.name.isidentifier():
        raise ValueError(
            f"{what} has the name {cls.name!r}; a name consists of letters, digits and underscores"
        )
    if name is not None and cls.name != name:
        raise ValueError(
            f"{what} has the name {cls.name!r}, and the entry point is called {name!r}"
        )
    # A decorator that is missing on the class itself leaves the parent's fields in place.
    if not (is_dataclass(cls) and "__dataclass_params__" in vars(cls)):
        raise ValueError(f"{what} lacks the decorator @dataclass(frozen=True, kw_only=True)")
    without = [f.name for f in fields(cls) if f.default is f.default_factory is MISSING]
    if without:
        raise ValueError(
            f"{what} has fields without a default: {', '.join(without)}; give them one"
        )
    _check_needs(cls, what)
    note_code(cls)
    return cls


def _check_needs(cls: type[Pruner], what: str) -> None:
    """Refuse names of no cue, and cues of the text in a method that says it reads none."""
    needs: object = cls.needs
    if not isinstance(needs, frozenset):
        raise ValueError(f"{what} has needs {needs!r}; write needs = frozenset({{...}})")
    for name in sorted(cls.needs):
        if name not in CUES:
            raise unknown_name(name, CUES, f"cue in needs of {what},")
        if CUES[name].source == "text" and not cls.text_guided:
            raise ValueError(
                f"{what} needs {name!r}, a cue of the text, and says that it reads none; add "
                "text_guided: ClassVar[bool] = True"
            )


def _module_of(path: Path) -> ModuleType:
    """Run a Python file as a module named after its path, once in a process."""
    if not path.is_file():
        raise FileNotFoundError(f"plugin {str(path)!r} does not exist; give the path of a .py file")
    if path.suffix != ".py":
        raise ValueError(f"plugin {str(path)!r} is not a Python file; give the path of a .py file")
    path = path.resolve()
    digest = sha256(str(path).encode()).hexdigest()[:8]
    name = f"litelvlm_plugin_{path.stem}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    loader = SourceFileLoader(name, str(path))
    module = module_from_spec(ModuleSpec(name, loader, origin=str(path)))
    module.__file__ = str(path)
    # Dataclasses look their module up while they are made.
    sys.modules[name] = module
    try:
        with foreign_code(f"plugin {path.name!r}", str(path)):
            loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
