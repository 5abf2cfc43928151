#!/bin/sh
# The in-kernel tests with two-level page tables, RAM up to 3 GiB and above 4 GiB.
exec tools/tap-kernel --paging 2level --memory 4096M --cpu Nehalem
