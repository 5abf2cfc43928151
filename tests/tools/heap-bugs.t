#!/bin/bash
# The table in docs/heap.md is what the catalogue of bugs says.
. tests/tools/tap.sh

log=$(tools/heap-bugs --check docs/heap.md 2>&1)
ok 'the table of docs/heap.md' test $? = 0
finish
