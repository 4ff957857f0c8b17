"""Scenarios: societies to build, with their parameters and their laws."""
