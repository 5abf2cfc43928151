#!/usr/bin/perl
# The words badram= and memtest: bad frames are listed and never handed out, a value that cannot
# be is refused, and a machine whose RAM was tested goes on.
#
# usage: bad-ram.t [PART-OF-A-NAME]...
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Boot;

# All of memory, page by page: none of it is reserved (tests/kernel/whole_memory.c).
my $whole = 'test=whole_memory_page_by_page';

# --- Pairs and ranges, two words of them; one page is taken already, one is no RAM
my $list = '0x1000123,0xfffffffffffffffc,0x2000000,0xffff9000,0x5000-0x6001';
my $boot = boot('a list', words => "$whole badram=$list badram=0x0-0x1000,0x3fdf000-0x4000000");
status($boot, 1);
my $listed = join '', map { "$_\n" } 'boot: bad RAM, never used: 8 pages',
    map { "boot:   $_  named by badram=" }
    '0000005000-0000007000', '0001000000-0001001000', '0002000000-0002001000',
    '0002002000-0002003000', '0002004000-0002005000', '0002006000-0002007000',
    '0003fdf000-0003fe0000';
has($boot, 'all are listed', qr/^\Q$listed\E(?!boot:   )/m);
has($boot, 'what is taken is noted', qr/^boot: badram=0x0-0x1000: nothing there is free RAM/m);
has($boot, 'they are reserved', qr/^frames: +8  bad$/m);
has($boot, 'none is handed out', qr/^ok 1 - whole_memory_page_by_page$/m);

my $module = in_build('user/tour') . ' tour';
$boot = boot('half of RAM', words => 'paging=2level run badram=0x2000000,0x2000000',
             modules => $module);
status($boot, 1);
has($boot, 'it is one piece', qr/^boot:   0002000000-0003fe0000  named by badram=$/m);
has($boot, 'it is reserved', qr/^frames: +8160  bad$/m);
has($boot, 'a program runs', qr/^grove: "tour" ended with status 0$/m);

# --- Values that cannot be
my %refused = (
    '' => qr/there are pairs of address and mask/,
    '0x2000-0x1000' => qr/that range ends before it begins/,
    '0x101000,0xfffff000' => qr/the kernel image is there/,
    '0x400000,0xffc01000' => qr/bad RAM is in more pieces than there is room for/,
);
for my $value (sort keys %refused) {
    $boot = boot("badram=$value", words => "badram=$value");
    refused($boot, qr/badram=\Q$value\E: $refused{$value}/);
}
$boot = boot('all but the image', words => 'badram=0x1000-0x100000,0x200000-0xffffffff', memory => '8M');
check($boot, 'it boots, or says why not', $boot && ($boot->{status} // 0) =~ /^[15]$/ &&
      $boot->{log} =~ /^boot: memory ready$|^grove: this machine cannot run Grove: .*memory/m,
      'it does neither');

# Where the last page of a module is, the kernel says itself.
$boot = boot('a module', modules => $module);
if ($boot && $boot->{log} =~ /^boot:   00\w+-00(\w+)  a boot module$/m) {
    my $last = sprintf '0x%x', hex($1) - 1;
    $boot = boot('a module: bad RAM', words => "badram=$last,0xfffff000", modules => $module);
    refused($boot, qr/badram=$last,0xfffff000: a boot module is there: have it loaded elsewhere/);
} else {
    check($boot, 'it is in the log', !$boot, 'it is not');
}

# --- The memory test
$boot = boot('memtest', words => "$whole memtest badram=0x1000000-0x1001000");
status($boot, 1);
has($boot, 'it tests all that is free', qr/^memtest: testing 6\d{4} KiB of free RAM$/m);
has($boot, 'one pass, no bad page', qr/^memtest: pass 1 of 1: 0 pages are bad\n(?!memtest)/m);
has($boot, 'only the named page is bad', qr/^frames: +1  bad$/m);
has($boot, 'all of memory can be used', qr/^ok 1 - whole_memory_page_by_page$/m);

$boot = boot('memtest=2', iso => 1, memory => '16M', words => 'memtest=2');
status($boot, 1);
has($boot, 'two passes', qr/^memtest: pass 2 of 2: 0 pages are bad$/m);
has($boot, 'the modules are as they were', qr/^grove: "tour" ended with status 0$/m);

for my $value ('0', '100', '1x') {
    $boot = boot("memtest=$value", words => "memtest=$value");
    refused($boot, qr/memtest=$value: there are memtest, for one pass, and memtest=1 to memtest=99/);
}
finish();

# The kernel says so and leaves with its status for refusals.
sub refused
{
    my ($boot, $pattern) = @_;
    status($boot, 5);
    has($boot, 'it says why', qr/^grove: $pattern/m);
}
