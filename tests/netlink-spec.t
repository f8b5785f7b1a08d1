#!/usr/bin/perl
# SPDX-License-Identifier: MIT
# Documentation/netlink/specs/zen5mem.yaml and include/uapi/linux/zen5mem_netlink.h name the same things by the same
# numbers.
use strict;
use warnings;
use CPAN::Meta::YAML;
use Test::More;

my $yaml = CPAN::Meta::YAML->read('Documentation/netlink/specs/zen5mem.yaml') or die CPAN::Meta::YAML->errstr;
my $spec = $yaml->[0];
open my $f, '<', 'include/uapi/linux/zen5mem_netlink.h' or die "the header: $!\n";
my $header = do { local $/; <$f> };

# Names of an enum in order, without the end marks.
sub enum {
	my ($name) = @_;
	my ($body) = $header =~ /enum \Q$name\E \{(.*?)\n\};/s or die "enum $name is not in the header\n";
	$body =~ s{/\*.*?\*/}{}gs;
	return grep { !/^__/ } $body =~ /(\w+),/g;
}

sub constant {
	my ($prefix, $name) = @_;
	return uc("$prefix$name") =~ tr/-/_/r;
}

is($spec->{name}, $header =~ /Z5M_GENL_NAME\s+"(\w+)"/ ? $1 : undef, 'name of the family');
is($spec->{'mcast-groups'}{list}[0]{name}, $header =~ /Z5M_GENL_EVENTS\s+"(\w+)"/ ? $1 : undef, 'its multicast group');

my %sets = (zen5mem => 'z5m_attr', counter => 'z5m_counter_attr');
my %known;
for my $set (@{$spec->{'attribute-sets'}}) {
	my ($unspec, @want) = enum($sets{$set->{name}});
	my @have = map { constant($set->{'name-prefix'}, $_->{name}) } @{$set->{attributes}};
	is_deeply(\@have, \@want, "attributes of $set->{name}, in the order of their numbers");
	like($unspec, qr/_UNSPEC$/, 'which begin with 1');
	$known{$set->{name}} = { map { $_->{name} => $_->{type} } @{$set->{attributes}} };
	# the header says the type first in the comment
	for my $a (@{$set->{attributes}}) {
		my $c = constant($set->{'name-prefix'}, $a->{name});
		my ($type) = $header =~ m{^\t\Q$c\E,\s*/\*\s*(u32|u64|s32|string|flag|nest)\b}m;
		is($a->{type}, $type // 'pad', "type of $c") if $a->{name} ne 'pad' || defined $type;
	}
}
my @ops = @{$spec->{operations}{list}};
my ($unspec, @want) = enum('z5m_cmd');
is_deeply([map { constant($spec->{operations}{'name-prefix'}, $_->{name}) } @ops], \@want, 'operations, in the order of their numbers');
is_deeply([map { $_->{value} } @ops], [1 .. @ops], 'and those are given');
my ($quantity) = @{$spec->{definitions}};
is_deeply([map { constant($quantity->{'name-prefix'}, $_->{name}) } @{$quantity->{entries}}], [enum('z5m_quantity')], 'quantities');
# what operations carry is defined
my @unknown = grep { !$known{zen5mem}{$_} }
	map { my $op = $_; map { @{$_->{attributes} // []} } grep { ref eq 'HASH' }
		map { ($op->{$_}, $op->{$_}{request}, $op->{$_}{reply}) } grep { $op->{$_} } qw(do dump event) } @ops;
is("@unknown", '', 'operations name attributes that there are');
done_testing();
