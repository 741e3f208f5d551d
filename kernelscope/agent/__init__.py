"""The privileged half: standard library and bcc only, under the distribution's Python.

Nothing here imports pandas, numpy or any part of KernelScope but `protocol` and `errors`.
The client never imports this package; it starts `__main__.py` by its path.
The code uses Python 3.9's syntax and library, the oldest of the supported distributions.
"""
