"""Measures of risk, pure functions of numbers.

``conventions`` says what all agree on, and where other libraries differ.
"""
