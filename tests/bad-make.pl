#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# bad-make.pl DIR: models that nobody should send, made from the small ones of tests/golden/data, and their
# MANIFEST.json. Sizes, counts, keys and bytes lie one at a time. "any": refused or run, both are right.

use strict;
use warnings;
use JSON::PP;

my ($dir) = @ARGV;
die "usage: $0 DIR\n" if !defined $dir;
my (@manifest, %seen);

sub slurp
{
	my ($name) = @_;

	open(my $f, '<:raw', "tests/golden/data/small-$name.gguf") or die "$name: $!\n";
	return do { local $/; <$f> };
}

sub bad
{
	my ($file, $bytes, $expect, $reason) = @_;

	open(my $f, '>:raw', "$dir/$file.gguf") or die "$dir/$file.gguf: $!\n";
	print $f $bytes;
	close($f) or die "$dir/$file.gguf: $!\n";
	push @manifest, { file => "$file.gguf", expect => $expect, reason => $reason };
}

# The value of a key of a fixed size, replaced by bytes of the same length; undef if it is not there.
sub with_key
{
	my ($bytes, $key, $type, $value) = @_;
	my $at = index($bytes, pack('Q<', length $key) . $key);

	return if $at < 0;
	$at += 8 + length $key;
	substr($bytes, $at, 4) = pack('L<', $type) if defined $type;
	substr($bytes, $at + 4, length $value) = $value;
	return $bytes;
}

# Dimensions, type and offset of a tensor follow its name and their count.
sub with_tensor
{
	my ($bytes, $name, $at, $value) = @_;
	my $p = index($bytes, pack('Q<', length $name) . $name);

	die "no $name\n" if $p < 0;
	substr($bytes, $p + 8 + length($name) + $at, length $value) = $value;
	return $bytes;
}

# A dimension that is larger, zeros behind what the tensor had, a multiple of 32, and all that follows moved.
sub with_rows
{
	my ($bytes, $name, $at, $rows, $more) = @_;
	my $pos = index($bytes, pack('Q<', 17) . 'token_embd.weight');
	my ($from, %offset);

	for (1 .. unpack('Q<', substr($bytes, 8, 8))) {
		my $len = unpack('Q<', substr($bytes, $pos, 8));
		my $where = $pos + 8 + $len + 4 + 8 * unpack('L<', substr($bytes, $pos + 8 + $len, 4)) + 4;

		$offset{$where} = unpack('Q<', substr($bytes, $where, 8));
		$from = $offset{$where} if substr($bytes, $pos + 8, $len) eq $name;
		$pos = $where + 8;
	}
	my @behind = sort { $offset{$a} <=> $offset{$b} } grep { $offset{$_} > $from } keys %offset;
	substr($bytes, ($pos + 31 & ~31) + $offset{$behind[0]}, 0) = "\0" x $more;
	substr($bytes, $_, 8) = pack('Q<', $offset{$_} + $more) for @behind;
	return with_tensor($bytes, $name, $at, pack('Q<', $rows));
}

my $llama = slurp('llama-Q8_0');
bad('whole', $llama, 'accept', 'an undamaged file');

# Cut at many places: inside the counts, keys, tokens, tensor descriptions and data.
my $length = length $llama;
for my $n (0 .. 4, 7, 8, 15, 16, 23, 24, 25, 31, 32, map { int($length * $_ / 24) } 1 .. 23) {
	bad("cut-$n", substr($llama, 0, $n), 'reject', "ends after $n bytes");
}
bad('cut-last', substr($llama, 0, $length - 1), 'reject', 'the last byte is missing');

# Counts and lengths in the header.
for my $v (['zero', 0], ['one', 1], ['2p31', 1 << 31], ['2p32', 1 << 32], ['2p61', 1 << 61], ['2p63', '9223372036854775808'],
	   ['max', ~0]) {
	my $value = pack('Q<', $v->[1]);

	bad("tensors-$v->[0]", substr($llama, 0, 8) . $value . substr($llama, 16), 'reject', "$v->[1] tensors");
	bad("keys-$v->[0]", substr($llama, 0, 16) . $value . substr($llama, 24), 'reject', "$v->[1] keys");
	bad("keylen-$v->[0]", substr($llama, 0, 24) . $value . substr($llama, 32), 'reject', "a key of $v->[1] bytes");
	bad("dim-$v->[0]", with_tensor($llama, 'token_embd.weight', 4, $value), 'reject', "token_embd.weight is $v->[1] wide");
	bad("rows-$v->[0]", with_tensor($llama, 'blk.0.ffn_up.weight', 12, $value), 'reject', "blk.0.ffn_up.weight has $v->[1] rows");
	bad("offset-$v->[0]", with_tensor($llama, 'blk.0.attn_q.weight', 24, $value), 'any', "a tensor at $v->[1]");
}
bad("type-$_", with_tensor($llama, 'blk.0.ffn_up.weight', 20, pack('L<', $_)), 'any', "blk.0.ffn_up.weight of type $_")
	for 4, 5, 15, 24, 30, 31, 36, 37, 40, 99, 0x7fffffff, 0xffffffff;
bad("dims-$_", with_tensor($llama, 'blk.0.ffn_up.weight', 0, pack('L<', $_)), 'reject', "blk.0.ffn_up.weight of $_ dimensions")
	for 0, 1, 5, 255, 0x80000000, 0xffffffff;

# Keys that are not there otherwise, ahead of all others.
sub with_new
{
	my ($bytes, @new) = @_;
	my $n = unpack('Q<', substr($bytes, 16, 8));
	my $kv = join('', map { pack('Q</a*', $_->[0]) . $_->[1] } @new);

	# the data stays where its alignment wants it
	my $base = index($bytes, pack('Q<', 18) . 'general.alignment') < 0 ? 32 : 0;
	$kv .= pack('Q</a*', 'pad') . pack('L<', 8) . pack('Q</a*', 'x' x ((-length($kv) - 23) % $base)) if $base;
	return substr($bytes, 0, 16) . pack('Q<', $n + @new + ($base ? 1 : 0)) . $kv . substr($bytes, 24);
}
sub num { return pack('L<L<', 4, $_[0]); }
sub word { return pack('L<Q</a*', 8, $_[0]); }
bad('new-nothing', with_new($llama), 'accept', 'a key that nobody reads');
for my $v (0, 2, 3, 1024, 65535, 0x7fffffff, 0xffffffff) {
	bad("split-count-$v", with_new($llama, ['split.count', num($v)]), $v ? 'reject' : 'any', "one of $v parts");
	bad("split-no-$v", with_new($llama, ['split.no', num($v)], ['split.count', num(2)], ['split.tensors.count', num($v)]),
	    'reject', "part $v of 2");
	bad("alignment-$v", with_new($llama, ['general.alignment', num($v)]), 'any', "data aligned to $v");
	bad("experts-$v", with_new($llama, ['llama.expert_count', num($v)], ['llama.expert_used_count', num($v)]), 'any',
	    "$v experts in a file that has none");
	bad("window-$v", with_new($llama, ['llama.attention.sliding_window', num($v)]), 'any', "a window of $v");
}
bad('scaling-' . substr(tr/a-z/_/cr, 0, 12), with_new($llama, ['llama.rope.scaling.type', word($_)]), 'any', "RoPE scaling $_ without its numbers")
	for qw(none linear yarn longrope dynamic), '', 'x' x 5000, "\e[2J\n";
bad("template-$_->[0]", with_new($llama, ['tokenizer.chat_template', word($_->[1])]), 'any', "a chat template: $_->[0]")
	for ['empty', ''], ['nul', "a\0b"], ['controls', "\e]0;x\a" x 50], ['code', '{{ x.__class__ }}' x 500];

# Numbers of the architecture, most of all those of experts, latent attention, RoPE, windows and parts.
my %lies = (u => [0, 1, 3, 255, 65536, 0x7fffffff, 0x80000000, 0xffffffff], f => ['nan', 'inf', '-inf', -1, 0, 1e-45, 3e38]);
for my $name (qw(llama-Q4_0 llama-yarn mixtral-Q8_0 qwen2moe-F16 qwen3moe-BF16 deepseek2-Q4_0 deepseek2-v3 phi3-long
	gemma2
		 gemma3 granite starcoder2 mamba mamba2 rwkv6 rwkv7)) {
	my $bytes = slurp($name);
	my $at = 24;

	while ($bytes =~ /\G.{0,20000}?(.{8})((?:[a-z0-9-]+\.)[a-z_.]+)([\x04\x06]\0\0\0)/gs) {
		my ($len, $key, $type) = ($1, $2, ord $3);

		next if unpack('Q<', $len) != length $key || $key =~ /^(?:general|tokenizer)\./;
		# what one architecture reads the others read with the same code
		next if $seen{$key =~ s/^[^.]*//r}++;
		for my $v (@{$lies{$type == 4 ? 'u' : 'f'}}) {
			my $value = $type == 4 ? pack('L<', $v) : pack('f<', $v);
			my $lie = with_key($bytes, $key, undef, $value);

			bad("$name-$key-$v", $lie, 'any', "$key is $v") if defined $lie && $lie ne $bytes;
		}
		bad("$name-$key-string", with_key($bytes, $key, 8, ''), 'reject', "$key is a string");
	}
}

# Which layers attend: numbers of an array, one a layer.
my $hybrid = slurp('granitehybrid');
my $heads = 'granitehybrid.attention.head_count_kv';
my $layers = pack('L<Q<', 5, 3);
bad('hybrid-whole', $hybrid, 'accept', 'an undamaged hybrid');
bad("hybrid-heads-" . join('_', @$_), with_key($hybrid, $heads, undef, $layers . pack('l<*', @$_)), 'reject',
    "heads of layers: @$_")
	for [0, 0, 0], [0, -1, 0], [0, 2, 0], [0, 3, 0], [1, 2, 0], [1, 0, 1], [0, 4097, 0], [0, 1 << 30, 0], [1, 1, 1];
bad("hybrid-count-$_", with_key($hybrid, $heads, undef, pack('L<Q<', 5, $_)), 'reject', "heads of $_ layers") for 0, 1, 2, 4, ~0;
for my $key (qw(block_count attention.head_count ssm.inner_size ssm.time_step_rank ssm.group_count ssm.state_size
		expert_count)) {
	bad("hybrid-$key-$_", with_key($hybrid, "granitehybrid.$key", undef, pack('L<', $_)),
	    $key eq 'block_count' ? 'reject' : 'any', "$key is $_") for 0, 1, 2, 4, 255, 1024, 65536, 0xffffffff;
}
bad("hybrid-elements-$_", with_key($hybrid, $heads, undef, pack('L<', $_)), 'reject', "heads are of type $_") for 0, 6, 7, 8, 9, 10;

# A layer that does one thing has no numbers for another.
$hybrid = slurp('nemotron_h');
my $widths = 'nemotron_h.feed_forward_length';
$layers = pack('L<Q<', 5, 5);
bad('sole-whole', $hybrid, 'accept', 'an undamaged hybrid of layers that do one thing');
bad("sole-widths-" . join('_', @$_), with_key($hybrid, $widths, undef, $layers . pack('l<*', @$_)), 'reject',
    "feed-forwards of layers: @$_")
	for [(0) x 5], [40, 40, 0, 0, 40], [0, 40, 40, 0, 40], [0, 40, 0, 0, 41], [0, 40, 0, 0, 0], [0, -4, 0, 0, -4];

$hybrid = slurp('falcon-h1');
bad('both-whole', $hybrid, 'accept', 'an undamaged hybrid of layers that do both');
bad("both-heads-$_", with_key($hybrid, 'falcon-h1.attention.head_count_kv', undef, pack('L<', $_)), 'reject', "$_ heads of keys")
	for 0, 2, 3, 4097, 0xffffffff;

# Numbers that each could be, but not beside the others.
for my $lie (['mamba2', 'ssm.time_step_rank', 3, 16, 128], ['mamba2', 'ssm.group_count', 0, 3, 8, 1025],
	     ['mamba2', 'ssm.state_size', 4, 8, 24, 1040], ['mamba2', 'ssm.inner_size', 64, 96, 120, 130],
	     ['mamba2', 'ssm.conv_kernel', 0, 1, 9], ['mamba', 'ssm.state_size', 6, 1028], ['mamba', 'ssm.inner_size', 40, 64],
	     ['rwkv6', 'wkv.head_size', 4, 12, 64], ['rwkv7', 'wkv.head_size', 4, 12, 20, 32], ['rwkv7', 'embedding_length', 40, 72]) {
	my ($name, $key, @values) = @$lie;

	bad("$name-beside-$key-$_", with_key(slurp($name), "$name.$key", undef, pack('L<', $_)), 'reject', "$key is $_ beside the rest")
		for @values;
}
bad("rwkv7-shifts-$_", with_new(slurp('rwkv7'), ['rwkv7.token_shift_count', num($_)]), $_ == 2 ? 'accept' : 'reject',
    "token_shift_count is $_") for 0, 1, 2, 3;

# Norms that are there, and are looked for or not.
my $jamba = slurp('jamba');
bad('jamba-whole', $jamba, 'accept', 'an undamaged hybrid of Mamba 1');
bad("jamba-$_-norm", with_tensor($jamba, "blk.0.ssm_${_}_norm.weight", 4, pack('Q<', 4)), 'reject', "the norm of $_ is 4 wide")
	for qw(dt b c);
bad("falcon-mamba-$_", with_key(slurp('falcon-mamba'), 'mamba.ssm.dt_b_c_rms', undef, pack('C', $_)), $_ < 2 ? 'accept' : 'any',
    "whether there are norms: $_") for 0, 1, 2, 255;

# Time mixes on the blocks of qwen2: groups of heads, and what may be absent.
my $gla = slurp('rwkv6qwen2');
bad('gla-whole', $gla, 'accept', 'an undamaged rwkv6qwen2');
bad("gla-kv-$_", with_key($gla, 'rwkv6qwen2.attention.head_count_kv', undef, pack('L<', $_)), 'reject', "2 heads of keys are $_")
	for 0, 1, 3, 4, 6, 7, 12, 0x80000000, 0xffffffff;
bad("gla-shifts-$_", with_key($gla, 'rwkv6qwen2.token_shift_count', undef, pack('L<', $_)), 'reject', "$_ token shifts a layer")
	for 0, 2, 0xffffffff;
bad("gla-bias-$_", with_tensor($gla, 'blk.1.time_mix_key.bias', 4, pack('Q<', $_)), 'reject', "a bias of $_ for 16 rows")
	for 1, 15, 48;
bad('gla-bonus', $gla =~ s/blk\.1\.time_mix_value\.bias/blk.1.time_mix_first.what/r, 'reject', 'a tensor that it has not');
# Matrices are as large as 4 heads of keys for 6 of queries would need.
my $odd = with_key($gla, 'rwkv6qwen2.attention.head_count_kv', undef, pack('L<', 4));
for my $b (map { "blk.$_.time_mix_" } 0, 1) {
	$odd = with_rows($odd, "$b$_.weight", 12, 32, 16 * 48 * 2) for qw(key value);
	$odd = with_rows($odd, "$b$_.bias", 4, 32, 16 * 4) for qw(key value);
}
bad('gla-odd', $odd, 'reject', '4 heads of keys for 6 of queries');
my $delta = slurp('arwkv7');
bad("delta-gate-$_", with_key($delta, 'arwkv7.attention.gate_lora_rank', undef, pack('L<', $_)), 'reject', "an absent gate of rank $_")
	for 1, 64, 65536, 65537, 0xffffffff;
$delta = slurp('arwkv7-Q8_0');
bad('delta-whole', $delta, 'accept', 'an undamaged arwkv7');
bad('delta-no-gate', with_key($delta, 'arwkv7.attention.gate_lora_rank', undef, pack('L<', 0)), 'reject', 'a gate of rank 0');
bad('delta-no-bias', $delta =~ s/blk\.1\.time_mix_ln\.bias/blk.1.time_mix_ln.what/r, 'reject', 'a norm of heads without its bias');
bad('delta-no-norm', $delta =~ s/blk\.1\.time_mix_ln\.weight/blk.1.time_mix_ln.nothin/r, 'reject', 'a bias without its norm of heads');

# I2_S has bytes behind its weights that no other type has, and blocks that kernels have not.
my $bitnet = slurp('bitnet-I2_S');
bad('bitnet-whole', $bitnet, 'accept', 'an undamaged file of I2_S');
bad("bitnet-type-$_", with_tensor($bitnet, 'blk.0.attn_q.weight', 20, pack('L<', $_)), 'reject', "I2_S as type $_")
	for 0, 1, 24, 34, 35, 37, 38, 39;
bad("bitnet-columns-$_", with_tensor($bitnet, 'blk.0.attn_q.weight', 4, pack('Q<Q<', $_, 65536 / $_)), 'reject', "rows of $_ in I2_S")
	for 1, 32, 64, 128, 512, 65536;
bad("bitnet-cut-$_", substr($bitnet, 0, length($bitnet) - $_), 'reject', "the last $_ bytes of a scale are missing") for 1, 28, 32, 33;

# A tail and noise.
bad('tail', $llama . "\0" x 4096, 'any', '4096 bytes more');
my $state = 12345;
for my $i (1 .. 60) {
	my $b = $llama;

	for (1 .. 1 + $i % 4) {
		$state = ($state * 1103515245 + 12345) & 0x7fffffff;
		my $where = ($state >> 8) % ($i % 2 ? 1200 : 9000);
		substr($b, $where, 1) ^= chr(1 << ($state >> 4) % 8);
	}
	bad("flip-$i", $b, 'any', 'bits of the header are flipped');
}

open(my $f, '>', "$dir/MANIFEST.json") or die "$dir/MANIFEST.json: $!\n";
print $f encode_json(\@manifest), "\n";
close($f) or die "$dir/MANIFEST.json: $!\n";
