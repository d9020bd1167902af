"""The documentation made from the program's own tables: web pages, manual pages, shell completions.

Used when the project is built and tested; not installed, and nothing of the program imports it.
"""
