#!/usr/bin/perl
# SPDX-License-Identifier: MIT
# zen5-detect on recorded machines (tests/topo) and on this one; --require-zen5; recordings that lie. Environment:
# B, the build directory; UPDATE=1 writes tests/topo/golden anew.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Find;
use File::Temp qw(tempdir);
use JSON::PP;
use Test::More;

my $b = abs_path($ENV{B} // 'build');
my $topo = abs_path('tests/topo');
my $tiny = abs_path('tests/models/zen5-tiny.gguf');
# Thousands of small files come and go: in memory where that can be.
my $dir = tempdir(CLEANUP => 1, -w '/dev/shm' ? (DIR => '/dev/shm') : (TMPDIR => 1));
chdir $dir or die;

sub slurp {
	open my $f, '<:raw', $_[0] or return undef;
	local $/;
	return <$f> // '';
}

sub spew {
	my ($path, $text) = @_;
	open my $f, '>:raw', $path or die "$path: $!";
	print $f $text;
	close $f;
}

sub sh {
	my ($cmd) = @_;
	my $status = system('sh', '-c', "{ $cmd\n} >out 2>err </dev/null");
	return ($status & 127 ? 128 + ($status & 127) : $status >> 8, slurp('out'), slurp('err'));
}

sub fails {
	my ($cmd, $want, $like, $name) = @_;
	my ($rc, $out, $err) = sh($cmd);
	my $lines = () = $err =~ /\n/g;
	ok($rc == $want && $out eq '' && $err =~ $like && ($lines == 1 || $want == 64), $name)
		or diag "status $rc, stdout: $out\nstderr: $err";
}

# A file with the header of a model and a hole for its weights: 19.8 GiB as Q8_0, 1 GiB of cache for 4,096 positions.
sub model {
	my ($path) = @_;
	return system("$b/tests/bench/mkmodel", '--sparse', '--shape', '7b', '--ff', 46848, '--type', 'Q8_0', $path) == 0;
}

my $have_model = model('model.gguf');
my $weights = (2 * 32000 + 32 * (2 * 4096 + 2 * 1024 + 3 * 46848)) * 4096 / 32 * 34 + 65 * 4096 * 4;

sub unfold {
	my ($name) = @_;
	system("rm -rf $name && $topo/unfold $name $name") == 0 or die "unfold $name";
}

# The report on a machine as a structure.
sub report {
	my ($args) = @_;
	my ($rc, $out, $err) = sh("$b/zen5-detect --json $args");
	my $j = eval { decode_json($out) };
	ok($rc == 0 && $err eq '' && $j, "$args: JSON") or diag "status $rc: $err$out";
	return $j // {};
}

# ---- each key is there, with a value of its kind ----

my %object = (
	'' => { version => 's', recorded => 'b', cpu => 'o', topology => 'o', memory => 'o', counters => 'o',
		recommended => 'o', model => 'o?', absent => 'a' },
	cpu => { vendor => 's', brand => 's?', family => 'n', model => 'n', stepping => 'n', core => 's?', product => 's?',
		 zen5 => 'b', data_path_bits => 'n?', level => 's', next_level_needs => 'a', hypervisor => 'b',
		 hypervisor_vendor => 's?', pages_1g => 'b' },
	topology => { cpus => 'n', cores => 'n', packages => 'n', nodes => 'n', quota => 'n?', locality => 's',
		      l3_domains => 'a' },
	l3_domains => { l3_bytes => 'n?', node => 'n?', cpus => 's', cores => 'a' },
	memory => { total => 'n?', available => 'n?', nodes => 'a', hugetlb => 'a', thp => 's?', zen5mem => 'b' },
	hugetlb => { page => 'n', pool => 'b', total => 'n', free => 'n', reserved => 'n', nodes => 'a' },
	nodes => { node => 'n', total => 'n?', free => 'n' },
	counters => { amd_l3 => 'b', amd_umc => 'n', amd_umc_declared => 'n', amd_df => 'b', perf_event_paranoid => 'n',
		      kernel => 's?', resctrl => 'o' },
	resctrl => { cpu => 'b', kernel => 'b', mounted => 'b', mbm_total => 'b', mbm_local => 'b' },
	recommended => { threads => 'n', pages => 's', page => 'n', options => 'a' },
	model => { path => 's?', architecture => 's?', file_bytes => 'n', tensors => 'n', parts => 'n', weight_bytes => 'n',
		   context => 'n?', context_trained => 'n?', kv_bytes => 'n?', state_bytes => 'n?', unsupported_tensors => 'n',
		   unsupported_types => 's?', refused => 's?', pages_needed => 'n', pages_missing => 'n', fits => 'b',
		   reserve_now => 'a', reserve_at_boot => 's?', run => 's?' },
	absent => { what => 's', why => 's', remedy => 's' },
);

# What is wrong with object o, which has the keys of $object{$name}.
sub unsound {
	my ($name, $o) = @_;
	my $want = $object{$name};
	my @bad = map { "$name: key $_" } grep { !exists $want->{$_} } keys %$o;

	for my $k (sort keys %$want) {
		my ($kind, $null) = split //, $want->{$k};
		my $v = $o->{$k};
		if (!exists $o->{$k}) {
			push @bad, "$name: no $k";
		} elsif (!defined $v) {
			push @bad, "$name.$k: null" unless $null;
		} elsif ($kind eq 'o') {
			push @bad, ref $v eq 'HASH' ? unsound($k, $v) : "$name.$k: no object";
		} elsif ($kind eq 'a') {
			push @bad, "$name.$k: no array" unless ref $v eq 'ARRAY';
			push @bad, map { unsound($k, $_) } grep { ref eq 'HASH' } @$v if $object{$k};
		} elsif ($kind eq 'b') {
			push @bad, "$name.$k: no boolean" unless JSON::PP::is_bool($v);
		} elsif ($kind eq 'n') {
			push @bad, "$name.$k: no number ($v)" unless $v =~ /^-?\d+$/;
		}
	}
	return @bad;
}

sub sound {
	my ($name, $j) = @_;
	my @bad = unsound('', $j);
	is("@bad", '', "$name: every key, and no other");
}

# ---- golden ----

sub golden {
	my ($name, $ext, $got) = @_;
	my $path = "$topo/golden/$name.$ext";
	if ($ENV{UPDATE}) {
		spew($path, $got);
	}
	my $want = slurp($path) // '';
	return ok($got eq $want, "$name: the same $ext as before") || do {
		spew('got', $got);
		diag(scalar `diff $path got | head -n 20`);
	};
}

my @machines = qw(ryzen-9950x ryzen-9950x3d ryzen-hx370 epyc-9655-nps1 epyc-9655-nps4 epyc-9655-l3numa vm-no-l3
		  intel-11900k ryzen-7900x zen6);
my %j;
for my $name (@machines) {
	unfold($name);
	$j{$name} = report("--root $name" . ($have_model ? ' model.gguf' : ''));
	sound($name, $j{$name});
	SKIP: {
		skip 'no room for a file with a hole', 2 unless $have_model;
		my $json = (sh("$b/zen5-detect --json --root $name model.gguf"))[1];
		$json =~ s/"version": "[^"]*"/"version": "VERSION"/;
		golden($name, 'json', $json);
		golden($name, 'txt', (sh("$b/zen5-detect --root $name model.gguf"))[1]);
	}
	unlike((sh("$b/zen5-detect --root $name"))[1], qr/25h/, "$name: nothing is family 25h");
}

# ---- what it means ----

sub absent {
	my ($name, $what) = @_;
	my ($x) = grep { $_->{what} eq $what } @{$j{$name}{absent}};
	return $x ? "$x->{why} | $x->{remedy}" : '';
}

#	       zen5, bits, level, threads, L3 domains, locality, pages
my %means = (
	'ryzen-9950x' => [1, 512, 'avx512vnni', 16, 2, 'none', 'hugetlb-1g'],
	'ryzen-9950x3d' => [1, 512, 'avx512vnni', 16, 2, 'none', 'hugetlb-1g'],
	'ryzen-hx370' => [1, 256, 'avx512vnni', 12, 2, 'none', 'hugetlb-1g'],
	'epyc-9655-nps1' => [1, 512, 'avx512vnni', 96, 12, 'none', 'hugetlb-1g'],
	'epyc-9655-nps4' => [1, 512, 'avx512vnni', 96, 12, 'quadrant', 'hugetlb-1g'],
	'epyc-9655-l3numa' => [1, 512, 'avx512vnni', 96, 12, 'srat-llc', 'hugetlb-1g'],
	'vm-no-l3' => [0, undef, 'avx2', 3, 2, 'none', 'hugetlb-2m'],
	'intel-11900k' => [0, undef, 'avx512vnni', 8, 1, 'none', 'hugetlb-1g'],
	'ryzen-7900x' => [0, 256, 'avx512vnni', 12, 2, 'none', 'hugetlb-1g'],
	'zen6' => [0, 512, 'avx512vnni', 16, 2, 'none', 'hugetlb-1g'],
);
for my $name (@machines) {
	my $j = $j{$name};
	is_deeply([$j->{cpu}{zen5} ? 1 : 0, $j->{cpu}{data_path_bits}, $j->{cpu}{level}, $j->{recommended}{threads},
		   scalar @{$j->{topology}{l3_domains}}, $j->{topology}{locality}, $j->{recommended}{pages}],
		  $means{$name}, "$name: Zen 5, bits, level, threads, domains, locality, pages");
	is(!!absent($name, 'Zen 5'), !$j->{cpu}{zen5}, "$name: says so where it is no Zen 5");
	my @dull = grep { $_->{why} eq '' || $_->{remedy} eq '' || "$_->{why}$_->{remedy}" =~ /\n/ } @{$j->{absent}};
	is(@dull, 0, "$name: a reason and a remedy for all that is absent, in a line each");
}
my $x3d = $j{'ryzen-9950x3d'}{topology}{l3_domains};
is_deeply([map { $_->{l3_bytes} >> 20 } @$x3d], [96, 32], 'X3D: 96 and 32 MiB');
is_deeply([$x3d->[1]{cpus}, $x3d->[1]{cores}[0]], ['8-15,24-31', '8,24'], 'CPUs of a domain, siblings of a core');
is_deeply([map { $_->{l3_bytes} >> 20 } @{$j{'ryzen-hx370'}{topology}{l3_domains}}], [16, 8], 'HX 370: 16 and 8 MiB');
is($j{'ryzen-9950x3d'}{memory}{zen5mem}, JSON::PP::true, 'the device where it is there');
is(scalar @{$j{'ryzen-9950x3d'}{absent}}, 0, 'a machine that lacks nothing');
like(absent('ryzen-hx370', 'amd_umc'), qr/^kernel 6\.6 .*6\.7/, 'no amd_umc before 6.7');
like(absent('epyc-9655-nps1', 'amd_umc'), qr/^kernel 6\.1 .*6\.7/, 'nor on Debian 12');
like(absent('ryzen-hx370', 'transparent huge pages'), qr/off \| echo madvise/, 'THP switched off');
like(absent('ryzen-9950x', 'counters for all users'), qr/paranoid is 2 \| .*=0/, 'counters for root alone');
like(absent('ryzen-9950x', 'resctrl'), qr/\| sudo mount -t resctrl/, 'resctrl that is not mounted');
like(absent('vm-no-l3', 'pages of 1 GiB'), qr/hypervisor.*\| .*-cpu host/, 'a guest without pages of 1 GiB');
like(absent('vm-no-l3', 'L3 domains'), qr/hypervisor/, 'nor an L3');
like(absent('vm-no-l3', 'level avx512vnni'), qr/avx512f .*avx512vnni \|/, 'nor AVX-512');
like(absent('vm-no-l3', 'amd_l3'), qr/virtual machine/, 'nor counters');
like(absent('intel-11900k', 'amd_l3'), qr/AMD/, 'counters of AMD elsewhere');

SKIP: {
	skip 'no room for a file with a hole', 20 unless $have_model;
	for my $name (grep { $_ ne 'vm-no-l3' } @machines) {
		my $m = $j{$name}{model};
		is_deeply([$m->{weight_bytes}, $m->{kv_bytes}, $m->{context}, $m->{pages_needed}, $m->{refused}],
			  [$weights, 1 << 30, 4096, 20, undef], "$name: weights, cache and pages of the model");
	}
	my $sys = '/sys/devices/system/node';
	my $nr = 'hugepages/hugepages-1048576kB/nr_hugepages';
	my %commands = (
		'ryzen-9950x' => [20, 'hugepagesz=1G hugepages=20', "echo 20 | sudo tee $sys/node0/$nr"],
		# 36 of 40 are free
		'ryzen-9950x3d' => [0, undef],
		'epyc-9655-nps1' => [20, 'hugepagesz=1G hugepages=20', "echo 20 | sudo tee $sys/node0/$nr"],
		# five a node, of which eight and two are there
		'epyc-9655-nps4' => [10, 'hugepagesz=1G hugepages=0:8,1:5,2:5,3:5',
				     map { "echo 5 | sudo tee $sys/node$_/$nr" } 1 .. 3],
		# 24 at boot
		'epyc-9655-l3numa' => [0, undef],
	);
	for my $name (sort keys %commands) {
		my $m = $j{$name}{model};
		is_deeply([$m->{pages_missing}, $m->{reserve_at_boot}, @{$m->{reserve_now}}], $commands{$name},
			  "$name: the commands that reserve the pages");
	}
	is($j{'epyc-9655-nps4'}{model}{run}, 'numactl --interleave=all zen5-run model.gguf', 'quadrants: from all channels');
	is($j{'epyc-9655-l3numa'}{model}{run}, 'zen5-run model.gguf', 'srat-llc: pages are spread as it is');
	my $vm = $j{'vm-no-l3'}{model};
	is_deeply([$vm->{pages_needed}, $vm->{fits}, @{$vm->{reserve_now}}, $vm->{reserve_at_boot}, $vm->{run}],
		  [10147, JSON::PP::false, undef, undef], 'a model larger than the machine: no commands');
	my $j = report('--root ryzen-9950x -c 8000 model.gguf');
	is_deeply([$j->{model}{context}, $j->{model}{kv_bytes}, $j->{model}{run}],
		  [8000, 8000 << 18, 'zen5-run -c 8000 model.gguf'], '-c: another context');
	rename 'model.gguf', "it's mine.gguf";
	$j = report("--root ryzen-9950x \"it's mine.gguf\"");
	is($j->{model}{run}, "zen5-run 'it'\\''s mine.gguf'", 'a name with a blank and a quote as the shell wants it');
	rename "it's mine.gguf", 'model.gguf';
}

# ---- this machine, and recordings of it ----

my $here = report($tiny);
sound('this machine', $here);
is($here->{recorded}, JSON::PP::false, 'not a recording');
my ($rc, $out, $err) = sh("$b/zen5-run $tiny -n 1 -p a --temp 0 --json --explain");
my $run = eval { decode_json($out) } // {};
is($here->{recommended}{threads}, scalar @{$run->{explain}{threads} // []}, 'as many threads as zen5-run takes');
is($here->{model}{weight_bytes}, ($run->{explain}{regions}[0] // {})->{asked}, 'as many bytes as it asks for');
is($run->{explain}{zen5}, $here->{cpu}{zen5}, 'zen5-run knows the CPU, too');
is($here->{cpu}{level}, $run->{explain}{level}, 'the level that it takes') unless $ENV{ZEN5RT_LEVEL};

($rc, $out, $err) = sh("$b/zen5-detect --record mine");
ok($rc == 0 && -s 'mine/cpuid.txt', '--record') or diag $err;
my $mine = report("--root mine $tiny");
SKIP: {
	# A process may be allowed fewer CPUs than are online, and a control group is not recorded.
	my $online = `nproc --all`;
	skip 'this process has not the machine to itself', 1 if $online != $here->{topology}{cpus} || $here->{topology}{quota};
	for my $x ($here, $mine) {
		delete $x->{recorded};
		delete $x->{memory}{available};
		delete $_->{free} for @{$x->{memory}{nodes}};
	}
	is_deeply($mine, $here, 'the recording says what the machine says');
}
chomp(my $host = `hostname 2>/dev/null || cat /proc/sys/kernel/hostname`);
my $leaks = 0;
find({ no_chdir => 1, wanted => sub { $leaks++ if -f && length $host > 3 && slurp($_) =~ /\b\Q$host\E\b/ } }, 'mine');
is($leaks, 0, 'no name of the machine in it');
fails("$b/zen5-detect --record mine", 1, qr/mine: File exists/, 'a recording is not written over');
for my $name (qw(ryzen-9950x3d epyc-9655-nps4)) {
	sh("$b/zen5-detect --root $name --record again-$name");
	my ($first, $second) = map { (sh("$b/zen5-detect --json --root $_"))[1] } $name, "again-$name";
	ok($first eq $second && length $first, "$name: the recording of a recording is the same");
}

# ---- --require-zen5 ----

for my $name (@machines) {
	if ($j{$name}{cpu}{zen5}) {
		my ($rc, $out, $err) = sh("$b/zen5-detect --require-zen5 --root $name");
		ok($rc == 0 && $out =~ /Zen 5: +yes/ && $err eq '', "$name: --require-zen5") or diag $err;
	} else {
		fails("$b/zen5-detect --require-zen5 --root $name", 3,
		      qr/^zen5-detect: requires an AMD Zen 5 processor \(family 1Ah\), this is \S.*$/, "$name: --require-zen5");
	}
}
for my $cmd ("zen5-run --require-zen5 -n 1 -p a $tiny", "zen5-tokenize --require-zen5 $tiny", 'zen5-detect --require-zen5') {
	my ($tool) = split / /, $cmd;
	if ($here->{cpu}{zen5}) {
		is((sh("$b/$cmd"))[0], 0, "$tool --require-zen5 on this Zen 5");
	} else {
		fails("$b/$cmd", 3, qr/^$tool: requires an AMD Zen 5 processor \(family 1Ah\), this is /, "$tool --require-zen5 elsewhere");
	}
}
($rc, $out, $err) = sh("$b/zen5-run $tiny -n 1 -p a --temp 0 --explain");
like($err, $here->{cpu}{zen5} ? qr/^CPU: .*Zen 5\)$/m : qr/^CPU: .*: not a Zen 5, runs all the same$/m,
     'zen5-run says what it runs on');

# ---- wrong use, and recordings that lie ----

fails("$b/zen5-detect a b", 64, qr/more than one model/, 'two models');
fails("$b/zen5-detect -c 0 $tiny", 64, qr/expected a number/, 'no context');
fails("$b/zen5-detect /nonexistent.gguf", 1, qr/nonexistent\.gguf.*No such file/, 'no such model');
fails("$b/zen5-detect $topo/README", 1, qr/README/, 'no model');
fails("$b/zen5-detect --root /nonexistent", 1, qr/nonexistent: No such file/, 'no such recording');
fails("$b/zen5-detect --root $topo/README", 1, qr/not a directory/, 'a file as recording');
mkdir 'empty';
fails("$b/zen5-detect --root empty", 1, qr/cpuid\.txt: No such file/, 'an empty directory');
spew('empty/cpuid.txt', "nothing\n");
fails("$b/zen5-detect --root empty", 1, qr/cpuid\.txt: no leaf 0/, 'no leaf in it');
fails("$b/zen5-detect --record /nonexistent/x", 1, qr/nonexistent\/x: No such file/, 'nowhere to record to');
SKIP: {
	skip 'no /dev/full', 1 unless -w '/dev/full';
	my ($rc, undef, $err) = sh("$b/zen5-detect >/dev/full");
	ok($rc == 1 && $err =~ /standard output/, 'a full disk');
}

my @files;
sub all_files {
	@files = ();
	find({ no_chdir => 1, wanted => sub { push @files, $_ if -f && !/cpuid\.txt$/ } }, $_[0]);
	@files = sort @files;
}

# Each text in all files; then another text in each file, by numbers that are the same in every run.
my @lies = ('', "\n", "\xff\xfe\0\1", '99999999999999999999999', '-1', '-99999999999999999999', '0-300', '18446744073709551615 kB',
	    'A' x 5000, "[", "[[[]", "MemTotal: 18446744073709551615 kB\nMemAvailable: 99999999999999999999999 kB\n",
	    '2147483647', '4294967296', "nodev\tresctrl", '3', "1K", '18446744073709551615K');
my $bad = 0;
my $lie = sub {
	my ($what) = @_;
	for my $args ('--json', $have_model ? 'model.gguf' : '') {
		my ($rc, $out, $err) = sh("timeout 60 $b/zen5-detect --root liar $args");
		next if $rc == 0 && $err eq '' && ($args ne '--json' || !unsound('', eval { decode_json($out) } // {}));
		$bad++;
		diag("$what $args: status $rc: $err");
	}
};
for my $text (@lies) {
	unfold('ryzen-9950x3d');
	system('rm -rf liar; mv ryzen-9950x3d liar');
	all_files('liar');
	spew($_, $text) for @files;
	$lie->('all files "' . substr($text, 0, 30) . '"');
}
my $random = 12345;
for my $round (1 .. 16) {
	unfold('ryzen-hx370') if $round == 1;
	system('rm -rf liar; cp -r ryzen-hx370 liar');
	all_files('liar');
	for my $path (@files) {
		$random = ($random * 1103515245 + 12345) % 2**31;
		next if ($random >> 8) % 4;
		if (($random >> 12) % 8 == 0) {
			# what may not be read answers with an error, and so does a directory
			unlink $path;
			mkdir $path;
		} else {
			spew($path, $lies[($random >> 12) % @lies]);
		}
	}
	$lie->("round $round");
}
is($bad, 0, 'recordings that lie: a report that is sound, or one line');

SKIP: {
	skip 'no room for a file with a hole', 1 unless $have_model;
	unfold('ryzen-9950x');
	my $pool = 'ryzen-9950x/sys/kernel/mm/hugepages/hugepages-1048576kB';
	spew("$pool/nr_hugepages", 2);
	spew("$pool/free_hugepages", 7);
	spew("$pool/resv_hugepages", 9);
	my ($p) = report('--root ryzen-9950x model.gguf');
	my $huge = $p->{memory}{hugetlb}[0];
	is_deeply([$huge->{free}, $huge->{reserved}, $p->{model}{pages_missing}], [2, 2, 20],
		  'a pool that has more free than all, and more promised than free');
}

my $text = slurp('ryzen-9950x/cpuid.txt');
$bad = 0;
for my $n (map { $_ * 97 } 0 .. length($text) / 97) {
	system('rm -rf liar; mkdir liar');
	spew('liar/cpuid.txt', substr($text, 0, $n));
	my ($rc, $out, $err) = sh("$b/zen5-detect --root liar --json");
	my $lines = () = $err =~ /\n/g;
	$bad++ unless ($rc == 0 && eval { decode_json($out) }) || ($rc == 1 && $lines == 1);
}
is($bad, 0, 'cut anywhere: a report, or one line');

done_testing();
