# Boot: boots machines for tests and checks their logs, in TAP.
#
#   use Boot;
#   my $boot = boot('what it is', words => 'crash=null', memory => '64M', ...);
#   status($boot, 3);
#   has($boot, 'what is expected', qr/.../);
#   lacks($boot, 'what is not', qr/.../);
#   finish();
#
# A boot is run only if the script has no arguments, or one of them is part of its name: what
# repeats a failure is printed with it. Checks of a boot that was not run are left out.
package Boot;

use strict;
use warnings;
use Cwd qw(abs_path);
use Exporter 'import';
use File::Basename qw(dirname);
use Time::HiRes qw(sleep);
use lib dirname(__FILE__) . '/../../tools';
use Machine;

our @EXPORT = qw(boot status has lacks check finish in_build scratch);

my $build = abs_path(dirname(__FILE__) . '/../../build') // 'build';
my $machine = Machine->new(name => '# boot', failed => 1);
my ($number, $failed, $boots) = (0, 0, 0);
$| = 1;

sub in_build
{
    my ($file) = @_;
    -r "$build/$file" or $machine->fail("$build/$file: no such file (make tests builds it)");
    return "$build/$file";
}

# A directory for files of the test; it goes at the end.
sub scratch
{
    return $machine->dir;
}

# Boot a machine to its end. Options: words, memory (64M), cpu (max), iso (false: QEMU loads the
# kernel), modules (for -initrd), timeout (30), input (typed at the console), more ([] for QEMU). A machine that halts is ended
# soon after. Returns a hash: name, status (undef: it halted, or no end in time), log.
sub boot
{
    my ($name, %option) = @_;
    return undef if @ARGV && !grep { index($name, $_) >= 0 } @ARGV;
    my $words = join ' ', grep { $_ ne '' } $option{words} // '', $option{exit} // 'exit';
    my @what = $option{iso} ? Machine::iso(in_build('grove.iso'), $words)
             : ('-kernel', in_build('grove.elf'), '-append', $words,
                defined $option{modules} ? ('-initrd', $option{modules}) : ());
    unlink map { scratch() . "/$_" } 'serial', 'pid';
    my @serial = Machine::chardev('serial', 'serial');
    if (defined $option{input}) {
        for my $end ('in', 'out') {     # of a pipe, but plain files do
            open my $handle, '>', scratch() . "/console.$end" or $machine->fail("console: $!");
            print $handle "\n$option{input}" if $end eq 'in';    # setting it up loses the first
            close $handle;
        }
        $serial[1] = 'pipe,id=serial,path=../console,logfile=../serial';
    }
    my ($halted, $log) = (0, '');
    my $look = sub {
        $log .= $_[0];
        return if $halted || $log !~ /^grove: the machine is halted\r?\n/m;
        $halted = 1;
        sleep 0.3;      # unless it goes on or begins again
        kill KILL => $machine->slurp('pid');
    };
    my $status = $machine->run(
        timeout => $option{timeout} // 30,
        follow => [['serial', $look]],
        arguments => [@Machine::quiet, @Machine::leave, '-m', $option{memory} // '64M',
                      '-cpu', $option{cpu} // 'max', @what, '-pidfile', '../pid',
                      @serial, '-serial', 'chardev:serial',
                      @{ $option{more} // [] }]);
    $status = undef if $halted && defined $status && $status == 137;
    $boots++;
    return { name => $name, status => $status, qemu => $machine->slurp('qemu'),
             log => $machine->slurp('serial') =~ tr/\r//dr };
}

# One check of a boot.
sub check
{
    my ($boot, $what, $good, $why) = @_;
    return 1 unless $boot;
    $number++;
    if ($good) {
        print "ok $number - $boot->{name}: $what\n";
        return 1;
    }
    $failed++;
    my @log = split /\n/, $boot->{log};
    splice @log, 0, -45 if @log > 45;
    my ($level, $line) = (0, 0);
    while (my @frame = caller $level++) {
        $line = $frame[2] if $frame[1] eq $0;
    }
    print "not ok $number - $boot->{name}: $what\n# $0, line $line: $why\n",
        map { "#   $_\n" } @log;
    print map { "#   $_\n" } split /\n/, $boot->{qemu};
    print "# repeat: $0 '$boot->{name}'\n";
    return 0;
}

sub status
{
    my ($boot, $wanted) = @_;
    return unless $boot;
    my $is = $boot->{status} // 'no end in time';
    check($boot, "status $wanted", $is eq $wanted, "the status is $is");
}

sub has
{
    my ($boot, $what, $pattern) = @_;
    check($boot, $what, scalar($boot && $boot->{log} =~ $pattern), "nothing in the log matches $pattern");
}

sub lacks
{
    my ($boot, $what, $pattern) = @_;
    check($boot, $what, $boot && $boot->{log} !~ $pattern, "the log matches $pattern");
}

sub finish
{
    if (!$boots) {
        print "Bail out! no boot has such a name: @ARGV\n";
        exit 1;
    }
    print "1..$number\n";
    exit($failed > 0);
}

1;
