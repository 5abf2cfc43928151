#!/bin/bash
# Words on the kernel's command line that it does not know are reported, not ignored.
. tests/tools/tap.sh

log=$(tools/grove-run --timeout 60 --append 'frobnicate=7' build/user/mmbench 2>&1 </dev/null)
ok 'an unknown word: status' test $? = 125
matches 'an unknown word is named' 'unknown.*frobnicate|frobnicate.*unknown'

finish
