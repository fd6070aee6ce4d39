"""Measures the guard on labelled exchanges: rows -> judged rows -> figures -> tables, plots and pages.

One rule: it may import everything, and nothing imports it but the command line, when `chunkguard eval` is typed.
"""
