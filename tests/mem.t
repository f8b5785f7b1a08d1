#!/usr/bin/perl
# SPDX-License-Identifier: MIT
# zen5-mem and zen5-run --resident as a user meets them, without the device and on a stand-in for it
# (tests/unit/fakedev.h); on the module itself: tests/vm/guest-tests/resident.sh. Environment: B, CC.
use strict;
use warnings;
use File::Temp qw(tempdir);
use JSON::PP;
use POSIX ();
use Test::More;

my $b = $ENV{B} // 'build';
my $mem = "$b/zen5-mem";
my $run = "$b/zen5-run";
my $tiny = 'tests/models/zen5-tiny.gguf';
my $dir = tempdir(CLEANUP => 1, -w '/dev/shm' ? (DIR => '/dev/shm') : (TMPDIR => 1));
delete @ENV{grep { /^FAKEDEV/ } keys %ENV};

sub sh {
	my ($cmd) = @_;
	my $status = system('sh', '-c', "{ $cmd\n} >$dir/out 2>$dir/err </dev/null");
	my @text = map { open my $f, '<:raw', "$dir/$_" or die; local $/; <$f> // '' } qw(out err);
	return ($status & 127 ? 128 + ($status & 127) : $status >> 8, @text);
}

# A failure is one line on stderr that matches, nothing on stdout; wrong usage may say more.
sub fails {
	my ($cmd, $want, $like, $name) = @_;
	my ($rc, $out, $err) = sh($cmd);
	my $lines = () = $err =~ /\n/g;
	ok($rc == $want && $out eq '' && $err =~ $like && ($lines == 1 || $want == 64), $name)
		or diag "status $rc, stdout: $out\nstderr: $err";
}

sub works {
	my ($cmd, $like, $name) = @_;
	my ($rc, $out, $err) = sh($cmd);
	ok($rc == 0 && $out =~ $like && $err eq '', $name) or diag "status $rc, stdout: $out\nstderr: $err";
	return $out;
}

# ---- usage ----

fails("$mem", 64, qr/what to do.*list/, 'no verb');
fails("$mem frobnicate", 64, qr/frobnicate: unknown, take one of list/, 'an unknown verb');
fails("$mem list x", 64, qr/zen5-mem list/, 'an argument too many');
fails("$mem info", 64, qr/zen5-mem info NAME/, 'an argument too few');
fails("$mem create x", 64, qr/how large/, 'a region without a size');
fails("$mem create x $_", 64, qr/create \Q$_\E: expected a size above 0/, "a size of $_")
	for qw(0 1x +1 G 1.5G 99999999999999999999 9999999T 8EiB);
fails("$mem create '$_' 1M", 64, qr/is no name: 1 to 63/, "a region named '$_'") for '', '.x', 'a/b', 'a b', 'x' x 64;
fails("$mem create x 1M --order 3m", 64, qr/take one of 1g, 2m, 4k/, 'pages that no CPU has');
fails("$mem create x 1M --strict", 64, qr/not a multiple of the page size/, 'a part of a page');
fails("$mem create x 1M --ccd 1 --node 1", 64, qr/one of them/, 'two places');
fails("$mem create x 1M --ccd -1", 64, qr/--ccd -1/, 'no place');
fails("$mem list --strict", 64, qr/are for create/, 'an option of another verb');
fails("$mem list --timeout 3", 64, qr/is for wait/, 'another one');
fails("$mem reserve $_", 64, qr/expected N or N\@NODE/, "a reserve of $_") for qw(x +1 1@ 1@x 2@99999 9999999 1.5);
fails("$mem reserve 1 2", 64, qr/on which node/, 'two reserves for the same nodes');
fails("$mem reserve 1\@0 2\@0", 64, qr/there twice/, 'two reserves for a node');
fails("$mem wait x --timeout x", 64, qr/--timeout x/, 'a time that is none');
fails("$run $tiny --resident= -p x", 64, qr/which name/, 'a resident model with an empty name');
fails("$run $tiny --resident='a b' -p x", 1, qr/"a b" is no name/, 'a resident model with a name that is none');

# ---- without the device ----

SKIP: {
	skip 'the module is loaded here', 8 if -e '/dev/zen5mem';
	fails("$mem $_", 1, qr/\Azen5-mem: no \/dev\/zen5mem \(modprobe zen5mem\)\n\z/, "without the module: $_")
		for 'list', 'list --json', 'info x', 'create x 1M', 'destroy x', 'reserve 1', 'wait x';
	my ($rc, $out, $err) = sh("$run $tiny -p Once -n 4 --temp 0 --resident");
	my $line = qr/zen5-run: the weights do not stay in memory: no \/dev\/zen5mem \(modprobe zen5mem\)/;
	ok($rc == 0 && $out =~ /^Once/ && $err =~ /\A$line\nload .*tok\/s\n\z/,
	   'a model that cannot stay runs all the same') or diag $err;
}

# ---- on a stand-in ----

my $cc = $ENV{CC} // 'cc';
my $built = system("$cc -D_GNU_SOURCE -O1 -Iinclude -shared -fPIC -x c tests/unit/fakedev.h -o $dir/fakedev.so") == 0;
if (!$built || $b =~ /asan/) {
	pass('no stand-in here # SKIP');
	done_testing;
	exit;
}
mkdir "$dir/dev";
my $fake = "env FAKEDEV=$dir/dev LD_PRELOAD=$dir/fakedev.so";
$mem = "$fake $mem";
$run = "$fake $run";

works("$mem list", qr/\Ano regions\nnode 0 .*0 free, 0 used; perhaps 5 more.*\nmodule .*8\.00 GiB/, 'an empty list');
works("$mem create data 2500m", qr/\Adata: region \d+, 2\.44 GiB: 2 x 1 GiB \+ 226 x 2 MiB\n.*any node\n  not sealed.*\n  slots 0-1: each 1 x 1 GiB, node 0\n  slot 2: 226 x 2 MiB/,
      'a region is made');
fails("$mem create data 1M", 1, qr/data: the name is taken/, 'once');
fails("$mem create x 9G", 1, qr/needs 9\.0 GiB.*of the module's 8\.0 GiB.*max_gib/, 'more than the module may have');
fails("$mem create x 1M --ccd 7", 1, qr/no L3 domain 7 with memory/, 'in a domain that is not there');
fails("FAKEDEV_CREATE=1 $mem create x 1M", 1, qr/RLIMIT|ulimit -l/, 'more than may be locked');
my $text = works("$mem create file --from README.md --order 4k --seal --json", qr/^\{/, 'a region of a file, sealed');
my $j = eval { decode_json($text) } // {};
ok($j->{name} eq 'file' && $j->{sealed} && $j->{size} >= -s 'README.md' && $j->{bytes_4k} == $j->{size} &&
   $j->{asked_page} == 4096 && @{$j->{slots}} == 1, 'is what was asked') or diag $text;
system("cmp -s -n \$(stat -c %s README.md) README.md $dir/dev/file") == 0 ? pass('with its contents') : fail('with its contents');
fails("$mem create x 4k --from $tiny --order 4k", 1, qr/tiny\.gguf: has \d+ bytes, the region 4096/, 'a file too large');
fails("$mem create x 4k --from $dir/none", 1, qr/none: No such file/, 'a file that is not there');
fails("$mem create x 4k --from $dir", 1, qr/no ordinary file/, 'a directory');
ok(!-e "$dir/dev/x", 'what failed has left nothing');

my @question = ($tiny, '-p', "'Once upon a time'", '-n', 12, '--temp', 0);
my (undef, $want) = sh("$ENV{B}/zen5-run @question") if $ENV{B};
(undef, $want) = sh("build/zen5-run @question") if !$ENV{B};
my ($rc, $out, $err) = sh("$run @question --resident");
ok($rc == 0 && $out eq $want && $err =~ /, left resident as (zen5-tiny\.gguf-[0-9a-f]{12})\n\z/, 'a model is left') or diag $err;
my $name = $1;
($rc, $out, $err) = sh("$run @question --resident --explain");
ok($rc == 0 && $out eq $want && $err =~ /, attached to resident region \Q$name\E\n\z/ &&
   $err =~ /^  weights .* in zen5mem, .*\(4\.00 MiB mapped: 2 x 2 MiB\)\n/m && $err =~ /^resident:   attached/m,
   'the next run attaches, with the same text') or diag $err;
($rc, $out, $err) = sh("$run @question --resident --json");
$j = eval { decode_json($out) } // {};
ok($j->{resident}{name} eq $name && $j->{resident}{attached}, 'and says so in JSON') or diag $out;
($rc, $out, $err) = sh("cp $tiny $dir/m.gguf; $run $dir/m.gguf -n 0 --logits $dir/l --resident=mine; touch $dir/m.gguf; $run $dir/m.gguf -p Once -n 4 --temp 0 --resident=mine");
my $line = qr/region mine holds another model, or another state of this one: .*zen5-mem destroy mine/;
ok($rc == 0 && $out =~ /^Once/ && $err =~ /$line\n/,
   'a file that was touched is another state') or diag $err;
my @at_once = map { open(my $p, '-|', "$run @question --resident=many 2>&1") or die; $p } 1 .. 4;
my @texts = map { my $p = $_; local $/; my $t = <$p>; close $p; $t } @at_once;
is(scalar(grep { index($_, $want) >= 0 && /(left resident as|attached to resident region) many$/m } @texts), 4,
   'several at once: each has the text and the region') or diag @texts;
is(scalar(grep { /left resident as/ } @texts), 1, 'and one has left it');

$text = works("$mem list", qr/data .*not sealed/, 'the list');
like($text, qr/^\d+ +\Q$name\E +4\.00 MiB  2 x 2 MiB, node 0, sealed, of \S+, open 0, mapped 0\n +holds 2\.48 MiB of llama model \/.*zen5-tiny\.gguf$/m,
     'says what a region holds');
open my $held, '<', "$dir/dev/data" or die;
my $pid = fork // die;
if (!$pid) {
	POSIX::pause();
	exit;
}
$text = works("$mem list --json", qr/^\{/, 'the list as JSON');
kill KILL => $pid;
waitpid $pid, 0;
$j = eval { decode_json($text) } // {};
my %region = map { $_->{name} => $_ } @{$j->{regions}};
is_deeply([sort keys %region], [sort 'data', 'file', 'many', 'mine', $name], 'has all of them');
ok((grep { $_->{pid} == $pid && $_->{open} && !$_->{mapped} } @{$region{data}{users}}) == 1 && !@{$region{file}{users}},
   'and who has them open') or diag $text;
is($region{$name}{holds}{architecture}, 'llama', 'and what they hold');
my %node = (node => 0, used_bytes => 0, reserve => 0, reserve_used => 0, possible => 5, possible_movable => 0);
is_deeply($j->{nodes}, [\%node], 'and what could still be had');
works("$mem info data mine", qr/\Adata: region.*^mine: region.*holds/ms, 'info of two');
my $info = eval { decode_json(works("$mem info --json data", qr/^\[/, 'info as JSON')) } // [];
is_deeply([map { [$_->{page}, $_->{pages}] } @{$info->[0]{slots}}], [[1 << 30, 1], [1 << 30, 1], [2 << 20, 226]], 'slot by slot');
fails("$mem info nothing", 1, qr/nothing: no region has this name/, 'info of nothing');

# A label is its owner's words, and goes to terminals.
sub label {
	my ($size, $path) = @_;
	use integer;
	my $l = pack('a8 V V Q< Q< Q< a64 a4096', 'z5label', 1, 0, $size, 5, 0, 'llama', $path);
	$l .= "\0" x (65536 - length $l);
	my $sum = -3750763034362895579;
	$sum = ($sum ^ $_) * 1099511628211 for unpack 'C*', $l;
	substr($l, 32, 8) = pack 'q<', $sum;
	return $l;
}
works("$mem create evil 128K --order 4k", qr/evil/, 'a region with a label');
open my $evil, '+<:raw', "$dir/dev/evil" or die;
seek $evil, 65536, 0;
print $evil label(131072, "/\e[2J\xff\n.gguf");
close $evil;
$text = works("$mem list", qr/holds 5 B of llama model \/\?\[2J\xff\?\.gguf$/m, 'that would command a terminal');
$info = eval { decode_json(works("$mem info --json evil", qr/^\[/, 'or break JSON')) } // [];
is($info->[0]{holds}{path}, '/?[2J??.gguf', 'does neither');

SKIP: {
	skip 'the reserve is root\'s', 4 if $>;
	works("$mem reserve 2", qr/\Anode 0: 2 pages of 1 GiB in the reserve\n\z/, 'a reserve');
	($rc, $out, $err) = sh("$mem reserve 9\@0 --json");
	ok($rc == 1 && decode_json($out)->[0]{reserve} == 3 && $err =~ /fewer than asked/, 'a reserve too large');
	fails("$mem reserve 1\@3", 1, qr/node 3: there is no such node/, 'a reserve on a node that is not there');
	works("$mem reserve 0", qr/node 0: 0 pages/, 'and none');
}

works("$mem wait file", qr/\A\z/, 'what is there and sealed need not be waited for');
fails("$mem wait data --timeout 0.2", 2, qr/data: is there and not sealed after 0\.2 s/, 'what is not sealed');
fails("$mem wait later --timeout 0", 2, qr/later: is not there after 0 s/, 'what is not there');
($rc, $out, $err) = sh("(sleep 0.5; $mem create later 4k --seal) >/dev/null & $mem wait later --timeout 60 --json; rc=\$?; wait; exit \$rc");
ok($rc == 0 && decode_json($out)->{name} eq 'later', 'what comes later') or diag $err;

($rc, $out, $err) = sh("$mem destroy mine nothing many --json");
is_deeply([$rc, decode_json($out)], [1, ['mine', 'many']], 'destroy, of which one is not there');
is($err, "zen5-mem: nothing: no region has this name (zen5-mem list)\n", 'says which');
works("$mem destroy data file later evil $name", qr/\A\z/, 'all others');
works("$mem list", qr/\Ano regions/, 'and they are gone');
($rc, $out, $err) = sh("$mem list >/dev/full");
ok($rc == 1 && $err =~ /standard output/, 'a full disk is said');

done_testing;
