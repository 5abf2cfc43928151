#!/bin/bash
# check-layers passes on the tree, and fails on each kind of include that it forbids.
. tests/tools/tap.sh

log=$(tools/check-layers 2>&1)
ok 'the tree has no include that points up' test $? = 0

# Add a line to a file of a copy of the tree and see it named.
rejects() {    # NAME FILE LINE
    rm -rf "$scratch/tree"
    mkdir "$scratch/tree"
    cp -R boot include kernel mm tests "$scratch/tree"
    echo "$3" >>"$scratch/tree/$2"
    local at
    at=$(wc -l <"$scratch/tree/$2")
    log=$(tools/check-layers "$scratch/tree" 2>&1)
    ok "$1: status" test $? = 1
    matches "$1: file and line" "^$2:$at: "
}

rejects 'the page allocator includes the areas' mm/x86/physical.c '#include <kernel/vma.h>'
rejects 'a public header includes a higher one' include/kernel/physical.h '#include <kernel/vma.h>'
rejects 'the C library of the kernel includes paging' kernel/lib/tree.c '#  include <kernel/mmu.h>'
rejects 'generic code knows the machine' mm/mspace.c '#include <x86/cpu.h>'
rejects 'a relative path hides the layer' mm/kheap.c '#include "../include/kernel/vma.h"'
rejects 'a hosted header' mm/vma.c '#include <stdio.h>'
rejects 'the kernel includes what does not exist' kernel/main.c '#include <kernel/nothing.h>'

rm -rf "$scratch/tree"
mkdir "$scratch/tree"
cp -R boot include kernel mm tests "$scratch/tree"
touch "$scratch/tree/include/kernel/novelty.h"
log=$(tools/check-layers "$scratch/tree" 2>&1)
ok 'a header without a layer: status' test $? = 1
matches 'a header without a layer: the table is named' 'novelty\.h:1: .*tools/check-layers'

finish
