"""Runs, each in a process of its own. In: a recipe or flags. Out: a record per
run in OUT/runs, which is the only state of a comparison; words for people go
through a callback."""
