"""KernelScope beside bcc and bpftrace, measured in one run on one machine; script/bench runs it."""
