#!/usr/bin/perl
# SPDX-License-Identifier: MIT
# zen5-run as a user meets it: options, prompts, output, errors. Environment: B, the build directory.
use strict;
use warnings;
use File::Temp qw(tempdir);
use JSON::PP;
use Test::More;

my $b = $ENV{B} // 'build';
my $run = "$b/zen5-run";
my $model = 'tests/models/zen5-tiny.gguf';
my $dir = tempdir(CLEANUP => 1);

# Runs a shell command; returns exit status, stdout, stderr.
sub sh {
	my ($cmd) = @_;
	my $status = system('sh', '-c', "{ $cmd\n} >$dir/out 2>$dir/err") ;
	my @text = map { open my $f, '<:raw', "$dir/$_" or die; local $/; <$f> // '' } qw(out err);
	return ($status & 127 ? 128 + ($status & 127) : $status >> 8, @text);
}

# A failure is one line on stderr that matches, nothing on stdout.
sub fails {
	my ($cmd, $want, $like, $name) = @_;
	my ($rc, $out, $err) = sh("$cmd </dev/null");
	my $lines = () = $err =~ /\n/g;
	ok($rc == $want && $out eq '' && $err =~ $like && ($lines == 1 || $want == 64), $name)
		or diag "status $rc, stdout: $out\nstderr: $err";
}

my ($rc, $out, $err) = sh("$run $model -p 'Once upon a time' --temp 0 -n 20");
is($rc, 0, 'a prompt');
like($out, qr/^Once upon a time.{20,}\n\z/s, 'the prompt and its continuation');
like($err, qr/\Aload [\d.]+ s, prompt \d+ tokens [\d.]+ tok\/s, first token after [\d.]+ s, decode 19 tokens [\d.]+ tok\/s\n\z/,
     'one line of figures, no progress in a pipe');
my $text = $out;

(undef, $out) = sh("printf 'Once upon a time' | $run $model --temp 0 -n 20");
is($out, $text, 'the prompt from a pipe');
(undef, $out) = sh("printf 'Once upon a time' >$dir/p; $run $model -f $dir/p --temp 0 -n 20");
is($out, $text, 'the prompt from a file');
(undef, $out) = sh("$run -m $model --no-display-prompt -p 'Once upon a time' --temp 0 -n 20");
is("Once upon a time$out", $text, '--no-display-prompt prints what is new');
(undef, $out) = sh("$run $model -p 'Once upon a time' --temp 1 -n 40 --seed 7");
my (undef, $again) = sh("$run $model -p 'Once upon a time' --temp 1 -n 40 --seed 7 -t 3 --ubatch 2");
is($again, $out, 'the same seed, the same text');
(undef, $again) = sh("$run $model -p 'Once upon a time' --temp 1 -n 40 --seed 8");
isnt($again, $out, 'another seed, another text');

my ($json) = (sh("$run $model -p 'Once upon a time' --temp 0 -n 20 --json --explain"))[1];
my $j = eval { decode_json($json) };
ok($j, '--json is JSON') or diag $json;
is("Once upon a time$j->{text}\n", $text, 'the same text in JSON');
is(scalar @{$j->{tokens}}, 20, 'as many tokens as asked');
is($j->{end}, 'length', 'and why it ended');
is_deeply([map { $_->{use} } @{$j->{explain}{regions}}], ['weights', 'KV cache', 'scratch'], 'regions');
ok($j->{explain}{read_bandwidth} > 1e8, 'a bandwidth that was measured');
ok((grep { $_->{calls} > 0 } @{$j->{explain}{weights}}) > 0, 'kernels that were called');

my $ids = join ',', @{$j->{prompt_tokens}};
(undef, $out) = sh("$run $model --tokens $ids --temp 0 -n 20 --json");
is(decode_json($out)->{text}, $j->{text}, '--tokens feeds the same prompt');
($rc, $out, $err) = sh("$run $model --tokens $ids -n 0 --logits $dir/l");
ok($rc == 0 && $out eq '' && $err eq '', '-n 0 --logits prints nothing');
is(-s "$dir/l", 4 * 1024, 'and writes a float for each token of the vocabulary');

($rc, $out, $err) = sh("$run $model -p 'Once upon a time' --temp 0 -n 8 --explain");
like($err, qr/level: +\w+\n.*weights.*KV cache.*scratch.*L3 domain \d.*ffn_down.*bandwidth: +[\d.]+ GB\/s.*decode: +[\d.]+ GB\/s/s,
     '--explain names level, regions, threads, kernels, rates');

# how keys and values are kept
my %bytes;
for my $type (qw(f32 f16 bf16 q8_0)) {
	($json) = (sh("$run $model -p 'Once upon a time' --temp 0 -n 20 -c 256 --json --explain --kv-type=$type"))[1];
	$j = decode_json($json);
	$bytes{$type} = $j->{kv_cache}{bytes};
	my ($region) = grep { $_->{use} eq 'KV cache' } @{$j->{explain}{regions}};
	ok($j->{kv_cache}{type} eq $type && $j->{kv_cache}{positions} == 256 && $region->{asked} == $bytes{$type} &&
	   @{$j->{tokens}} == 20, "--kv-type=$type");
}
ok($bytes{f16} * 2 == $bytes{f32} && $bytes{bf16} == $bytes{f16} && $bytes{q8_0} * 32 == $bytes{f32} * 9, 'and what they take');
($rc, $out, $err) = sh("$run $model -p 'Once upon a time' --temp 0 -n 8 --explain --kv-type q8_0");
like($err, qr/^KV cache: +q8_0, [\d.]+ \w+ a position$/m, '--explain tells the type');

# a recurrent model has a state instead
my $mamba = 'tests/golden/data/small-mamba2.gguf';
($rc, $out, $err) = sh("$run $mamba --tokens 1,5,9 --temp 0 -n 8 --explain --ignore-eos");
like($err, qr/ width 32, context \d.*\n  state .*\nstate: +[\d.]+ KiB for any number of positions.*\na token: .* of state, read and written\n/s,
     '--explain tells of a state');
unlike($err, qr/KV/, 'and of no KV cache');
$j = decode_json((sh("$run $mamba --tokens 1,5,9 --temp 0 -n 8 --json --explain"))[1]);
ok($j->{state}{bytes} > 1000 && !exists $j->{kv_cache}, 'as does JSON');
is_deeply([map { $_->{use} } @{$j->{explain}{regions}}], ['weights', 'state', 'scratch'], 'regions');
fails("$run $mamba --tokens 1 --kv-type f16", 1, qr/kv_type f16: architecture mamba2 has no KV cache/, 'no type of what is not there');

# a hybrid has both
my $hybrid = 'tests/golden/data/small-granitehybrid.gguf';
($rc, $out, $err) = sh("$run $hybrid --tokens 1,5,9 --temp 0 -n 8 --explain --ignore-eos --kv-type f16");
like($err, qr/\n  KV cache .*\n  state .*\nstate: +[\d.]+ KiB for any number.*\nKV cache: +f16, [\d.]+ \w+ a position\n.*\na token: .* of KV cache, and state read and written\n/s,
     '--explain tells of a hybrid');
$j = decode_json((sh("$run $hybrid --tokens 1,5,9 --temp 0 -n 8 --json --explain"))[1]);
ok($j->{state}{bytes} > 1000 && $j->{kv_cache}{bytes} > 1000, 'as does JSON');
is_deeply([map { $_->{use} } @{$j->{explain}{regions}}], ['weights', 'KV cache', 'scratch', 'state'], 'regions');

# what evaluating a prompt gave, in a file: used where the prompt begins alike, and the text is the same as without
for my $m ($model, $mamba, $hybrid, 'tests/golden/data/small-rwkv7.gguf') {
	my $cached = "$run $m --temp 0 -n 12 --json --ignore-eos --prompt-cache $dir/cache";
	my %prompt = (
		first => join(',', 1, map { 3 + $_ * 7 % 200 } 1 .. 40),
		same => join(',', 1, map { 3 + $_ * 7 % 200 } 1 .. 40),
		longer => join(',', 1, map { 3 + $_ * 7 % 200 } 1 .. 60), shorter => join(',', 1, map { 3 + $_ * 7 % 200 } 1 .. 25),
		other => join(',', 1, map { 3 + $_ * 11 % 200 } 1 .. 25),
	);
	unlink "$dir/cache";
	for my $which (qw(first same longer same shorter other other)) {
		my $want = decode_json((sh("$run $m --temp 0 -n 12 --json --ignore-eos --tokens $prompt{$which}"))[1]);
		my ($rc, $out, $err) = sh("$cached --tokens $prompt{$which}");
		is($rc ? $err : "@{decode_json($out)->{tokens}}", "@{$want->{tokens}}", "$m: $which prompt with a cache, the same text");
	}
	(undef, undef, $err) = sh("$run $m --temp 0 -n 2 --ignore-eos --prompt-cache $dir/cache --tokens $prompt{other}");
	like($err, qr/prompt 0 tokens/, 'nothing is evaluated again');
	(undef, undef, $err) = sh("$run $m --temp 0 -n 2 --ignore-eos --prompt-cache $dir/cache --tokens $prompt{other},9,8,7");
	like($err, qr/prompt 3 tokens/, 'and what is new alone');
}
fails("$run $model --prompt-cache $dir/cache -p x", 1, qr/\Q$dir\E\/cache: is a session of another model/, "another model's cache");
fails("$run $model --prompt-cache $model -p x", 1, qr/\Q$model\E: is no saved session/, 'what is none is not written over');
fails("$run $model --prompt-cache $dir/none/cache -p x -n 1", 1, qr/none\/cache: /, 'a directory that is not there');
# a token that there is not would be found by evaluating
fails("$run $model --prompt-cache $dir/none/cache --tokens 1,999999", 1, qr/none\/cache: its directory takes no new file/,
      'which is said before the prompt is evaluated');
fails("$run $model --prompt-cache $dir/cache --chat -p x", 64, qr/--prompt-cache is not for chat/, 'not for chat');

# the context: filled exactly, and refused when the prompt is longer
(undef, $out) = sh("$run $model -p 'Once upon a time' --temp 0 -c 32 --ignore-eos --json");
$j = decode_json($out);
is($j->{end}, 'context full', 'generation ends where the context does');
is(@{$j->{tokens}} + @{$j->{prompt_tokens}}, 33, 'after the last position was used');
my $long = join ' ', ('word') x 400;
fails("$run $model -p '$long' -c 64", 1, qr/tokens.*context.*-c/, 'a prompt longer than the context');

fails("$run /nonexistent.gguf -p x", 1, qr/nonexistent\.gguf.*No such file/, 'no such file');
fails("$run $dir -p x", 1, qr/\Q$dir\E/, 'a directory');
fails("{ cat $model | $run /dev/stdin -p x; }", 1, qr/\/dev\/stdin: is a pipe: a model must be an ordinary file/, 'a model from a pipe');
fails("$run - -p x", 1, qr/standard input: name a file/, 'a model from standard input');
fails("$run tests/run -p x", 1, qr/tests\/run/, 'a file that is no GGUF');
fails("$run $model --tokens 1,2,999999", 1, qr/999999.*vocabulary/, 'a token outside the vocabulary');
fails("$run $model --tokens 1,,2", 1, qr/--tokens/, 'ids that are none');
fails("$run $model --tokens 1,2,", 1, qr/--tokens/, 'ids with a tail');
fails("cp $model $dir/m.gguf; $run $dir/m.gguf -p x -n 1 --logits $dir/m.gguf", 1, qr/is the model itself/, 'logits over the model');
ok(-s "$dir/m.gguf" == -s $model, 'which is left alone');
fails("$run $model -p x -n 1 --logits $dir/m.gguf", 1, qr/m\.gguf: is a GGUF file/, 'logits over another model');
ok(-s "$dir/m.gguf" == -s $model, 'which is left alone, too');
fails("$run $model -p x -n 0 --logits '$dir/no\nsuch/dir'", 1, qr/no\?such/, 'a path with a newline stays on one line');
fails("$run $model --tokens 1,-2", 1, qr/--tokens/, 'a negative id');
fails("$run $model -p x --logits /nonexistent/dir/x -n 0", 1, qr/nonexistent/, 'logits that cannot be written');
fails("ZEN5RT_LEVEL=mmx $run $model -p x", 1, qr/ZEN5RT_LEVEL=mmx.*scalar/, 'an unknown level');
fails("$run $model -p x --kv-type=q4_0", 64, qr/--kv-type q4_0: expected f32, f16, bf16 or q8_0/, 'an unknown type of KV cache');
fails("$run $model -p x --kv-type=", 64, qr/--kv-type/, 'and none');
fails("$_ --ternary=maybe", 64, qr/--ternary maybe: expected auto, on or off/, 'no such word for ternary')
	for "$run $model -p x", "$b/zen5-perplexity $model", "$b/zen5-bench $model";
fails("$run $model -p x -t 0", 64, qr/-t 0/, 'no threads');
fails("$run $model -p x --temp nan", 64, qr/--temp nan/, 'a temperature that is no number');
fails("$run $model -p x -n 12x", 64, qr/-n 12x/, 'a number with a tail');
fails("$run -p x", 64, qr/MODEL/, 'no model');
fails("$run $model -p x -f tests/run", 64, qr/-p, -f and --tokens: one/, 'two prompts');
fails("$run $model -p x --tokens 1,2", 64, qr/-p, -f and --tokens: one/, 'a text and ids');
fails("$run $model $model -p x", 64, qr/more than one model/, 'two models');
fails("$run $model -p x -c 1000000000 -n 1", 1, qr/KV cache.*(GiB|memory)/, 'a context that does not fit into memory');
fails("ulimit -v 65536; $run $model -p x -n 1 -c 100000", 1, qr/zen5-run: /, 'no address space');

($rc, $out, $err) = sh("$run $model -p 'Once' -n 5 --temp 0 >/dev/full");
ok($rc == 1 && $err =~ /standard output/, 'a full disk is said');
sh("{ $run $model -p 'Once' -n 4000 -c 4096 --temp 0 --ignore-eos; echo \$? >$dir/rc; } | head -c 10 >/dev/null");
is(do { open my $f, '<', "$dir/rc"; <$f> }, "1\n", 'a closed pipe ends it');

# Starts the tool with SIGINT at $int, waits for its first text, interrupts it; returns its exit status.
sub interrupt {
	my ($int, @args) = @_;
	my $pid = open(my $p, '-|') // die "fork: $!";
	if (!$pid) {
		$SIG{INT} = $int;
		open STDERR, '>', "$dir/err";
		exec $run, $model, @args;
	}
	# past the prompt, which comes first
	my $first = '';
	1 while length $first < 20 && sysread $p, $first, 10, length $first;
	kill INT => $pid;
	1 while sysread $p, my $rest, 65536;
	close $p;
	return $? & 127 ? 128 + ($? & 127) : $? >> 8;
}

my @endless = ('-p', 'Once', '-c', 30000, '--ignore-eos', '--temp', 1, '--seed', 3);
is(interrupt('DEFAULT', @endless), 130, 'Ctrl-C ends the answer');
like(do { open my $f, '<', "$dir/err"; join '', <$f> }, qr/^load .*(?:tok\/s|nothing decoded)$/, 'with the line of figures');
is(interrupt('IGNORE', '-p', 'Once', '-n', 2000, '-c', 4096, '--ignore-eos', '--temp', 0), 0, 'SIGINT that is ignored stays so');
{
	# the prompt never comes; a tool that does not end is ended by the alarm
	pipe my $r, my $w;
	my $pid = fork // die "fork: $!";
	if (!$pid) {
		open STDIN, '<&', $r;
		close $w;
		exec $run, $model;
	}
	select undef, undef, undef, 0.3;
	kill INT => $pid;
	local $SIG{ALRM} = sub { kill KILL => $pid };
	alarm 20;
	waitpid $pid, 0;
	alarm 0;
	is($? & 127, 2, 'Ctrl-C while the prompt is awaited');
}
($rc, $out) = sh("$run --version");
like($out, qr/^zen5-run \d+\.\d+\.\d+$/, '--version');
($rc, $out) = sh("$run --help");
like($out, qr/--top-k.*--explain/s, '--help');
done_testing;
