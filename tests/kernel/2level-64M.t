#!/bin/sh
# The in-kernel tests with two-level page tables, started by QEMU.
exec tools/tap-kernel --paging 2level
