"""Headless Chromium on a page: what is in its document when its scripts have run, and what it complains of."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

CONSOLE = re.compile(r"CONSOLE(?:\(\d+\)|:\d+)?\] (.*)")
#: A slow machine starts a browser in some seconds.
PATIENCE = 90


class Seen(NamedTuple):
    """What the browser has of a page."""

    #: The document as HTML.
    dom: str
    #: What it said on its console: errors of scripts, refusals of the page's policy.
    console: list[str]


def look(page: Path, home: Path, *options: str) -> Seen:
    """Load `page`; `home` is a directory for all that the browser writes."""
    words = [
        "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr", "--v=0",
        f"--user-data-dir={home / 'profile'}", "--window-size=1200,900", "--virtual-time-budget=3000", *options,
        "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    env = {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home), "XDG_CACHE_HOME": str(home)}
    done = subprocess.run(words, capture_output=True, env=env, timeout=PATIENCE, cwd=home, check=True)
    log = done.stderr.decode("utf-8", "replace")
    return Seen(done.stdout.decode("utf-8"), CONSOLE.findall(log))
