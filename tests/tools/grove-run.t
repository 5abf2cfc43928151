#!/bin/bash
# grove-run: exit statuses, what goes to stdout, messages.
. tests/tools/tap.sh

# A program without a library: main(argc, argv) of what is on stdin.
compile() {    # NAME
    { cat <<'END'
static long call(long number, long a, long b, long c)
{
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
    return result;
}
static unsigned length(const char *text)
{
    unsigned n = 0;
    while (text[n])
        n++;
    return n;
}
static void put(int fd, const char *text)
{
    call(4, fd, (long)text, length(text));
}
__attribute__((used, noreturn)) static void start(int argc, char **argv)
{
    long status = 0;
END
      cat
      cat <<'END'
    (void)argc, (void)argv, (void)put;
    for (;;)
        call(1, status, 0, 0);
}
__asm__(".globl _start\n_start: mov %esp, %eax\n lea 4(%eax), %edx\n push %edx\n push (%eax)\n"
        "call start\n");
END
    } >"$scratch/$1.c"
    gcc -m32 -march=i686 -O1 -ffreestanding -fno-builtin -fno-pic -fno-stack-protector -static \
        -nostdlib -no-pie -Wl,--build-id=none -Wl,-z,noexecstack "$scratch/$1.c" -o "$scratch/$1"
}

# Run grove-run: its stdout to $output, its stderr to $log, its status to $status.
boot() {
    tools/grove-run "$@" >"$scratch/stdout" 2>"$scratch/stderr" </dev/null
    status=$?
    output=$(cat "$scratch/stdout")
    log=$(cat "$scratch/stderr")
}

compile arguments <<'END'
    for (int i = 1; i < argc; i++)
        put(1, "<"), put(1, argv[i]), put(1, ">");
    put(2, "said on standard error\n");
    status = 42;
END
boot "$scratch/arguments" one 'two words' '' "it's" 'a,b,,c' 'back\slash' '"' $'new\nline' --memory
ok 'the status is the program'\''s' test "$status" = 42
ok 'arguments arrive, and stdout has nothing else' test "$output" = \
    "<one><two words><><it's><a,b,,c><back\\slash><\"><"$'new\nline'"><--memory>"
matches 'standard error is with the log' 'said on standard error'

compile wild <<'END'
    put(1, "before");
    *(volatile char *)0 = 1;
END
boot "$scratch/wild"
ok 'killed by SIGSEGV' test "$status" = 139
ok 'what it wrote before is there' test "$output" = before
mkdir "$scratch/a b,c"
cp "$scratch/wild" "$scratch/a b,c/wild one,two"
TMPDIR="$scratch/a b,c" boot --paging 2level "$scratch/a b,c/wild one,two"
ok 'blanks and commas in paths' test "$status" = 139
log=$(ls "$scratch/a b,c")
ok 'temporary files are removed' test "$log" = 'wild one,two'

compile file <<'END'
    char text[64];
    long fd = call(5, (long)argv[1], 0, 0);
    long size = call(3, fd, (long)text, sizeof text);
    call(4, 1, (long)text, size);
    status = fd < 0;
END
echo 'from the host' >"$scratch/a b,c/data"
boot --file "$scratch/a b,c/data:/in/a:b" "$scratch/file" /in/a:b
ok 'a file by another name' test "$status:$output" = '0:from the host'
boot --file "$scratch/a b,c/data" "$scratch/file" /data
ok 'a file by its own name' test "$status:$output" = '0:from the host'
boot --file "$scratch/missing" "$scratch/file" /missing
ok 'a file that does not exist: status' test "$status" = 125
matches 'a file that does not exist: message' 'missing: no such file'

compile forever <<'END'
    for (;;)
        ;
END
boot --timeout 3 "$scratch/forever"
ok 'no end: status' test "$status" = 125
matches 'no end: message' 'no end after 3 seconds'
# QEMU works in a directory below TMPDIR.
mkdir "$scratch/tmp"
machines() {
    readlink /proc/[0-9]*/cwd | grep -c "^$scratch/tmp/"
}
TMPDIR=$scratch/tmp tools/grove-run "$scratch/forever" >/dev/null 2>"$scratch/stderr" </dev/null &
sleep 2
log="$(machines) machines"
matches 'a machine runs' '^[1-9]'
kill $!
wait $!
ok 'ended by a signal: status' test $? = 143
ok 'ended by a signal: QEMU ends too' test "$(machines)" = 0

boot "$scratch/nothing"
ok 'no program: status' test "$status" = 125
matches 'no program: message' 'nothing: no such file'
head -c 60 "$scratch/wild" >"$scratch/damaged"
boot "$scratch/damaged"
ok 'a damaged program: status' test "$status" = 125
matches 'a damaged program: the kernel says why' 'damaged'
cp /dev/null "$scratch/empty"
boot "$scratch/empty"
ok 'an empty program: status' test "$status" = 125
boot --paging 3level "$scratch/wild"
ok 'an unknown format: status' test "$status" = 125
matches 'an unknown format is named' '3level'
boot --frobnicate "$scratch/wild"
ok 'an unknown option: status' test "$status" = 125
matches 'an unknown option is named' 'frobnicate'
boot
ok 'no arguments: status' test "$status" = 125
matches 'no arguments: usage' '^usage: grove-run'
boot --cpu 80085 "$scratch/wild"
ok 'QEMU fails: status' test "$status" = 125
matches 'QEMU fails: its own message' 'CPU model'

mkdir "$scratch/bin"
ln -s /usr/bin/* "$scratch/bin/" 2>/dev/null
rm "$scratch/bin/qemu-system-i386"
PATH=$scratch/bin boot "$scratch/wild"
ok 'no QEMU: status' test "$status" = 125
matches 'no QEMU: the package is named' 'qemu-system-x86'

for i in 1 2 3; do
    tools/grove-run "$scratch/arguments" $i >"$scratch/out$i" 2>/dev/null </dev/null &
done
wait
ok 'several at once' test "$(cat "$scratch/out1" "$scratch/out2" "$scratch/out3")" = '<1><2><3>'
tools/grove-run "$scratch/wild" 2>&1 </dev/null | head -c 1 >/dev/null
ok 'a reader that goes away' test "${PIPESTATUS[0]}" != 0
boot --icount --cpu Nehalem "$scratch/arguments" x
first=$log
boot --icount --cpu Nehalem "$scratch/arguments" x
ok 'two counted runs are equal' test "$log" = "$first"

finish
