"""How every HTML page is made from its template: escaped, and without a name left undefined."""

from jinja2 import Environment, PackageLoader, StrictUndefined

PACKAGE = "litelvlm.analysis.pages"


def page_environment() -> Environment:
    """Templates of the HTML pages; whatever they are given is escaped.

    A name that a template uses and is not given raises ``jinja2.UndefinedError``.
    """
    return Environment(
        autoescape=True,
        loader=PackageLoader(PACKAGE),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )


def template_source(name: str) -> str:
    """Text of a file beside the templates, such as a script, as it is stored.

    Raises:
        jinja2.TemplateNotFound: If there is none.
    """
    return PackageLoader(PACKAGE).get_source(page_environment(), name)[0]
