#!/usr/bin/perl
# SPDX-License-Identifier: MIT
# The module in virtual machines: kernels times guests, each test of a guest one line here (tests/vm/README).
# Environment: VM_KERNELS (6.1 6.12), VM_GUESTS (part of a guest's name), VM_JOBS (guests side by side), VM_SECONDS (of
# stress, and twice as many of fuzzing), VM_SEED (of fuzzing), B, VM_DIR.
use strict;
use warnings;
use File::Path qw(make_path);
use List::Util qw(sum0);
use Time::HiRes qw(time);

my @kernels = split ' ', $ENV{VM_KERNELS} // '6.1 6.12';
my $b = $ENV{B} // 'build';
my $vm = $ENV{VM_DIR} // 'build-vm';
my $jobs = $ENV{VM_JOBS} // 2;
my $seconds = $ENV{VM_SECONDS} // 60;
my $seed = $ENV{VM_SEED} // 1;
my @all = map { "zen5mem_$_" } qw(abi state map pin life seal limit zero place dmabuf);

# Memory is in GiB. kernels: the guest is for these only. Where CPUs come and go the kernel patches its own branches,
# which one thread for all CPUs of the guest survives.
my @guests = (
	{ name => 'two nodes', nodes => 2, memory => 10, params => 'reserve_gib=0,1', tests => \@all },
	{ name => 'one node', nodes => 1, memory => 8, params => 'reserve_gib=2', one_thread => 1,
		tests => [@all, 'zen5mem_hotplug'] },
	{ name => 'hotplug', nodes => 2, memory => 10, one_thread => 1, tests => ['zen5mem_hotplug'] },
	{ name => 'init_on_alloc=1', nodes => 1, memory => 8, append => 'init_on_alloc=1', params => 'reserve_gib=1',
		tests => ['zen5mem_zero'] },
	# most of the memory in ZONE_MOVABLE
	{ name => 'kernelcore=1G', nodes => 2, memory => 10, append => 'kernelcore=1G', tests => ['movable', 'zen5mem_abi'],
		add => ["$b/zen5-mem"] },
	{ name => 'stress', nodes => 2, memory => 10, params => 'reserve_gib=1,2',
		tests => ["zen5mem_stress $seconds", "zen5mem_fuzz " . 2 * $seconds . " $seed"] },
	{ name => 'resident', nodes => 1, memory => 8, params => 'reserve_gib=1', tests => ['resident'],
		add => ["$b/zen5-run", "$b/zen5-mem", "$b/tests/bench/mkmodel", 'tests/models/zen5-tiny.gguf'] },
	{ name => 'counters', nodes => 2, memory => 6, one_thread => 1,
		tests => ['zen5mem_counters', 'zen5mem_netlink', 'counters'],
		add => ["$b/zen5-top", "$b/zen5-run", "$b/zen5-mem", "$b/zen5-detect", 'tests/models/zen5-tiny.gguf'] },
	# where the ports of CCDs are documented
	{ name => 'ports', nodes => 2, memory => 6, one_thread => 1, model => 2, tests => ['zen5mem_counters'] },
	{ name => 'faults', nodes => 1, memory => 6, params => 'reserve_gib=1', kernels => 'debug',
		tests => ['kunit:zen5mem_kunit', 'zen5mem_faultinject'] },
);

my $count = 0;

sub line {
	my ($not, $text) = @_;
	printf "%sok %d %s\n", $not ? 'not ' : '', ++$count, $text;
}

sub slurp {
	my ($path) = @_;
	open my $f, '<', $path or die "$path: $!\n";
	local $/;
	return scalar <$f>;
}

# 0, or why not in one line; 4 is the status of what cannot be had here.
sub try {
	my (@cmd) = @_;
	my $said = '';
	my $pid = open my $p, '-|';
	defined $pid or die "fork: $!\n";
	if (!$pid) {
		open STDERR, '>&', \*STDOUT;
		exec @cmd or exit 127;
	}
	$said .= $_ while <$p>;
	close $p;
	return ($? >> 8, split /\n/, $said);
}

# One guest in the background; its TAP goes to a file.
sub start {
	my ($run) = @_;
	my ($kernel, $g) = @$run{qw(kernel guest)};
	my $name = "$kernel-$g->{name}" =~ tr/ =/_-/r;
	my @cmd = ('perl', 'tests/vm/guest', '--no-build', '--kernel', $kernel, '--name', $name, '--nodes', $g->{nodes},
		'--memory', $g->{memory});
	push @cmd, map { ("--$_", $g->{$_}) } grep { defined $g->{$_} } qw(append params limit model);
	push @cmd, map { ('--test', $_) } @{$g->{tests}};
	push @cmd, '--one-thread' if $g->{one_thread};
	push @cmd, map { ('--add', $_) } @{$g->{add} // []};
	push @cmd, '--kmemleak', '--limit', 5400, '--test-limit', 1800 if $kernel eq 'debug';
	make_path("$vm/log");
	$run->{out} = "$vm/log/$name.tap";
	$run->{pid} = fork // die "fork: $!\n";
	return if $run->{pid};
	open STDIN, '<', '/dev/null';
	open STDOUT, '>', $run->{out} or die "$run->{out}: $!\n";
	open STDERR, '>&', \*STDOUT;
	exec @cmd or exit 127;
}

sub show {
	my ($run) = @_;
	my $name = "$run->{kernel} $run->{guest}{name}";
	my $plan;
	open my $f, '<', $run->{out} or die "$run->{out}: $!\n";
	while (<$f>) {
		chomp;
		if (/^(not )?ok \d+ - (.*)/) {
			line($1, "- $name: $2");
		} elsif (/^1\.\.\d+$/) {
			$plan = 1;
		} elsif (/^guest: (.*)/ && $run->{status} == 4) {
			line(0, "# SKIP $name: $1");
			$plan = 1;
		} else {
			# times say whose
			print s/^(?:# )?/# /r =~ s/^# (?=\S+: [0-9.]+ s$)/# $name: /r, "\n";
		}
	}
	line(1, "- $name: status $run->{status}, no plan") if !$plan;
}

# A check that cannot fail is none: what kernels write when they are not well, and what they write when they are.
sub alarms {
	my @bad = ('BUG: KASAN: slab-use-after-free in f+0x1/0x2 [zen5mem]', 'WARNING: CPU: 0 PID: 1 at mm/memory.c:1 f+0x1/0x2',
		'mm/pgtable-generic.c:51: bad pud 00000000(80000000)', 'BUG: Bad page state in process a  pfn:1', 'Oops: 0002 [#1]',
		'BUG: Bad rss-counter state mm:0 type:MM_FILEPAGES val:1', 'WARNING: possible circular locking dependency detected',
		'list_del corruption. next->prev should be 0', 'watchdog: BUG: soft lockup - CPU#1 stuck for 26s!',
		'WARNING: suspicious RCU usage', 'unreferenced object 0xffff888100000000 (size 64):', 'UBSAN: shift-out-of-bounds',
		'INFO: task a:1 blocked for more than 120 seconds.', 'Kernel panic - not syncing: f', 'refcount_t: underflow;',
		'general protection fault, probably for non-canonical address 0x1');
	my @good = ('zen5mem: 2 windows of 1 GiB', 'z5| # BUG in a test: not of the kernel', 'traps: a[1] general protection fault ip:1',
		'FAULT_INJECTION: forcing a failure.', 'Debug: LSM', 'clocksource: Long readout interval');
	make_path("$vm/log");
	open my $f, '>', "$vm/log/alarms" or die "$vm/log/alarms: $!\n";
	print $f "[    1.000000] $_\n" for @bad, @good;
	close $f;
	my (undef, @found) = try('perl', 'tests/vm/guest', '--scan', "$vm/log/alarms");
	s/^\[[^]]*\] // for @found;
	line("@found" ne "@bad", '- what is wrong in a log is seen');
}

STDOUT->autoflush(1);
alarms();
if (-e 'tests/kselftest/zen5mem/Makefile') {
	my ($status, @said) = try('make', '-s', '-k', '-C', 'tests/kselftest/zen5mem', 'OUTPUT=' . `printf %s "\$PWD/$b/kselftest"`);
	line(1, '- the device tests build'), print map { "# $_\n" } @said if $status;
}
my @runs;
for my $kernel (@kernels) {
	my $start = time;
	my ($status, @said) = try('perl', 'tests/vm/kernels', 'build', $kernel);
	if ($status == 4) {
		line(0, "# SKIP $kernel: $said[-1]");
		next;
	}
	line($status || scalar @said, "- $kernel: the module builds without a warning");
	printf "# %s\n", $_ for @said;
	printf "# %s: fetched and built in %.0f s\n", $kernel, time - $start;
	next if $status;
	for my $guest (@guests) {
		next if index($guest->{kernels} // $kernel, $kernel) < 0;
		next if index($guest->{name}, $ENV{VM_GUESTS} // '') < 0;
		push @runs, { kernel => $kernel, guest => $guest };
	}
}

# What the guests may have of this machine's memory: a test that takes all of its guest's takes it here too.
my ($free) = map { /^MemAvailable:\s+(\d+)/ ? $1 / (1 << 20) - 1 : () } split /\n/, slurp('/proc/meminfo');
for my $guest (map { $_->{guest} } @runs) {
	next if $guest->{memory} <= $free;
	line(0, "# SKIP $guest->{name}: $guest->{memory} GiB wanted, " . int($free) . ' free') if !$guest->{skipped}++;
}
@runs = grep { !$_->{guest}{skipped} } @runs;
# Shown in the order of the table, however they end.
my @waiting = @runs;
my %running;
$SIG{INT} = $SIG{TERM} = sub { kill TERM => keys %running; exit 1; };
my $shown = 0;
while ($shown < @runs) {
	while (@waiting && keys %running < $jobs) {
		my $taken = sum0(map { $_->{guest}{memory} } values %running);
		last if $taken && $taken + $waiting[0]{guest}{memory} > $free;
		my $run = shift @waiting;
		start($run);
		$running{$run->{pid}} = $run;
	}
	my $pid = waitpid -1, 0;
	my $run = delete $running{$pid} or next;
	$run->{status} = $? >> 8;
	show($runs[$shown++]) while $shown < @runs && defined $runs[$shown]{status};
}
print "1..$count", $count ? '' : ' # SKIP no kernel', "\n";
