"""A program kept running: a run times a policy. Policy is a pure table; what waits is one loop's."""
