"""``ltspctl config``: what ltsp.conf says for whom, and what is wrong with it."""

import argparse
import sys
from pathlib import Path

from ltspd.api import remote as server
from ltspd.cli import lts_conf, show
from ltspd.cli.answer import as_json, coloured, done
from ltspd.cli.grammar import Argument, Command, Noun
from ltspd.dbus.caller import Client
from ltspd.names import ROOT_PATH


def host_of(words: list[str]) -> dict[str, tuple[str, str]]:
    """Return ExplainConfig's options for words in any order; raises NoSuch for two of a kind."""
    found: dict[str, tuple[str, str]] = {}
    for word in words:
        kind = "mac" if ":" in word or word.count("-") == 5 else "hostname"
        if word.replace(".", "").isdigit():
            kind = "ip"
        if kind in found:
            raise server.NoSuch(f"{found[kind][1]} and {word} can't be one client's: give one {kind}.")
        found[kind] = ("s", word)
    return found


def _explain(client: Client, options: argparse.Namespace) -> int:
    """Show the settings of the host that options name."""
    given = {kind: getattr(options, kind) for kind in ("mac", "ip", "hostname", "applet")}
    return _settings(client, options, {kind: ("s", word) for kind, word in given.items() if word})


def _show(client: Client, options: argparse.Namespace) -> int:
    """Show the settings of the host that words name, whichever they are."""
    return _settings(client, options, host_of(options.host))


def _settings(client: Client, options: argparse.Namespace, wanted: dict[str, tuple[str, str]]) -> int:
    """Show settings with the line that set each."""
    (settings,) = server.act(client, ROOT_PATH, "Manager", "ExplainConfig", "a{sv}", [wanted])
    shown = [each for each in settings if options.all or each["File"]]
    if options.json:
        return as_json(shown)
    if not shown:
        who = " ".join(word for _, word in wanted.values()) or "the server"
        print(f"ltsp.conf sets nothing for {who}; '--all' shows the defaults.")
        return server.OK
    rows = [(each["Name"], _value(each), _where(each)) for each in shown]
    print(show.table(("PARAMETER", "VALUE", "SET BY"), rows, coloured()))
    return server.OK


def _value(setting: server.Properties) -> str:
    if setting["Withheld"]:
        return "(withheld)"
    return f"(code) {setting['Value']}" if setting["Code"] else str(setting["Value"])


def _where(setting: server.Properties) -> str:
    return f"{setting['File']}:{setting['Line']}" if setting["File"] else "default"


def _check(client: Client, options: argparse.Namespace) -> int:
    """List findings as compilers do; errors make the status FAILED, warnings do not."""
    if options.file:
        text = _content(options.file)
        (findings,) = server.act(client, ROOT_PATH, "Manager", "CheckText", "s", [text])
        findings = [{**each, "File": options.file} for each in findings]
    else:
        (findings,) = server.act(client, ROOT_PATH, "Manager", "CheckConfig")
    errors = [each for each in findings if each["Severity"] == "error"]
    if options.json:
        as_json(findings)
    else:
        for each in findings:
            column = f":{each['Column']}" if each["Column"] else ""
            code = {"error": show.RED, "warning": show.YELLOW}.get(each["Severity"], show.DIM)
            severity = show.colour(each["Severity"], code, coloured())
            where = show.clean(f"{each['File']}:{each['Line']}{column}")
            print(f"{where}: {severity}: {show.clean(each['Message'])}")
        if all(each["Severity"] == "info" for each in findings):
            print("ltsp.conf has no mistakes.")
    return server.FAILED if errors else server.OK


def _content(path: str) -> str:
    """Return the text of a file, or of standard input for ``-``; raises NoSuch."""
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        return data.decode()
    except OSError as error:
        raise server.NoSuch(f"{path} can't be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise server.NoSuch(f"{path} is no text in UTF-8 (byte {error.start}).") from error


def _text(client: Client, options: argparse.Namespace) -> int:
    """Print ltsp.conf as it is on disk, or what it was before."""
    asked = {"former": ("b", True)} if options.former else {}
    (found,) = server.act(client, ROOT_PATH, "Manager", "ReadConfig", "a{sv}", [asked])
    if options.json:
        return as_json(found)
    print(found["Text"], end="")
    return server.OK


def _save(client: Client, options: argparse.Namespace) -> int:
    """Replace ltsp.conf, and say what is in force."""
    text, tag = _content(options.file), options.tag
    if tag is None:
        (found,) = server.act(client, ROOT_PATH, "Manager", "ReadConfig", "a{sv}", [{}])
        tag = found["Tag"]
    (tag,) = server.act(client, ROOT_PATH, "Manager", "SaveConfig", "ss", [text, tag])
    said = "Saved and in force; 'ltspctl config text --former' prints what was there before."
    return done(options, said, Tag=tag)


def _import(_client: None, options: argparse.Namespace) -> int:
    """Translate a lts.conf: the result to a file or to standard output, the report to where there is room."""
    from ltspd.migration.lts_conf import Unreadable, translate

    try:
        result = translate(lts_conf.read(options.file), options.file)
    except Unreadable as error:
        raise server.NoSuch(str(error)) from error
    if options.output:
        lts_conf.write(options.output, result.text, options.force)
    if options.json:
        return as_json({"Text": result.text, "Report": lts_conf.report(result)})
    if options.output:
        print(f"{lts_conf.table(result, coloured())}\n\nWritten: {show.clean(options.output)}")
        return server.OK
    print(result.text, end="", flush=True)
    print(lts_conf.table(result, coloured()), file=sys.stderr)
    return server.OK


COMMANDS = (
    Command(
        "show",
        "show the settings of a client, or of the server, and which line sets each",
        _show,
        (
            Argument(
                ("host",),
                "a client's MAC address, IP address or host name; give all that you know, because sections "
                "are chosen by each of them; none: the server itself",
                "HOST",
                "*",
            ),
            Argument(("--all",), "show defaults, too"),
        ),
        "Secrets are withheld. What is shown is in force; 'ltspctl config check' looks at the file.",
    ),
    Command(
        "explain",
        "show each setting that counts for a machine, and which line sets it",
        _explain,
        (
            Argument(("--mac",), "the machine's MAC address", "MAC"),
            Argument(("--ip",), "its IP address", "ADDRESS"),
            Argument(("--hostname",), "its host name", "NAME"),
            Argument(
                ("--applet",),
                "a part of its life, for sections such as [init/pc01]: initrd-bottom, init (which is the "
                "default), service, login or session",
                "APPLET",
            ),
            Argument(("--all",), "show defaults, too"),
        ),
        "As 'config show', by options. Give all that you know, because sections are chosen by each of them. "
        "A value that code sets is marked as (code), because only the machine itself can know it.",
    ),
    Command(
        "check",
        "check ltsp.conf as it is on disk, without applying it; fails if there are errors",
        _check,
        (Argument(("file",), "another file that is to become ltsp.conf; -: standard input", "FILE", "?"),),
    ),
    Command(
        "text",
        "print ltsp.conf as it is on disk, with all passwords in it",
        _text,
        (Argument(("--former",), "print what it was before its last good change"),),
    ),
    Command(
        "save",
        "replace ltsp.conf, unless there are errors",
        _save,
        (
            Argument(("file",), "the file with the new text; -: standard input", "FILE"),
            Argument(("--tag",), "only if the file is the one that 'config text --json' said", "TAG"),
        ),
        "The file is replaced as a whole, and who may read it stays as it is. What it was is kept: "
        "'ltspctl config text --former | ltspctl config save -' goes back.",
    ),
    Command(
        "import",
        "translate the lts.conf of LTSP 5 into an ltsp.conf, and say what became of each of its settings",
        _import,
        (
            Argument(("file",), "the lts.conf, such as /var/lib/tftpboot/ltsp/amd64/lts.conf", "FILE"),
            Argument(("--output",), "write the result there; without it, it is printed", "FILE"),
            Argument(("--force",), "replace the file if it is there"),
        ),
        "It needs no daemon. Without --output, the report goes to standard error. 'done': as before; "
        "'renamed': as before, under another name; 'later': it has no effect yet; 'gone': it has no meaning "
        "any more; 'refused': its value can't be used; 'unknown': lts.conf has no such name. What is not "
        "taken over is a comment in the result. Passwords are not in it.",
        alone=True,
    ),
)
NOUNS = (Noun("config", 80, "what ltsp.conf says", COMMANDS),)
