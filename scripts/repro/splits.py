"""The three sets of every data set, in the order in which files list them."""

SPLITS = ("train", "validation", "test")
