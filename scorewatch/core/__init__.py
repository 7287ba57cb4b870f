"""Judgement: pure functions and tables that decide, and never act."""
