#!/bin/bash
# Linux programs run on Grove's heap (make preload): real ones print what they print without it,
# tests of malloc itself pass on it and on glibc's, and a misuse is reported.
. tests/tools/tap.sh

seconds=60      # no program here takes a tenth of it; one that hangs is ended
python=$(python3 -c 'import sys; print(sys.executable)')
export PYTHONMALLOC=malloc

# The library for 64 or 32 bits. Only the program itself has it, not what starts it.
library() {
    echo "$PWD/build/libgrove-malloc${1/64}.so"
}

# Run a program on the heap. What it says on stdout goes to $scratch/out, on stderr to $log.
on_grove() {    # BITS WORDS COMMAND...
    local bits=$1 words=$2
    shift 2
    log=$(timeout $seconds env GROVE_MALLOC="$words" LD_PRELOAD="$(library "$bits")" "$@" 2>&1 \
          >"$scratch/out" <"$input")
}

input=/dev/null
sound='^grove-malloc\[[0-9]+\]: segment [0-9]+ .* misuses 0; sound$'

# The same output with and without the heap, which is sound at the end, at level basic and full.
same() {    # NAME COMMAND...
    local name=$1 level status
    shift
    timeout $seconds "$@" <"$input" >"$scratch/expected"
    ok "$name: there is output" test -s "$scratch/expected"
    for level in basic full; do
        on_grove 64 "$level,stat" "$@"
        status=$?
        ok "$name, $level: status" test $status = 0
        ok "$name, $level: the same output" cmp "$scratch/expected" "$scratch/out"
        matches "$name, $level: the heap was used, and is sound" "$sound"
    done
}

same perl perl tests/preload/work.pl
same python3 "$python" tests/preload/work.py
input=tests/preload/work.sql
same 'sqlite3, in memory' sqlite3 :memory:
in_a_file() {
    rm -f "$scratch/database"
    sqlite3 "$scratch/database"
}
export -f in_a_file
export scratch
same 'sqlite3, in a file' bash -c in_a_file
input=/dev/null

for bits in 64 32; do
    names=$(nm -D --defined-only "$(library $bits)" | awk '{ print $3 }' | sort | tr '\n' ' ')
    log=$names
    ok "$bits-bit: only malloc's names are exported" test "$names" = "aligned_alloc calloc free \
malloc malloc_usable_size memalign posix_memalign pvalloc realloc reallocarray valloc "

    for program in corners threads forks early; do
        binary=build/preload$bits/$program
        log=$(timeout $seconds $binary 2>&1)
        ok "$bits-bit: $program passes with glibc's malloc" test $? = 0
        for level in basic full; do
            on_grove $bits "$level,stat" $binary
            ok "$bits-bit: $program passes at level $level" test $? = 0
            matches "$bits-bit: $program: the heap was used, and is sound" "$sound"
        done
    done
    log=$(ulimit -v 200000; GROVE_MALLOC=stat LD_PRELOAD=$(library $bits) \
          build/preload$bits/corners limited 2>&1)
    ok "$bits-bit: corners passes to the end of memory and back" test $? = 0
    matches "$bits-bit: to the end of memory: sound" "$sound"

    for misuse in double:'kfree.*: free already' foreign:'kfree.*: not in the heap' \
                  inside:'kfree.*: inside the buffer' realloc:'krealloc.*: inside the buffer' \
                  usable:'kmalloc_usable_size.*: inside the buffer' overrun:'kfree.*damaged'; do
        on_grove $bits '' build/preload$bits/misuse "${misuse%%:*}"
        ok "$bits-bit, ${misuse%%:*}: the program goes on" grep -qx 'went on' "$scratch/out"
        matches "$bits-bit, ${misuse%%:*}: reported in a line" "^grove-malloc.*${misuse#*:}"
    done
    on_grove $bits abort build/preload$bits/misuse double
    ok "$bits-bit: GROVE_MALLOC=abort ends it" test $? = 134
    matches "$bits-bit: GROVE_MALLOC=abort: reported before" '^grove-malloc.*: free already'
    on_grove $bits nonsense,stat build/preload$bits/early
    ok "$bits-bit: an unknown word: the program runs" test $? = 0
    matches "$bits-bit: an unknown word is refused" ': no such word: nonsense$'
    matches "$bits-bit: the next word counts" "$sound"
done

finish
