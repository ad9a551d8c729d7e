"""lowrun's version, in the one place that the build, the library and the command line read."""

__all__ = ["VERSION"]

VERSION = "0.1.0"
