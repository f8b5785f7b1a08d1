#!/usr/bin/perl
# SPDX-License-Identifier: MIT
# zen5-perplexity: against log-probabilities that others computed in float64, against itself, and with base files that
# lie. Environment: B, the build directory.
use strict;
use warnings;
use File::Basename;
use File::Temp qw(tempdir);
use JSON::PP;
use List::Util qw(sum);
use Test::More;

my $b = $ENV{B} // 'build';
my $ppl = "$b/zen5-perplexity";
my $dir = tempdir(CLEANUP => 1);

sub slurp {
	my ($path) = @_;
	open my $f, '<:raw', $path or die "$path: $!";
	local $/;
	return scalar <$f>;
}

sub spill {
	my ($path, $bytes) = @_;
	open my $f, '>:raw', $path or die "$path: $!";
	print $f $bytes;
	close $f or die;
}

sub sh {
	my ($cmd) = @_;
	my $status = system('sh', '-c', "{ $cmd\n} >$dir/.out 2>$dir/.err </dev/null");
	return ($status & 127 ? 128 + ($status & 127) : $status >> 8, slurp("$dir/.out"), slurp("$dir/.err"));
}

sub refused {
	my ($cmd, $want, $like, $name) = @_;
	my ($rc, $out, $err) = sh($cmd);
	my $lines = () = $err =~ /\n/g;
	ok($rc == $want && $out eq '' && $err =~ $like && ($lines == 1 || $want == 64), $name)
		or diag "status $rc, stdout: $out\nstderr: $err";
}

sub json {
	my ($cmd) = @_;
	my ($rc, $out, $err) = sh("$ppl $cmd --json");
	diag "status $rc: $err" if $rc;
	return eval { decode_json($out) } // {};
}

# The reference has a value for each token behind the first; the second half of them is what is scored. Every model
# whose types have kernels is asked for, the others are none of this test's business.
sub reference {
	my ($json, $model) = @_;
	my $ref = decode_json(slurp($json));
	my $nll = $ref->{nll} or return;
	my @tokens = @{$nll->{tokens}};
	my $n = @tokens;
	my @second = @{$nll->{per_token}}[int($n / 2) .. $n - 2];
	my $want = sum(@second) / @second;
	my $types = $ref->{tensor_types};
	my $float = !grep { !/^B?F/ } ref $types eq 'HASH' ? keys %$types : @$types;
	# a mean moves less than the single tokens that the golden test looks at
	my $limit = $float ? 1e-5 : $ref->{model} =~ /stories260K/ ? 0.1 : 0.04;

	spill("$dir/ids", "@tokens");
	my ($rc, $out, $err) = sh("$ppl $model --tokens -f $dir/ids -c $n --json");
	return if $rc == 1 && $err =~ /which this version cannot run/;
	my $got = eval { decode_json($out)->{nll} } // 'none';
	ok($rc == 0 && abs($got - $want) <= $limit, sprintf '%s: %s a token, the reference has %.6f (limit %g)',
	   basename($json, '.json'), $got, $want, $limit) or diag $err;
}

for my $json (sort glob 'tests/golden/data/*.json') {
	my $model = $json =~ s/json$/gguf/r;
	$model = 'tests/models/' . basename($model) unless -e $model;
	reference($json, $model);
}
my $shared = '../shared/models';
SKIP: {
	skip '../shared is absent', 1 unless -d $shared;
	reference($_, "$shared/models/" . basename($_, '.json') . '.gguf')
		for sort grep { m{/(stories260K|llama256|tiny-qwen|tiny-mamba|tiny-bitnet-TQ|rwkv)} } glob "$shared/refs/*.json";
}

my $model = 'tests/models/zen5-tiny.gguf';
my (undef, $text) = sh("$b/zen5-run $model -p 'Once upon a time' --temp 1 --seed 5 -n 600 --ignore-eos");
spill("$dir/text", $text);

# the same figures on any number of threads, at every level, from a file and from a pipe
my %seen;
for my $env ('', 'ZEN5RT_LEVEL=scalar', 'ZEN5RT_LEVEL=avx2', 'ZEN5RT_LEVEL=avx512vnni') {
	for my $how ('-t 1', '-t 3 -f', '-t 2') {
		my $in = $how =~ /-f/ ? "$how $dir/text" : "$how <$dir/text";
		my ($rc, $out, $err) = sh("$env $ppl $model -c 64 --json $in");
		next if $err =~ /has no more than/;
		$seen{$out =~ s/"seconds":[^,]*,//r . $rc}++;
	}
}
is(keys %seen, 1, 'the same figures on 1 to 3 threads, at every level, from a file and a pipe');
my $j = json("$model -c 64 -f $dir/text");
my $chunks = $j->{chunks};
ok($chunks >= 4 && $j->{scored} == $chunks * 31 && @{$j->{running}} == $chunks && $j->{running}[-1] == $j->{ppl} &&
   abs(log($j->{ppl}) - $j->{nll}) < 1e-12, 'chunks, scored tokens and the running estimate');
my $two = json("$model -c 64 -f $dir/text --chunks 2");
is($two->{ppl}, $j->{running}[1], '--chunks stops early');
my (undef, $out) = sh("$ppl $model -c 64 -f $dir/text");
is($out, sprintf("PPL = %.4f +/- %.5f (%d tokens in %d chunks of 64)\n", $j->{ppl}, $j->{ppl_error}, $j->{scored}, $chunks),
   'one line of text says the same');

# base runs
sh("$ppl $model -c 64 -f $dir/text --kl-divergence-base $dir/base");
sh("$ppl $model -c 64 -f $dir/text --kl-divergence-base $dir/base16 --kl-format llama.cpp");
my $kl = json("$model --kl-divergence --kl-divergence-base $dir/base");
ok($kl->{kl}{max} == 0 && $kl->{kl}{min} == 0 && $kl->{kl}{mean} == 0 &&
   $kl->{delta_p}{rms} == 0 && $kl->{same_top} == 1 &&
   $kl->{ln_ratio} == 0 && $kl->{ppl} == $kl->{ppl_base}, 'a model and itself: no divergence at all');
my $kl16 = json("$model --kl-divergence --kl-divergence-base $dir/base16");
ok($kl16->{kl}{max} > 0 && $kl16->{kl}{max} < 1e-4 && $kl16->{same_top} == 1, 'in the format of llama.cpp: close to none');
my ($q) = sh("$b/zen5-quantize -q --allow-requantize $model $dir/q4.gguf Q4_0 --pure");
$kl = json("$dir/q4.gguf --kl-divergence --kl-divergence-base $dir/base");
$kl16 = json("$dir/q4.gguf --kl-divergence --kl-divergence-base $dir/base16");
ok($kl->{kl}{mean} > 1e-4 && $kl->{kl}{mean} < 0.1 && abs($kl->{kl}{mean} / $kl16->{kl}{mean} - 1) < 0.01 &&
   $kl->{kl}{median} <= $kl->{kl}{mean} && $kl->{kl}{p99} <= $kl->{kl}{max} &&
   $kl->{delta_p}{rms} > 0 && $kl->{same_top} < 1,
   "a quantized model diverges, and by the same in both formats: $kl->{kl}{mean}, $kl16->{kl}{mean}");
my $part = json("$dir/q4.gguf --kl-divergence --kl-divergence-base $dir/base --chunks 2");
is($part->{scored}, 62, '--chunks takes a part of a base run');
is(-s "$dir/base", 20 + $chunks * (64 * 4 + 31 * 4 * 1024), 'logits as they are');
is(-s "$dir/base16", 20 + $chunks * (64 * 4 + 31 * 2 * 1028), 'and packed');
my $other = 'tests/golden/data/small-llama-F32.gguf';
refused("$ppl $other --kl-divergence --kl-divergence-base $dir/base", 1, qr/vocabulary of 1024, the model has 270/, 'a base run of another model');

# a KV cache that is rounded: another result, and a near one; the bounds are three times what was measured
for (['f16', 3e-4, 0.005], ['bf16', 5e-4, 0.005], ['q8_0', 1.2e-3, 0.005]) {
	my ($type, $mean, $ratio) = @$_;
	$kl = json("$model --kl-divergence --kl-divergence-base $dir/base --kv-type $type");
	ok($kl->{kv_type} eq $type && $kl->{kl}{max} > 0 && $kl->{kl}{mean} < $mean && abs($kl->{ln_ratio}) < $ratio &&
	   $kl->{same_top} > 0.95, "--kv-type $type: $kl->{kl}{mean} from f32, perplexity by $kl->{ln_ratio}");
}
$kl = json("$model --kl-divergence --kl-divergence-base $dir/base --kv-type f32");
is($kl->{kl}{max}, 0, '--kv-type f32 is the default');
refused("$ppl $model -f $dir/text --kv-type f64", 64, qr/--kv-type f64: expected f32/, 'a type that is none');

# the sanitizers' own memory does not fit under a limit
my $limit = $b =~ /asan/ ? '' : 'ulimit -v 2000000;';
my $base = slurp("$dir/base");
my $base16 = slurp("$dir/base16");
my $at = 20 + $chunks * 64 * 4;
for (['cut short', substr($base, 0, -1), qr/damaged or was not finished/], ['too long', $base . 'x', qr/damaged or was not/],
     ['empty', '', qr/ends too early/], ['a head alone', substr($base, 0, 19), qr/ends too early/],
     ['another magic', 'z5logitz' . substr($base, 8), qr/no file of a base run/],
     ['four milliards of chunks', substr($base, 0, 16) . "\xff" x 4 . substr($base, 20), qr/damaged/],
     ['two milliards of chunks', substr($base, 0, 16) . "\xff\xff\xff\x7f" . substr($base, 20), qr/damaged/],
     ['a context of 0', substr($base, 0, 8) . "\0" x 4 . substr($base, 12), qr/damaged/],
     ['a huge context', substr($base, 0, 8) . "\xff" x 4 . substr($base, 12), qr/damaged/],
     ['no vocabulary', substr($base, 0, 12) . "\0" x 4 . substr($base, 16), qr/damaged/],
     ['a token that is none', substr($base, 0, 24) . pack('l<', 1024) . substr($base, 28), qr/token 1 is 1024/],
     ['a negative token', substr($base, 0, 24) . pack('l<', -1) . substr($base, 28), qr/token 1 is -1/],
     ['a NaN among the logits', substr($base, 0, $at) . pack('L<', 0x7fc00000) . substr($base, $at + 4), qr/no numbers/],
     ['a scale that is none', substr($base16, 0, $at) . pack('L<', 0x7f800000) . substr($base16, $at + 4), qr/no numbers/]) {
	my ($what, $bytes, $like) = @$_;
	spill("$dir/bad", $bytes);
	refused("$limit $ppl $model --kl-divergence --kl-divergence-base $dir/bad", 1, $like, "a base file: $what");
}
refused("$ppl $model --kl-divergence --kl-divergence-base $dir", 1, qr/no ordinary file/, 'a base file: a directory');
refused("$ppl $model --kl-divergence --kl-divergence-base $dir/none", 1, qr/No such file/, 'a base file: none');
refused("cp $model $dir/m.gguf; $ppl $model -c 64 -f $dir/text --kl-divergence-base $dir/m.gguf", 1, qr/not replaced/, 'a model is not replaced by a base run');
is(slurp("$dir/m.gguf"), slurp($model), 'it is left alone');
sh("$ppl $model -c 64 -f $dir/text --chunks 2 --kl-divergence-base $dir/base16");
is(-s "$dir/base16", 20 + 2 * (64 * 4 + 31 * 4 * 1024), 'a base run is replaced by another');
my ($rc, undef, $err) = sh("ulimit -f 20; trap '' XFSZ; $ppl $model -c 64 -f $dir/text --kl-divergence-base $dir/new");
ok($rc == 1 && $err =~ /new: File too large/ && !-e "$dir/new", 'no room for a base run: nothing stays behind') or diag "$rc $err";

refused("printf 'too short' | $ppl $model", 1, qr/less than a chunk of 512/, 'a text that is too short');
refused("printf '' | $ppl $model", 1, qr/less than a chunk/, 'no text at all');
refused("$ppl $model -f $dir/none", 1, qr/none: No such file/, 'a text that is not there');
refused("echo 1 2 x | $ppl $model --tokens", 1, qr/token 2: no token id/, 'ids that are none');
refused("yes 99999 | head -600 | $ppl $model --tokens", 1, qr/99999 is outside/, 'ids outside the vocabulary');
refused("$ppl $dir/text -f $dir/text", 1, qr/text/, 'a text as model');
refused("$ppl -f $dir/text", 64, qr/which model/, 'no model');
refused("$ppl $model -c 2 -f $dir/text", 64, qr/-c 2/, 'a chunk of 2');
refused("$ppl $model --kl-divergence", 64, qr/--kl-divergence-base/, 'a comparison with nothing');
refused("$ppl $model --kl-divergence --kl-divergence-base $dir/base -f $dir/text", 64, qr/takes the tokens/, 'a comparison on another text');
refused("$ppl $model --kl-format x -f $dir/text", 64, qr/zen5 or llama/, 'a format that is none');
($rc, $out) = sh("$ppl $model -c 64 -f $dir/text >/dev/full");
is($rc, 1, 'a full disk is said');
($rc, $out, $err) = sh("$ppl --require-zen5 $model -c 64 -f $dir/text --chunks 1");
ok($rc == 0 || ($rc == 3 && $err =~ /requires an AMD Zen 5/), '--require-zen5');
($rc, $out) = sh("$ppl --version");
like($out, qr/^zen5-perplexity \d+\.\d+\.\d+$/, '--version');
($rc, $out) = sh("$ppl --help");
like($out, qr/--kl-divergence.*--kl-format/s, '--help');
done_testing;
