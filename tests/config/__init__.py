"""Configs: all that is wrong with one, at once, and what a good one means."""
