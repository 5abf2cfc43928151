#!/bin/sh
# The in-kernel tests with a heap at level full.
exec tools/tap-kernel --append heap=full
