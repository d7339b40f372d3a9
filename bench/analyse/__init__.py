"""Numbers out of records. In: records, measurements, certificate and verdicts.
Out: groups, ratios, intervals, shares of the floor, where the time goes; no
sentence and no file."""
