"""`python -m kernelscope` is the command line."""

import sys

from kernelscope.cli import main

sys.exit(main())
