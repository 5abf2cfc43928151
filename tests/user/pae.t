#!/bin/sh
# The user programs with PAE page tables.
exec tools/tap-user --paging pae
