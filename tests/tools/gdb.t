#!/bin/bash
# `maps` and `pages` of tools/grove.gdb, through QEMU's stub alone, print what the kernel writes
# into /proc/self/maps and /proc/self/pages at the same moment.
. tests/tools/tap.sh

# Stopped where the kernel has written the text and the program waits for it.
cat >"$scratch/commands" <<'END'
python
def text_of(name):
    while not gdb.parse_and_eval("name").string().endswith(name):
        gdb.execute("continue")
    length = int(gdb.parse_and_eval("length"))
    return bytes(gdb.selected_inferior().read_memory(int(gdb.parse_and_eval("text")), length))

gdb.execute("hbreak ramfs_text")
gdb.execute("continue")
for name in "maps", "pages":
    text = text_of("/" + name).decode()
    print("%s: %s" % (name, "EQUAL" if gdb.execute(name, to_string=True) == text else "DIFFERENT"))
    print("lines: %d" % text.count("\n"))
    print(gdb.execute(name, to_string=True))
    print(text)
    pid = int(gdb.parse_and_eval("task_current->pid"))
    same = gdb.execute("%s %d" % (name, pid), to_string=True) == text
    print("%s by number: %s" % (name, "EQUAL" if same else "DIFFERENT"))
for wrong in "maps 0", "pages 4711":
    try:
        gdb.execute(wrong)
    except gdb.error as error:
        print("%s: %s" % (wrong, error))
end
kill
END

for paging in 2level pae; do
    qemu-system-i386 -nodefaults -display none -no-reboot -cpu max -m 64M -serial null \
        -kernel build/grove.elf -initrd build/user/proc_pages -append "run exit paging=$paging" \
        -S -gdb "unix:path=$scratch/$paging,server=on,wait=off" >"$scratch/qemu" 2>&1 &
    qemu=$!
    disown
    trap 'kill -KILL $qemu 2>/dev/null; rm -rf "$scratch"' EXIT
    for _ in $(seq 100); do
        [ -S "$scratch/$paging" ] && break
        sleep 0.1
    done
    log=$(timeout 120 gdb -nx -batch build/grove.elf -ex "target remote $scratch/$paging" \
        -x tools/grove.gdb -x "$scratch/commands" 2>&1)
    kill -KILL $qemu 2>/dev/null
    matches "maps $paging" '^maps: EQUAL$'
    matches "maps by number $paging" '^maps by number: EQUAL$'
    matches "maps has lines $paging" '^[0-9a-f]{8}-[0-9a-f]{8} rw-p 00000000 00:00 0 {10}\[stack\]$'
    matches "pages $paging" '^pages: EQUAL$'
    matches "pages by number $paging" '^pages by number: EQUAL$'
    matches "pages has lines $paging" '^[0-9a-f]{8}-[0-9a-f]{8} ---- private +10$'
    matches "the kernel has no space $paging" '^maps 0: the task has no space of its own'
    matches "no such task $paging" '^pages 4711: there is no task with the number 4711$'
done
finish
