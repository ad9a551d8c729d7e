"""The thin command line: one file per verb; imports public lowrun names only."""
