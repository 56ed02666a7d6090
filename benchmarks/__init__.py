"""Figures: one script each, printing a ratio measured in one run."""
