"""What the doctor finds: of what, how bad, why, and what to do next. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad it is: it keeps machines from booting, it may, or it only says what was seen."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding; ``step`` is what to do next, empty where nothing is to be done."""

    severity: Severity
    subject: str
    cause: str
    step: str = ""
