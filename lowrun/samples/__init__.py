"""What a run and its machine did, tick by tick: readings, their records, the tables and charts made of them."""
