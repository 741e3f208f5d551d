"""System calls, maps, ring buffers, ELF files and process setup."""
