#!/bin/sh
# The user programs with two-level page tables.
exec tools/tap-user --paging 2level
