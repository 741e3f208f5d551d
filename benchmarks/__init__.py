"""KernelScope compared with bcc and bpftrace, in one run on one machine; see script/bench."""
