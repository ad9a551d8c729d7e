"""What lowrun does, step by step, for whoever listens to `logging.getLogger("lowrun...")`.

The logging module costs a short run a tenth of its start. Whoever listens has
imported it; while nobody has, there is nobody to tell.
"""

from __future__ import annotations

import sys

__all__ = ["tell", "warn"]


def tell(part: str, text: str, *args: object, error: BaseException | None = None) -> None:
    """Log a step at level DEBUG; `part` is the logger below "lowrun"."""
    if "logging" in sys.modules:
        import logging

        logging.getLogger(f"lowrun.{part}").debug(text, *args, exc_info=error)


def warn(part: str, text: str, *args: object) -> None:
    """Log what went wrong and has no other place to be told, at level WARNING."""
    import logging

    logging.getLogger(f"lowrun.{part}").warning(text, *args)
