"""The wheel holds the whole package, and nothing in a user's folder can stand in its way."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]
LINKED = ("analysis", "figures")


def run(*arguments, folder, path):
    """Run Python in a folder that holds foreign modules of the linked names."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    (built,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    return Path(built)


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The unpacked wheel."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """A working folder outside the checkout with modules named like the linked folders."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "analysis").mkdir()
    (folder / "analysis" / "__init__.py").write_text("raise SystemExit('foreign analysis')\n")
    (folder / "figures.py").write_text("raise SystemExit('foreign figures')\n")
    return folder


def tracked(*folders):
    listing = subprocess.run(
        ["git", "ls-files", "-z", *folders], cwd=ROOT, capture_output=True, check=True
    )
    return {name for name in listing.stdout.decode().split("\0") if name}


def test_the_wheel_holds_every_file_of_the_package_once_and_no_rendered_picture(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = [name for name in archive.namelist() if ".dist-info/" not in name]
    assert len(held) == len(set(held))
    expected = tracked("litelvlm") - {f"litelvlm/{name}" for name in LINKED}
    expected |= {f"litelvlm/{name}" for name in tracked(*LINKED)}
    rendered = {name for name in expected if name.startswith("litelvlm/figures/rendered/")}
    assert rendered
    assert expected - rendered <= set(held)
    assert not rendered & set(held)
    # Other files can only be new ones that git does not know yet.
    assert {name.split("/")[0] for name in held} == {"litelvlm"}


def test_studies_and_figures_are_folders_of_the_installed_package(installed):
    for name in LINKED:
        assert (installed / "litelvlm" / name / "__init__.py").is_file()
        assert not (installed / "litelvlm" / name).is_symlink()
        assert not (installed / name).exists()


def test_foreign_modules_of_the_same_names_do_not_shadow_the_package(installed, elsewhere):
    code = (
        "import sys, litelvlm\n"
        "from litelvlm.analysis.stats.bootstrap import bootstrap_means\n"
        "from litelvlm.analysis.pages.report.page import build_report\n"
        "from litelvlm.figures import FIGURES\n"
        "assert FIGURES and callable(bootstrap_means)\n"
        "assert not {'analysis', 'figures'} & set(sys.modules)\n"
        "print(litelvlm.__file__)\n"
        "from jinja2 import PackageLoader\n"
        "print(*PackageLoader('litelvlm.analysis.pages').list_templates())\n"
    )
    found = run("-c", code, folder=elsewhere, path=installed)
    assert found.returncode == 0, found.stderr
    place, templates = found.stdout.splitlines()
    assert Path(place).is_relative_to(installed)
    assert {"report.html", "explore.html"} <= set(templates.split())


@pytest.mark.parametrize("listing", ["studies", "figures"])
def test_the_command_line_runs_beside_foreign_modules(installed, elsewhere, listing):
    found = run("-m", "litelvlm.analysis", "ls", listing, folder=elsewhere, path=installed)
    assert found.returncode == 0, found.stderr
    assert "reversal" in found.stdout


@pytest.mark.parametrize("name", LINKED)
def test_the_short_name_is_refused_in_the_checkout(name):
    found = run("-c", f"import {name}", folder=ROOT, path=ROOT)
    assert found.returncode == 1
    assert f"import litelvlm.{name} instead" in found.stderr.splitlines()[-1]
