"""Figures, one module each: read a table, draw, save. No statistics are computed here, and style lives in one place."""
