"""Methods of ``Manager`` about ltsp.conf: what it says for a host, and what is wrong with it."""

import asyncio
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, Protocol

from ltspd.api import noun
from ltspd.api.noun import CONFIGURE, EDIT_CONFIG, PATIENCE, Call, Method, Option, Property, record
from ltspd.config import explain, file
from ltspd.config.configuration import Config
from ltspd.config.document import Finding
from ltspd.errors import ConfigChanged, ConfigError, InvalidOption, ToolFailed
from ltspd.model.state import ConfigFinding, Problem, Setting, State

EDITING = "0.6.0"


class Conf(Protocol):
    """ltsp.conf."""

    def read(self) -> tuple[Config, tuple[Problem, ...]]:
        """Return the configuration in force, and what keeps a newer one out of force. Blocks."""

    def check(self) -> tuple[Finding, ...]:
        """Return everything wrong with it as it is on disk now; raises ConfigError. Blocks."""

    def text(self, *, former: bool = False) -> tuple[str, str]:
        """Return it as it is on disk, or was before, and its tag; raises ConfigError. Blocks."""

    def save(self, text: str, tag: str) -> str:
        """Replace it, and return the new tag; raises ConfigError, ConfigChanged, ToolFailed. Blocks."""


class Core(noun.Core, Protocol):
    """What these methods need."""

    @property
    def conf(self) -> Conf:
        """ltsp.conf."""


SETTING: tuple[Property[Setting], ...] = (
    Property("Name", "s", attrgetter("name")),
    Property("Value", "s", attrgetter("value")),
    Property("File", "s", attrgetter("file")),
    Property("Line", "u", attrgetter("line")),
    Property("Withheld", "b", attrgetter("withheld")),
    Property("Code", "b", attrgetter("code")),
)
FINDING: tuple[Property[ConfigFinding], ...] = (
    Property("Severity", "s", attrgetter("severity"), "error, warning, or info, which is no mistake"),
    Property("File", "s", attrgetter("file")),
    Property("Line", "u", attrgetter("line")),
    Property("Column", "u", attrgetter("column")),
    Property("Message", "s", attrgetter("message")),
)


async def _explain_config(core: Core, _state: State, call: Call) -> Sequence[Mapping[str, Any]]:
    host = explain.host_of(call.arguments[0])
    config, _ = await asyncio.to_thread(core.conf.read)
    return [record(SETTING, each) for each in explain.explain(config, host)]


async def _check_config(core: Core, _state: State, _call: Call) -> Sequence[Mapping[str, Any]]:
    return [record(FINDING, each) for each in explain.findings(await asyncio.to_thread(core.conf.check))]


TEXT: tuple[Property[tuple[str, str]], ...] = (
    Property("Text", "s", lambda found: found[0]),
    Property("Tag", "s", lambda found: found[1], "another one for each version; none: there is no file"),
)


async def _check_text(_core: Core, _state: State, call: Call) -> Sequence[Mapping[str, Any]]:
    return [
        record(FINDING, each)
        for each in explain.findings(await asyncio.to_thread(file.check, *call.arguments))
    ]


async def _read_config(core: Core, _state: State, call: Call) -> Mapping[str, Any]:
    former = bool(call.arguments[0].get("former", False))
    return record(TEXT, await asyncio.to_thread(lambda: core.conf.text(former=former)))


async def _save_config(core: Core, _state: State, call: Call) -> str:
    tag = await asyncio.to_thread(core.conf.save, *call.arguments)
    await core.follow_up(PATIENCE)
    return tag


METHODS: tuple[Method[State], ...] = (
    Method(
        name="ExplainConfig",
        inputs="a{sv} host",
        outputs="aa{sv} settings",
        run=_explain_config,
        action=CONFIGURE,
        options=(Option("mac", "s"), Option("ip", "s"), Option("hostname", "s"), Option("applet", "s")),
        keys=SETTING,
        doc="""Return what ltsp.conf says for one host, and which line says it. Without options the host
            is the server itself; give all that you know, because sections are chosen by each of them. The
            applet is a part of a client's life, for sections such as [init/pc01]: initrd-bottom, init (the
            default), service, login or session. A default has an empty File. Secrets are Withheld: their
            Value is empty. Code: only the client knows the value, which here is what the line says.""",
        errors=(InvalidOption,),
    ),
    Method(
        name="CheckConfig",
        outputs="aa{sv} findings",
        run=_check_config,
        action=CONFIGURE,
        keys=FINDING,
        doc="""Return all that is wrong with ltsp.conf as it is on disk now, and what is code, in the order of
            its lines; changes nothing. As long as there is an error, the last good configuration stays in
            force. ConfigError: the file can't be read.""",
        errors=(ConfigError,),
    ),
    Method(
        name="CheckText",
        inputs="s text",
        outputs="aa{sv} findings",
        run=_check_text,
        action=EDIT_CONFIG,
        keys=FINDING,
        doc="""Return all that would be wrong with ltsp.conf if this were its text, as CheckConfig does; it
            changes nothing. ConfigError: the text is too large.""",
        errors=(ConfigError,),
        since=EDITING,
    ),
    Method(
        name="ReadConfig",
        inputs="a{sv} options",
        outputs="a{sv} file",
        run=_read_config,
        action=EDIT_CONFIG,
        options=(Option("former", "b", "returns what the file was before its last good change"),),
        keys=TEXT,
        doc="""Return /etc/ltsp/ltsp.conf as it is on disk, with all passwords in it. ConfigError: it can't be
            read, or is no text of UTF-8.""",
        errors=(ConfigError,),
        since=EDITING,
    ),
    Method(
        name="SaveConfig",
        inputs="s text, s tag",
        outputs="s new_tag",
        run=_save_config,
        action=EDIT_CONFIG,
        doc="""Replace /etc/ltsp/ltsp.conf as a whole, keep what it was (ReadConfig with former), bring
            everything up to date, and return the new tag; after 10 s if services take longer. The tag is
            that of ReadConfig. Who may read the file stays as it is. ConfigError: the text has errors;
            ConfigChanged: the file has another tag now; in both cases nothing is saved.""",
        errors=(ConfigError, ConfigChanged, ToolFailed),
        since=EDITING,
    ),
)

PROPERTY: Property[State] = Property(
    "ConfigTag",
    "s",
    attrgetter("config_tag"),
    "Another text for each version of /etc/ltsp/ltsp.conf on disk, as ReadConfig returns it.",
    since=EDITING,
)
