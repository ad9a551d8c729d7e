"""The compiled module, which has no types of its own: lowrun.core.kernel gives them."""

from typing import Any

ffi: Any
lib: Any
