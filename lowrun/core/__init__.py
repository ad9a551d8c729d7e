"""The kernel as typed Python: descriptors that are owned, the loop, the keeper's other end, processes and their trees."""
