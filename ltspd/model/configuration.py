"""What callers may ask about ltsp.conf: the values of one host, and the mistakes. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Setting:
    """A parameter's value for one host. For a default, ``file`` is empty and ``line`` 0.

    A ``withheld`` value is a secret, so it is empty here.
    """

    name: str
    value: str
    file: str
    line: int
    withheld: bool


@dataclass(frozen=True, slots=True)
class ConfigFinding:
    """A mistake in ltsp.conf. ``severity`` is error or warning; line and column count from 1, 0 = none."""

    severity: str
    file: str
    line: int
    column: int
    message: str
