"""Reads and computes expressions: exact fractions, numbers of 50 digits, and units."""
