"""The verb `reload`: the reload signal to main processes."""

from __future__ import annotations

from lowrun.cli.control import demand
from lowrun.cli.control_options import Request

__all__ = ["run"]


def run(request: Request) -> int:
    """Reload all that are named; return the exit code."""
    return max(demand("reload", name) for name in request.names)
