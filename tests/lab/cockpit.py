"""Cockpit on the lab's server as a person meets it: a login, ltspd's page in its frame, pictures, faults.

Everything is real: Debian's cockpit-ws and its bridge, PAM, polkit, and Debian's Chromium.
"""

import os
import re
import shlex
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import axe_playwright_python
from playwright.sync_api import Browser, CDPSession, Frame, Page

from tests import REPOSITORY
from tests.lab.browser import PATIENT
from tests.lab.server import Server

ADDRESS = "http://127.0.0.1:9090"
PASSWORD = "Blue-Whale-7"
# Somebody without any right on the server.
PERSON = "anna"
FRAME = "cockpit1:localhost/ltspd"
PICTURES = REPOSITORY / "docs/pictures"
_AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js")
# What Chromium says that is none of our page's doing.
_OF_COCKPIT = re.compile(r"status of 40[14]|pmlogger|packagekit", re.IGNORECASE)


def start(server: Server) -> None:
    """Have Cockpit serve this server's people, root among them."""
    server.write("/etc/cockpit/disallowed-users", "")
    server.write("/etc/cockpit/cockpit.conf", "[WebService]\nAllowUnencrypted = true\nLoginTo = false\n")
    server.run(f"id {PERSON} 2>/dev/null || useradd --create-home --shell /bin/bash {PERSON}")
    server.run(f"printf '%s\\n' root:{PASSWORD} {PERSON}:{PASSWORD} | chpasswd")
    server.run("systemctl start cockpit.socket")


def report(server: Server, clients: Sequence[Mapping[str, str | int]]) -> None:
    """Tell the daemon of clients as its gateway does: keys of Gateway.ReportClients, numbers are times."""
    words = [str(len(clients))]
    for each in clients:
        words.append(str(len(each)))
        for key, value in each.items():
            words += [key, "t" if isinstance(value, int) else "s", str(value)]
    call = ["busctl", "call", "org.ltsp.Server1", "/org/ltsp/Server1", "org.ltsp.Server1.Gateway"]
    server.run(shlex.join([*call, "ReportClients", "aa{sv}", *words]))


def room(number: int, image: str = "", generation: str = "") -> list[dict[str, str | int]]:
    """Return what that many clients report, of each of which people can log in at the screen."""
    now = time.time_ns() // 1000
    return [
        {
            "Mac": f"52:54:00:aa:{each >> 8:02x}:{each & 255:02x}",
            "Address": f"192.168.67.{each % 250 + 2}",
            "Hostname": f"pc{each:03}",
            "Image": image,
            "Generation": generation,
            "Transport": "nbd",
            "Stage": "login",
            "LastSeen": now - each * 60_000_000,
        }
        for each in range(number)
    ]


@dataclass(slots=True)
class Visit:
    """Somebody at the page: ``frame`` is what ltspd shows, ``page`` all of Cockpit around it."""

    page: Page
    frame: Frame
    logs: Path
    said: list[str]
    told: CDPSession | None = None

    def go(self, place: str) -> None:
        """Go to a place of the page, such as ``clients``, by its tab or address."""
        self.frame.evaluate("place => { window.location.hash = '#/' + place; }", place)

    def text(self, selector: str = "main") -> str:
        """Return the text that an element shows."""
        return self.frame.locator(selector).first.inner_text()

    def wait_for_text(self, selector: str, pattern: str, timeout: float = PATIENT) -> None:
        """Wait until an element's text fits a pattern; ``timeout`` is in milliseconds."""
        self.frame.wait_for_function(
            """([selector, pattern]) => [...document.querySelectorAll(selector)]
                .some(each => new RegExp(pattern, "s").test(each.innerText))""",
            arg=[selector, pattern],
            timeout=timeout,
        )

    def picture(self, name: str) -> Path:
        """Save what the browser shows among the logs; LTSPD_GOLDEN=write renews one of the docs."""
        path = self.logs / f"{name}.png"
        self.page.screenshot(path=path, animations="disabled")
        if os.environ.get("LTSPD_GOLDEN") == "write" and (PICTURES / path.name).exists():
            shutil.copy(path, PICTURES)
        return path

    def scripts(self) -> float:
        """Return the seconds of scripts, Cockpit's own included, since the first call."""
        if self.told is None:
            self.told = self.page.context.new_cdp_session(self.page)
            self.told.send("Performance.enable")
        metrics = self.told.send("Performance.getMetrics")["metrics"]
        return float(next(each["value"] for each in metrics if each["name"] == "ScriptDuration"))

    def faults(self) -> list[str]:
        """Return what axe-core finds wrong in the page for people who read or move in other ways.

        Only what it calls serious or critical counts.
        """
        self.frame.evaluate(f"() => {{ {_AXE.read_text()}; return null; }}")
        found: Any = self.frame.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")
        return [
            f"{each['id']}: {each['help']}: {node['html'][:200]} {node.get('failureSummary', '')}"
            for each in found["violations"]
            if each["impact"] in ("serious", "critical")
            for node in each["nodes"]
        ]


@dataclass(slots=True)
class Cockpit:
    """A server with Cockpit, and a browser."""

    server: Server
    browser: Browser

    @contextmanager
    def visit(
        self,
        place: str = "",
        *,
        user: str = "root",
        language: str = "en-US",
        dark: bool = False,
        size: tuple[int, int] = (1280, 900),
    ) -> Iterator[Visit]:
        """Log somebody in and wait for the page at a place; afterwards fail if its scripts had errors."""
        context = self.browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            locale=language,
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
        )
        context.set_default_timeout(PATIENT)
        said: list[str] = []
        try:
            page = context.new_page()
            page.on("console", lambda word: said.append(word.text) if word.type == "error" else None)
            page.on("pageerror", lambda error: said.append(f"uncaught: {error}"))
            # Cockpit's own choice of a language is a cookie.
            cookie = language.split("-")[0].lower() if not language.startswith("en") else "en-us"
            context.add_cookies([{"name": "CockpitLang", "value": cookie, "url": ADDRESS}])
            page.goto(f"{ADDRESS}/ltspd#/{place}")
            page.fill("#login-user-input", user)
            page.fill("#login-password-input", PASSWORD)
            page.click("#login-button")
            page.wait_for_selector(f'iframe[name="{FRAME}"]', state="attached")
            frame = page.frame(name=FRAME)
            assert frame is not None
            frame.wait_for_selector(".view", state="attached")
            yield Visit(page, frame, self.server.session.logs, said)
            ours = [each for each in said if not _OF_COCKPIT.search(each)]
            assert ours == []
        except BaseException:
            for page in context.pages:
                page.screenshot(path=self.server.session.logs / "cockpit-failed.png")
            (self.server.session.logs / "cockpit-said.log").write_text("\n".join(said))
            raise
        finally:
            context.close()
