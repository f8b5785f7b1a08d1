#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# Every malformed file of the reference data through zen5-run: one clear line and exit status 1, or
# a clean run; never a signal, a sanitizer report, a hang or a large allocation.
#
# B	build directory, "build" if unset
# BAD	directory of the files and their MANIFEST.json
# RUN	command to give FILE to, instead of "$B/zen5-run FILE --tokens 1,2,3 -n 4 --temp 0"

use strict;
use warnings;
use JSON::PP;

my $b = $ENV{B} // 'build';
my $dir = $ENV{BAD} // '../shared/models/bad';
my @run = defined $ENV{RUN} ? split(' ', $ENV{RUN}) : ("$b/zen5-run");
my @args = defined $ENV{RUN} ? () : ('--tokens', '1,2,3', '-n', '4', '--temp', '0');

my $open = open(my $fh, '<', "$dir/MANIFEST.json");
if (!$open) {
	print "ok 1 # SKIP ../shared is absent\n1..1\n";
	exit 0;
}
my $manifest = decode_json(do { local $/; <$fh> });
close $fh;

if (!-x $run[0]) {
	print "Bail out! $run[0] is not built\n";
	exit 1;
}

# A sanitizer's shadow does not fit into the limit and slows everything down.
my $sanitized = slurp($run[0]) =~ /__(?:asan|ubsan|tsan|msan)_/;
my $seconds = $sanitized ? 20 : 10;
my $limit = $sanitized ? '' : 'ulimit -v 262144; ';
my ($out, $err) = map { "$b/bad.$$.$_" } qw(out err);

sub slurp
{
	my ($path) = @_;

	open(my $f, '<:raw', $path) or return '';
	local $/;
	my $text = <$f>;
	return $text // '';
}

# Returns what is wrong, or nothing.
sub check
{
	my ($expect, $name, $status, $stdout, $stderr) = @_;
	my $signal = $status & 127;
	my $code = $status >> 8;
	my @lines = split(/\n/, $stderr, -1);

	return "a sanitizer reported" if $stderr =~ /ERROR: \w+Sanitizer|runtime error:/;
	return "no answer within $seconds s" if $code == 124 || $code == 137;
	return "killed by signal " . ($signal || $code - 128) if $signal || $code > 128;
	return "exit status $code" if $code > 1;
	return "exit status $code, 0 expected" if $expect eq 'accept' && $code;
	return "exit status 0, 1 expected" if $expect eq 'reject' && !$code;
	return if !$code;
	pop @lines if @lines && $lines[-1] eq '';
	return scalar(@lines) . " lines on stderr, 1 expected" if @lines != 1;
	return "the line does not name the file" if index($lines[0], $name) < 0;
	return "the line says nothing but the name" if length($lines[0]) < length($name) + 8;
	return "control characters on stderr" if $lines[0] =~ /[\x00-\x1f\x7f]/;
	# A model may load and fail only when it has begun to speak.
	return "output on stdout although it was refused" if $expect eq 'reject' && length $stdout;
	return;
}

my $n = 0;
for my $case (@$manifest) {
	my $file = $case->{file};
	my $command = "${limit}exec timeout -k 2 $seconds" .
		' "$@" >"$OUT" 2>"$ERR" </dev/null';

	local $ENV{OUT} = $out;
	local $ENV{ERR} = $err;
	system('sh', '-c', $command, 'sh', @run, "$dir/$file", @args);
	my $status = $?;
	my $stderr = slurp($err);
	my $wrong = check($case->{expect}, $file, $status, slurp($out), $stderr);

	$n++;
	print $wrong ? 'not ' : '', "ok $n - $file: $case->{expect}: ",
	      $case->{reason} =~ tr/#\\/  /r, "\n";
	next if !$wrong;
	print "# $wrong\n";
	print "# $_\n" for grep { defined } (split(/\n/, $stderr))[0 .. 4];
}
unlink $out, $err;
print "1..$n\n";
