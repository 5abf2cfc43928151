#!/usr/bin/perl
# The kernel breaks itself in every way it knows (kernel/crash.c): the report must say what
# happened in words, show registers, the right functions and the walk of the address, and end.
#
# usage: crash.t [PART-OF-A-NAME]...
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Boot;

# The way, the sentences in order, the functions of the backtrace in order (those the kernel has
# on the way to every crash are added), the end of the walk. Those with `trap` have registers.
my @callers = ('selftest_crash', 'kernel_main', 'kernel_entry');
my $empty = 'empty: nothing is mapped there';
my $guarded = 'the buffer 0xdf\w+ of 112 bytes, allocated at guarded_buffer\S*\+0x\w+';
my @ways = (
    { way => 'stack', trap => 1, paging => ['2level', 'pae'],
      says => ['panic: double fault in the kernel', 'tried to use address 0x1[0-9a-f]{5}\.',
               'This is the guard page below the first task\'s kernel stack: the stack overflowed'],
      walk => $empty, trace => [('overflow_stack[.\w]*') x 20], whole => 0 },
    { way => 'task-stack', trap => 1, paging => ['2level', 'pae'], modules => 1,
      says => ['panic: double fault in the kernel', 'tried to use address 0xd[0-9a-f]{7}\.',
               'guard page below the kernel stack of task \d+ \(overflowing\): the stack over',
               'running: task \d+ \(overflowing\)'],
      walk => $empty, trace => [('overflow_stack[.\w]*') x 20], whole => 0 },
    { way => 'null', trap => 1, paging => ['2level', 'pae'],
      says => ['panic: page fault in the kernel', 'tried to write to address 0x8\.',
               'This is page 0: a NULL pointer'], walk => $empty, trace => ['crash_null'] },
    { way => 'call-null', trap => 1, cpu => 'pentium3',
      says => ['panic: page fault in the kernel', 'tried to (execute|read) address 0\.',
               'This is page 0: a NULL pointer'],
      walk => $empty, trace => ['\?', 'crash_call_null'] },
    { way => 'text', trap => 1, paging => ['2level', 'pae'],
      says => ['panic: page fault in the kernel', 'tried to write to address 0x100000\.',
               'This is the kernel\'s code, which is only read and executed'],
      walk => 'page 0x100000', not_walk => 'writable', trace => ['crash_text'] },
    { way => 'rodata', trap => 1, paging => ['2level', 'pae'],
      says => ['panic: page fault in the kernel', 'tried to write to address 0x1[0-9a-f]{5}\.',
               'This is a constant of the kernel, which is only read'],
      walk => 'page 0x1[0-9a-f]{5}(, not executable)?', not_walk => 'writable',
      trace => ['crash_rodata'] },
    { way => 'data', trap => 1, paging => ['pae'],
      says => ['panic: page fault in the kernel', 'tried to execute address 0x1[0-9a-f]{5}\.',
               'This is the kernel\'s data, which is never executed'],
      walk => 'page 0x1[0-9a-f]{5}, writable, not executable', trace => ['\?', 'crash_data'] },
    { way => 'data', name => 'data, without NX', cpu => 'qemu32', paging => ['2level', 'pae'],
      says => ['data was executed', 'panic: crash=data did not crash'], trace => ['panic'] },
    { way => 'user', trap => 1, paging => ['2level', 'pae'],
      says => ['panic: page fault in the kernel', 'tried to write to address 0x40000000\.',
               'This is a program\'s part, which the kernel touches in copies only'],
      walk => $empty, trace => ['crash_user'] },
    { way => 'stray', trap => 1, paging => ['2level', 'pae'], cpu => 'Nehalem',
      says => ['panic: page fault in the kernel', 'tried to write to address 0x40000000\.',
               'This is a program\'s part, which the kernel touches in copies only'],
      walk => $empty, trace => ['crash_stray'] },
    { way => 'stray', name => 'stray, with SMAP', trap => 1,
      says => ['panic: page fault in the kernel', 'tried to write to address 0x40000000\.'],
      walk => $empty, trace => ['crash_stray'] },
    { way => 'unmapped', trap => 1, paging => ['2level', 'pae'],
      says => ['panic: page fault in the kernel', 'tried to write to address 0xd5401001\.'],
      walk => $empty, trace => ['crash_unmapped'] },
    { way => 'assert', says => ['panic: kernel/crash\.c:\d+: assertion failed: 1 \+ 1 == 3'],
      trace => ['panic', 'crash_assert'] },
    { way => 'leave', says => ['panic: mm/x86/linear\.c:\d+: assertion failed'],
      trace => ['panic', 'leave_linear_space[.\w]*', 'crash_leave'] },
    { way => 'frame', says => ['panic: kernel/crash\.c:\d+: assertion failed'],
      trace => ['panic', 'crash_frame[.\w]*', 'selftest_crash'], whole => 0 },
    { way => 'double-free', says => ['panic: misuse of memory: kfree\(0xc\w+\): free already'],
      trace => ['panic', 'host_misuse', 'kheap_misuse', 'kheap_free', 'kfree',
                'crash_double_free'] },
    { way => 'foreign-free', says => ['panic: misuse of memory: kfree\(0x001\w+\): not in the heap'],
      trace => ['panic', 'host_misuse', 'kheap_misuse', 'kheap_free', 'kfree',
                'crash_foreign_free'] },
    { way => 'inner-free', says => ['panic: misuse of memory: kfree\(0xc\w+\): inside the buffer'],
      trace => ['panic', 'host_misuse', 'kheap_misuse', 'kheap_free', 'kfree',
                'crash_inner_free'] },
    { way => 'guard-past', trap => 1, paging => ['2level', 'pae'], words => 'guard=1',
      says => ['panic: page fault in the kernel', 'tried to read address 0xdf\w+\.',
               "This is a read 1 byte past the end of $guarded\\."],
      walk => $empty, trace => ['crash_guard_past'] },
    { way => 'guard-before', trap => 1, words => 'guard=1',
      says => ["This is a read 1 byte before the start of $guarded\\."],
      walk => $empty, trace => ['crash_guard_before'] },
    { way => 'guard-read-freed', trap => 1, words => 'guard=1',
      says => ["This is a read after free, byte 4 of $guarded, " .
               'freed at crash_guard_read_freed\+0x\w+\.'],
      walk => $empty, trace => ['crash_guard_read_freed'] },
    { way => 'guard-write-freed', trap => 1, paging => ['2level', 'pae'], words => 'guard=1',
      says => ["This is a write after free, byte 0 of $guarded, " .
               'freed at crash_guard_write_freed\+0x\w+\.'],
      walk => $empty, trace => ['crash_guard_write_freed'] },
    { way => 'guard-double-free', words => 'guard=1',
      says => ["panic: misuse of memory: kfree\\(0xdf\\w+\\): free already: byte 0 of $guarded, " .
               'freed at crash_guard_double_free\+0x\w+$'],
      trace => ['panic', 'host_misuse', 'misuse[.\w]*', 'kheap_guard_free', 'kheap_free', 'kfree',
                'crash_guard_double_free'] },
    { way => 'guard-overrun', words => 'guard=1',
      says => ["panic: misuse of memory: kfree\\(0xdf\\w+\\): there was a write 1 byte past the " .
               "end of $guarded\$"],
      trace => ['panic', 'host_misuse', 'kheap_guard_free', 'kheap_free', 'kfree',
                'crash_guard_overrun'] },
    { way => 'guard-past', name => 'guard-past, without it',
      says => ['panic: crash=guard-... needs guard=1'],
      trace => ['panic', 'guarded_buffer[.\w]*', 'crash_guard_past'] },
    { way => 'overflow', words => 'heap=full',
      says => ['panic: misuse of memory: kfree\(0xc\w+\): buffer 0xc\w+ of 100 bytes, its canary',
               '^  the call: crash_overflow\+0x\w+$',
               '^  there: buffer 0xc\w+ of 100 bytes, allocated by crash_overflow\+0x\w+; its canary '
               . 'is damaged: byte 100, at 0xc\w+, is 0x78, not 0x[89a-f]\w$',
               '^  before: \w', '^  after: gap 0xc\w+ of \d+ bytes$'],
      trace => ['panic', 'host_misuse', 'kheap_misuse', 'begin_with[.\w]*', 'kheap_full_free', 'kfree',
                'crash_overflow'] },
    { way => 'use-after-free', words => 'heap=full',
      says => ['panic: misuse of memory: kheap_flush: the quarantined buffer 0xc\w+ was written to',
               '^  there: quarantined buffer 0xc\w+ of 100 bytes, allocated by '
               . 'crash_use_after_free\+0x\w+, freed by crash_use_after_free\+0x\w+; it was written '
               . 'to after it was freed: byte 50, at 0xc\w+, is 0x78, not 0xdd$'],
      trace => ['panic', 'host_misuse', 'kheap_overwritten', 'kheap_flush', 'crash_use_after_free'] },
    { way => 'double-free', name => 'double-free, full', words => 'heap=full',
      says => ['panic: misuse of memory: kfree\(0xc\w+\): free already: in the quarantined buffer',
               '^  there: quarantined buffer 0xc\w+ of 100 bytes, allocated by '
               . 'crash_double_free\+0x\w+, freed by crash_double_free\+0x\w+$'],
      trace => ['panic', 'host_misuse', 'kheap_misuse', 'begin_with[.\w]*', 'kheap_full_free', 'kfree',
                'crash_double_free'] },
    { way => 'overflow', name => 'overflow, contained', words => 'heap=full,contain',
      says => ['^grove: misuse of memory, number 1, contained: kfree\(0xc\w+\): buffer',
               'panic: crash=overflow did not crash'], trace => ['panic'] },
    { way => 'overflow', name => 'overflow, basic',
      says => ['panic: crash=overflow did not crash'], trace => ['panic'] },
    { way => 'overrun', says => ['panic: misuse of memory: kheap_flush: the registry of the cached'
                                 . ' buffer .* or one next to it, is damaged'],
      trace => ['panic', 'host_misuse', 'kheap_overwritten', 'kheap_flush', 'crash_overrun'] },
    { way => 'page-double-free', says => ['panic: misuse of memory: free of page 0x\w+: it is free'],
      trace => ['panic', 'host_misuse', 'physical_misuse', 'physical_free_for', 'free_physical_page',
                'crash_page_double_free'] },
    { way => 'page-foreign-free',
      says => ['panic: misuse of memory: free of page 0x100000: it is reserved \(kernel image'],
      trace => ['panic', 'host_misuse', 'physical_misuse', 'physical_free_for', 'free_physical_page',
                'crash_page_foreign_free'] },
    { way => 'page-marker', says => ['panic: free page 0x\w+ was written to: its marker is damaged'],
      trace => ['panic', '(?:take_of_\w+|blocks_take)[.\w]*', 'blocks_take', 'magazine_load',
                'alloc_with_refill', 'alloc_physical_page', 'crash_page_marker'] },
    { way => 'kunmap', says => ['panic: misuse of memory: kunmap of 4096 bytes at 0xd5400000'],
      trace => ['panic', 'host_misuse', 'kunmap', 'crash_kunmap'] },
    { way => 'divide', trap => 1, says => ['panic: divide error in the kernel'],
      trace => ['crash_divide'] },
    { way => 'opcode', trap => 1, says => ['panic: invalid opcode in the kernel'],
      trace => ['crash_opcode'] },
);

for my $way (@ways) {
    for my $paging (@{ $way->{paging} // ['pae'] }) {
        crash($way, $paging);
    }
}
my $boot = boot('a way there is not', words => 'crash=gently');
status($boot, 5);
has($boot, 'it is named', qr/^grove: crash=gently: there is no such way$/m);
finish();

sub crash
{
    my ($way, $paging) = @_;
    my $name = ($way->{name} // $way->{way}) . " $paging";
    my $words = join ' ', "crash=$way->{way} paging=$paging", $way->{words} // ();
    my $boot = boot($name, words => $words, cpu => $way->{cpu} // 'max',
                    $way->{modules} ? (modules => in_build('user/tour') . ' tour') : ());
    $boot or return;
    status($boot, 3);
    has($boot, 'it says what happened', join_lines(@{ $way->{says} }));
    if ($way->{trap}) {
        has($boot, 'registers', qr/^  eip \w{8}  cs 0008  eflags \w{8}\n  eax .* edx \w{8}\n  esi \w{8}  edi /m);
    }
    if ($way->{walk}) {
        my ($walk) = $boot->{log} =~ /finds there:\n((?:walk: .*\n)+)/;
        my @lines = split /\n/, $walk // '';
        check($boot, 'the walk begins at the top', @lines && $lines[0] =~
              ($paging eq 'pae' ? qr/page-directory-pointer table/ : qr/page directory/),
              'the first line of the walk is another table');
        check($boot, 'the walk ends at the reason', @lines && $lines[-1] =~ /$way->{walk}$/ &&
              !($way->{not_walk} && $lines[-1] =~ $way->{not_walk}), "no /$way->{walk}/ at its end");
    }
    my ($trace) = $boot->{log} =~ /^backtrace:\n((?:  \w{8}  .*\n)+)/m;
    my @names = map { /^  \w{8}  (\S+)\+/ ? $1 : '' } split /\n/, $trace // '';
    my @wanted = (@{ $way->{trace} }, ($way->{whole} // 1) ? @callers : '.*');
    my $pattern = join ' ', @wanted;
    check($boot, 'the right functions', "@names " =~ /^$pattern ?$/,
          "they are: @names; expected: @wanted");
}

# Lines in this order.
sub join_lines
{
    my $pattern = join '(?s:.*?)', map { "(?m:$_)" } @_;
    return qr/$pattern/;
}
