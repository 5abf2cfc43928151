#!/bin/sh
# The in-kernel tests with PAE page tables, little memory, a CPU without NX.
exec tools/tap-kernel --paging pae --memory 8M --cpu qemu32
