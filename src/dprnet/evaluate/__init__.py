"""Measures of every stage, each with intervals: pure functions in `metrics`, whole evaluations around them."""
