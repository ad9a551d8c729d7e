"""The verb `restart`: it comes back when the new lives are ready."""

from __future__ import annotations

from lowrun.cli.control import demand
from lowrun.cli.control_options import Request

__all__ = ["run"]


def run(request: Request) -> int:
    """Restart all that are named; return the exit code."""
    return max(demand("restart", name) for name in request.names)
