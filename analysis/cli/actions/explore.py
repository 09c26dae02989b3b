"""`litelvlm explore`: write the page of a sweep."""

from litelvlm.analysis.cli.actions.loading import data_of, model_of
from litelvlm.analysis.cli.options import require_writable
from litelvlm.analysis.cli.verbs.explore import Explore
from litelvlm.analysis.pages.explore.page import build_page, read_config
from litelvlm.figures import style


def run(verb: Explore) -> int:
    """Write the page and print its path.

    Raises:
        ValueError: If the page would hold no expression, or the run is no sweep of these data.
    """
    if verb.samples < 1:
        raise ValueError(
            f"--samples {verb.samples} is too small; the page needs at least 1 expression"
        )
    require_writable(verb.out, folder=False)
    labels = [method.label for method in read_config(verb.folder).methods]
    legend = {name: (style.label(name), style.colour(name)) for name in labels}
    inside = verb.signals == "all"
    page = build_page(
        model_of(verb), data_of(verb), verb.folder, verb.out, legend, verb.samples, inside
    )
    verb.print_found({"page": str(page)}, f"{page}\n")
    return 0
