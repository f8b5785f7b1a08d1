#!/usr/bin/perl
# SPDX-License-Identifier: MIT
# zen5-bench: what it counts and prints, other engines, comparing. Never how fast anything is. Environment: B.
use strict;
use warnings;
use File::Temp qw(tempdir);
use JSON::PP;
use POSIX qw(WNOHANG);
use Test::More;

my $build = $ENV{B} // 'build';
my $bench = "$build/zen5-bench";
my $model = 'tests/models/zen5-tiny.gguf';
my $dir = tempdir(CLEANUP => 1);

sub slurp {
	my ($path) = @_;
	open my $f, '<', $path or die "$path: $!";
	local $/;
	return scalar <$f>;
}

sub spill {
	my ($path, $text) = @_;
	open my $f, '>', $path or die "$path: $!";
	print $f $text;
	close $f or die;
}

sub sh {
	my ($cmd) = @_;
	my $status = system('sh', '-c', "{ $cmd\n} >$dir/.out 2>$dir/.err </dev/null");
	return ($status & 127 ? 128 + ($status & 127) : $status >> 8, slurp("$dir/.out"), slurp("$dir/.err"));
}

sub near {
	my ($a, $b) = @_;
	return defined $a && defined $b && abs($a - $b) <= 1e-6 * abs($b);
}

# ---- what is in a report ----

my ($rc, $out, $err) = sh("$bench $model -p 16,32 -n 4 --pg 8,2 -d 0,20 -t 1,2 -r 4 --pages 2m,4k -o json");
is($rc, 0, 'a report') or diag $err;
is($err, '', 'nothing on stderr without a terminal');
my $j = eval { decode_json($out) } // {};
my @rows = @{$j->{rows} // []};
# two page sizes, two thread counts, two depths, four tests
is(scalar @rows, 2 * 2 * 2 * 4, 'a row for each combination');
is(join(' ', map { $_->{test} } @rows[0 .. 7]),
	'pp16 pp32 tg4 pp8+tg2 pp16 @ d20 pp32 @ d20 tg4 @ d20 pp8+tg2 @ d20', 'the tests, in order');
is(scalar(grep { @{$_->{samples}} == 4 && !grep { !($_ > 0) } @{$_->{samples}} } @rows), scalar @rows,
	'each repetition has a rate');
for my $r (@rows[0, 2]) {
	my @s = sort { $a <=> $b } @{$r->{samples}};
	ok(near($r->{tok_s_median}, ($s[1] + $s[2]) / 2), "$r->{test}: the median");
	my $mean = ($s[0] + $s[1] + $s[2] + $s[3]) / 4;
	ok(near($r->{tok_s_mean}, $mean), "$r->{test}: the mean");
	my $sum = 0;
	$sum += ($_ - $mean) ** 2 for @s;
	ok(near($r->{tok_s_sd}, sqrt($sum / 3)), "$r->{test}: the standard deviation");
	ok(near($r->{tok_s_ci95}, 3.182 * sqrt($sum / 3) / 2), "$r->{test}: its interval");
	my @v = @{$r->{samples}};
	ok(near($r->{aa}, sqrt($v[1] / $v[0] * $v[3] / $v[2])), "$r->{test}: A/A");
}
my ($pp, $tg, $deep) = @rows[0, 2, 6];
ok(near($pp->{ops_s}, $pp->{token_ops} * $pp->{tok_s_median}) && !defined $pp->{bytes_s}, 'operations of a prompt');
ok(near($tg->{bytes_s}, $tg->{token_bytes} * $tg->{tok_s_median}) && !defined $tg->{ops_s}, 'bytes of a decode');
ok(near($tg->{bandwidth_share}, $tg->{bytes_s} / $tg->{read_bandwidth}), 'its share');
ok(near($pp->{ttft_s}, 16 / $pp->{tok_s_median}), 'time to the first token');
is($rows[3]{bytes_s}, undef, 'a prompt and a decode together have no rate of bytes');
# What --explain counts for a prompt of 3; the output matrix is done once a prompt.
my (undef, $explained) = sh("$build/zen5-run $model --tokens 1,2,3 -n 0 --json --explain");
my ($ops, $float_ops) = (0, 0);
for (@{decode_json($explained)->{explain}{weights}}) {
	my $tokens = $_->{role} eq 'token_embd' ? 1 / 16 : $_->{tokens} / 3;
	my $own = 2 * $_->{rows} * $_->{columns} * $tokens;
	$ops += $own;
	$float_ops += $own if $_->{type} =~ /^B?F/;
}
ok(near($pp->{token_ops}, $ops), 'operations of a token are those of its matrices') or diag "$pp->{token_ops} $ops";
ok($float_ops > 0 && near($pp->{token_float_ops}, $float_ops), 'and of them those with float weights');
cmp_ok($deep->{token_bytes}, '>', $tg->{token_bytes}, 'a deeper context has more to read');
is($pp->{pages_asked}, '2m', 'the pages asked for');
my ($small) = grep { $_->{pages_asked} eq '4k' } @rows;
is("$small->{backend} $small->{page}", 'plain 4096', 'small pages when those are asked for');
is(join(' ', sort keys %{$j->{machine}}), 'cpu foreign_share governor kernel load_1 mem_total steal_share thp zen5',
	'the machine');
like($tg->{level}, qr/^(scalar|avx2|avx512vnni)$/, 'the level');
if ($tg->{level} ne 'scalar') {
	ok($pp->{int8_peak} > 0 && $pp->{f32_peak} > 0 && $pp->{int8_peak_by} =~ /^vp/, 'a peak');
	my ($all, $float) = @$pp{qw(token_ops token_float_ops)};
	my $seconds = ($all - $float) / $pp->{int8_peak} + $float / $pp->{f32_peak};
	ok(near($pp->{peak_share}, $pp->{tok_s_median} * $seconds),
		'and the share of it, floats by themselves');
}
($rc, $out) = sh("$bench $model -p 0 -n 2 -r 1 --kv-type f16,q8_0 -o json");
my ($half, $eighth) = @{decode_json($out)->{rows}};
is("$half->{kv_type} $eighth->{kv_type}", 'f16 q8_0', 'types of the cache');
cmp_ok($half->{token_bytes}, '>', $eighth->{token_bytes}, 'and their bytes');
($rc, $out) = sh("$bench $model -p 8 -n 0 -r 1 --level scalar -o json");
$j = decode_json($out);
is("$j->{rows}[0]{level} " . (0 + $j->{rows}[0]{int8_peak}), 'scalar 0', 'a level without vectors has no peak');
is($j->{rows}[0]{aa}, undef, 'one repetition says nothing of noise');
($rc, $out) = sh("$bench $model -p 8 -n 0 -r 1 --cold -o json");
ok(decode_json($out)->{rows}[0]{cold_load_s} > 0, 'a load from the disk') or diag $out;

# ---- formats ----

($rc, $out) = sh("$bench $model -p 8 -n 2 -r 2");
like($out, qr/\| zen5-tiny\.gguf \| \w+ \| \d+ \| pp8 \|.*\n\| zen5-tiny\.gguf \| \w+ \| \d+ \| tg2 \|/, 'md');
my ($rule) = $out =~ /^(\|---.*)$/m;
is(scalar(grep { tr/|// != ($rule =~ tr/|//) } grep { /^\|/ } split /\n/, $out), 0, 'every line of it has all cells');
($rc, $out) = sh("$bench $model -p 8 -n 2 -r 2 -o csv");
my @lines = split /\n/, $out;
my $fields = sub { my ($l) = @_; $l =~ s/"(?:[^"]|"")*"/x/g; return scalar split /,/, $l, -1; };
is(join(' ', map { $fields->($_) } @lines), join(' ', ($fields->($lines[0])) x 3), 'csv: a header and two rows of its width');
($rc, $out) = sh("$bench $model -p 8 -n 2 -r 2 -o jsonl");
is(scalar(grep { eval { decode_json($_)->{machine}{cpu} } } split /\n/, $out), 2, 'jsonl');
($rc, $out) = sh("$bench $model -p 8 -n 2 -r 2 -o sql");
my ($columns) = $out =~ /^CREATE TABLE IF NOT EXISTS zen5_bench \((.*)\);$/m;
my @inserts = $out =~ /^INSERT INTO zen5_bench VALUES \((.*)\);$/mg;
s/'(?:[^']|'')*'/x/g for @inserts;
is(join(' ', map { scalar split /,/, $_, -1 } @inserts), join(' ', (scalar split /,/, $columns) x 2), 'sql');

# ---- other engines ----

# It is asked for one repetition of one test at a time, and answers as llama-bench does.
spill("$dir/peer", <<'END');
#!/bin/sh
echo "$@" >>"$0.log"
echo 'not JSON at all'
printf '[\n  {\n "avg_ts": 7},\n {"build_commit": "x", "avg_ts": 50.0, "stddev_ts": 0.0}\n]\nmore\n'
echo noise >&2
END
spill("$dir/bad", "#!/bin/sh\nexit 3\n");
spill("$dir/mute", "#!/bin/sh\necho hello\n");
spill("$dir/dead", "#!/bin/sh\nkill -SEGV \$\$\n");
chmod 0755, map { "$dir/$_" } qw(peer bad mute dead);
($rc, $out, $err) = sh("$bench $model -p 8 -n 2 --pg 4,2 -d 3 -t 1 -b 64 -r 2 -o json --peer 'it=$dir/peer -fa 1' "
	. join ' ', map { "--peer $_=$dir/$_" } qw(bad mute dead));
is($rc, 0, 'with peers') or diag $err;
is($err, '', 'which say nothing on our stderr');
@rows = @{decode_json($out)->{rows}};
my @it = grep { $_->{engine} eq 'it' } @rows;
is(scalar @it, 3, 'a row of the peer for each test');
is(scalar(grep { "@{$_->{samples}}" eq '50.0 50.0' || "@{$_->{samples}}" eq '50 50' } @it), 3, 'with its rates');
my ($own) = grep { $_->{engine} eq 'zen5' && $_->{test} eq $it[0]{test} } @rows;
ok(near($it[0]{ratio}, sqrt($own->{samples}[0] * $own->{samples}[1]) / 50), 'and our rate by it');
ok($it[0]{ratio_lo} < $it[0]{ratio} && $it[0]{ratio} < $it[0]{ratio_hi}, 'in an interval');
is(slurp("$dir/peer.log"), join('', map { "-fa 1 -m $model $_ -d 3 -t 1 -ub 64 -r 1 -o json\n" }
		('-p 8 -n 0', '-p 0 -n 2', '-p 0 -n 0 -pg 4,2') x 2), 'what it was asked');
my %failed = map { $_->{engine} => $_->{failed} } grep { $_->{failed} } @rows;
like($failed{bad}, qr/exit status 3/, 'one that fails');
like($failed{mute}, qr/no JSON/, 'one that tells nothing');
like($failed{dead}, qr/signal 11/, 'one that dies');
for (['nothing', 'NAME=COMMAND'], ['x=', 'NAME=COMMAND'], ["x=$dir/none", 'No such file']) {
	my ($arg, $like) = @$_;
	($rc, undef, $err) = sh("$bench $model --peer '$arg'");
	ok($rc == 1 && $err =~ /\Azen5-bench: .*\Q$like\E.*\n\z/, "--peer $arg") or diag "$rc $err";
}

# ---- compare ----

sub report {
	my ($name, %o) = @_;
	my %row = (model => "/somewhere/$name/m.gguf", engine => 'zen5', test => 'tg16', n_prompt => 0, n_gen => 16,
		threads => 2,
		ubatch => 512, pages_asked => '1g', aa_lo => 0.99, aa_hi => 1.01, read_bandwidth => 1e10, %o);
	spill("$dir/$name.json", encode_json({ zen5_bench => 1, machine => { cpu => 'x' }, rows => [\%row] }));
	return "$dir/$name.json";
}

sub verdict {
	my ($a, $b) = @_;
	my ($rc, $out) = sh("$bench compare --json $a $b");
	return eval { decode_json($out)->[0]{verdict} } . " $rc";
}

my $base = report('base', samples => [100, 101, 99, 100, 100]);
is(verdict($base, report('same', samples => [100, 100, 101, 99, 100])), 'no difference shown 0', 'the same again');
is(verdict($base, report('fast', samples => [110, 111, 109, 110, 110])), 'faster 0', 'a tenth faster');
is(verdict($base, report('slow', samples => [90, 91, 89, 90, 90])), 'slower 1', 'a tenth slower');
is(verdict($base, report('noisy', samples => [80, 140, 95, 130, 105])), 'no difference shown 0', 'a mean that is noise');
is(verdict($base, report('aa', samples => [110, 111, 109, 110, 110], aa_lo => 0.85)), 'no difference shown 0',
	'a gain within what repetitions differ by');
is(verdict($base, report('few', samples => [200, 200])), 'too few repetitions 0', 'two repetitions');
is(verdict($base, report('day', samples => [50, 50.5, 49.5, 50, 50], read_bandwidth => 5e9)), 'no difference shown 0',
	'a slower machine is not a slower program');
is(verdict($base, report('even', samples => [(100) x 5])), 'no difference shown 0', 'without any noise');
for ([report('other', test => 'pp3', samples => [1, 1, 1]), qr/no test in common/], ["$dir/none.json", qr/none\.json/],
	['/dev/null', qr/no JSON/], [$model, qr/no JSON/]) {
	my ($file, $like) = @$_;
	($rc, $out, $err) = sh("$bench compare $base $file");
	ok($rc == 1 && $err =~ /\Azen5-bench: .*\n\z/ && $err =~ $like, "compare with $file") or diag "$rc $err";
}
spill("$dir/odd.json", '{"zen5_bench": 1, "rows": [1, null, {"model": 7, "samples": "x", "threads": []}, {"model": "m", '
	. '"samples": [null, -1, "a", 1e999]}]}');
($rc, $out, $err) = sh("$bench compare $dir/odd.json $dir/odd.json");
ok($rc == 1 && $err =~ /\Azen5-bench: .*\n\z/, 'a file that is not what it says') or diag "$rc $out $err";

# ---- what is refused ----

for (["$model -p 0 -n 0", 64, 'nothing to time'], [$model . ' -p x', 64, '-p'], ["$model -r 0", 64, '-r'],
	['', 64, 'which model'], ["$model -o xml", 64, '-o xml'], ["$model --pages 3g", 64, '--pages'],
	["$model --pg 5", 1, 'two numbers'], ["$dir/none.gguf", 1, 'none.gguf'], ["$model --level sse", 1, 'unknown'],
	['compare', 64, 'usage']) {
	my ($args, $want, $like) = @$_;
	($rc, $out, $err) = sh("$bench $args");
	ok($rc == $want && $out eq '' && $err =~ /\Q$like\E/, "refused: $args") or diag "$rc $err";
}
($rc, $out, $err) = sh("$bench $model -p 8 -n 0 -r 1 >/dev/full");
ok($rc == 1 && $err =~ /\Azen5-bench: .*\n\z/, 'a full disk') or diag "$rc $err";
# What a shell starts with & ignores SIGINT, so not by a shell. 10000 repetitions take an hour.
for my $args ('-p 8 -n 8', '-p 8 -n 0') {
	my $pid = fork // die "fork: $!\n";
	if (!$pid) {
		local $SIG{INT} = 'DEFAULT';
		open STDOUT, '>', "$dir/out" and open STDERR, '>', "$dir/err" or die "$dir: $!\n";
		exec split ' ', "$bench $model $args -r 10000";
	}
	my $tries = 600;
	# once only, and when it is caught: the second ends everything at once
	select undef, undef, undef, 0.1
		until slurp("/proc/$pid/status") =~ /^SigCgt:.*[2367abef]$/m || !--$tries;
	select undef, undef, undef, 0.5;
	kill INT => $pid;
	select undef, undef, undef, 0.1 until waitpid($pid, WNOHANG) || !--$tries;
	my $status = $?;
	$tries or kill KILL => $pid and waitpid $pid, 0;
	$err = slurp("$dir/err");
	ok($tries && $status == 130 << 8 && slurp("$dir/out") eq '' && $err eq "zen5-bench: interrupted\n", "Ctrl-C: $args")
		or diag "$status $err";
}
done_testing();
