#!/bin/sh
# SPDX-License-Identifier: MIT
# zen5-run and zen5-mem in a guest: the same tokens without the module, with it, and from a model that stays resident,
# from one process or four at once; what is killed leaves nothing; every verb of zen5-mem; other users. With mkmodel in
# /t also a model of 1 GiB, for the times of load and attach.
n=0

ok() {	# ok NAME COMMAND...
	n=$((n + 1)); title=$1; shift
	if "$@" >/tmp/out 2>/tmp/err; then echo "ok $n $title"
	else echo "not ok $n $title"; sed 's/^/# /' /tmp/out /tmp/err | head -n 20; fi
}
not() { ! "$@"; }
# says STATUS PATTERN COMMAND...: ends so, and prints that
says() {
	want=$1 like=$2; shift 2
	"$@" >/tmp/said 2>&1; rc=$?
	cat /tmp/said
	[ $rc = "$want" ] || { echo "status $rc"; return 1; }
	grep -q "$like" /tmp/said
}

flat() { tr -d ' \n' <"$1"; }
# answer NAME OPTIONS...: the tokens of a fixed question into NAME.tokens
answer() {
	a=$1; shift
	zen5-run "$model" -t 2 --temp 0 -n 8 -p 'Once upon a time' --json --explain "$@" >"$a.json" 2>"$a.err" ||
		{ cat "$a.err"; return 1; }
	flat "$a.json" | sed -n 's/.*[{,]"tokens":\(\[[^]]*\]\).*/\1/p' >"$a.tokens"
	test -s "$a.tokens"
}
load() { flat "$1.json" | sed -n 's/.*"load_s":\([0-9.]*\).*/\1/p'; }
uses() { grep -q '"backend": *"zen5mem"' "$1.json"; }
attached() { flat "$1.json" | grep -q '"resident":{"name":"[^"]*","attached":true}'; }
left() { flat "$1.json" | grep -q '"resident":{"name":"[^"]*","attached":false}'; }
same() { cmp without.tokens "$1.tokens"; }

# names, a line each; bytes in regions
named() { zen5-mem list --json | sed -n 's/^ *"name": "\(.*\)",*$/\1/p'; }
used() { zen5-mem list --json | sed -n 's/^ "used_bytes": \([0-9]*\),*$/\1/p'; }
is() { [ "$1" = "$2" ] || { echo "\"$1\" is not \"$2\""; return 1; }; }
# The last descriptor of a killed process goes a moment after it.
empty() {
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		[ "$(used)" = 0 ] && return
		sleep 1
	done
	zen5-mem list
	return 1
}
forget() {
	for r in $(named); do zen5-mem destroy "$r"; done
	empty
}
as_user() { su -s /bin/sh user -c "cd /tmp/user && $1"; }

cd /tmp || exit 1
cp /t/zen5-tiny.gguf tiny.gguf
model=/tmp/tiny.gguf
echo TAP version 13

# ---- without the module, and with it ----

rmmod zen5mem
ok 'zen5-mem without the module' says 1 '^zen5-mem: no /dev/zen5mem (modprobe zen5mem)$' zen5-mem list
ok 'an answer without the module' answer without
ok 'not from the device' not uses without
ok 'an answer that should stay, without the module' answer alone --resident
ok 'says that it does not' grep -q '^zen5-run: the weights do not stay in memory: no /dev/zen5mem' alone.err
ok 'the same tokens' same alone
# shellcheck disable=SC2086  # parameters are words
ok 'the module loads again' insmod "$Z5_MODULES/zen5mem.ko" $PARAMS
ok 'an answer with the module' answer with
ok 'from the device' uses with
ok 'the same tokens' same with
ok 'nothing stays' empty

# ---- resident ----

ok 'an answer that leaves the model resident' answer first --resident
ok 'left' left first
ok 'the same tokens' same first
ok 'an answer from the resident model' answer again --resident
ok 'attached' attached again
ok 'from the device' uses again
ok 'the same tokens' same again
region=$(named)
echo "# 2.5 MiB: load $(load first) s attach $(load again) s"
ok 'one region' is "$(named | wc -l)" 1
ok 'zen5-mem lists it' says 0 "^[0-9]*  *$region .*, sealed, of .*open 0, mapped 0" zen5-mem list
ok 'and what it holds' says 0 'holds .* of llama model /tmp/tiny.gguf$' zen5-mem list
for i in 1 2 3 4; do answer "many$i" --resident & done; wait
for i in 1 2 3 4; do ok "four at once, attached, the same tokens: $i" same "many$i"; done
ok 'the region is destroyed' zen5-mem destroy "$region"
ok 'and gone' empty
for i in 1 2 3 4; do answer "race$i" --resident & done; wait
for i in 1 2 3 4; do ok "four at once, the first to be had, the same tokens: $i" same "race$i"; done
ok 'they left one region' is "$(named)" "$region"

# It waits for a turn to come, and so has the weights for as long as the test wants.
mkfifo turns
zen5-run "$model" -t 2 --temp 0 -n 4 --chat-template=chatml --resident <turns >/tmp/long 2>&1 &
exec 3>turns
for _ in 1 2 3 4 5 6 7 8 9 10; do
	zen5-mem list | grep -q "used by zen5-run, process $! (mapped)" && break
	sleep 1
done
ok 'who has it' says 0 "used by zen5-run, process $! (mapped)" zen5-mem list
ok 'it is destroyed while it is used' zen5-mem destroy "$region"
ok 'the name is gone' is "$(named)" ''
ok 'the memory is not' not is "$(used)" 0
exec 3>&-
wait $!
ok 'until its last user ends' empty

answer stale0 --resident
size0=$(used)
touch "$model"
ok 'the file was touched: loaded anew' answer stale --resident
ok 'left' left stale
ok 'the same tokens' same stale
ok 'and the old region is gone' is "$(used)" "$size0"
ok 'under a given name' answer mine --resident=mine
touch "$model"
ok 'which is left alone when the file is another' answer mine2 --resident=mine
ok 'with a line' grep -q 'region mine holds another model, or another state of this one' mine2.err
ok 'the same tokens' same mine2
ok 'all destroyed' forget

# ---- kill ----

for delay in 0 50000 100000 150000 200000 300000 400000 500000 700000 1000000; do
	zen5-run "$model" -t 2 -n 1 -p Once --resident=killed >/dev/null 2>&1 &
	usleep $delay
	kill -9 $! 2>/dev/null
	wait $! 2>/dev/null
	case "$(named)" in
	'') empty || echo "not whole: $delay" ;;
	killed) zen5-mem list | grep -q ' killed .* sealed' || echo "not sealed: $delay"; zen5-mem destroy killed ;;
	*) echo "not known: $delay $(named)" ;;
	esac
done >/tmp/killed 2>&1
ok 'killed at ten times: there is all or nothing' not grep not /tmp/killed
ok 'and nothing at the end' empty

# ---- zen5-mem ----

ok 'create' says 0 '^scratch: region [0-9]*, 1.00 GiB: 1 x 1 GiB$' zen5-mem create scratch 1g
ok 'info says where from' says 0 '^  slot 0: 1 x 1 GiB, node 0, from the reserve$' zen5-mem info scratch
ok 'info --json' says 0 '^ *"bytes_1g": 1073741824,$' zen5-mem info scratch --json
ok 'the name is taken' says 1 '^zen5-mem: scratch: the name is taken$' zen5-mem create scratch 4k --order 4k
ok 'create from a file' says 0 '^ *"sealed": true,$' zen5-mem create file --from "$model" --seal --json
ok 'create near a domain' says 0 '1 x 2 MiB$' zen5-mem create ccd 2m --order 2m --ccd 0 --strict
ok 'no such domain' says 1 'no L3 domain 99' zen5-mem create x 2m --ccd 99
ok 'no such node' says 1 'no node 99' zen5-mem create x 2m --node 99
ok 'more than there may be' says 1 'max_gib\|finds no memory' zen5-mem create x 1000g --strict
ok 'list' says 0 'reserve of 1 GiB pages: 0 free, 1 used' zen5-mem list
ok 'list --json' says 0 '^ *"reserve_used": 1,$' zen5-mem list --json
ok 'wait for what is there' zen5-mem wait file --timeout 0
ok 'wait for what is not sealed' says 2 'scratch: is there and not sealed' zen5-mem wait scratch --timeout 0.5
(sleep 2; zen5-mem create later 4k --order 4k --seal >/dev/null) &
ok 'wait for what comes' says 0 '"name": "later"' zen5-mem wait later --timeout 60 --json
wait
ok 'destroy, one of which is not there' says 1 '^zen5-mem: nothing: no region' zen5-mem destroy later nothing ccd
ok 'destroy --json' says 0 '"file"' zen5-mem destroy scratch file --json
ok 'nothing is left' is "$(named)" ''
ok 'reserve' says 0 '^node 0: 1 page of 1 GiB in the reserve$' zen5-mem reserve 1@0
ok 'reserve --json' says 0 '"reserve": 1' zen5-mem reserve 1 --json
ok 'more than there is' says 1 'fewer than asked\|max_gib' zen5-mem reserve 100
ok 'none' says 0 '^node 0: 0 pages' zen5-mem reserve 0
ok 'reserve on no node' says 1 'node 99: there is no such node' zen5-mem reserve 1@99

# ---- other users ----

grep -q ^user: /etc/passwd || echo 'user:x:1000:100::/tmp:/bin/sh' >>/etc/passwd
mkdir -p user && chown 1000:100 user
chown 0:0 /dev/zen5mem && chmod 660 /dev/zen5mem
ok 'a user without permission' says 1 "is root's alone" as_user 'zen5-mem list'
chown 0:200 /dev/zen5mem
ok 'and without the group' says 1 'is for the group zen5mem (usermod -aG zen5mem USER' as_user 'zen5-mem list'
chown 0:100 /dev/zen5mem
ok 'a user of the group' says 0 '^no regions' as_user 'zen5-mem list'
ok "root's region" answer root --resident
ok 'a user attaches to it' says 0 "attached to resident region" as_user "zen5-run $model -t 2 -n 2 -p Once --temp 0 --resident"
ok 'and cannot destroy it' says 1 "is another user's" as_user "zen5-mem destroy $(named)"
ok 'it is destroyed' forget
ok "the user's region" says 0 'left resident as own' as_user "zen5-run $model -t 2 -n 2 -p Once --temp 0 --resident=own"
ok 'he attaches to it' says 0 'attached to resident region own' as_user \
	"zen5-run $model -t 2 -n 2 -p Once --temp 0 --resident=own"
ok 'root does not' says 0 'region own belongs to user 1000' zen5-run "$model" -t 2 -n 2 -p Once --temp 0 --resident=own
ok 'the user destroys it' as_user 'zen5-mem destroy own'
ok 'a limit on locked memory' says 0 'zen5mem: needs .* locked, the limit is 1.0 MiB (ulimit -l' \
	as_user "ulimit -l 1024; zen5-run $model -t 2 -n 2 -p Once --temp 0 --explain"
ok 'stops no answer' says 0 'do not stay in memory: needs .* locked, the limit is' \
	as_user "ulimit -l 1024; zen5-run $model -t 2 -n 2 -p Once --temp 0 --resident"
ok 'the reserve is not for users' says 1 'only root' as_user 'zen5-mem reserve 1'
ok 'all is given back' empty

# ---- 1 GiB ----

if command -v mkmodel >/dev/null; then
	model=/tmp/big.gguf
	ok 'a model of 1 GiB' mkmodel --shape 1.1b --type Q8_0 "$model"
	big() { zen5-run "$model" --tokens 1 -n 0 --logits "$1.logits" --json --resident >"$1.json"; }
	zen5-run "$model" --tokens 1 -n 0 --logits without.logits --json --resident >/dev/null 2>&1 &
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		[ "$(used)" = 0 ] || break
		usleep 200000
	done
	ok 'it has memory while it loads' not is "$(used)" 0
	kill -9 $!
	wait $! 2>/dev/null
	ok 'killed in the middle, nothing stays' empty
	ok 'an answer without --resident' zen5-run "$model" --tokens 1 -n 0 --logits without.logits
	ok 'an answer that leaves it' big first
	ok 'left' left first
	ok 'the same logits' cmp without.logits first.logits
	ok 'an answer from memory' big again
	ok 'attached' attached again
	ok 'the same logits' cmp without.logits again.logits
	zen5-mem list | sed 's/^/# /'
	echo "# 1 GiB: load $(load first) s attach $(load again) s"
	ok 'destroyed' forget
fi
echo "1..$n"
