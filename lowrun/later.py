"""A package's public names, imported when they are first used (PEP 562): `import lowrun` is to cost little."""

from __future__ import annotations

from collections.abc import Callable, Mapping

__all__ = ["importer"]


def importer(package: str, home: Mapping[str, str]) -> Callable[[str], object]:
    """Return what is to be the `__getattr__` of `package`; `home` is name -> module, or module:its name there."""

    def find(name: str) -> object:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        from importlib import import_module

        module, _, there = home[name].partition(":")
        return getattr(import_module(f"{package}.{module}"), there or name)

    return find
