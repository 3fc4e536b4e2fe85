"""Answers of many variants, their cost, and a judge."""
