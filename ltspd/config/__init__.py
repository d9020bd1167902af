"""ltsp.conf: text to Document to effective values for one host. Pure: no files, no processes, no bus."""

from ltspd.config.check import check
from ltspd.config.config import Config, load
from ltspd.config.document import (
    Assignment,
    Document,
    Finding,
    Host,
    Include,
    Reference,
    Section,
    Severity,
    Value,
)
from ltspd.config.evaluate import Index, effective, effective_menu, effective_server, exact_hosts
from ltspd.config.hostnames import fill_hostname
from ltspd.config.kinds import LinkChoice
from ltspd.config.menu import MenuSettings, menu_settings
from ltspd.config.parse import parse, parse_files
from ltspd.config.secrecy import withheld
from ltspd.config.server import ServerSettings, server_settings
from ltspd.config.settings import quote, render_settings

__all__ = [
    "Assignment",
    "Config",
    "Document",
    "Finding",
    "Host",
    "Include",
    "Index",
    "LinkChoice",
    "MenuSettings",
    "Reference",
    "Section",
    "ServerSettings",
    "Severity",
    "Value",
    "check",
    "effective",
    "effective_menu",
    "effective_server",
    "exact_hosts",
    "fill_hostname",
    "load",
    "menu_settings",
    "parse",
    "parse_files",
    "quote",
    "render_settings",
    "server_settings",
    "withheld",
]
