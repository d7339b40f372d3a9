"""Programs for those who keep the project: the book of the two scripts, the
published results, the pages made from declarations, the generated digits."""
