"""Semidefinite relaxations of the partition problem: what is relaxed, two solvers, rounding, and the rounds of iLA."""
