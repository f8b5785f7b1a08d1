#!/usr/bin/perl
# SPDX-License-Identifier: MIT
# zen5-run in conversation: from pipes and files, and at a terminal (a pseudo terminal here), where nothing waits for
# time to pass: each step waits for what it expects to see. Environment: B, the build directory.
use strict;
use warnings;
use File::Temp qw(tempdir);
use JSON::PP;
use Test::More;

require './tests/pty.pl';

my $b = $ENV{B} // 'build';
my $run = "$b/zen5-run";
my $model = 'tests/models/zen5-tiny.gguf';
my $dir = tempdir(CLEANUP => 1);
my @chat = ('--chat-template', 'chatml', '--temp', 0);
$ENV{XDG_STATE_HOME} = "$dir/state";
$ENV{TERM} = 'vt100';
delete $ENV{EDITRC};
$ENV{HOME} = $dir;

# Runs a shell command; returns exit status, stdout, stderr.
sub sh {
	my ($cmd) = @_;
	my $status = system('sh', '-c', "{ $cmd\n} >$dir/out 2>$dir/err") ;
	my @text = map { open my $f, '<:raw', "$dir/$_" or die; local $/; <$f> // '' } qw(out err);
	return ($status & 127 ? 128 + ($status & 127) : $status >> 8, @text);
}

# ---- templates over whole vocabularies ----

# piece by piece the ids of the whole text; phi-3's vocabulary takes white space after a special token for part of it
my $vocabs = '../shared/models/tokenizer';
SKIP: {
	skip "no $vocabs here", 1 if !-d $vocabs;
	my @files;
	for my $name (qw(phi-3 llama-spm llama-bpe qwen2)) {
		system("xz -dc $vocabs/ggml-vocab-$name.gguf.xz >$dir/$name.gguf") == 0 or next;
		push @files, "$dir/$name.gguf";
	}
	my ($rc, $out) = sh("$b/tests/unit/chat @files");
	my $over = () = $out =~ / over (phi-3|llama-spm|llama-bpe|qwen2)\.gguf$/mg;
	ok($rc == 0 && $over > 100, 'every family over four vocabularies') or diag $out =~ /^(not ok.*(?:\n#.*)*)/mg;
}

# ---- without a terminal ----

my ($rc, $out, $err) = sh("$run $model @chat -p 'Tell me a story.' -n 24");
ok($rc == 0 && $out =~ /\A.+\n\z/ && $out !~ /Tell me|im_/, 'one turn from -p: the answer alone')
	or diag "$rc $out $err";
like($err, qr/\Aload .*tok\/s\n\z/, 'and a line of figures');
my $answer = $out;
(undef, $out) = sh("printf 'Tell me a story.' >$dir/p; $run $model @chat -f $dir/p -n 24");
is($out, $answer, 'one turn from -f');
(undef, $out) = sh("printf 'Tell me a story.' | $run $model @chat -f - -n 24");
is($out, $answer, 'one turn from -f -');
(undef, $out) = sh("$run $model @chat -p 'Tell me a story.' -n 24 --json");
my $j = decode_json($out);
is("$j->{text}\n", $answer, 'in JSON');
(undef, $out) = sh("$run $model @chat --system 'You sing.' -p 'Tell me a story.' -n 24 --json");
my $k = decode_json($out);
ok(@{$k->{prompt_tokens}} > @{$j->{prompt_tokens}}, '--system is part of the prompt');
($rc, $out, $err) = sh("printf 'Tell me a story.\\n\\nAnd\\\\\\nthen?' | $run $model @chat -n 24");
ok($rc == 0 && $out =~ /\A\Q$answer\E.+\n\z/ && $err eq '', 'each line of a pipe is a turn, empty ones are none')
	or diag "$rc $out $err";
my ($two) = $out =~ /\A\Q$answer\E(.+\n)\z/;
($rc, $out, $err) = sh("printf 'Tell me a story.\\n' | $run $model @chat -n 24 --explain");
ok($rc == 0 && $out eq $answer && $err =~ /^level: .*^decode: /ms, '--explain tells of a conversation when it is over') or diag "$rc $err";
($rc, $out) = sh("$run $model @chat </dev/null");
ok($rc == 0 && $out eq '', 'no turn at all');
(undef, $out) = sh("$run $model -p 'Once upon a time' --temp 0 -n 8 </dev/null");
(undef, my $same) = sh("printf 'Once upon a time' | $run $model --temp 0 -n 8");
is($same, $out, 'a pipe without --chat is a prompt, as ever');

# stop strings
(undef, $out) = sh("$run $model -p 'Once upon a time' --temp 0 -n 60 --ignore-eos");
my $cut = substr $out, 40, 7;
(undef, my $short) = sh("$run $model -p 'Once upon a time' --temp 0 -n 60 --ignore-eos --stop XYZ --stop '$cut'");
is($short, substr($out, 0, index($out, $cut)) . "\n", '--stop ends the text before it, none of it is printed');
(undef, $out) = sh("$run $model -p 'Once upon a time' --temp 0 -n 60 --ignore-eos --stop '$cut' --json");
is(decode_json($out)->{end}, 'stop', 'and is the reason in JSON');

# the context
my $turns = 'Tell me a story.\n' x 12;
($rc, $out, $err) = sh("printf '$turns' | $run $model @chat -c 160 -n 30 --ignore-eos");
ok($rc == 0 && ($out =~ tr/\n//) >= 12 &&
   $err =~ /\A(zen5-run: the context of 160 positions is full: the oldest (\d+ turns are|1 turn is) forgotten\n)+\z/,
   'a long conversation forgets its oldest turns and says so') or diag "$rc $out $err";
($rc, $out, $err) = sh("printf '$turns' | $run $model @chat -c 160 -n 30 --ignore-eos --no-context-shift");
ok($rc == 1 && $err =~ /context of 160 positions has no room.*-c$/m, 'or ends with --no-context-shift') or diag "$rc $err";
($rc, $out, $err) = sh("$run $model -p 'Once upon a time' -c 32 --ignore-eos --temp 0");
ok($rc == 0 && $err =~ /^zen5-run: the context of 32 positions is full/, 'a text that fills the context says so');

# what cannot be
sub fails {
	my ($cmd, $want, $like, $name) = @_;
	my ($rc, $out, $err) = sh("$cmd </dev/null");
	ok($rc == $want && $out eq '' && $err =~ $like && ($want == 64 || ($err =~ tr/\n//) == 1), $name) or diag "$rc $out $err";
}
fails("$run $model --chat -p x", 1, qr/chat template is missing.*--chat-template NAME \(.*chatml.*\).*--no-chat/, 'a model without a template');
fails("$run $model --chat-template no-such -p x", 64, qr/no-such.*chatml.*zephyr/, 'a template that is not known');
fails("$run $model --chat --tokens 1,2", 64, qr/--tokens/, 'ids are no turn');
fails("$run $model --chat --json", 64, qr/--json.*-p/, 'JSON of a whole conversation');
fails("$run $model -p x --stop ''", 64, qr/--stop/, 'an empty stop string');
fails("$run $model @chat -c 16 -p 'This is a question that has far more tokens than sixteen, whatever the vocabulary.'", 1,
      qr/context of 16 positions.*-c/, 'a turn longer than the context');

# a file that brings a template: known and unknown; the tail of the metadata is where it is put
sub with_template {
	my ($jinja, $file) = @_;
	open my $in, '<:raw', $model or die;
	local $/;
	my $gguf = <$in>;
	my $n = unpack 'Q<', substr $gguf, 16, 8;
	my $kv = pack('Q</a L< Q</a', 'tokenizer.chat_template', 8, $jinja);
	# tensors begin at a multiple of 32: the key is filled up to one
	my $fill = pack 'Q</a L< Q<', 'general.description', 8, 0;
	my $pad = -(length($kv) + length $fill) % 32;
	$kv .= pack('Q</a L< Q</a', 'general.description', 8, ' ' x $pad);
	substr $gguf, 16, 8, pack('Q<', $n + 2);
	substr $gguf, 24, 0, $kv;
	open my $f, '>:raw', $file or die;
	print $f $gguf;
	close $f;
}
with_template('{% for m in messages %}<|im_start|>{{ m.role }}{% endfor %}', "$dir/chatml.gguf");
with_template('{% for m in messages %}{{ m.role }}: {{ m.content }}{% endfor %}', "$dir/odd.gguf");
(undef, $out) = sh("$run $dir/chatml.gguf --chat --temp 0 -p 'Tell me a story.' -n 24");
is($out, $answer, 'the template that the file brings');
(undef, $out) = sh("printf 'Once upon a time' | $run $dir/chatml.gguf --temp 0 -n 8");
is($out, $same, 'a pipe is a prompt all the same');
fails("$run $dir/odd.gguf --chat -p x", 1, qr/none that is known here.*--chat-template NAME \(.*--no-chat/, 'an unknown template in the file');
(undef, $out) = sh("$run $dir/odd.gguf @chat -p 'Tell me a story.' -n 24");
is($out, $answer, 'which --chat-template overrides');

# ---- at a terminal ----

my ($tty, $pid, $seen);

sub start {
	my (@args) = @_;
	($tty, my $path) = pty_open() or return 0;
	$seen = '';
	$pid = pty_run($path, $run, @args);
	return 1;
}

# Waits until the output since the last time matches; the limit is for a program that hangs.
sub expect {
	my ($like, $name) = @_;
	my $ok = eval {
		local $SIG{ALRM} = sub { die "silence\n" };
		alarm 120;
		while ($seen !~ $like) {
			sysread $tty, $seen, 4096, length $seen or die "it has ended\n";
		}
		alarm 0;
		1;
	};
	alarm 0;
	ok($ok, $name) or diag "$@seen: $seen";
	return '' if !$ok || $seen !~ $like;
	my $found = $1;
	$seen = substr $seen, $+[0];
	return $found;
}

sub send_keys {
	syswrite $tty, $_[0];
}

# Reads to the end; the exit status.
sub finish {
	local $SIG{ALRM} = sub { kill KILL => $pid };
	alarm 120;
	1 while sysread $tty, $seen, 4096, length $seen;
	waitpid $pid, 0;
	alarm 0;
	close $tty;
	return $? & 127 ? 128 + ($? & 127) : $? >> 8;
}

SKIP: {
	skip 'no pseudo terminals here', 1 if !start($model, @chat, '-n', 24);
	my $prompt = qr/> \z/;

	expect(qr/chat template chatml; \/help.*?$prompt/s, 'a greeting and a prompt');
	send_keys("Tell me a story.\n");
	my $said = expect(qr/story\.\r+\n(.+?)\r\n> \z/s, 'an answer and the prompt again');
	is("$said\n", $answer, 'the same answer as without a terminal');
	send_keys("And\\\n");
	expect(qr/\n  \z/, 'a backslash asks for more');
	send_keys("then?\n");
	$said = expect(qr/then\?\r+\n(.+?)\r\n> \z/s, 'a turn of two lines');
	is("$said\n", $two, 'the same answer as from a pipe');
	send_keys("/stats\n");
	expect(qr/decode \d+ tokens.*$prompt/s, '/stats');
	send_keys("/nonsense\n");
	expect(qr/no command \/nonsense.*$prompt/s, 'an unknown command');
	send_keys("/system Be kind.\n");
	expect(qr/kind\.\r+\n.*$prompt/s, '/system TEXT');
	send_keys("/system\n");
	expect(qr/system\r+\nBe kind\..*$prompt/s, '/system');
	send_keys("half a line\cC");
	expect(qr/Ctrl-C again.*$prompt/s, 'Ctrl-C at the prompt drops the line and warns');
	send_keys("Tell me a story.\n");
	expect(qr/story\.\r+\n.+?\r\n$prompt/s, 'the session is alive');
	send_keys("\cD");
	is(finish(), 0, 'Ctrl-D leaves with status 0');
	is(sprintf('%o', (stat "$dir/state/zen5mem/history")[2] & 07777), '600', 'the history is private');

	start($model, @chat, '-c', 30000, '--ignore-eos');
	expect($prompt, 'another session, endless answers');
	send_keys("Go on.\n");
	expect(qr/Go on\.\r+\n.{30}/s, 'an answer under way');
	send_keys("\cC");
	expect(qr/\n$prompt/, 'Ctrl-C stops it, the session goes on');
	send_keys("\e[A");
	expect(qr/Go on\./, 'the arrow brings the last line back');
	send_keys("\e[A");
	expect(qr/Tell me a story\./, 'and what an earlier process was told');
	send_keys("\n");
	expect(qr/\n.{30}/s, 'which is said');
	send_keys("\cC");
	expect(qr/\n$prompt/, 'and stopped');
	send_keys("\cC");
	expect(qr/again.*$prompt/s, 'Ctrl-C once');
	send_keys("\cC");
	is(finish(), 0, 'Ctrl-C twice leaves');

	{
		local $ENV{XDG_STATE_HOME} = '/proc/no/such';
		start("$dir/chatml.gguf", '-n', 8);
		expect($prompt, 'a model with a template converses by itself; no place for a history is no failure');
		send_keys("Hello\n");
		expect(qr/Hello\r+\n.*\n$prompt/s, 'an answer');
		kill TERM => $pid;
		is(finish(), 128 + 15, 'SIGTERM ends it');
		delete $ENV{XDG_STATE_HOME};
		for (['no-home', 'is not made'], ['home', 'gets the history']) {
			my ($home, $what) = @$_;
			mkdir "$dir/home";
			local $ENV{HOME} = "$dir/$home";
			start("$dir/chatml.gguf", '-n', 8);
			expect($prompt, 'a session of another home');
			send_keys("Hello\n");
			expect(qr/Hello\r+\n.*\n$prompt/s, 'an answer');
			send_keys("\cD");
			finish();
			is(-e "$dir/$home/.local/state/zen5mem/history" ? 'home' : -e "$dir/$home" ? 'made' : 'no-home', $home, "which $what");
		}
	}
	start($model);
	is(finish(), 1, 'a model without a template does not');
	like($seen, qr/no prompt.*--chat-template/s, 'and says what to do');
	start("$dir/odd.gguf");
	is(finish(), 1, 'nor does one with an unknown template');
	like($seen, qr/none that is known here/, 'and says so');
	start("$dir/chatml.gguf", '--no-chat');
	is(finish(), 1, '--no-chat wants a prompt');
	like($seen, qr/no prompt/, 'and says so');
	start("$dir/chatml.gguf", '--temp', 0, '-n', 4, '-p', 'Once upon');
	is(finish(), 0, '-p continues a text at a terminal, too');
	like($seen, qr/Once upon/, 'as ever');
}
done_testing;
