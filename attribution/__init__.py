"""Traces behaviours to post-training data: rows -> facts -> counts -> links of features and behaviours -> report and exports.

One rule: it may import everything, and nothing imports it but the command line, when `chunkguard attribute` is typed.
"""
