#!/bin/sh
# The in-kernel tests with PAE page tables, RAM up to 3 GiB and above 4 GiB.
exec tools/tap-kernel --paging pae --memory 4096M --cpu Nehalem
