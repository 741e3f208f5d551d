"""The privileged half: standard library and bcc only, under the distribution's Python.

Nothing here may import pandas, numpy or any other part of KernelScope but `kernelscope.errors`.
The notebook's side uses `protocol` and `client`; every other module runs in the agent's process.
The code keeps to Python 3.9's syntax and library, the oldest that a supported distribution has.
"""
