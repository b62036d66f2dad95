"""Pictures of flowers that do not exist: their kinds, their petals, their heads, the picture."""
