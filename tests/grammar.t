#!/usr/bin/perl
# SPDX-License-Identifier: MIT
# Answers of the model that ships with the project under grammars. Environment: B, the build directory.
use strict;
use warnings;
use File::Temp qw(tempdir);
use JSON::PP;
use Test::More;

my $b = $ENV{B} // 'build';
my $model = 'tests/models/zen5-tiny.gguf';
my $dir = tempdir(CLEANUP => 1);

# Runs zen5-run; returns its JSON, or undef and what it said.
sub run {
	my (@args) = @_;
	my $pid = open(my $p, '-|') // die "fork: $!";
	if (!$pid) {
		open STDERR, '>', "$dir/err";
		exec "$b/zen5-run", $model, '-p', 'Once upon a time', '--json', @args;
	}
	my $out = do { local $/; <$p> // '' };
	close $p;
	my $err = do { local $/; open my $f, '<', "$dir/err" or die; <$f> // '' };
	return ($out ne '' ? decode_json($out) : undef, $err, $? >> 8);
}

sub file {
	my ($name, $text) = @_;
	open my $f, '>:raw', "$dir/$name" or die;
	print $f $text;
	close $f;
	return "$dir/$name";
}

for my $seed (0 .. 5) {
	my ($j) = run('--grammar', 'root ::= ([a-z]{1,9} " "){3} [0-9]{2,4} "."', '--temp', $seed ? 1 : 0, '--seed', $seed, '-n', 200);
	ok($j && $j->{text} =~ /^([a-z]{1,9} ){3}[0-9]{2,4}\.\z/ && $j->{end} eq 'eos', "seed $seed: $j->{text}");
}
my $json = JSON::PP->new->utf8(0);
for my $seed (1 .. 6) {
	my ($j) = run('--grammar-file', 'Documentation/grammars/json.gbnf', '--temp', 1, '--seed', $seed, '-n', 400, '-c', 1000);
	ok($j && ($j->{end} eq 'length' || eval { $json->decode($j->{text}) }), "seed $seed: JSON")
		or diag $j->{text};
}
my @same = map { (run('--grammar-file', 'Documentation/grammars/arithmetic.gbnf', '--temp', 1, '--seed', 9, '-n', 60, '-t', $_))[0]{text} } 1, 2;
is($same[0], $same[1], 'the same seed and grammar, the same text');
like($same[0], qr/^[-0-9.+*\/() =\n]+$/, 'of the letters that the grammar has');
my ($j) = run('--grammar', "root ::= \"\x{c3}\x{a9}\x{e2}\x{82}\x{ac}\" [\\u3041-\\u3096]{3}");
like($j->{text}, qr/^\x{e9}\x{20ac}[\x{3041}-\x{3096}]{3}\z/, 'characters that the vocabulary has as bytes only');

sub fails {
	my ($name, $like, $status, @args) = @_;
	my ($out, $err, $rc) = run(@args);
	ok(!$out && $rc == $status && $err =~ $like, $name) or diag "status $rc: $err";
}
fails('a wrong grammar', qr/^zen5-run: --grammar: grammar:1:10: this " has no end.*\n\z/, 1, '--grammar', 'root ::= "x');
fails('a wrong file', qr/^zen5-run: \Q$dir\E\/g: grammar:2:1: rule x can begin with itself.*\n\z/, 1,
      '--grammar-file', file('g', "root ::= x\nx ::= x \"a\" | \"b\"\n"));
fails('no such file', qr/nonexistent: No such file/, 1, '--grammar-file', '/nonexistent');
fails('two grammars', qr/more than one grammar or schema/, 64, '--grammar', 'root ::= "x"', '--grammar-file', 'x');
fails('--ignore-eos', qr/--ignore-eos with a grammar/, 64, '--grammar', 'root ::= "x"', '--ignore-eos');
fails('a token that does not exist', qr/1:10: the vocabulary has no token/, 1, '--grammar', 'root ::= <[99999]>');
fails('a wrong schema', qr/^zen5-run: --json-schema: schema #\/properties\/a: "not" cannot be made.*\n\z/, 1,
      '--json-schema', '{"properties":{"a":{"not":{}}}}');
fails('a wrong schema in a file', qr/^zen5-run: \Q$dir\E\/s: schema:2:1: .*\n\z/, 1, '--json-schema-file', file('s', "{\n]"));
fails('grammar and schema', qr/more than one grammar or schema/, 64, '--grammar', 'root ::= "x"', '--json-schema', '{}');

# ---- answers under a schema are valid under it, says a second implementation ----

sub type_of {
	my ($v) = @_;
	return 'null' if !defined $v;
	return 'boolean' if JSON::PP::is_bool($v);
	return lc ref $v if ref $v eq 'ARRAY';
	return 'object' if ref $v;
	return 'string' if $json->encode([$v]) =~ /^\["/;
	return $v =~ /^-?\d+\z/ ? 'integer' : 'number';
}

my $root;
# The first thing that is wrong with $v, '' if nothing.
sub invalid {
	my ($s, $v, $at) = @_;
	return ref $s || !$s ? "false at $at" : '' if JSON::PP::is_bool($s) && !$s;
	return '' if JSON::PP::is_bool($s);
	if (my $ref = $s->{'$ref'}) {
		my $to = $root;
		$to = $to->{$_} for grep { length } split m{/}, substr $ref, 1;
		return invalid($to, $v, $at);
	}
	return (grep { !invalid($_, $v, $at) } @{$s->{anyOf}}) ? '' : "anyOf at $at" if $s->{anyOf};
	return (grep { $json->encode([$_]) eq $json->encode([$v]) } @{$s->{enum}}) ? '' : "enum at $at" if $s->{enum};
	my $t = type_of($v);
	my $want = $s->{type} // ($s->{properties} ? 'object' : $s->{items} ? 'array' : $s->{pattern} ? 'string' : $t);
	return "type $t at $at" unless grep { $t eq $_ || ($_ eq 'number' && $t eq 'integer') } ref $want ? @$want : $want;
	if ($t eq 'string') {
		return "length at $at" if length $v < ($s->{minLength} // 0) || length $v > ($s->{maxLength} // 1e9);
		return "pattern at $at" if defined $s->{pattern} && $v !~ /$s->{pattern}/;
	} elsif ($t eq 'integer' || $t eq 'number') {
		return "minimum at $at" if defined $s->{minimum} && $v < $s->{minimum};
		return "maximum at $at" if defined $s->{maximum} && $v > $s->{maximum};
		return "exclusiveMinimum at $at" if defined $s->{exclusiveMinimum} && $v <= $s->{exclusiveMinimum};
	} elsif ($t eq 'array') {
		return "items at $at" if @$v < ($s->{minItems} // 0) || @$v > ($s->{maxItems} // 1e9);
		for my $i (0 .. $#$v) {
			my $e = invalid($s->{items} // {}, $v->[$i], "$at/$i");
			return $e if $e;
		}
	} elsif ($t eq 'object') {
		for my $k (@{$s->{required} // []}) {
			return "required $k at $at" if !exists $v->{$k};
		}
		for my $k (keys %$v) {
			my $e = invalid($s->{properties}{$k} // $s->{additionalProperties} // JSON::PP::false,
					$v->{$k}, "$at/$k");
			return $e if $e;
		}
	}
	return '';
}

my @schemas = (
	'{"properties":{"name":{"type":"string","minLength":2,"maxLength":20},"age":{"type":"integer","minimum":-3,"maximum":150},
	  "score":{"type":"number","exclusiveMinimum":0,"maximum":1},"tags":{"items":{"enum":["a","b",3.5,null]},"minItems":1,"maxItems":3}},
	  "required":["age","tags"]}',
	'{"items":{"$ref":"#/$defs/node"},"minItems":1,"maxItems":2,"$defs":{"node":{"type":"object","properties":{"id":{"type":"string","pattern":
	  "^[a-z]{2}-(\\\\d+|x)$"},"next":{"anyOf":[{"type":"null"},{"$ref":"#/$defs/node"}]}},"required":["id","next"],"additionalProperties":false}}}',
	'{"type":"object","properties":{"x":{"type":["boolean","null"]},"xy":{"type":"string","maxLength":5}},"required":["xy"],
	  "additionalProperties":{"type":"integer","maximum":9}}',
);
my $complete = 0;
for my $k (0 .. $#schemas) {
	my $path = file("schema$k", $schemas[$k]);
	$root = decode_json($schemas[$k]);
	for my $seed (1 .. 6) {
		my ($j, $err) = run('--json-schema-file', $path, '--temp', 1, '--seed', $seed, '-n', 400, '-c', 1000);
		my $v = $j ? eval { $json->decode($j->{text}) } : undef;
		my $wrong = !$j ? $err : $j->{end} eq 'length' ? '' : !defined $v ? 'no JSON' : invalid($root, $v, '');
		$complete += $j && $j->{end} eq 'eos';
		is($wrong, '', "schema $k, seed $seed") or diag $j->{text};
	}
}
cmp_ok($complete, '>=', 9, 'most of the answers are complete');
done_testing;
