"""KernelScope: ask the running Linux kernel a question, get a DataFrame back."""
