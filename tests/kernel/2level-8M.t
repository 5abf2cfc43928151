#!/bin/sh
# The in-kernel tests with two-level page tables, little memory, an old CPU.
exec tools/tap-kernel --paging 2level --memory 8M --cpu pentium3
