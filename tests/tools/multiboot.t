#!/bin/bash
# A kernel that no Multiboot loader started says so and halts: it neither goes on nor resets.
. tests/tools/tap.sh

entry=$(LC_ALL=C readelf -h build/grove.elf | sed -n 's/.*Entry point address: *//p')
cd "$scratch" || exit 1
qemu-system-i386 -nodefaults -display none -no-reboot -serial file:serial -kernel "$OLDPWD/build/grove.elf" \
    -S -gdb unix:path=socket,server=on,wait=off >qemu 2>&1 &
qemu=$!
disown
trap 'kill -KILL $qemu 2>/dev/null; rm -rf "$scratch"' EXIT
for _ in $(seq 100); do
    [ -S socket ] && break
    sleep 0.1
done

# What the loader passes in EAX, replaced at the first instruction.
log=$(timeout 60 gdb -nx -batch -ex 'target remote socket' -ex "hbreak *$entry" -ex continue \
    -ex 'print $eax' -ex 'set $eax = 0x12345678' -ex delete -ex detach 2>&1)
matches 'the entry point is reached with the magic number' '= 732803074$'
for _ in $(seq 100); do
    grep -q Multiboot serial && break
    sleep 0.1
done
sleep 1
log=$(cat serial qemu)
matches 'the wrong magic number is reported' Multiboot
ok 'the machine did not reset' kill -0 $qemu
log=$(timeout 60 gdb -nx -batch -ex 'target remote socket' -ex 'x/i $eip - 1' -ex 'print $eflags' 2>&1)
matches 'it is halted' 'hlt'
matches 'with interrupts off' '^\$1 = \[( (ID|IOPL=[0-3]|[A-HJ-Z]F))* \]$'

cd "$OLDPWD" || exit 1
finish
