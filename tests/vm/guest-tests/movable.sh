#!/bin/sh
# SPDX-License-Identifier: MIT
# Nearly all memory is in ZONE_MOVABLE (kernelcore=1G): windows are there for who asks for them, also where other memory
# must move away, and for nobody else.
n=0

ok() {	# ok NAME COMMAND...
	n=$((n + 1)); what=$1; shift
	if "$@" >/tmp/out 2>/tmp/err; then echo "ok $n $what"
	else echo "not ok $n $what"; sed 's/^/# /' /tmp/out /tmp/err | head -n 20; fi
}
create() { zen5-mem create "$1" 1G --node=1 --strict --order=1g ${2:+"$2"}; }
refused() { ! create "$@"; }
filled() { taskset f0 dd if=/dev/zero of=/dev/shm/fill bs=1M count=500 && create second --movable; }

echo TAP version 13
ok 'no window without the flag' refused first
ok 'a window with the flag' create first --movable
ok 'another where memory moves' filled
ok 'destroyed' zen5-mem destroy first second
ok 'a window again' create first --movable
ok 'destroyed' zen5-mem destroy first
rm -f /dev/shm/fill
echo "1..$n"
