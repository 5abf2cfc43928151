#!/bin/sh
# The in-kernel tests with PAE page tables, started by QEMU.
exec tools/tap-kernel --paging pae
