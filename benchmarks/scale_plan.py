"""The plan for a billion images, on paper. Nothing of it has been measured."""

PLAN: list[str] = []
