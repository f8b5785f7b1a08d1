#!/bin/sh
# SPDX-License-Identifier: MIT
# zen5-run in a guest: the same tokens without the module, with it, and from a model that stays resident; what stays is
# seen and destroyed by zen5-mem.
n=0

ok() {	# ok NAME COMMAND...
	n=$((n + 1)); what=$1; shift
	if "$@" >/tmp/out 2>/tmp/err; then echo "ok $n $what"
	else echo "not ok $n $what"; sed 's/^/# /' /tmp/out /tmp/err | head -n 20; fi
}

# answer NAME OPTIONS...: the tokens of a fixed question into NAME.tokens
answer() {
	name=$1; shift
	zen5-run /t/zen5-tiny.gguf --temp 0 -n 48 -p 'Once upon a time' --json --explain "$@" >"$name.json" || return 1
	tr -d ' \n' <"$name.json" | sed -n 's/.*[{,]"tokens":\(\[[^]]*\]\).*/\1/p' >"$name.tokens"
	echo "# $name: load $(tr -d ' \n' <"$name.json" | sed -n 's/.*"load_s":\([0-9.]*\).*/\1/p') s" >>/tmp/times
	test -s "$name.tokens"
}
uses() { grep -q '"backend": *"zen5mem"' "$1.json"; }
unlike() { ! uses "$1"; }
named() { zen5-mem list --json | tr -d ' \n' | sed -n 's/.*"name":"\([^"]*\)".*/\1/p'; }

cd /tmp || exit 1
echo TAP version 13
rmmod zen5mem
ok 'an answer without the module' answer without
ok 'not from the device' unlike without
# shellcheck disable=SC2086  # parameters are words
ok 'the module loads again' insmod "$Z5_MODULES/zen5mem.ko" $PARAMS
ok 'an answer with the module' answer with
ok 'from the device' uses with
ok 'the same tokens' cmp without.tokens with.tokens
ok 'an answer that leaves the model resident' answer first --resident
ok 'the same tokens' cmp without.tokens first.tokens
ok 'zen5-mem lists it' test -n "$(named)"
ok 'an answer from the resident model' answer again --resident
ok 'from the device' uses again
ok 'the same tokens' cmp without.tokens again.tokens
ok 'zen5-mem destroys it' zen5-mem destroy "$(named)"
ok 'and it is gone' test -z "$(named)"
cat /tmp/times
echo "1..$n"
