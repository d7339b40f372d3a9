"""Same computation, same conditions. In: the scripts and the records of a
comparison. Out: a certificate that the variants compute the same, and a verdict
per rule on whether they were timed alike."""
