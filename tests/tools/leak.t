#!/usr/bin/perl
# What the kernel checks after each of its tests does go red: tests that break something on
# purpose (tests/kernel/broken.c) run by name, and the sentence is compared.
#
# usage: leak.t [PART-OF-A-NAME]...
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Boot;

my @broken = (
    ['leak_of_a_frame', 'frames of "kernel, other": \d+ before, \d+ after'],
    ['leak_of_a_space', 'frames of "page tables": \d+ before, \d+ after'],
    ['leak_of_a_buffer', 'frames of "kernel heap": 0 before, 2 after'],
    ['program_frame_without_a_program',
     'the frame at 0x[0-9a-f]+ is counted 1 times, but 0 entries and 0 files have it'],
    ['owner_of_a_frame', 'an owner\'s count of pages is wrong'],
    ['free_list', 'a page in the magazine has another state|a listed page is not free in the frame table'],
    ['kernel_page_is_open', 'a kernel page is open to programs'],
    ['constants_are_writable', 'the kernel\'s text or constants can be written'],
    ['kernel_page_is_writable_and_executable', 'a kernel page is writable and executable'],
    ['heap', 'the registry of a superbuffer is damaged'],
);

for my $paging ('2level', 'pae') {
    for my $case (@broken) {
        my ($name, $sentence) = @$case;
        next if $name =~ /executable/ && $paging eq '2level';
        my $boot = boot("$name $paging", words => "test=broken_$name paging=$paging");
        status($boot, 5);
        has($boot, 'not ok', qr/^not ok 1 - broken_$name$/m);
        has($boot, 'the sentence', qr/^# tests\/kernel\/broken\.c: after broken_$name: ($sentence)/m);
        has($boot, 'the command that repeats it', qr/^# repeat: make test T=broken_$name$/m);
        next unless $name =~ /^leak/;
        has($boot, 'the same after all tests', qr/^# after all tests: $sentence$/m);
        has($boot, 'the table shows it', qr/^# kernel, other +(\d+) +(??{ $1 + 1 })$/m) if $name =~ /frame/;
    }
}
my $boot = boot('a test there is not', words => 'test=no_such_test');
status($boot, 5);
has($boot, 'it is not ok', qr/^not ok 1 - no_such_test$/m);
$boot = boot('all in order', words => 'test=physical_figures_add_up');
status($boot, 1);
has($boot, 'the sum', qr/^# free \d+ \+ used \d+ \+ reserved \d+ = total \d+$/m);
has($boot, 'the same before and after', qr/^# free +(\d+) +\g1$/m);
finish();
