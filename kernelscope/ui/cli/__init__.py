"""The `kernelscope` command."""
