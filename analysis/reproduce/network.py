"""What the hub's client raises, as one line that says what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import constants


@contextmanager
def plain_network_errors(what: str) -> Iterator[None]:
    """Turn errors of the connection into ``ConnectionError``; others pass unchanged.

    The client's HTTP library changes its name between releases, so its errors are known by their
    module.

    Args:
        what: What was asked for, for the message.

    Raises:
        ConnectionError: If the hub cannot be reached or breaks off for good.
    """
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith(("httpx", "httpcore", "requests")):
            raise
        reason = str(error) or type(error).__name__
        raise ConnectionError(
            f"{what} cannot be fetched from {constants.ENDPOINT} ({reason}); what is "
            "there is kept; run the same command again once there is a connection"
        ) from error
