"""Runs it all: command line, cycle, dbt runner and the demo's journey."""
