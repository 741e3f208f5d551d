"""C to bytecode: libbcc, the cache, and the errors of clang and the verifier."""
