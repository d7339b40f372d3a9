"""What people read. In: what bench/analyse found. Out: sentences, tables, one
page, one paper, and the files of an output folder."""
