"""Suites as code: scope ─▶ rules. One definition for both engines."""
