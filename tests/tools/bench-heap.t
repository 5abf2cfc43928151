#!/bin/bash
# The start of each real heap trace, every answer of the heap looked at, in each build of it.
exec tools/bench-heap --check --operations 25000
