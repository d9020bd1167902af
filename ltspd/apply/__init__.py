"""Outputs -> disk and units: files are written only where they differ, units follow their files."""

from ltspd.apply.apply import RETRY, Applier

__all__ = ["RETRY", "Applier"]
