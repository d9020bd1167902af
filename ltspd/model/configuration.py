"""What a caller may ask about ltsp.conf: effective values and what is wrong with it. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Setting:
    """A parameter as it counts for one host. ``file`` is empty and ``line`` 0 where a default holds.

    A ``withheld`` one is a secret: its value is empty here whatever the file says.
    """

    name: str
    value: str
    file: str
    line: int
    withheld: bool


@dataclass(frozen=True, slots=True)
class ConfigFinding:
    """One thing wrong with ltsp.conf. ``severity`` is error or warning; line and column from 1, 0 = none."""

    severity: str
    file: str
    line: int
    column: int
    message: str
