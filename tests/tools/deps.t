#!/bin/bash
# deps does nothing when nothing is missing; else it names the package, and asks apt for it.
. tests/tools/tap.sh

# All commands of this machine but those named, and a fake apt-get that tells what it is asked.
fake_path() {
    rm -rf "${scratch:?}/bin"
    mkdir "$scratch/bin"
    ln -s /usr/bin/* "$scratch/bin/" 2>/dev/null
    for command in "$@" apt-get sudo; do
        rm -f "$scratch/bin/$command"
    done
    printf '#!/bin/sh\necho "apt-get $*"\n' >"$scratch/bin/apt-get"
    printf '#!/bin/sh\nexec "$@"\n' >"$scratch/bin/sudo"
    chmod +x "$scratch/bin/apt-get" "$scratch/bin/sudo"
}

fake_path
log=$(PATH=$scratch/bin tools/deps 2>&1)
ok 'nothing missing: status' test $? = 0
ok 'nothing missing: silence, and no apt' test -z "$log"

fake_path nasm qemu-system-i386
log=$(PATH=$scratch/bin tools/deps 2>&1)
ok 'two missing: status' test $? = 0
matches 'the command and its package are named' 'qemu-system-i386.*qemu-system-x86'
matches 'both are installed, and nothing else' 'apt-get .*install .*recommends nasm qemu-system-x86$'

fake_path xorriso
rm "$scratch/bin/apt-get"
log=$(PATH=$scratch/bin tools/deps 2>&1)
ok 'no apt: status' test $? = 1
matches 'no apt: the list is printed' 'please install: xorriso$'

fake_path mformat
printf '#!/bin/sh\nexit 100\n' >"$scratch/bin/apt-get"
log=$(PATH=$scratch/bin tools/deps 2>&1)
ok 'apt fails: status' test $? = 1
matches 'apt fails: the package is named' 'could not install: mtools$'

fake_path gnuplot
log=$(PATH=$scratch/bin tools/deps 2>&1)
ok 'what only bench-heap wants: no test needs it' test -z "$log"
log=$(PATH=$scratch/bin tools/deps bench-heap 2>&1)
matches 'bench-heap asks for its own' 'apt-get .*install .*recommends .*gnuplot-nox$'

finish
