"""Outputs -> disk and units: files are written only where they differ, units follow their files."""

from ltspd.apply.apply import RETRY, Applier
from ltspd.system.files import write_atomically

__all__ = ["RETRY", "Applier", "write_atomically"]
