#!/bin/sh
# The in-kernel tests with two-level page tables, started by GRUB.
exec tools/tap-kernel --paging 2level --boot iso
