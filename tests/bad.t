#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# Malformed files through the tools: one clear line and exit status 1, or a clean run; never a signal, a sanitizer
# report, more than 2 s of a CPU, or more than 256 MB of address space. First those that bad-make.pl makes of the small
# models here, then those of the reference data, where they are. zen5-run gets all of them; the other tools in turn, and
# all of them those of the reference data unless sanitizers slow them down.
#
# B	build directory, "build" if unset
# BAD	directory of other files and their MANIFEST.json

use strict;
use warnings;
use File::Temp qw(tempdir);
use JSON::PP;

my $b = $ENV{B} // 'build';
my $shared = $ENV{BAD} // '../shared/models/bad';
my $made = tempdir(CLEANUP => 1);
my ($out, $err, $text) = map { "$made/$_" } qw(out err text);

# {} is the file. Only of zen5-run is known what it has to say to each.
my $run = ['zen5-run', '{}', '--tokens', '1,2,3', '-n', '4', '--temp', '0'];
my @others = (
	['zen5-tokenize', '{}'],
	['zen5-quantize', '--dry-run', '--allow-requantize', '{}', 'Q4_K_M'],
	['zen5-detect', '{}'],
	['zen5-perplexity', '{}', '-c', '8', '-f', $text],
);

sub slurp
{
	my ($path) = @_;

	open(my $f, '<:raw', $path) or return '';
	local $/;
	my $text = <$f>;
	return $text // '';
}

for my $tool ($run, @others) {
	next if -x "$b/$tool->[0]";
	print "Bail out! $b/$tool->[0] is not built\n";
	exit 1;
}
# A sanitizer's shadow does not fit into the limit and slows everything down.
my $sanitized = slurp("$b/zen5-run") =~ /__(?:asan|ubsan|tsan|msan)_/;
my $seconds = $sanitized ? 20 : 2;
my $limits = "ulimit -t $seconds; " . ($sanitized ? '' : 'ulimit -v 262144; ');
# a process that waits for ever uses no CPU
my $hung = 120;

# Returns what is wrong, or nothing.
sub check
{
	my ($expect, $name, $status, $stdout, $stderr) = @_;
	my $signal = $status & 127 || ($status >> 8 > 128 ? ($status >> 8) - 128 : 0);
	my $code = $status >> 8;
	my @lines = split(/\n/, $stderr, -1);

	return "a sanitizer reported" if $stderr =~ /ERROR: \w+Sanitizer|runtime error:/;
	return "no answer within $hung s" if $code == 124;
	return "more than $seconds s of CPU" if $signal == 24 || $signal == 9;
	return "killed by signal $signal" if $signal;
	return "exit status $code" if $code > 1;
	return "exit status $code, 0 expected" if $expect eq 'accept' && $code;
	return "exit status 0, 1 expected" if $expect eq 'reject' && !$code;
	return "control characters on stderr" if $stderr =~ /[\x00-\x09\x0b-\x1f\x7f]/;
	return if !$code;
	pop @lines if @lines && $lines[-1] eq '';
	return scalar(@lines) . " lines on stderr, 1 expected" if @lines != 1;
	return if $lines[0] =~ /: the prompt has \d+ tokens, the context \d/;
	return "the line does not name the file" if index($lines[0], $name) < 0;
	return "the line says nothing but the name" if length($lines[0]) < length($name) + 8;
	# A model may load and fail only when it has begun to speak.
	return "output on stdout although it was refused" if $expect eq 'reject' && length $stdout;
	return;
}

# One tool with one file; what is wrong, and what it said.
sub try
{
	my ($tool, $dir, $file, $expect) = @_;
	my ($name, @args) = map { $_ eq '{}' ? "$dir/$file" : $_ } @$tool;

	local $ENV{OUT} = $out;
	local $ENV{ERR} = $err;
	system('sh', '-c', "${limits}exec timeout -k 2 $hung \"\$@\" >\"\$OUT\" 2>\"\$ERR\" </dev/null", 'sh', "$b/$name", @args);
	my $status = $?;
	my $stderr = slurp($err);
	my $wrong = check($expect, $file, $status, slurp($out), $stderr);

	return $wrong ? ("$name: $wrong", grep { defined } (split(/\n/, $stderr))[0 .. 4]) : ();
}

my ($n, $failed) = (0, 0);

# Every case of a directory, all tools or zen5-run and one of the others in turn.
sub cases
{
	my ($dir, $all) = @_;
	my $manifest = decode_json(slurp("$dir/MANIFEST.json"));

	for my $i (0 .. $#$manifest) {
		my ($file, $expect) = @{$manifest->[$i]}{qw(file expect)};
		my @said = try($run, $dir, $file, $expect);

		push @said, try($_, $dir, $file, 'any') for $all ? @others : $others[$i % @others];
		$failed ||= @said;
		$n++;
		print @said ? 'not ' : '', "ok $n - $file: $expect: ", $manifest->[$i]{reason} =~ tr/#\\\n\e/   ?/r, "\n";
		print "# $_\n" for @said;
	}
}

open(my $f, '>', $text) or die "$text: $!\n";
print $f "The old owl sat in the tree. " x 20;
close $f;
if (system('perl', 'tests/bad-make.pl', $made)) {
	print "Bail out! tests/bad-make.pl failed\n";
	exit 1;
}
cases($made, 0);
if (-e "$shared/MANIFEST.json") {
	cases($shared, !$sanitized);
} else {
	$n++;
	print "ok $n # SKIP ../shared is absent\n";
}
print "1..$n\n";
exit($failed ? 1 : 0);
