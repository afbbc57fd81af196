"""Probabilistic partitive partitioning: proposals, their validation, the tree, and what is made of its leaves."""
