"""Runs held against each other: is a difference between two sides more than noise?"""
