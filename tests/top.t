#!/usr/bin/perl
# SPDX-License-Identifier: MIT
# zen5-top on a machine that counts nothing: running models, the forms of output, recordings, and the screen on a pseudo
# terminal, where each step waits for what it expects to see. Counters are shown in tests/vm (guest-tests/counters.sh).
# Environment: B, the build directory.
use strict;
use warnings;
use Fcntl;
use File::Temp qw(tempdir);
use IO::Select;
use JSON::PP;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

require './tests/pty.pl';

my $b = $ENV{B} // 'build';
my $top = "$b/zen5-top";
my $dir = tempdir(CLEANUP => 1);
my $model = 'tests/models/zen5-tiny.gguf';
$ENV{TERM} = 'xterm';
delete @ENV{qw(LC_ALL LC_CTYPE LANG LINES COLUMNS)};

sub sh {
	my ($cmd) = @_;
	my $status = system('sh', '-c', "{ $cmd\n} >$dir/out 2>$dir/err </dev/null");
	my @text = map { open my $f, '<:raw', "$dir/$_" or die; local $/; <$f> // '' } qw(out err);
	return ($status & 127 ? 128 + ($status & 127) : $status >> 8, @text);
}

# ---- a model that runs ----

# long enough for everything below, and stopped there
my $running = fork // die "fork: $!";
if (!$running) {
	open STDOUT, '>', '/dev/null';
	open STDERR, '>', '/dev/null';
	exec "$b/zen5-run", $model, qw(--ignore-eos --temp 0 -t 2 --throttle 2 --bandwidth-budget 0.02 -c 4096 -n 4000),
		qw(-p Once) or POSIX::_exit(9);
}
# until it decodes
my $rc = 1;
my ($out, $err);
for (1 .. 600) {
	($rc, $out, $err) = sh("$top --json -n 1 -d 0.05");
	my ($own) = grep { $_->{pid} == $running } @{(eval { decode_json($out) } // {})->{processes} // []};
	last if $rc || $own && $own->{decoded};
	sleep 0.1;
}
my $j = eval { decode_json($out) } // {};
my ($p) = grep { $_->{pid} == $running } @{$j->{processes} // []};
ok($rc == 0 && $p, 'JSON shows the process') or diag "$rc $out $err";
is($p->{model}, 'zen5-tiny.gguf', 'its model');
ok(($p->{threads} // 0) == 2 && ($p->{throttle} // '') =~ /^fixed: 2/ && abs(($p->{budget_bytes_s} // 0) - 2e7) < 1,
	'threads, throttle and budget') or diag explain $p;
is_deeply([map { $j->{$_} } qw(domains channels)], [[], []], 'no counters here') if ($j->{source} // '') eq 'software';
ok(@{$j->{notes}} > 0, 'and the reasons');
($rc, $out, $err) = sh("$top -b -n 2 -d 0.05");
ok($rc == 0 && $err eq '' && (() = $out =~ /^zen5-top  /mg) == 2 && $out =~ /^ *$running zen5-run .* zen5-tiny\.gguf$/m,
	'text, twice') or diag "$rc $out $err";
($rc, $out) = sh("$top --csv -n 2 -d 0.05");
ok($rc == 0 && $out =~ /\Atime,kind,index,name,value\n/ && (() = $out =~ /^time,/mg) == 1 &&
	!grep { !/^[^,]+,[a-z]+,\d+,[a-z_0-9]+,("(?:[^"]|"")*"|[-+.\de]*|true|false)$/ && !/^time,/ } split /\n/, $out) or diag $out;
like($out, qr/^[^,]+,process,$running,/m, 'the process in CSV');

# ---- recordings ----

($rc, undef, $err) = sh("$top --json -n 2 -d 0.05 --record $dir/r");
($rc, undef, $err) = sh("$top -b -n 1 -d 0.05 --record $dir/r");
open my $f, '<', "$dir/r" or die "$dir/r: $!";
my @lines = <$f>;
close $f;
ok($rc == 0 && @lines == 3 && !(grep { !eval { decode_json($_)->{zen5_top} } } @lines), 'a recording is appended to') or diag "$rc $err @lines";
sh("echo this is important >$dir/other");
($rc, $out, $err) = sh("$top -b -n 1 -d 0.05 --record $dir/other; cat $dir/other");
ok($out eq "this is important\n" && $err =~ /\Azen5-top: .*other.*\n\z/, 'another file is not') or diag "$out $err";
($rc, $out, $err) = sh("$top -b -n 1 -d 0.05 --record $dir/no/where");
ok($rc == 1 && $err =~ /\Azen5-top: .*\n\z/, 'a folder that is not there');
sh("printf '{\"zen5_top\":1,\"ti' >>$dir/r; $top -b -n 1 -d 0.05 --record $dir/r");
open $f, '<', "$dir/r" or die "$dir/r: $!";
@lines = <$f>;
close $f;
is_deeply([scalar @lines, scalar grep { eval { decode_json($_)->{zen5_top} } } @lines], [4, 4],
	'what a killed process left of a line makes room');
POSIX::mkfifo("$dir/fifo", 0600);
for (['/dev/full', qr/No space/], ["$dir/fifo", qr/no ordinary file/]) {
	my ($to, $like) = @$_;
	($rc, undef, $err) = sh("$top -b -n 1 -d 0.05 --record $to");
	ok($rc == 1 && $err =~ /\Azen5-top: .*\n\z/ && $err =~ $like, "a recording to $to") or diag "$rc $err";
}
($rc, $out, $err) = sh("$top --json -n 1 -d 0.05 >/dev/full");
ok($rc == 1 && $err =~ /\Azen5-top: .*\n\z/, 'a full disk') or diag "$rc $err";
($rc, $out, $err) = sh("$top -b -n 50 -d 0.05 | head -n 1");
ok($out =~ /^zen5-top/ && $err !~ /\n.*\n/, 'a pipe that closes') or diag $err;

# ---- words of others ----

# A status of this process whose texts would command a terminal, turn a line and break tables (struct z5_status).
sub hostile {
	my $name = 'zen5rt-status';
	# memfd_create, close-on-exec and to be sealed
	my $fd = syscall 319, $name, 3;
	return if $fd < 0;
	open my $file, '+<&=', $fd or die "memfd: $!";
	my $model = "=\xe6\x97\xa5\xe2\x80\xae\"\e[2J\x9b\xc2\x9b";
	my $status = pack 'L4 Q6 L3 C64 a128 a160 a32 x4 d2', 0x7a357374, 1, 480, 2, (0) x 6,
		8, 4, 2, 2, 2, (0) x 62, $model, "a\nb", 'none', 0, 0;
	syswrite $file, $status;
	# not to shrink, not to grow
	fcntl $file, 1033, 6 or die "seals: $!";
	return $file;
}

my $hostile = hostile();
SKIP: {
	skip 'no memfd here', 4 if !$hostile;
	my %want = ('C' => qr/\?\?"/, 'C.UTF-8' => qr/\xe6\x97\xa5\?"/);
	for my $locale (sort keys %want) {
		($rc, $out, $err) = sh("LC_ALL=$locale $top -b -n 1 -d 0.05");
		ok($rc == 0 && $out =~ /^ *$$ .* 4\/8 +=$want{$locale}\?\[2J\?\?\?\n.* 2\+2, throttle a\?b /m,
			"hostile texts in locale $locale") or diag $out;
	}
	($rc, $out) = sh("$top --csv -n 1 -d 0.05");
	like($out, qr/,process,$$,model,"'=[^"]*""\?\[2J\?\?\?"$/m, 'no formula in CSV');
	($rc, $out) = sh("$top --json -n 1 -d 0.05");
	ok(eval { decode_json($out) }, 'and JSON that is valid') or diag $out;
	close $hostile;
}

# ---- usage ----

for (['-d 0', qr/interval/], ['-d x', qr/interval/], ['-n 0', qr/iterations/], ['--json --csv', qr/one of them/], ['extra', qr/extra/]) {
	my ($args, $like) = @$_;
	($rc, undef, $err) = sh("$top $args");
	ok($rc == 64 && $err =~ $like, "wrong usage: $args") or diag "$rc $err";
}
($rc, undef, $err) = sh($top);
ok($rc == 64 && $err =~ /\Azen5-top: .*-b.*\n\z/, 'no terminal') or diag "$rc $err";

# ---- the screen ----

use constant { TIOCSWINSZ => 0x5414, TCGETS => 0x5401 };
my ($tty, $slave, $pid, $seen, $before);

sub size {
	my ($rows, $columns) = @_;
	ioctl $tty, TIOCSWINSZ, pack('S4', $rows, $columns, 0, 0);
}

sub start {
	my ($rows, $columns, @args) = @_;
	($tty, my $path) = pty_open() or return 0;
	sysopen $slave, $path, O_RDWR | O_NOCTTY or return 0;
	size($rows, $columns);
	$seen = '';
	# not later: the program changes it
	$before = mode();
	$pid = pty_run($path, $top, @args);
	return 1;
}

# Waits until what was shown since the last time matches; the limit is for a program that hangs.
sub expect {
	my ($like) = @_;
	my $end = time + 60;
	my $select = IO::Select->new($tty);
	while ($seen !~ $like) {
		return 0 if time > $end || !$select->can_read(1) && time > $end;
		next if !$select->can_read(0);
		sysread($tty, my $part, 65536) or return $seen =~ $like;
		$seen .= $part;
	}
	$seen = '';
	return 1;
}

sub type {
	syswrite $tty, $_[0];
}

sub mode {
	my $t = "\0" x 64;
	ioctl $slave, TCGETS, $t;
	return unpack 'H*', substr $t, 0, 36;
}

sub ended {
	waitpid $pid, 0;
	return $? & 127 ? 128 + ($? & 127) : $? >> 8;
}

SKIP: {
	skip 'no pseudo terminals here', 1 if !start(24, 80, '-d', 0.05);
	ok(expect(qr/zen5-top.*$running/s), 'a screen of 24 x 80');
	type('p');
	ok(expect(qr/pause/i), 'p pauses');
	type('p');
	type('?');
	ok(expect(qr/quit|end/i), '? helps');
	type('?');
	size(50, 200);
	kill WINCH => $pid;
	ok(expect(qr/zen5-top/), 'larger');
	size(1, 1);
	kill WINCH => $pid;
	type("\e[B\e[A ");
	size(5, 20);
	kill WINCH => $pid;
	# the help is written over what stands there, whatever of the sizes was seen on the way
	type('?');
	ok(expect(qr/[a-z]{3}/), 'down to 1 x 1, and up again');
	type('?');
	type('q');
	is(ended(), 0, 'q ends it');
	is(mode(), $before, 'and the terminal is as before');
	for my $sig (qw(INT TERM HUP)) {
		start(24, 80, '-d', 0.05);
		expect(qr/zen5-top/);
		kill $sig => $pid;
		my $status = ended();
		my %number = (HUP => 1, INT => 2, TERM => 15);
		ok(($sig eq 'INT' ? $status == 0 || $status == 130 : $status == 128 + $number{$sig}) && mode() eq $before,
			"SIG$sig: the terminal is as before") or diag $status;
	}
	start(24, 80, '-d', 0.05, '-n', 3);
	is(ended(), 0, '-n ends it');
	start(24, 80, '-d', 0.05, '--record', '/dev/full');
	ok(expect(qr/\e\[\?1049l.*zen5-top: \/dev\/full: .*\n/s) && ended() == 1 && mode() eq $before,
		'a failure gives the terminal back, then says why') or diag $seen;
	delete $ENV{TERM};
	start(24, 80);
	ok(expect(qr/zen5-top: TERM .*-b/) && ended() == 64, 'no TERM is said') or diag $seen;
	$ENV{TERM} = 'no-such-terminal';
	start(24, 80);
	ok(expect(qr/zen5-top: .*-b/) && ended() == 64, 'an unknown terminal is said') or diag $seen;
}

kill KILL => $running;
waitpid $running, 0;
($rc, $out) = sh("$top --json -n 1 -d 0.05");
unlike($out, qr/"pid":$running\b/, 'a killed process is gone');
done_testing();
