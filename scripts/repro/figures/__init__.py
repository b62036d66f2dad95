import os

# Figures are drawn into files and need no window: matplotlib would stop at the import where a
# notebook's or a desktop's setting names what is not here.
os.environ.pop("MPLBACKEND", None)
