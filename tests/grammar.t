#!/usr/bin/perl
# SPDX-License-Identifier: MIT
# Answers of the model that ships with the project under grammars. Environment: B, the build directory.
use strict;
use warnings;
use File::Temp qw(tempdir);
use JSON::PP;
use Test::More;

my $b = $ENV{B} // 'build';
my $model = 'tests/models/zen5-tiny.gguf';
my $dir = tempdir(CLEANUP => 1);

# Runs zen5-run; returns its JSON, or undef and what it said.
sub run {
	my (@args) = @_;
	my $pid = open(my $p, '-|') // die "fork: $!";
	if (!$pid) {
		open STDERR, '>', "$dir/err";
		exec "$b/zen5-run", $model, '-p', 'Once upon a time', '--json', @args;
	}
	my $out = do { local $/; <$p> // '' };
	close $p;
	my $err = do { local $/; open my $f, '<', "$dir/err" or die; <$f> // '' };
	return ($out ne '' ? decode_json($out) : undef, $err, $? >> 8);
}

sub file {
	my ($name, $text) = @_;
	open my $f, '>:raw', "$dir/$name" or die;
	print $f $text;
	close $f;
	return "$dir/$name";
}

for my $seed (0 .. 5) {
	my ($j) = run('--grammar', 'root ::= ([a-z]{1,9} " "){3} [0-9]{2,4} "."', '--temp', $seed ? 1 : 0, '--seed', $seed, '-n', 200);
	ok($j && $j->{text} =~ /^([a-z]{1,9} ){3}[0-9]{2,4}\.\z/ && $j->{end} eq 'eos', "seed $seed: $j->{text}");
}
my $json = JSON::PP->new->utf8(0);
for my $seed (1 .. 6) {
	my ($j) = run('--grammar-file', 'Documentation/grammars/json.gbnf', '--temp', 1, '--seed', $seed, '-n', 400, '-c', 1000);
	ok($j && ($j->{end} eq 'length' || eval { $json->decode($j->{text}) }), "seed $seed: JSON")
		or diag $j->{text};
}
my @same = map { (run('--grammar-file', 'Documentation/grammars/arithmetic.gbnf', '--temp', 1, '--seed', 9, '-n', 60, '-t', $_))[0]{text} } 1, 2;
is($same[0], $same[1], 'the same seed and grammar, the same text');
like($same[0], qr/^[-0-9.+*\/() =\n]+$/, 'of the letters that the grammar has');
my ($j) = run('--grammar', "root ::= \"\x{c3}\x{a9}\x{e2}\x{82}\x{ac}\" [\\u3041-\\u3096]{3}");
like($j->{text}, qr/^\x{e9}\x{20ac}[\x{3041}-\x{3096}]{3}\z/, 'characters that the vocabulary has as bytes only');

sub fails {
	my ($name, $like, $status, @args) = @_;
	my ($out, $err, $rc) = run(@args);
	ok(!$out && $rc == $status && $err =~ $like, $name) or diag "status $rc: $err";
}
fails('a wrong grammar', qr/^zen5-run: --grammar: grammar:1:10: this " has no end.*\n\z/, 1, '--grammar', 'root ::= "x');
fails('a wrong file', qr/^zen5-run: \Q$dir\E\/g: grammar:2:1: rule x can begin with itself.*\n\z/, 1,
      '--grammar-file', file('g', "root ::= x\nx ::= x \"a\" | \"b\"\n"));
fails('no such file', qr/nonexistent: No such file/, 1, '--grammar-file', '/nonexistent');
fails('two grammars', qr/more than one grammar/, 64, '--grammar', 'root ::= "x"', '--grammar-file', 'x');
fails('--ignore-eos', qr/--ignore-eos with a grammar/, 64, '--grammar', 'root ::= "x"', '--ignore-eos');
fails('a token that does not exist', qr/1:10: the vocabulary has no token/, 1, '--grammar', 'root ::= <[99999]>');
done_testing;
