"""Run one command and look at how it ended and what it used."""

import lowrun as lr

result = lr.run(["sh", "-c", "echo working; exit 3"], timeout=30, quiet=True)

print("status:", result.status)
print("ok:", result.ok, "code:", result.status.code, "signal:", result.status.signal)
print("peak memory:", result.usage.max_rss_kib, "KiB")
