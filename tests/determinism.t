#!/usr/bin/perl
# SPDX-License-Identifier: MIT
# One answer: logits are the same bytes at every ISA level, thread count and prefill chunk, and for a prompt fed at once
# or token by token, with every type of KV cache. Environment: B, the build directory.
use strict;
use warnings;
use File::Basename;
use File::Temp qw(tempdir);
use Test::More;

my $b = $ENV{B} // 'build';
my $dir = tempdir(CLEANUP => 1);
my @levels = qw(scalar avx2 avx512vnni);

sub logits {
	my ($model, $level, @args) = @_;
	local $ENV{ZEN5RT_LEVEL} = $level;
	unlink "$dir/out";
	system("$b/zen5-run", $model, '-n', 0, '--logits', "$dir/out", @args) == 0 or return undef;
	open my $f, '<:raw', "$dir/out" or return undef;
	local $/;
	return scalar <$f>;
}

@levels = grep {
	local $ENV{ZEN5RT_LEVEL} = $_;
	system("$b/zen5-run /nonexistent -p x 2>&1 | grep -q 'this CPU has no more'") != 0
} @levels;
note "levels of this CPU: @levels";

# Every weight type on a shape whose rows do not divide evenly among threads, then what ships.
my @models;
for my $type (qw(F32 F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS MXFP4
		IQ2_XXS IQ2_XS IQ2_S IQ3_XXS IQ3_S IQ1_S IQ1_M TQ1_0 TQ2_0 I2_S)) {
	my $m = "$dir/$type.gguf";
	system("$b/tests/bench/mkmodel", '--shape', 'tiny', '--layers', 1, '--vocab', 333, '--type', $type, '--pure', $m) == 0
		or die 'mkmodel failed';
	push @models, $m;
}
# rows so long that a product takes a chunk in parts; its scale is for each part
push @models, "$dir/wide.gguf";
system("$b/tests/bench/mkmodel", '--shape', 'bitnet', '--type', 'I2_S', '--embd', 256, '--heads', 4, '--kv', 2, '--ff', 6912,
       '--layers', 1, '--vocab', 333, $models[-1]) == 0 or die 'mkmodel failed';
push @models, sort(glob('tests/models/zen5-*.gguf'), glob('tests/golden/data/*.gguf'));

# longer than two chunks of attention, and no multiple of any tile
my $tokens = join ',', map { 3 + ($_ * 37) % 200 } 1 .. 141;

# The logits of a model with the arguments that bend them, which are the same bytes however they are computed.
sub one_answer {
	my ($name, $model, @args) = @_;
	my $want = logits($model, $levels[-1], '--tokens', $tokens, '-t', 1, @args);
	ok(defined $want && length $want, "$name: runs") or return;
	for my $level (@levels) {
		my @runs = ([1, 1], [3, 7], [8, 512]);
		push @runs, [2, 64], [5, 140] if $level eq $levels[-1];
		my @bad;
		for my $r (@runs) {
			my ($threads, $ubatch) = @$r;
			my $got = logits($model, $level, '--tokens', $tokens, '-t', $threads, '--ubatch', $ubatch, @args);
			push @bad, "$threads threads, chunk $ubatch" unless defined $got && $got eq $want;
		}
		ok(!@bad, "$name: the same bytes at $level" . (@bad ? ', but not with ' . join '; ', @bad : ''));
	}
	# the prompt's tail decoded instead of prefilled, as generation does: greedy ids must agree
	my $greedy = `$b/zen5-run $model --tokens $tokens -n 12 --temp 0 --json --ignore-eos @args`;
	my $slow = `ZEN5RT_LEVEL=$levels[0] $b/zen5-run $model --tokens $tokens -n 12 --temp 0 --json --ignore-eos \\
		-t 8 --ubatch 1 @args`;
	my ($x) = $greedy =~ /"tokens": \[([^\]]*)\]/;
	my ($y) = $slow =~ /"tokens": \[([^\]]*)\]/;
	ok(defined $x && $x eq $y, "$name: the same greedy text");
	return $want;
}

for my $model (@models) {
	my $f32 = one_answer(basename($model, '.gguf'), $model);
	next if $model =~ /^\Q$dir\E/ || !defined $f32;
	# Of the models that ship, those whose attention differs: narrow heads, windows, a bounded score, sinks, latent
	# vectors, query heads that share keys.
	next if $model !~ /zen5-tiny|headdim|gemma2\.|gemma3|gptoss|deepseek2-(?:lite|Q8_0)|qwen3-|starcoder2/;
	for my $type (qw(f16 bf16 q8_0)) {
		my $other = one_answer(basename($model, '.gguf') . " with $type", $model, "--kv-type=$type");
		ok(defined $other && $other ne $f32, "and not those of f32");
	}
}
done_testing;
