#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# zen5-tokenize against the cases of llama.cpp's vocabularies and of the project's own, and back to
# text again. Run from the project's root.
#
# B	build directory, "build" if unset

use strict;
use warnings;
use File::Temp qw(tempdir);

my $b = $ENV{B} // 'build';
my $tool = "$b/zen5-tokenize";
my $shared = '../shared/models/tokenizer';
my $separator = "\n__ggml_vocab_test__\n";
my $tmp = tempdir(CLEANUP => 1);
my $n = 0;

# What has cases, and the vocabulary that they are for.
my @foreign = (
	['llama-spm', 'llama-spm'], ['phi-3', 'phi-3'], ['gpt-2', 'gpt-2'], ['llama-bpe', 'llama-bpe'],
	['qwen2', 'qwen2'], ['deepseek-r1-qwen', 'qwen2'], ['bert-bge', 'bert-bge'],
	['rwkv-world', 'rwkv-world'],
);
# These normalize the text before anything else: it does not come back as it was.
my %lossy = map { $_ => 1 } 'bert-bge', 'toy-ugm', 'toy-wpm';
my @texts = glob '../shared/models/text/*.txt';

sub ok
{
	my ($good, $name, @why) = @_;

	$n++;
	print $good ? '' : 'not ', "ok $n - $name\n";
	return if $good;
	print map { "# $_\n" } map { split /\n/ } @why;
}

sub skip
{
	my ($why) = @_;

	$n++;
	print "ok $n # SKIP $why\n";
}

sub slurp
{
	my ($path) = @_;

	open(my $f, '<:raw', $path) or return;
	local $/;
	my $text = <$f>;
	return $text // '';
}

# Standard output, standard error and exit status of the tool.
sub run
{
	my ($input, @args) = @_;

	open(my $f, '>:raw', "$tmp/in") or die "$tmp/in: $!";
	print $f $input;
	close $f or die "$tmp/in: $!";
	system('sh', '-c', 'd=$1; shift; exec "$@" <"$d/in" >"$d/out" 2>"$d/err"', 'sh', $tmp, $tool,
	       @args);
	return (slurp("$tmp/out"), slurp("$tmp/err"), $?);
}

sub shown
{
	my ($text) = @_;

	$text =~ s/([^ -~]|#|\\)/sprintf('\\x%02x', ord $1)/ge;
	return length $text > 50 ? substr($text, 0, 50) . '...' : $text;
}

# Every case to ids; then all ids together back to text.
sub cases
{
	my ($name, $vocab, $base) = @_;
	my @text = split(/\Q$separator\E/, slurp("$base.inp"), -1);
	my @want = split(/\n/, slurp("$base.out"), -1);

	pop @want if @want > @text && $want[-1] eq '';
	ok(@text == @want && @text > 1, "$name: as many lines of ids as texts");
	for my $i (0 .. $#text) {
		my ($out, $err, $status) = run($text[$i], $vocab, '--no-bos', '--no-special');
		my $want = join(' ', split(' ', $want[$i] // ''));

		ok($status == 0 && $out eq "$want\n", "$name: '" . shown($text[$i]) . "'",
		   "got $out$err", "want $want");
	}

	if ($lossy{$name}) {
		my $known = join("\n", @text);

		$known =~ s/[qQ~]|\xe2\x98\x83|\xe2\x96\x81//g;	# not in the toys
		round_trip($name, $vocab, $known);
		return;
	}
	# A control token between the cases makes each of them a beginning; it prints nothing.
	my ($bos) = run('', $vocab);
	my $between = $bos =~ /^(\d+)$/ ? " $1 " : ' ';
	my ($out, $err, $status) = run(join($between, @want), $vocab, '--no-special', '--decode');
	my $all = join('', @text);

	# The escape of a space cannot be told from one.
	$all =~ s/\xe2\x96\x81/ /g if $out !~ /\xe2\x96\x81/;
	ok($status == 0 && $out eq $all, "$name: the ids become the text again", "got " . shown($out),
	   $err);
}

# Text to ids and back again; where it is normalized, what came back has the same ids.
sub round_trip
{
	my ($name, $vocab, $text, $what) = @_;
	my ($ids) = run($text, $vocab, '--no-bos', $lossy{$name} ? () : '--no-special');
	my ($out, $err, $status) = run($ids, $vocab, '--decode');

	$what //= 'all cases';
	if ($lossy{$name}) {
		my ($again) = run($out, $vocab, '--no-bos');

		ok($status == 0 && $ids =~ /\d/ && $again eq $ids,
		   "$name: the ids of $what become text that has the same ids", $err);
	} else {
		ok($status == 0 && $out eq $text, "$name: $what comes back", 'got ' . shown($out), $err);
	}
}

sub foreign
{
	my ($name, $vocab) = @_;
	my $path = "$tmp/$vocab.gguf";

	if (!-r "$shared/ggml-vocab-$vocab.gguf.xz") {
		skip("$name: ../shared is absent");
		return;
	}
	if (!-e $path && system("xz -dc $shared/ggml-vocab-$vocab.gguf.xz >$path")) {
		skip("$name: xz cannot unpack it");
		unlink $path;
		return;
	}
	cases($name, $path, "$shared/ggml-vocab-$name.gguf");
	for (@texts) {
		my ($short) = m{([^/]*)$};

		round_trip($name, $path, slurp($_), $short);
	}
}

# How the tool behaves as a program.
sub manners
{
	my ($vocab) = @_;
	my ($out, $err, $status) = run("a b\n", $vocab, '--json');
	my ($plain) = run("a b\n", $vocab);
	my $count = () = $plain =~ /\d+/g;
	my $list = join(',', split(' ', $plain));

	ok($out eq "{\"tokens\":[$list],\"n\":$count}\n", '--json says the same', "got $out", $plain);
	($out) = run($plain, $vocab, '--decode', '--no-special', '--json');
	ok($out eq "{\"text\":\"a b\\n\"}\n", '--decode --json gives the text', "got $out");
	($out, $err, $status) = run("a\xff\xfe b", $vocab, '--no-bos');
	($out) = run($out, $vocab, '--decode');
	ok($out eq "a\xef\xbf\xbd\xef\xbf\xbd b", 'stray bytes come back as U+FFFD', "got $out");
	($out, $err, $status) = run('', "$tmp/absent.gguf");
	ok($status >> 8 == 1 && $out eq '' && $err =~ /^zen5-tokenize: .*absent\.gguf.*\n\z/,
	   'a missing file is one line', $err);
	($out, $err, $status) = run('1 2 x', $vocab, '--decode');
	ok($status >> 8 == 1 && $err =~ /^zen5-tokenize: .*byte 4.*\n\z/, 'a bad id is one line', $err);
	($out, $err, $status) = run('99999999999999999999', $vocab, '--decode');
	ok($status >> 8 == 1 && $err =~ /^zen5-tokenize: .*\n\z/, 'so is one out of range', $err);
	($out, $err, $status) = run('', $vocab, '--nonsense');
	ok($status >> 8 == 64, 'wrong usage is exit status 64', $err);
	for my $flag ('', '--json') {
		my $r = system("printf x | $tool $vocab $flag >/dev/full 2>$tmp/err");

		ok($r >> 8 == 1 && slurp("$tmp/err") =~ /^zen5-tokenize: standard output: .*\n\z/,
		   "a full disk is one line $flag", slurp("$tmp/err"));
	}
}

if (!-x $tool) {
	print "Bail out! $tool is not built\n";
	exit 1;
}
my $own = 'tests/models/zen5-tiny.gguf';
for my $inp (glob 'tests/models/tokcases/*.inp') {
	my ($base) = $inp =~ /(.*)\.inp$/;
	my ($name) = $base =~ m{([^/]*)$};

	cases($name, "tests/models/$name.gguf", $base) if -r "tests/models/$name.gguf";
}
if (-r $own) {
	manners($own);
} else {
	skip("$own is absent");
}
foreign(@$_) for @foreign;
print "1..$n\n";
