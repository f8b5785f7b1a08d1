#!/usr/bin/perl
# SPDX-License-Identifier: MIT
# zen5-quantize: every type, the same bytes on any number of threads and at every level, nothing left behind by what
# goes wrong. Environment: B, the build directory.
use strict;
use warnings;
use Digest::SHA;
use Fcntl;
use File::Temp qw(tempdir);
use JSON::PP;
use Test::More;

my $b = $ENV{B} // 'build';
my $quantize = "$b/zen5-quantize";
my $dir = tempdir(CLEANUP => 1);

sub sh {
	my ($cmd) = @_;
	my $status = system('sh', '-c', "{ $cmd\n} >$dir/.out 2>$dir/.err </dev/null");
	my @text = map { open my $f, '<:raw', "$dir/$_" or die; local $/; <$f> // '' } qw(.out .err);
	return ($status & 127 ? 128 + ($status & 127) : $status >> 8, @text);
}

# One line on stderr that matches, nothing on stdout, and no new file.
sub refused {
	my ($cmd, $want, $like, $name) = @_;
	my $before = listing();
	my ($rc, $out, $err) = sh($cmd);
	my $lines = () = $err =~ /\n/g;
	ok($rc == $want && $out eq '' && $err =~ $like && ($lines == 1 || $want == 64) && listing() eq $before, $name)
		or diag "status $rc, stdout: $out\nstderr: $err\nfiles before: $before, now: ", listing();
}

sub listing {
	opendir my $d, $dir or die;
	return join ' ', sort grep { !/^\.(out|err|\.?)$/ } readdir $d;
}

sub sha { Digest::SHA->new(256)->addfile($_[0], 'b')->hexdigest }

# A GGUF file of [name, type number, [ne], bytes] and [key, type number, bytes].
sub gguf {
	my ($path, $kv, @tensors) = @_;
	my $str = sub { pack 'Q<a*', length $_[0], $_[0] };
	my $head = 'GGUF' . pack('L<Q<Q<', 3, scalar @tensors, scalar @$kv);
	my ($data, $pad) = ('', sub { "\0" x (-$_[0] % 32) });
	$head .= $str->($_->[0]) . pack('L<', $_->[1]) . $_->[2] for @$kv;
	for (@tensors) {
		my ($name, $type, $ne, $bytes) = @$_;
		$head .= $str->($name) . pack('L<Q<*', scalar @$ne, @$ne) . pack('L<Q<', $type, length $data);
		$data .= $bytes . $pad->(length $bytes);
	}
	open my $f, '>:raw', $path or die;
	print $f $head, $pad->(length $head), $data;
	close $f or die;
}

# Keys of a file in order, each with its value's bytes.
sub pairs {
	my ($path) = @_;
	my @size = (1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8);
	open my $f, '<:raw', $path or die;
	local $/;
	my $p = <$f>;
	my ($n, $at, @pairs) = (unpack('x16Q<', $p), 24);
	for (1 .. $n) {
		my $len = unpack "x${at}Q<", $p;
		my $key = substr $p, $at + 8, $len;
		my $from = $at += 8 + $len;
		my ($type) = unpack "x${at}L<", $p;
		$at += 4;
		my $skip; $skip = sub {
			my ($t) = @_;
			return $at += $size[$t] if $t != 8;
			$at += 8 + unpack "x${at}Q<", $p;
		};
		if ($type == 9) {
			my ($elem, $count) = unpack "x${at}L<Q<", $p;
			$at += 12;
			$skip->($elem) for 1 .. $count;
		} else {
			$skip->($type);
		}
		push @pairs, [$key, substr $p, $from, $at - $from];
	}
	return @pairs;
}

# The shipped model, as floats: 256 wide, so that every type fits its rows.
my $f32 = "$dir/f32.gguf";
my ($rc, $out, $err) = sh("$quantize -q --allow-requantize tests/models/zen5-tiny.gguf $f32 F32");
is($rc, 0, 'a quantized model becomes floats when that is allowed') or diag $err;
($rc, $out) = sh("$b/zen5-run $f32 -p 'Once upon a time' --temp 1 --seed 3 -n 700 --ignore-eos");
open my $text, '>:raw', "$dir/text" or die;
print $text $out;
close $text;
($rc, $out, $err) = sh("$b/zen5-perplexity $f32 -f $dir/text -c 128 --kl-divergence-base $dir/base");
is($rc, 0, 'a base run') or diag $err;

# Largest KL divergence from the floats that each type may have on what the model says itself; half again what it has.
my %limit = (
	F16 => 4.9e-08, BF16 => 4.8e-06, Q8_0 => 7.6e-05, Q6_K => 0.00073, Q5_K_M => 0.0011,
	Q5_K_S => 0.0011, Q5_1 => 0.0012, Q5_0 => 0.0019, Q4_K_M => 0.0027, Q4_K_S => 0.0029,
	Q4_1 => 0.0035, Q4_0 => 0.0074, IQ4_NL => 0.0062, IQ4_XS => 0.0051, MXFP4 => 0.04,
	MXFP4_MOE => 7.6e-05, Q3_K_L => 0.012, Q3_K_M => 0.013, Q3_K_S => 0.039, Q2_K => 0.042,
	Q2_K_S => 0.057, IQ3_M => 0.0099, IQ3_S => 0.017, IQ3_XS => 0.023, IQ3_XXS => 0.027,
	IQ2_M => 0.058, IQ2_S => 0.051, IQ2_XS => 0.057, IQ2_XXS => 0.12, IQ1_M => 0.19, IQ1_S => 0.23,
);
for my $type (sort keys %limit) {
	unlink "$dir/o.gguf";
	($rc, $out, $err) = sh("$quantize --json $f32 $dir/o.gguf $type");
	my $j = eval { decode_json($out) };
	ok($rc == 0 && $j, "$type is written") or diag $err;
	next if !$j;
	is(-s "$dir/o.gguf", $j->{bytes_to}, "$type: as large as it says");
	($rc, $out, $err) = sh("$b/zen5-perplexity $dir/o.gguf --kl-divergence --kl-divergence-base $dir/base --json");
	my $kl = eval { decode_json($out)->{kl}{mean} } // 'none';
	ok($rc == 0 && $kl ne 'none' && $kl <= $limit{$type}, "$type: KL divergence $kl (limit $limit{$type})") or diag $err;
}

# the same bytes
my %sum;
for my $t (1, 2, 3, 8) {
	($rc) = sh("$quantize -q --force $f32 $dir/o.gguf Q4_0 -t $t");
	$sum{$rc . sha("$dir/o.gguf")}++;
}
for my $level (qw(scalar avx2 avx512vnni)) {
	($rc, $out, $err) = sh("ZEN5RT_LEVEL=$level $quantize -q --force $f32 $dir/o.gguf Q4_0 -t 2");
	$sum{$rc . sha("$dir/o.gguf")}++ unless $err =~ /has no more than/;
}
ok(keys %sum == 1 && (keys %sum)[0] =~ /^0/, 'the same bytes with 1, 2, 3 and 8 threads and at every level');
# two rows of every type, from two compilers
my @single = qw(F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS MXFP4 IQ3_S IQ3_XXS IQ2_S
	IQ2_XS
	IQ2_XXS IQ1_M IQ1_S TQ1_0 TQ2_0);
gguf("$dir/small.gguf", [], map { my $t = $_; ["$t.weight", 0, [1024, 2], pack 'f<*', map { sin($_ * $_ * 0.1) * cos($_) } 1 .. 2048] } @single);
my $each = join ' ', map { "--tensor-type ^$_.=$_" } @single;
SKIP: {
	skip 'no build-clang', 1 unless -x 'build-clang/zen5-quantize' && $b ne 'build-clang';
	my %both;
	for my $bin ($b, 'build-clang') {
		($rc, $out, $err) = sh("$bin/zen5-quantize --force $dir/small.gguf $dir/c.gguf Q8_0 $each");
		diag $err if $rc;
		$both{$rc . sha("$dir/c.gguf")}++;
	}
	ok(keys %both == 1 && (keys %both)[0] =~ /^0/, 'and from another compiler, in every type');
	unlink "$dir/c.gguf";
}

# metadata
my %set = map { $_ => 1 } qw(general.file_type general.quantization_version);
my @from = grep { !$set{$_->[0]} } pairs($f32);
my @to = pairs("$dir/o.gguf");
is_deeply([grep { !$set{$_->[0]} } @to], \@from, 'every key is kept, bit for bit and in order');
is_deeply({ map { @$_ } grep { $set{$_->[0]} } @to }, { 'general.file_type' => pack('L<L<', 4, 2),
	'general.quantization_version' => pack('L<L<', 4, 2) }, 'and the two that tell of quantizing are set');

# what becomes of which tensor
($rc, $out) = sh("$quantize --dry-run --json $f32 Q4_0");
my $dry = decode_json($out);
is($dry->{bytes_to}, -s "$dir/o.gguf", '--dry-run knows the size');
my %to = map { $_->{name} => $_->{to} } @{$dry->{tensors}};
is("$to{'token_embd.weight'} $to{'blk.0.ffn_up.weight'} $to{'output_norm.weight'}", 'Q6_K Q4_0 F32',
   'embeddings that are the output, too, get Q6_K; one dimension stays F32');
sub types {
	my ($args) = @_;
	my (undef, $o) = sh("$quantize --dry-run --json $f32 $args");
	my %t = map { $_->{name} => $_->{to} } @{(eval { decode_json($o) } // {})->{tensors}};
	return join ' ', map { $t{$_} // '?' } qw(token_embd.weight blk.0.attn_q.weight blk.1.ffn_down.weight output_norm.weight);
}
is(types('Q4_0 --pure'), 'Q4_0 Q4_0 Q4_0 F32', '--pure');
is(types('q4_0 --token-embedding-type q8_0'), 'Q8_0 Q4_0 Q4_0 F32', '--token-embedding-type, lower case');
is(types('Q4_0 --output-tensor-type F16'), 'F16 Q4_0 Q4_0 F32', '--output-tensor-type of tied embeddings');
is(types("Q4_0 --tensor-type 'blk\\.(1|2)\\.ffn=Q8_0' --tensor-type 'ffn=Q6_K'"), 'Q6_K Q4_0 Q8_0 F32',
   '--tensor-type: the first that fits');

# Mixes: for each the types of every layer, as llama-quantize 0.7.0 says for 16 layers of three shapes.
sub pair_u32 { [$_[0], 4, pack 'L<', $_[1]] }
my $mixes = decode_json(do { open my $f, '<', 'tests/quantize/mixes.json' or die; local $/; <$f> });
for my $shape (sort keys %$mixes) {
	my $kv = $shape =~ /kv2/ ? 2 : 8;
	my $experts = $shape eq 'experts8';
	my $zeros = sub { my ($n, @ne) = (1, @_); $n *= $_ for @ne; return [@ne], "\0" x (2 * $n) };
	my @tensors = map { ["$_.weight", 1, $zeros->(256, 2)] } qw(token_embd output);
	for my $i (0 .. 15) {
		push @tensors, map { ["blk.$i.$_.weight", 1, $zeros->(256, 2)] } qw(attn_q attn_k attn_v attn_output);
		push @tensors, map { ["blk.$i.ffn_$_" . ($experts ? '_exps' : '') . '.weight', 1, $zeros->(256, 2, $experts ? 8 : ())] }
			qw(gate up down);
	}
	gguf("$dir/mix.gguf", [['general.architecture', 8, pack 'Q<a*', 5, 'llama'], pair_u32('llama.block_count', 16),
	     pair_u32('llama.attention.head_count', 8), pair_u32('llama.attention.head_count_kv', $kv),
	     $experts ? pair_u32('llama.expert_count', 8) : ()], @tensors);
	my @wrong;
	for my $mix (sort keys %{$mixes->{$shape}}) {
		my (undef, $o) = sh("$quantize --dry-run --json $dir/mix.gguf $mix");
		my %got = map { $_->{name} => $_->{to} } @{(eval { decode_json($o) } // {})->{tensors}};
		my $want = $mixes->{$shape}{$mix};
		for my $role (keys %$want) {
			my @want = split / /, $want->{$role};
			my @names = $role =~ /weight/ ? $role : map { "blk.$_.$role.weight" } 0 .. 15;
			@want = (@want) x @names if @want == 1;
			push @wrong, map { "$mix $names[$_]: " . ($got{$names[$_]} // '?') . " for $want[$_]" }
				grep { ($got{$names[$_]} // '') ne $want[$_] } 0 .. $#names;
		}
	}
	ok(!@wrong, "the mixes are those of llama-quantize: $shape") or diag join "\n", @wrong[0 .. ($#wrong < 9 ? $#wrong : 9)];
}
unlink "$dir/mix.gguf";

# rows that fill no block
sub floats { pack 'f<*', map { sin($_ * 0.7) } 1 .. $_[0] }
gguf("$dir/rows.gguf", [], ['blk.0.attn_q.weight', 0, [32, 16], floats(512)], ['blk.0.attn_k.weight', 0, [40, 4], floats(160)],
     ['blk.0.ffn_up.weight', 0, [256, 3, 5], floats(3840)], ['output.weight', 0, [256, 2], floats(512)]);
unlink "$dir/o.gguf";
($rc, $out, $err) = sh("$quantize --json $dir/rows.gguf $dir/o.gguf Q6_K");
is(join(' ', map { "$_->{to}$_->{narrow}" } @{(eval { decode_json($out) } // {})->{tensors}}), 'Q8_01 F161 Q6_K0 Q6_K0',
   'rows that fill no block get a narrower type, and that is said') or diag $err;

sub slurp {
	my ($path) = @_;
	open my $f, '<:raw', $path or die "$path: $!";
	local $/;
	return scalar <$f>;
}

# ternary floats come out as they went in, and so does what they multiply
sub ternary { my ($n, $size) = @_; return pack 'f<*', map { (int(rand 3) - 1) * $size } 1 .. $n }
srand 7;
my $three = ternary(256 * 8, 0.0625) . ternary(256 * 8, 3);
gguf("$dir/three.gguf", [], ['blk.0.attn_q.weight', 0, [256, 16], $three]);
for my $type (qw(TQ1_0 TQ2_0)) {
	($rc, $out, $err) = sh("$quantize --force --json $dir/three.gguf $dir/o.gguf $type");
	my $t = (eval { decode_json($out) } // {})->{tensors}[0];
	ok($rc == 0 && $t->{to} eq $type && $t->{rmse} == 0, "$type: ternary weights of two sizes lose nothing") or diag $out, $err;
	($rc, $out, $err) = sh("$quantize --force --allow-requantize $dir/o.gguf $dir/o2.gguf F32");
	my $bytes = slurp("$dir/o2.gguf");
	is(substr($bytes, -length $three), $three, "$type: and come back") or diag $err;
	unlink "$dir/o2.gguf";
}
unlink "$dir/three.gguf";
# so do those of Microsoft's file, whose scale is not in the rows
my $i2_s = 'tests/golden/data/small-bitnet-I2_S.gguf';
my %logits;
for my $type (qw(I2_S F32 BF16)) {
	my $of = $type eq 'I2_S' ? $i2_s : "$dir/o.gguf";
	($rc, $out, $err) = sh("$quantize --force --allow-requantize --token-embedding-type F16 $i2_s $of $type") if $of ne $i2_s;
	unlink "$dir/logits";
	sh("$b/zen5-run $of --tokens 3,40,99,101,7 --logits $dir/logits -n 0");
	$logits{-e "$dir/logits" ? slurp("$dir/logits") : ''}++;
}
ok(keys %logits == 1 && !exists $logits{''}, 'I2_S becomes floats, whose logits are the same to the bit');
for my $type (qw(TQ1_0 TQ2_0)) {
	($rc, $out, $err) = sh("$quantize --force --allow-requantize --json $i2_s $dir/o.gguf $type");
	my @of = grep { $_->{from} eq 'I2_S' } @{(eval { decode_json($out) } // {})->{tensors} // []};
	ok($rc == 0 && @of == 7 && !grep({ $_->{to} ne $type || $_->{rmse} != 0 } @of), "and $type without loss") or diag $out, $err;
}
unlink "$dir/o.gguf";
my $whole = slurp($i2_s);
sub damaged {
	my ($at, $with) = @_;
	my $d = $whole;
	substr($d, $at, length $with) = $with;
	open my $f, '>:raw', "$dir/bad.gguf" or die;
	print $f $d;
}
damaged(-32, pack 'f<', 'nan');
refused("$quantize --allow-requantize $dir/bad.gguf $dir/o.gguf F16", 1, qr/ffn_down.weight': its scale is NaN/, 'I2_S with a scale that is none');
damaged(-33, "\x03");
refused("$quantize --allow-requantize $dir/bad.gguf $dir/o.gguf F16", 1, qr/ffn_down.weight': weights that are neither -1, 0 nor 1/,
	'I2_S with a fourth value');
refused("$quantize $i2_s $dir/o.gguf TQ2_0", 1, qr/attn_q.weight' is I2_S already/, 'I2_S without --allow-requantize');

# importance
sub entry { my ($name, @v) = @_; return pack 'l<a*l<l<f<*', length $name, $name, 5, scalar @v, @v }
my @importance = map { $_ % 4 ? 0.01 : 9 } 1 .. 256;
open my $im, '>:raw', "$dir/im.dat" or die;
print $im pack('l<', 1), entry('blk.0.ffn_up.weight', (@importance) x 5);
close $im;
my ($plain, $weighted) = map {
	(undef, $out) = sh("$quantize --force --json $dir/rows.gguf $dir/o.gguf IQ4_NL $_");
	(grep { $_->{name} =~ /ffn_up/ } @{(eval { decode_json($out) } // {})->{tensors}})[0];
} '', "--imatrix $dir/im.dat";
ok(!$plain->{weighted} && $weighted->{weighted} && $weighted->{rmse} > $plain->{rmse},
   'an importance matrix changes what counts as an error');
is((grep { $_->[0] eq 'quantize.imatrix.file' } pairs("$dir/o.gguf"))[0][1], pack('L<Q<a*', 8, 6, 'im.dat'),
   'and is named in the file');
open $im, '>:raw', "$dir/im2.dat" or die;
print $im pack('l<', 1), entry('blk.0.ffn_up.weight', (1) x 255);
close $im;
open $im, '>:raw', "$dir/im3.dat" or die;
print $im pack('l<', 1), entry('blk.7.ffn_up.weight', (1) x 256);
close $im;
unlink "$dir/o.gguf";
refused("$quantize $dir/rows.gguf $dir/o.gguf IQ4_NL --imatrix $dir/im2.dat", 1, qr/ffn_up.* 255 .*another model/, 'importance of another width');
refused("$quantize $dir/rows.gguf $dir/o.gguf IQ4_NL --imatrix $dir/im3.dat", 1, qr/im3\.dat.*another model/, 'importance of no tensor there is');
refused("$quantize $dir/rows.gguf $dir/o.gguf IQ4_NL --imatrix $dir/text", 1, qr/no importance matrix|name of/, 'a text as importance matrix');
refused("$quantize $dir/rows.gguf $dir/o.gguf IQ4_NL --imatrix $dir", 1, qr/ordinary file/, 'a directory as importance matrix');

# what is refused
refused("$quantize --dry-run $dir/nothing.gguf Q4_0", 1, qr/nothing\.gguf: No such file/, 'no input');
refused("$quantize $f32 $dir/o.gguf Q9_9", 1, qr/Q9_9: no type/, 'no such type');
refused("$quantize $f32 $dir/o.gguf", 64, qr/IN OUT TYPE/, 'too few arguments');
refused("$quantize $f32 $dir/o.gguf Q4_0 --tensor-type 'ffn('=Q8_0", 1, qr/pattern ffn\(/, 'a pattern that is none');
refused("$quantize $f32 $dir/o.gguf Q4_0 --tensor-type nothing=Q8_0", 1, qr/nothing fits no tensor/, 'a pattern that fits nothing');
refused("$quantize $f32 $dir/o.gguf Q4_0 --tensor-type ffn=Q4_K_M", 1, qr/Q4_K_M is no type/, 'a mix for one tensor');
refused("$quantize tests/models/zen5-tiny.gguf $dir/o.gguf Q4_0", 1, qr/already.*--allow-requantize/, 'an input that is quantized');
refused("$quantize $f32 $dir/text Q4_0", 1, qr/already; --force/, 'an output that is there');
refused("$quantize $f32 $f32 Q4_0 --force", 1, qr/is the input itself/, 'the input as output');
link $f32, "$dir/link.gguf";
refused("$quantize $f32 $dir/link.gguf Q4_0 --force", 1, qr/is the input itself/, 'the input by another name');
refused("$quantize $dir/rows.gguf $dir/im.dat Q8_0 --force --imatrix $dir/im.dat", 1, qr/importance matrix/, 'the importance matrix as output');
refused("$quantize $f32 /dev/full Q4_0 --force", 1, qr/no ordinary file/, 'a device as output');
refused("$quantize $f32 '' Q4_0", 1, qr/empty/, 'an output without a name');
refused("$quantize $f32 - Q4_0", 64, qr/standard output: name a file/, 'standard output as output');
refused("$quantize $f32 $dir/@{['n' x 300]} Q4_0", 1, qr/name too long/, 'an output whose name is too long');
symlink 'nothing.gguf', "$dir/dangling.gguf";
refused("$quantize $f32 $dir/dangling.gguf Q4_0", 1, qr/already.*--force/, 'a link to nothing as output');
refused("$quantize $f32 $dir/o.gguf Q4_0 >/dev/full", 1, qr/standard output: No space/, 'lines that the disk does not take');
{
	local $^F = 9;
	pipe my $reader, my $writer or die;
	close $reader;
	refused("$quantize $f32 $dir/o.gguf Q4_0 >&" . fileno $writer, 1, qr/standard output: Broken pipe/, 'a reader who has gone');
}
refused("$quantize $f32 $dir/no/such/o.gguf Q4_0", 1, qr/No such file/, 'a directory that is not there');
gguf("$dir/part.gguf", [['split.count', 2, pack 'S<', 3], ['split.no', 2, pack 'S<', 1]], ['a.weight', 0, [32, 1], floats(32)]);
refused("$quantize $dir/part.gguf $dir/o.gguf Q8_0", 1, qr/part 2 of a model in 3 parts: name the first/, 'one part of a model');
gguf("$dir/p-0000$_-of-00002.gguf", [['split.count', 2, pack 'S<', 2], ['split.no', 2, pack 'S<', $_ - 1]],
     ["$_.weight", 0, [32, 1], floats(32)]) for 1, 2;
refused("$quantize $dir/p-00001-of-00002.gguf $dir/p-00002-of-00002.gguf Q8_0 --force", 1, qr/is the input itself/,
	'another part of the input as output');
for (['NaN', pack('L<', 0x7fc00000), 'Q8_0', qr/'a.weight': row 1, column 8 is NaN/],
     ['an infinity', pack('L<', 0xff800000), 'Q8_0', qr/column 8 is infinite/],
     ['a value that F16 has not', pack('f<', 1e6), 'F16', qr/too large for F16; take BF16/],
     ['a scale that F16 has not', pack('f<', 1e30), 'Q8_0', qr/too large for Q8_0/]) {
	my ($what, $bytes, $type, $like) = @$_;
	my $data = floats(64);
	substr($data, 40 * 4, 4) = $bytes;
	gguf("$dir/bad.gguf", [], ['a.weight', 0, [32, 2], $data]);
	refused("$quantize $dir/bad.gguf $dir/o.gguf $type", 1, $like, "weights with $what");
}
gguf("$dir/bad.gguf", [], ['a.weight', 0, [32, 2], floats(64)], ['a_norm.weight', 0, [32], floats(31) . pack 'L<', 0x7fc00000]);
refused("$quantize $dir/bad.gguf $dir/o.gguf Q8_0", 1, qr/'a_norm.weight': value 31 is NaN/, 'a norm with a NaN');
gguf("$dir/bad.gguf", [], ['a.weight', 0, [32, 2], pack 'f<*', (1e-9) x 64]);
refused("$quantize $dir/bad.gguf $dir/o.gguf F16", 1, qr/differs from the input by 1 of its size/, 'weights that vanish in F16');
unlink "$dir/bad.gguf";

# no room
refused("ulimit -f 200; $quantize $f32 $dir/o.gguf Q4_0", 1, qr/o\.gguf: .*File too large/, 'a limit on file sizes: nothing stays behind');
SKIP: {
	skip 'no name space of our own to mount in', 1 if system("unshare -m true 2>/dev/null");
	mkdir "$dir/small";
	refused("unshare -m sh -c 'mount -t tmpfs -o size=256k none $dir/small && { $quantize $f32 $dir/small/o.gguf Q4_0; rc=\$?; " .
		"test -z \"\$(ls -A $dir/small)\" || echo left behind; exit \$rc; }'", 1, qr/No space left/, 'a full disk: nothing stays behind');
	rmdir "$dir/small";
}

($rc, $out, $err) = sh("$quantize $f32 $dir/o.gguf Q8_0 >/dev/full");
ok($rc == 1 && $err =~ /standard output: No space left/ && !-e "$dir/o.gguf", 'a report that cannot be printed') or diag $err;

# Killed while it waits for its reader, who takes no more: the new file is written by then, and has no name yet.
sub killed {
	my ($signal) = @_;
	pipe my $r, my $w or die;
	fcntl $w, 1031, 4096 or die "F_SETPIPE_SZ: $!";
	syswrite $w, 'x' x 4096;
	my $pid = fork // die;
	if (!$pid) {
		open STDOUT, '>&', $w;
		open STDERR, '>', '/dev/null';
		exec $quantize, $f32, "$dir/o.gguf", 'Q4_0';
	}
	close $w;
	# it sleeps in write(2): its state does not change any more by itself
	my $wait = '';
	for (1 .. 3000) {
		open my $f, '<', "/proc/$pid/syscall" or last;
		$wait = <$f> // '';
		last if $wait =~ /^1 0x1 /;
		select undef, undef, undef, 0.01;
	}
	my $names = listing();
	kill $signal => $pid;
	if ($signal eq 'INT') {
		# the reader comes back, and the tool finds that it was interrupted
		local $/;
		my $rest = <$r>;
	}
	waitpid $pid, 0;
	return ($wait =~ /^1 0x1 /, $names, $? & 127 ? 128 + ($? & 127) : $? >> 8);
}
SKIP: {
	skip 'no /proc/PID/syscall', 2 unless -r "/proc/$$/syscall";
	my $before = listing();
	my ($waited, undef, $status) = killed('KILL');
	my $now = join ' ', grep { !/^\.o\.gguf\./ } split / /, listing();
	ok($waited && $status == 137 && $now eq $before, 'killed before the end: no file under the name') or diag "$waited $status $now";
	unlink glob "$dir/.o.gguf.*";
	($waited, undef, $status) = killed('INT');
	ok($waited && $status == 130 && listing() eq $before, 'Ctrl-C: status 130, and nothing stays behind') or diag "$waited $status ", listing();
}

($rc, $out, $err) = sh("$quantize --require-zen5 --dry-run $f32 Q4_0");
ok($rc == 0 || ($rc == 3 && $err =~ /requires an AMD Zen 5/), '--require-zen5');
($rc, $out) = sh("$quantize --version");
like($out, qr/^zen5-quantize \d+\.\d+\.\d+$/, '--version');
($rc, $out) = sh("$quantize --help");
like($out, qr/--imatrix.*Types:.*Q4_K_M/s, '--help lists the types');
done_testing;
