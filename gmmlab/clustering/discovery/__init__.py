"""How many classes nobody has told of: a search that splits, merges, absorbs and sheds groups of rows."""
