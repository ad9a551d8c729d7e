"""The kernel as typed Python: owned descriptors, the loop, the keeper's other end, processes and their trees."""
