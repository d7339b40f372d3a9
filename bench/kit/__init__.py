"""What a program of your own uses. In: its functions and its flags. Out: the
clock, the log, weights and record as the pair writes them; and what all rooms
share: exit codes, files, rungs, networks."""
