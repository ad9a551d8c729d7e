"""Packets: rings of the kernel, filters, pcapng."""
