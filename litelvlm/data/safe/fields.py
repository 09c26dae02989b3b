"""Kinds of fields of foreign records, and records checked field by field."""

from typing import Annotated, Any, Protocol, TypeVar, runtime_checkable

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from litelvlm.data.safe.rasterise import RefDataError
from litelvlm.data.safe.shown import first_problem

Record = TypeVar("Record", covariant=True)
Whole = Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63, description="a whole number")]
"""A number of at most 64 bits; a truth value is none."""
# The bound makes pydantic look into the text, and half a sign of Unicode is none.
Text = Annotated[str, Field(strict=True, min_length=0, description="a text")]
Pixels = Annotated[float, Field(strict=True, allow_inf_nan=False, description="a number")]
"""A place or a length in an image."""


def _flag(value: object) -> bool:
    """A truth value; Python takes the text "0" for true."""
    if value is None:  # left out, as Parquet files store it
        return False
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    raise ValueError("expected 0, 1, true or false, without quotes; leave it out for 0")


def _title(name: str) -> str:
    if not name.isprintable():
        raise ValueError("a name holds characters that cannot be shown")
    return name


Flag = Annotated[bool, BeforeValidator(_flag), Field(description="0, 1, true or false")]
"""0 or 1, true or false; nothing stands for 0."""
Title = Annotated[str, AfterValidator(_title), Field(description="a text")]
"""A name that is shown and read as a text."""


@runtime_checkable
class Form(Protocol[Record]):
    """What is read of pydantic's ``TypeAdapter``."""

    def validate_python(self, data: object, /) -> Record:
        """Data in that form."""

    def json_schema(self) -> dict[str, Any]:  # type: ignore[explicit-any]  # as pydantic has it
        """The form with its fields described."""


def fitted(form: Form[Record], data: object) -> Record:
    """Data in the form that they should have.

    Raises:
        RefDataError: Naming the first field that is missing or wrong, and what is expected there.
    """
    try:
        return form.validate_python(data)
    except ValidationError as error:
        raise RefDataError(f"{first_problem(error)}{_expected(form, error)}") from error


def _expected(form: Form[Record], error: ValidationError) -> str:
    """What the first field should hold, where pydantic does not say it: of one that is missing."""
    first = error.errors(include_url=False)[0]
    if first["type"] != "missing":
        return ""
    schema = form.json_schema()
    parts = [schema, *schema.get("$defs", {}).values()]
    described = [part.get("properties", {}).get(first["loc"][-1], {}) for part in parts]
    kinds = [field["description"] for field in described if "description" in field]
    return f"; expected {kinds[0]}" if kinds else ""
