"""Runs real bpftrace for a set time and returns what it prints as DataFrames."""

from kernelscope.tracing.bpftrace.runner import DURATION_S, run

__all__ = ["DURATION_S", "run"]
