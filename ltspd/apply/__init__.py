"""Outputs -> disk, units and commands: files are written only where they differ; the others follow them."""

from ltspd.apply.apply import Applier
from ltspd.apply.commands import RETRY

__all__ = ["RETRY", "Applier"]
