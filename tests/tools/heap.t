#!/usr/bin/perl
# The heap's levels as the kernel's command line chooses them, and the prompt's `leaks`.
#
# usage: heap.t [PART-OF-A-NAME]...
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Boot;

for my $value ('', 'none', 'contain', 'full,', 'fuller', 'full,contain,') {
    my $boot = boot("heap=$value", words => "heap=$value");
    status($boot, 5);
    has($boot, 'it is refused', qr/^grove: heap=\Q$value\E: there are heap=basic and heap=full, /m);
}

# Misuse that does not end the kernel: a test of its own does it, and the kernel goes on.
for my $level ('basic', 'full') {
    my $boot = boot("$level, contained", words => "heap=$level,contain test=heap_contains_misuse");
    status($boot, 1);
    has($boot, 'the level is named', qr/^boot: the heap is $level,contain$/m);
    has($boot, 'the first misuse', qr/^grove: misuse of memory, number 1, contained: kfree/m);
    has($boot, 'more of them', qr/^grove: misuse of memory, number 3, contained: kfree/m);
    has($boot, 'the test passes', qr/^ok 1 - heap_contains_misuse$/m);
}

my $boot = boot('leaks', words => 'heap=full', exit => '', modules => in_build('user/tour') . ' tour',
                input => "leaks\nleaks mark\nleaks since\nleaks often\npoweroff\n");
has($boot, 'sites by their symbols',
    qr/^grove> leaks\n( +\d+ bytes in +\d+ buffers, allocated by \w+\+0x\w+\n)+ +\d+ bytes in +\d+ buffers in all$/m);
has($boot, 'nothing since', qr/^grove> leaks since\n +0 bytes in +0 buffers in all$/m);
has($boot, 'its words', qr/^usage: leaks, leaks mark or leaks since$/m);
my ($all) = ($boot ? $boot->{log} : '') =~ /^grove> leaks\n(.*?)in all$/ms;
my @bytes = ($all // '') =~ /^ +(\d+) bytes/mg;
my ($sum, $sorted) = (pop @bytes // 0, @bytes > 1);
$sum -= $_ for @bytes;
$sorted &&= $bytes[$_ - 1] >= $bytes[$_] for 1 .. $#bytes;
check($boot, 'the most bytes first, and their sum', $sorted && $sum == 0, "@bytes");
$boot = boot('leaks, basic', exit => '', input => "leaks\npoweroff\n");
has($boot, 'it says what is missing', qr/^the heap does not know who allocates: boot with heap=full$/m);
finish();
