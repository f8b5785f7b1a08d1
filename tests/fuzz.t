#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# Every target of tests/fuzz under libFuzzer and the sanitizers, two at a time. The seeds come from
# tests/fuzz/NAME-corpus.pl DIR, else from the target as an ordinary program: NAME --corpus DIR. What libFuzzer
# finds worth keeping stays in build-fuzz/corpus/NAME, an input that fails in build-fuzz/found.
#
# FUZZ_SECONDS	a target's time, 30 if unset: how much work is done, not what passes or fails
# FUZZ_TARGETS	names of targets, all if unset
# FUZZ_JOBS	targets at a time, 2 if unset
# B, FUZZ_B	build directories of the programs and of libFuzzer's, "build" and "build-fuzz" if unset

use strict;
use warnings;
use File::Path qw(make_path);

my $seconds = $ENV{FUZZ_SECONDS} // 30;
my $jobs = $ENV{FUZZ_JOBS} // 2;
my $plain = ($ENV{B} // 'build') . '/tests/fuzz';
my $b = $ENV{FUZZ_B} // 'build-fuzz';
my @targets = split ' ', $ENV{FUZZ_TARGETS} // join(' ', map { m{([^/]+)\.c$} } sort glob 'tests/fuzz/*.c');

# A target that has not been through so many inputs goes on until it has, however slow the machine.
my $least = 1000;
my @options = ('-timeout=20', '-rss_limit_mb=1024', '-malloc_limit_mb=256', '-len_control=0', '-print_final_stats=1');
# The smallest models are this large; text and grammars show all that they can in less.
my %max_len = (gguf => 131072);
my $sanitizers = 'detect_leaks=1:quarantine_size_mb=16:allocator_may_return_null=1:abort_on_error=0';

sub slurp
{
	my ($path) = @_;

	open(my $f, '<:raw', $path) or return '';
	local $/;
	return scalar(<$f>) // '';
}

sub runs { return slurp($_[0]) =~ /^stat::number_of_executed_units:\s*(\d+)/m ? $1 : 0; }

# Seeds of a target, written anew. Returns how many there are.
sub seeds
{
	my ($name, $dir) = @_;
	my @generator = -e "tests/fuzz/$name-corpus.pl" ? ('perl', "tests/fuzz/$name-corpus.pl", $dir)
							: ("$plain/$name", '--corpus', $dir);

	unlink glob "$dir/*";
	return system(@generator) ? 0 : scalar(() = glob "$dir/*");
}

# Becomes libFuzzer.
sub fuzz
{
	my ($name, $log, $limit) = @_;

	open(STDOUT, '>', $log) or die "$log: $!\n";
	open(STDERR, '>&', \*STDOUT);
	$ENV{ASAN_OPTIONS} = $sanitizers;
	$ENV{UBSAN_OPTIONS} = 'print_stacktrace=1';
	exec "$b/tests/fuzz/$name", @options, $limit, '-max_len=' . ($max_len{$name} // 8192), "-artifact_prefix=$b/found/$name-",
	     "$b/corpus/$name", "$b/seeds/$name";
	die "$b/tests/fuzz/$name: $!\n";
}

sub target
{
	my ($name) = @_;
	my ($first, $second) = map { "$b/$name.$_.log" } 1, 2;

	my $status = wait_for($name, $first, "-max_total_time=$seconds");
	my $n = runs($first);
	if (!$status && $n < $least) {
		$status = wait_for($name, $second, "-runs=$least");
		$n += runs($second);
	}
	return ($status, $n, slurp(-e $second ? $second : $first));
}

sub wait_for
{
	my ($name, $log, $limit) = @_;
	my $pid = fork // die "fork: $!\n";

	fuzz($name, $log, $limit) if !$pid;
	waitpid($pid, 0);
	return $?;
}

# libFuzzer's time limit is a clock's; a busy machine may be the reason. Then the input passes within CPU time.
sub only_slow
{
	my ($name, $path) = @_;

	return 0 if $path !~ /-timeout-/;
	return !system('sh', '-c', 'ulimit -t 5; exec "$@" >/dev/null 2>&1', 'sh', "$b/tests/fuzz/$name",
		       '-timeout=600', '-rss_limit_mb=1024', $path);
}

# What is wrong with a target, and what to say about it.
sub judge
{
	my ($name) = @_;
	my $n_seeds = seeds($name, "$b/seeds/$name");

	return ("$name: no seeds") if !$n_seeds;
	my ($status, $n, $log) = target($name);
	my ($found) = $log =~ /Test unit written to (\S+)/;
	my @lines = grep { /ERROR|SUMMARY|runtime error|^\s+#[0-9] / } split /\n/, $log;

	if ($status && $found && only_slow($name, $found)) {
		unlink $found;
		return ("$name: $n executions, then the machine was too busy", 1);
	}
	return ("$name: $n executions" . ($found ? ", reproducer: $found" : ", exit status " . ($status >> 8)), 0, @lines)
		if $status;
	return ("$name: $n executions, too few", 0, (split /\n/, $log)[-5 .. -1]) if $n < $least;
	return ("$name: $n executions from $n_seeds seeds", 1);
}

my @missing = grep { !-x "$b/tests/fuzz/$_" } @targets;
if (@missing) {
	print "Bail out! not built (make check and make fuzz do): @missing\n";
	exit 1;
}
make_path(map({ ("$b/corpus/$_", "$b/seeds/$_") } @targets), "$b/found");
unlink map { ("$b/$_.1.log", "$b/$_.2.log") } @targets;

# Workers take the targets in turn, each writes its answer into a pipe of its own.
my (@running, $n);
my $failed = 0;
$| = 1;
sub reap
{
	my ($in) = @{shift @running};
	my ($said, $passed, @lines) = split /\n/, do { local $/; <$in> } // '';

	$failed ||= !$passed;
	printf "%sok %d - %s\n", $passed ? '' : 'not ', ++$n, $said // 'a worker died';
	print "# $_\n" for @lines[0 .. ($#lines < 15 ? $#lines : 15)];
	close $in;
}
for my $name (@targets) {
	reap() if @running >= $jobs;
	pipe(my $in, my $out) or die "pipe: $!\n";
	my $pid = fork // die "fork: $!\n";

	if (!$pid) {
		my ($said, $passed, @lines) = judge($name);

		print $out join("\n", $said, $passed ? 1 : 0, @lines), "\n";
		close $out;
		exit 0;
	}
	close $out;
	push @running, [$in, $pid];
}
reap() while @running;
1 while wait != -1;
print "1..$n\n";
exit $failed;
