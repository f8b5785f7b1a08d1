#!/usr/bin/perl
# SPDX-License-Identifier: MIT
# Models against reference logits and greedy continuations that others computed in float64.
# The shipped model and the small ones in tests/golden/data always; ../shared/models where it is there.
# Environment: B, the build directory.
use strict;
use warnings;
use File::Basename;
use File::Temp qw(tempdir);
use JSON::PP;
use List::Util qw(max sum);
use Test::More;

my $run = ($ENV{B} // 'build') . '/zen5-run';
my $dir = tempdir(CLEANUP => 1);
my %kernels = map { $_ => 1 } qw(F32 F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS MXFP4
	IQ2_XXS IQ2_XS IQ2_S IQ3_XXS IQ3_S IQ1_S IQ1_M TQ1_0 TQ2_0 I2_S);
my %archs = map { $_ => 1 } qw(
	arwkv7 bitnet bitnet-25 bitnet-b1.58 command-r deepseek2 falcon-h1 gemma gemma2 gemma3 gpt-oss granite
	granitehybrid granitemoe jamba llama mamba mamba2 nemotron_h olmo2 olmoe phi3 qwen2 qwen2moe qwen3 qwen3moe
	rwkv6 rwkv6qwen2 rwkv7 stablelm starcoder2
);

sub slurp {
	my ($path) = @_;
	open my $f, '<:raw', $path or die "$path: $!";
	local $/;
	return scalar <$f>;
}

sub log_softmax {
	my @x = @_;
	my $m = max @x;
	my $l = $m + log sum map { exp($_ - $m) } @x;
	return map { $_ - $l } @x;
}

# Differences of log-probabilities.
sub difference {
	my ($a, $b) = @_;
	my @p = log_softmax(@$a);
	my @q = log_softmax(@$b);
	return map { abs($p[$_] - $q[$_]) } 0 .. $#p;
}

# Float weights meet float activations here, so only the order of sums differs from the reference; quantized weights
# meet 8-bit activations (limits: ../shared/models/README.md).
sub limits {
	my ($ref, $types) = @_;
	return ($ref->{limit}, $ref->{rms_limit} // $ref->{limit}) if defined $ref->{limit};
	return (1e-4, 1e-4) unless grep { !/^B?F/ } @$types;
	return $ref->{model} =~ /stories260K/ ? (0.5, 0.1) : (0.3, 0.1);
}

sub golden {
	my ($json, $model) = @_;
	my $ref = decode_json(slurp($json));
	my $types = $ref->{tensor_types};
	my @types = ref $types eq 'HASH' ? keys %$types : @$types;
	my @missing = grep { !$kernels{$_} } @types;
	my $name = basename($json, '.json');

	push @missing, $ref->{arch} unless $archs{$ref->{arch}};
	return if @missing;
	my @want = unpack 'f<*', slurp(dirname($json) . "/$ref->{logits_file}");
	my @want8 = $ref->{logits8_file} ? unpack('f<*', slurp(dirname($json) . "/$ref->{logits8_file}")) : ();
	my ($limit, $rms_limit) = limits($ref, \@types);
	# else 8-bit activations would meet what is ternary in a BitNet model's floats
	my @floats = grep({ !/^B?F/ } @types) ? () : '--ternary=off';
	my (@d, @d8);
	my $n = $ref->{n_vocab};
	for my $i (0 .. $#{$ref->{cases}}) {
		my $case = $ref->{cases}[$i];
		my $tokens = join ',', @{$case->{tokens}};
		unlink "$dir/logits";
		system($run, $model, @floats, '--tokens', $tokens, '--logits', "$dir/logits", '-n', '0') == 0
			or return fail("$name case $i: exit status $?");
		my @got = unpack 'f<*', slurp("$dir/logits");
		@got == $n or return fail("$name case $i: " . @got . " logits, expected $n");
		push @d, difference([@want[$i * $n .. $i * $n + $n - 1]], \@got);
		push @d8, max difference([@want8[$i * $n .. $i * $n + $n - 1]], \@got) if @want8;
		greedy("$name case $i", $model, $tokens, $case, $limit, @floats) if $case->{greedy};
	}
	my $worst = max @d;
	my $rms = sqrt(sum(map { $_ * $_ } @d) / @d);
	# written so that a NaN fails
	ok($worst <= $limit && $rms <= $rms_limit, sprintf
	   "%s: log-probabilities differ by %.2g at most (limit %g), RMS %.2g (limit %g)", $name, $worst, $limit,
	   $rms, $rms_limit);
	# of some prompts a value lies so close to the middle of two 8-bit steps that the reference rounds it the other
	# way
	my $median = (sort { $a <=> $b } @d8)[$#d8 / 2];
	ok($median <= $ref->{limit8}, sprintf "%s: the median prompt by %.2g from a reference with 8-bit activations (limit %g)",
	   $name, $median, $ref->{limit8}) if @d8;
}

# Equal at every step that the reference takes with a margin above twice the limit.
sub greedy {
	my ($name, $model, $tokens, $case, $limit, @how) = @_;
	my @want = @{$case->{greedy}};
	open my $p, '-|', $run, $model, @how, '--tokens', $tokens, '-n', scalar @want, '--temp', 0, '--json', '--ignore-eos'
		or die "$run: $!";
	my $out = do { local $/; <$p> };
	close $p or return fail("$name: greedy run failed");
	my @got = @{decode_json($out)->{tokens}};
	my $same = 0;
	$same++ while $same < @want && $same < @got && $want[$same] == $got[$same];
	my $ok = $same == @want || grep { $_ < 2 * $limit } @{$case->{greedy_margin}}[0 .. $same];
	ok($ok, "$name: greedy, $same of " . @want . ' equal' . ($same < @want ? sprintf(
	   ', then a margin of %.3g', $case->{greedy_margin}[$same]) : ''));
}

for my $json (sort glob 'tests/golden/data/*.json') {
	my $model = $json =~ s/json$/gguf/r;
	$model = 'tests/models/' . basename($model) unless -e $model;
	golden($json, $model);
}
my $shared = '../shared/models';
if (-d $shared) {
	golden($_, "$shared/models/" . basename($_, '.json') . '.gguf') for sort glob "$shared/refs/*.json";
	my %logits;
	for my $type (qw(F16 TQ1_0 TQ2_0)) {
		unlink "$dir/logits";
		system($run, "$shared/models/tiny-bitnet-$type.gguf", '--tokens', '1,20,300,4', '--logits', "$dir/logits", '-n', '0');
		$logits{-e "$dir/logits" ? slurp("$dir/logits") : ''}++;
	}
	ok(keys %logits == 1 && length((keys %logits)[0]) == 2048, 'the same ternary weights in three types: the same bits');
	# rwkv.cpp's own test; sums in another order than in float64 are all that sets them apart
	for (['rwkv6-1m-F32', '6v0-1m'], ['rwkv7-834k-F32', '7v0-834K']) {
		my ($model, $file) = @$_;
		unlink "$dir/logits";
		system($run, "$shared/models/$model.gguf", '--tokens', '34,105,110', '--logits', "$dir/logits", '-n', '0');
		my @d = difference([unpack 'f<*', slurp("$shared/refs/rwkv.cpp-expected-logits-$file.f32")],
				   [unpack 'f<*', -e "$dir/logits" ? slurp("$dir/logits") : '']);
		my $worst = max @d;
		ok(@d == 256 && $worst <= 1e-4, sprintf '%s: %.2g at most from the logits that rwkv.cpp publishes (limit 0.0001)',
		   $model, $worst);
	}
} else {
	SKIP: { skip '../shared is absent', 3; }
}
done_testing;
