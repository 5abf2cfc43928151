#!/bin/sh
# The in-kernel tests with PAE page tables, started by GRUB.
exec tools/tap-kernel --paging pae --boot iso
