#!/usr/bin/perl
# Machines of every size and kind, from the ISO to the end of the tour; and those that cannot be
# booted, or are asked for what there is not: each a clear message, never a reset or a panic.
#
# usage: boot.t [PART-OF-A-NAME]...
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Boot;

my $tour_end = qr/^grove: "tour" ended with status 0$(?s:.*)^grove: "wild" was killed by signal 11/m;

# --- Sizes, in both formats, by GRUB
for my $memory (8, 16, 64, 512, 2048, 4096) {
    for my $paging ('2level', 'pae') {
        my $boot = boot("ISO ${memory}M $paging", iso => 1, memory => "${memory}M", cpu => 'Nehalem',
                        words => "paging=$paging");
        status($boot, 1);
        has($boot, 'the loader is named', qr/^boot: started by GRUB/m);
        has($boot, 'the format', qr/^paging: the doctor finds $paging in order$/m);
        has($boot, 'the tour to its end', $tour_end);
        figures($boot, $memory);
    }
}

# --- Processors: the log says what each lacks
my %lacks = (
    qemu32 => ['NX', 'SMEP', 'SMAP', 'UMIP'],
    pentium3 => ['NX', 'SMEP', 'SMAP', 'UMIP', 'SSE2'],
    'pentium3,-pae,-pge,-pse' => ['PSE', 'PAE', 'PGE', 'NX', 'SMEP', 'SMAP', 'UMIP', 'SSE2'],
    Nehalem => ['SMEP', 'SMAP', 'UMIP'],
    'max,-nx' => ['NX'],
    max => [],
);
for my $cpu (sort keys %lacks) {
    my $boot = boot("CPU $cpu", iso => 1, cpu => $cpu);
    next unless $boot;
    my @lacks = $boot->{log} =~ /^cpu: lacks (\w+)/mg;
    my $nx = !grep { $_ eq 'NX' } @lacks;
    my $pae = !grep { $_ eq 'PAE' } @lacks;

    status($boot, 1);
    check($boot, 'what it lacks', "@lacks" eq "@{ $lacks{$cpu} }",
          "it says @lacks, expected @{ $lacks{$cpu} }");
    has($boot, 'all is said', qr/^cpu: has everything Grove uses$/m) if !@lacks;
    has($boot, 'the format that fits', $pae ? qr/the doctor finds pae/ : qr/the doctor finds 2level/);
    has($boot, 'execution', $nx ? qr/^paging: on, .* nothing else can be executed$/m
                                : qr/^paging: on, kernel text is read-only$/m);
    has($boot, 'the tour to its end', $tour_end);
}

for my $cpu ('486', 'pentium') {
    my $boot = boot("CPU $cpu", cpu => $cpu) or next;
    has($boot, 'it says why', qr/^grove: this processor is older than an i686/m);
    check($boot, 'it is halted', !defined $boot->{status} &&
          $boot->{log} =~ /^grove: the machine is halted$/m, 'it is not');
}

# --- Too little memory: from what cannot hold the frame table to what can boot
my $needs = image_end() / 1024 + 128;       # the firmware keeps the last 128 KiB
for my $more (-100, -50, -8, 0, 8, 16, 32, 40, 48, 56, 64, 96, 160) {
    my $memory = int(($needs + $more) / 8) * 8;
    my $boot = boot("the image and $more KiB", memory => "${memory}K", timeout => 10,
                    words => $more % 16 ? 'paging=pae' : 'paging=2level');
    next unless $boot;
    check($boot, 'it boots, or says why not', defined $boot->{status} &&
          ($boot->{status} == 1 ? $boot->{log} =~ /^boot: memory ready$/m
           : $boot->{status} == 5 && $boot->{log} =~
             /^grove: this machine cannot run Grove: there is not enough .*memory/m),
          'its status is ' . ($boot->{status} // 'none in time'));
    status($boot, 5) if $more <= -8;
    status($boot, 1) if $more >= 160;
    check($boot, 'one banner', 1 == (() = $boot->{log} =~ /^Grove: a memory/mg), 'none or several');
}
my $boot = boot('1 MiB', memory => '1M', timeout => 2);
check($boot, 'no room for the image: no reset', $boot && !defined $boot->{status}, 'it was reset');
$boot = boot('a program in 2 MiB', memory => '2M', words => 'run', modules => program());
check($boot, 'it runs, or says why not', $boot && $boot->{status} =~ /^[15]$/ &&
      $boot->{log} =~ /^grove: (cannot run "tour": there is not enough memory|"tour" (ended|was))/m,
      'it does neither');

# --- The command line
$boot = boot('run without a module', words => 'run');
refused($boot, qr/run: there is no module to run/);
$boot = boot('an unknown word', words => 'frobnicate=7');
refused($boot, qr/unknown word: "frobnicate=7"/);
has($boot, 'the known words are listed', qr/^grove:   paging +paging=2level or paging=pae/m);
$boot = boot('a word that only begins like one', words => 'runs');
refused($boot, qr/unknown word: "runs"/);
for my $format ('xyz', '', '2level2', 'PAE', 'long') {
    $boot = boot("paging=$format", words => "paging=$format");
    refused($boot, qr/paging=$format: there are paging=2level and paging=pae$/);
}
$boot = boot('paging=pae without PAE', words => 'paging=pae', cpu => 'max,-pae');
refused($boot, qr/paging=pae: this processor has no PAE/);
for my $value ('', '0', '1000001', '1x') {
    $boot = boot("guard=$value", words => "guard=$value");
    refused($boot, qr/guard=$value: there are guard=1 to guard=1000000$/);
}
for my $every (1, 7) {
    $boot = boot("guard=$every", iso => 1, words => "guard=$every");
    status($boot, 1);
    has($boot, 'it is on', qr/^heap: one buffer in $every is guarded$/m);
    has($boot, 'the tour to its end', $tour_end);
    $boot = boot("a program and guard=$every", words => "run guard=$every", modules => program());
    status($boot, 1);
}
$boot = boot('a long value', words => 'paging=' . 'x' x 600);
refused($boot, qr/the value of the word "paging" is too long/);
# The longest command line there is, and words to append to it.
my $room = 1023 - length(in_build('grove.elf') . ' paging=pae exit');
$boot = boot('a full command line', words => 'paging=pae' . ' ' x $room,
             more => ['-fw_cfg', 'name=opt/grove/append,string=' . 'x' x 200]);
refused($boot, qr/the words of opt\/grove\/append do not fit on the command line/);
$boot = boot('exit with a value', words => '', exit => 'exit=powerof');
refused($boot, qr/exit=powerof: there is exit=poweroff/);
$boot = boot('output with a value', words => 'output=x');
refused($boot, qr/output=x: there is output=e9/);
$boot = boot('more words than the command line holds', iso => 1, words => 'test=' . 'x,' x 600);
check($boot, 'it is refused', $boot && (stopped($boot) || $boot->{status} == 5) &&
      $boot->{log} =~ /^grove: the words of opt\/grove\/append do not fit on the command line$/m,
      'it is not');
$boot = boot('a long command line', words => 'test=' . 'x,' x 600);
stops($boot, qr/the kernel's command line is longer than 1023 characters/);

# --- The benchmark runs to its end, and leaves nothing behind
$boot = boot('bench', words => 'bench', timeout => 60);
status($boot, 1);
has($boot, 'its last line', qr/^bench done/m);
lacks($boot, 'no module, no mix', qr/^bench heap\.mix/m);
my $mix = scratch() . '/run/mix';
system('sh', '-c', 'xz -dc "$1" >"$2"', 'sh', in_build('../tests/bench/data/kernel_mix.atr.xz'), $mix);
$boot = boot('bench with a mix', words => 'bench', modules => 'mix', timeout => 60);
status($boot, 1);
has($boot, 'the mix', qr/^bench heap\.mix\.alloc \d(?s:.*)^bench heap\.mix\.free\.most \d(?s:.*)^bench done/m);
$boot = boot('bench with a program', words => 'bench', modules => program(), timeout => 60);
refused($boot, qr/bench: the module is no trace of a heap/);

# --- Modules
$boot = boot('a long module string', modules => program() . ' ' . 'a' x 4090);
refused($boot, qr/a program's name and arguments are longer than 4095 characters/);
$boot = boot('more than 1024 arguments', words => 'run', modules => program() . ' a' x 1030);
refused($boot, qr/run: the program has more than 1024 arguments/);
$boot = boot('many modules', modules => join(',', (program()) x 17));
refused($boot, qr/the boot loader brought more than 16 modules/);
$boot = boot('strings of modules', modules => join(',', (program() . ' ' . 'a' x 3000) x 3));
refused($boot, qr/or those of all modules together than 8191/);
$boot = boot('16 modules', modules => join(',', (program()) x 16));
status($boot, 1);

# --- Files that are no programs
my $program = slurp(in_build('user/tour'));
my ($phoff, $phnum) = (unpack('L', substr $program, 28, 4), unpack('S', substr $program, 44, 2));
my $load = 0;
$load++ while unpack('L', substr $program, $phoff + 32 * $load, 4) != 1;
my $segment = $phoff + 32 * $load;
my @damaged = (
    ['empty', '', 'too short'],
    ['one byte', "\x7f", 'too short'],
    ['a text', "#!/bin/sh\n" . "exit 0\n" x 20, 'not an ELF program'],
    ['zeroes', "\0" x 5000, 'not an ELF program'],
    ['half a header', substr($program, 0, 40), 'too short'],
    ['half the program headers', substr($program, 0, $phoff + 16), 'damaged: its program headers'],
    ['a byte too few', substr($program, 0, file_end() - 1), 'damaged: a segment lies outside'],
    ['64 bits', with(4, 'C', 2), 'not a program for the i386'],
    ['another machine', with(18, 'S', 40), 'not a program for the i386'],
    ['an object file', with(16, 'S', 1), 'not an executable one'],
    ['phoff past the end', with(28, 'L', 0x7ffffff0), 'damaged: its program headers'],
    ['phoff that wraps', with(28, 'L', 0xfffffff8), 'damaged: its program headers'],
    ['65535 headers', with(44, 'S', 65535), 'damaged: its program headers'],
    ['headers of another size', with(42, 'S', 31), 'damaged: its program headers'],
    ['huge memsz', with($segment + 20, 'L', 0xfffff000), 'outside the memory of programs'],
    ['filesz above memsz', with($segment + 16, 'L', 0x7fffffff), 'damaged: a segment is larger'],
    ['over the kernel', with($segment + 8, 'L', 0x00100000), 'outside the memory of programs'],
    ['in the kernel\'s part', with($segment + 8, 'L', 0xc0000000), 'outside the memory of programs'],
    ['at 0', with($segment + 8, 'L', 0), 'outside the memory of programs'],
    ['entry at 0', with(24, 'L', 0), 'damaged: its entry point'],
    ['entry in the kernel', with(24, 'L', 0x00100000), 'damaged: its entry point'],
    ['nothing to load', with(map { ($phoff + 32 * $_, 'L', 6) } 0 .. $phnum - 1), 'nothing to load'],
);
for my $case (@damaged) {
    my ($name, $bytes, $sentence) = @$case;
    my $file = scratch() . '/run/damaged';
    open my $handle, '>', $file or die "$file: $!\n";
    binmode $handle;
    print $handle $bytes;
    close $handle;
    $boot = boot("ELF, $name", words => 'run', modules => 'damaged');
    refused($boot, qr/cannot run "damaged": .*$sentence/);
}
finish();

# The module of a sound program, for -initrd.
sub program
{
    return in_build('user/tour') . ' tour';
}

sub slurp
{
    my ($file) = @_;
    open my $handle, '<:raw', $file or die "$file: $!\n";
    local $/;
    return scalar <$handle>;
}

# The program with values in other places: OFFSET, TEMPLATE, VALUE, ...
sub with
{
    my $bytes = $program;
    while (my ($offset, $template, $value) = splice @_, 0, 3) {
        my $packed = pack $template, $value;
        substr($bytes, $offset, length $packed) = $packed;
    }
    return $bytes;
}

# Where the last part of the program that is loaded ends in its file.
sub file_end
{
    my $end = 0;
    for (0 .. $phnum - 1) {
        my ($type, $offset, undef, undef, $size) = unpack 'L5', substr $program, $phoff + 32 * $_, 20;
        $end = $offset + $size if $type == 1 && $size && $offset + $size > $end;
    }
    return $end;
}

# Where the kernel ends in memory.
sub image_end
{
    my $elf = slurp(in_build('grove.elf'));
    my ($at, $count) = (unpack('L', substr $elf, 28, 4), unpack('S', substr $elf, 44, 2));
    my $end = 0;
    for (1 .. $count) {
        my ($type, undef, undef, $address, undef, $size) = unpack 'L6', substr $elf, $at, 32;
        $end = $address + $size if $type == 1 && $address + $size > $end;
        $at += 32;
    }
    return $end;
}

# The kernel says so and leaves with its status for refusals.
sub refused
{
    my ($boot, $pattern) = @_;
    status($boot, 5);
    has($boot, 'it says why', qr/^grove: .*(?:$pattern)/m);
    lacks($boot, 'it does not panic', qr/^panic/m);
}

# It cannot know yet that it may leave: it halts. Nothing restarts it.
sub stopped
{
    my ($boot) = @_;
    return !defined $boot->{status} && $boot->{log} =~ /^grove: the machine is halted$/m &&
        1 == (() = $boot->{log} =~ /^Grove: a memory/mg);
}

sub stops
{
    my ($boot, $pattern) = @_;
    has($boot, 'it says why', qr/^grove: .*(?:$pattern)/m);
    check($boot, 'it is halted', $boot && stopped($boot), 'it is not');
}

# free + used + reserved = total, and the total fits the machine.
sub figures
{
    my ($boot, $memory) = @_;
    return unless $boot;
    my ($free, $used, $reserved, $total) =
        $boot->{log} =~ /^frames: free (\d+) \+ used (\d+) \+ reserved (\d+) = total (\d+)/m;
    check($boot, 'the sum', defined $total && $free + $used + $reserved == $total,
          'free + used + reserved is not the total');
    my $pages = ($memory > 3072 ? 3072 : $memory) * 256;
    check($boot, 'the total fits the machine', defined $total && $total <= $pages &&
          $total > $pages - 400, 'the total is ' . ($total // 'missing') . " of $pages");
    has($boot, 'what is above 3 GiB is counted', qr/^frames: +\d+  above 3 GiB, not managed$/m)
        if $memory > 3072;
}
