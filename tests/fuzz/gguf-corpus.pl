#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# gguf-corpus.pl DIR [FILE...]: small copies of models for the fuzzer to start from, by default of those
# in tests/golden/data. A copy has the first tokens of the vocabulary and their rows alone, so that most of
# its bytes are bytes that some parser looks at.

use strict;
use warnings;

my $KEEP = 24;
my ($dir, @files) = @ARGV;
die "usage: $0 DIR [FILE...]\n" if !defined $dir;
@files = sort glob 'tests/golden/data/*.gguf' if !@files;

# bytes of a value by its type in GGUF; 8 is a string, 9 an array
my %size = (0 => 1, 1 => 1, 2 => 2, 3 => 2, 4 => 4, 5 => 4, 6 => 4, 7 => 1, 10 => 8, 11 => 8, 12 => 8);
my ($in, $at);

sub take
{
	my ($n) = @_;

	die "ends early\n" if $at + $n > length $in;
	$at += $n;
	return substr($in, $at - $n, $n);
}

sub take_u64 { return unpack('Q<', take(8)); }

sub text { return pack('Q</a*', $_[0]); }

sub value
{
	my ($type) = @_;

	return take($type == 8 ? take_u64() : $size{$type} // die "type $type\n");
}

# The lists that have an entry a token are cut; merges would name tokens that are gone.
sub pairs
{
	my ($n_kv) = @_;
	my ($out, $n, $n_vocab) = ('', 0, 0);

	while ($n_kv--) {
		my $key = take(take_u64());
		my $type = unpack('L<', take(4));
		my $bytes;

		if ($type == 9) {
			my ($of, $count) = unpack('L<Q<', take(12));
			my @all = map { value($of) } 1 .. $count;

			$n_vocab = $count if $key eq 'tokenizer.ggml.tokens';
			splice(@all, $KEEP) if $key =~ /^tokenizer\.ggml\.(?:tokens|scores|token_type)$/;
			@all = () if $key eq 'tokenizer.ggml.merges';
			$bytes = pack('L<Q<', $of, scalar @all) . join('', map { $of == 8 ? text($_) : $_ } @all);
		} else {
			my $v = value($type);

			# a token that is no more there
			next if $key =~ /_token_id$/ && unpack('L<', $v) >= $KEEP;
			$v = pack('L<', $KEEP) if $key =~ /\.vocab_size$/;
			$bytes = $type == 8 ? text($v) : $v;
		}
		$out .= text($key) . pack('L<', $type) . $bytes;
		$n++;
	}
	return ($out, $n, $n_vocab);
}

sub shrink
{
	my ($path) = @_;

	open(my $f, '<:raw', $path) or die "$!\n";
	$in = do { local $/; <$f> };
	$at = 0;
	my ($magic, $version, $n_tensors, $n_kv) = unpack('a4L<Q<Q<', take(24));
	die "no GGUF of version 3\n" if $magic ne 'GGUF' || $version != 3;
	my ($kv, $n_kept, $n_vocab) = pairs($n_kv);
	my @tensors = map {
		my $name = take(take_u64());
		my @ne = unpack('Q<*', take(8 * unpack('L<', take(4))));
		{ name => $name, ne => \@ne, type => take(4), off => take_u64() };
	} 1 .. $n_tensors;
	my $base = ($at + 31) & ~31;
	my ($info, $data) = ('', '');

	# without a table of block sizes: a tensor ends where the next one begins, up to the padding
	my @order = sort { $a->{off} <=> $b->{off} } @tensors;
	$order[$_]{end} = $_ < $#order ? $order[$_ + 1]{off} : length($in) - $base for 0 .. $#order;
	for my $t (@tensors) {
		my $bytes = substr($in, $base + $t->{off}, $t->{end} - $t->{off});

		if (@{$t->{ne}} == 2 && $t->{ne}[1] == $n_vocab && $t->{name} =~ /^(?:token_embd|output)\./) {
			$bytes = substr($bytes, 0, int(length($bytes) / $n_vocab) * $KEEP);
			$t->{ne}[1] = $KEEP;
		} elsif ($t->{name} eq 'output.bias') {
			$bytes = substr($bytes, 0, 4 * $KEEP);
			$t->{ne}[0] = $KEEP;
		}
		$info .= text($t->{name}) . pack('L<Q<*', scalar @{$t->{ne}}, @{$t->{ne}}) . $t->{type} .
			 pack('Q<', length $data);
		$data .= $bytes;
		$data .= "\0" x (-length($data) % 32);
	}
	my $out = pack('a4L<Q<Q<', 'GGUF', 3, $n_tensors, $n_kept) . $kv . $info;
	return $out . "\0" x (-length($out) % 32) . $data;
}

for my $path (@files) {
	my $out = eval { shrink($path) } // die "$path: $@";
	my ($name) = $path =~ m{([^/]+)$};

	open(my $f, '>:raw', "$dir/$name") or die "$dir/$name: $!\n";
	print $f $out;
	close($f) or die "$dir/$name: $!\n";
}
