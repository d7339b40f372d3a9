"""What is measured beside the runs: floor, latency, energy, operations. In: the
scripts, looked at by children. Out: a record per measurement in OUT/measured.
"""
