# Machine: boots Grove in QEMU, with a time limit, for grove-run, run and tap-kernel.
#
#   my $machine = Machine->new(name => 'grove-run', failed => 125);
#   my $status = $machine->run(timeout => 120, arguments => [...],
#                                          follow => [[$file, $take], ...]);
#
# What the machine writes goes to files in a temporary directory, and those are read while it
# runs: unlike a pipe, a file never makes the emulated machine wait for its reader, so a run
# that counts instructions is the same whatever is at the other end.
package Machine;

use strict;
use warnings;
use File::Temp ();
use Getopt::Long qw(:config require_order no_auto_abbrev no_ignore_case);
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(sleep time);

our $qemu = $ENV{QEMU} || 'qemu-system-i386';

# No devices but those asked for; a triple fault ends QEMU instead of starting again.
our @quiet = qw(-nodefaults -display none -no-reboot);
# The flags under which one unit of the time-stamp counter is one instruction.
our @counting = split ' ', '-icount shift=0,sleep=off -rtc base=2020-01-01,clock=vm -seed 1';
# The kernel leaves QEMU by writing N to this port; QEMU's status is then 2N + 1.
our @leave = ('-device', 'isa-debug-exit,iobase=0xf4,iosize=4');

# name: for messages; failed: the exit status when the machine cannot be run.
sub new
{
    my ($class, %self) = @_;
    return bless { %self }, $class;
}

# The temporary directory, with run/ in it. Once it exists signals are noted, and end us in run().
sub dir
{
    my ($self) = @_;
    return $self->{dir} if $self->{dir};
    for my $signal (qw(INT TERM HUP PIPE)) {
        $SIG{$signal} = sub { $self->{stopped} = $signal };
    }
    $self->{dir} = File::Temp::tempdir('grove.XXXXXX', TMPDIR => 1, CLEANUP => 1);
    mkdir "$self->{dir}/run";
    return $self->{dir};
}

sub fail
{
    my ($self, $message) = @_;
    print STDERR "$self->{name}: $message\n";
    exit $self->{failed};
}

# The comment at the head of the script, which is its manual.
sub manual
{
    open my $self, '<', $0 or return '';
    my $text = '';
    while (<$self>) {
        last unless s/^#(?: |$)// || $. == 1;
        $text .= $_ if $. > 1;
    }
    return $text;
}

# The options of the command line in a hash that holds the defaults.
sub options
{
    my ($self, $option, @known) = @_;
    my $complaint = '';
    local $SIG{__WARN__} = sub { $complaint .= lcfirst $_[0] };
    if (!GetOptions($option, @known, 'help|h')) {
        chomp $complaint;
        $self->fail("$complaint (--help lists the options)");
    }
    if ($option->{help}) {
        print manual();
        exit 0;
    }
}

sub installed
{
    my ($command) = @_;
    return -x $command if $command =~ m{/};
    return grep { -x "$_/$command" } split /:/, $ENV{PATH};
}

sub need
{
    my ($self, $command, $package) = @_;
    installed($command) or $self->fail("$command is not installed: it is in the Debian package"
                                       . " $package (tools/deps installs what is missing)");
}

# A path in QEMU's option syntax, where a comma ends the value.
sub quote
{
    my ($text) = @_;
    $text =~ s/,/,,/g;
    return $text;
}

# Options for a character device that writes to `file` in the temporary directory.
sub chardev
{
    my ($id, $file) = @_;
    return ('-chardev', "file,id=$id,path=../$file");
}

# Options that boot an ISO and give words to its kernel, whose command line is fixed. GRUB
# complains where there is no display adapter.
sub iso
{
    my ($file, $words) = @_;
    return ('-vga', 'std', '-cdrom', $file,
            $words eq '' ? () : ('-fw_cfg', 'name=opt/grove/append,string=' . quote($words)));
}

# The exit status that says what a wait status says.
sub status
{
    my ($wait) = @_;
    return $wait == -1 ? 127 : $wait & 127 ? 128 + ($wait & 127) : $wait >> 8;
}

sub slurp
{
    my ($self, $file) = @_;
    open my $handle, '<', "$self->{dir}/$file" or return '';
    local $/;
    return scalar(<$handle>) // '';
}

# Write all of `data`, however the descriptor takes it; stop the machine if nobody reads it.
sub put
{
    my ($self, $handle, $data) = @_;
    my $at = 0;
    while ($at < length $data) {
        my $done = syswrite $handle, $data, length($data) - $at, $at;
        if (defined $done) {
            $at += $done;
        } elsif ($!{EAGAIN}) {
            sleep 0.01;
        } elsif (!$!{EINTR}) {
            $self->{stopped} //= 'PIPE';
            return;
        }
    }
}

# The command for QEMU. It is killed with us, even by what we cannot catch.
sub command
{
    my ($self, @arguments) = @_;
    $self->need($qemu, 'qemu-system-x86');
    return (installed('setpriv') ? qw(setpriv --pdeathsig KILL) : (), $qemu, @arguments);
}

# Run QEMU in the directory run/. Returns its exit status, or undef after `timeout` seconds, or
# soon after `halted` was set to the time by who reads the output. A signal to us ends QEMU and us.
sub run
{
    my ($self, %options) = @_;
    my @command = $self->command(@{ $options{arguments} });

    $self->dir;

    my $pid = fork // $self->fail("fork: $!");
    if ($pid == 0) {
        setpgrp;        # Ctrl-C is for us; we end QEMU
        chdir "$self->{dir}/run";
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', '../qemu';
        open STDERR, '>&', \*STDOUT;
        exec { $command[0] } @command
            or print STDERR "cannot start $command[0]: $!\n";
        POSIX::_exit(126);
    }

    my $end = time + $options{timeout};
    my @follow = map { { file => $_->[0], take => $_->[1] } } @{ $options{follow} };
    my $status;
    until (defined $status) {
        if (waitpid($pid, WNOHANG) == $pid) {
            $status = $?;
        } elsif ($self->{stopped} || time >= $end
                 || ($self->{halted} && time > $self->{halted} + 2)) {
            kill KILL => $pid;
            waitpid $pid, 0;
            $status = 'stopped';
        } else {
            sleep 0.01;
        }
        follow($self, $_) for @follow;
    }
    $self->leave if $self->{stopped};
    return if $status eq 'stopped';
    return status($status);
}

# Fail unless the kernel ended the machine as it does when all went well.
sub check
{
    my ($self, $status, $timeout) = @_;
    defined $status or $self->fail("no end after $timeout seconds");
    return if $status == 1 && $self->slurp('serial') ne '';
    print STDERR $self->slurp('qemu');
    $self->fail($status == 0 ? 'the machine was reset: a triple fault, or no kernel'
                : $status == 3 ? 'the kernel panicked'
                : $status == 5 ? 'the kernel refused: its log says why'
                : "QEMU ended with status $status");
}

# Hand what is new in a file to its reader.
sub follow
{
    my ($self, $follow) = @_;
    $follow->{handle} //= do {
        open my $handle, '<', "$self->{dir}/$follow->{file}" or return;
        $handle;
    };
    while (sysread $follow->{handle}, my $data, 65536) {
        $follow->{take}->($data);
    }
}

# End as the signal that we were sent would have ended us, but with the files removed.
sub leave
{
    my ($self) = @_;
    my %number = (HUP => 1, INT => 2, PIPE => 13, TERM => 15);
    exit 128 + $number{ $self->{stopped} };
}

1;
