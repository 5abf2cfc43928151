# Work for a heap: hashes, sorting, regular expressions, long strings, nested data; prints sums.
use strict;
use warnings;

my $state = 1;
sub number
{
    $state = ($state * 1103515245 + 12345) % 2**31;
    return $state >> 8;
}

sub checksum
{
    return unpack('%32C*', $_[0]) . '/' . length $_[0];
}

my %table;
for (1 .. 60000) {
    my $value = number();
    push @{$table{'word-' . $value % 7000}}, "$value" x (1 + $value % 3);
}
delete @table{grep { /3$/ } keys %table};
print 'hash ', checksum(join '', map { "$_@{$table{$_}}" } sort keys %table), "\n";

my @sorted = sort { $a->{key} cmp $b->{key} || $a->{value} <=> $b->{value} }
    map { my $value = number();
          +{ key => $value % 5000, value => $value, text => 't' x ($value % 90) } } 1 .. 30000;
print 'sort ', checksum(join ',', map { "$_->{key}:$_->{text}" } @sorted), "\n";

my $text = join ' ', map { sprintf '%x-%d@%d.example', number(), number() % 77, number() % 13 }
    1 .. 20000;
my $found = () = $text =~ /\b[0-9a-f]+-\d+@\d\./g;
$text =~ s/(\d)(\d)/$2<$1>/g;
print "regex $found ", checksum($text), "\n";

my $grown = '';
$grown .= chr(65 + number() % 26) x (number() % 500) for 1 .. 20000;
my %count;
$count{$_}++ for unpack '(a7)*', substr $grown, 0, 700000;
print 'grown ', checksum($grown), ' ', scalar(keys %count), "\n";
my @parts = split /(?<=A)(?=B)|Z+/, $grown;
print 'split ', scalar(@parts), ' ', checksum(join '|', reverse @parts), "\n";
