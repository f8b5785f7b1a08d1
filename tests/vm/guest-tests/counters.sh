#!/bin/sh
# SPDX-License-Identifier: MIT
# Counters as the tools see them, over made-up PMUs (kmod/mock/zen5mem_mock.c has the script): zen5-top by the module's
# page and by perf, the throttle's readings, events by netlink. In /t: zen5-top, zen5-run, zen5-mem, zen5-tiny.gguf.
cd /t || exit 4
n=0
result() {
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n $2"; return; fi
	[ ! -s /tmp/out ] || sed 's/^/# /' /tmp/out
	echo "not ok $n $2"
}

# within WHAT LOW HIGH FILE: the CSV file's number of that kind, index and name lies between
within() {
	value=$(sed -n "s/^[^,]*,$1,//p" "$4" | tail -n 1)
	awk -v v="$value" -v a="$2" -v b="$3" 'BEGIN { exit !(v != "" && v + 0 >= a && v + 0 <= b) }'
	result $? "$1: $value between $2 and $3"
}

# as the script says; rates of a shared clock, so with some room
script() {
	within domain,0,hit_rate 0.74 0.76 "$1"
	within domain,1,hit_rate 0.74 0.76 "$1"
	within domain,0,dram_ns 88 92 "$1"
	within domain,1,dram_ns 176 184 "$1"
	within domain,0,miss_bytes_s 5.7e9 7.1e9 "$1"
	within domain,1,miss_bytes_s 11.5e9 14.1e9 "$1"
	within channel,0,read_bytes_s 2.3e9 2.8e9 "$1"
	within channel,1,write_bytes_s 1.15e9 1.41e9 "$1"
	within channel,0,bus 0.097 0.103 "$1"
	within channel,1,bus 0.195 0.205 "$1"
}

./zen5-top -b -n 1 -d 0.2 >/tmp/out 2>&1
grep -q 'counters: software' /tmp/out && grep -q 'no PMU amd_l3' /tmp/out
result $? 'without a PMU the reason is told'
./zen5-detect >/tmp/out 2>&1
grep -q '^zen5mem: .*; counters (zen5-top)$' /tmp/out
result $? 'zen5-detect tells that the module counts'
insmod /lib/z5/zen5mem_mock.ko
result $? 'the mock loads'
[ $(($(cat /proc/sys/kernel/tainted) & 262144)) != 0 ]
result $? 'and taints the kernel as a test'
./zen5-top --csv -n 2 -d 0.5 >/tmp/csv
grep -q 'source,"zen5mem MOCK"' /tmp/csv
result $? 'zen5-top reads the page and says MOCK'
script /tmp/csv
./zen5-top -b -n 1 -d 0.2 >/tmp/out 2>&1
grep -q '^MOCK: ' /tmp/out
result $? 'in text, too'

# the throttle's readings
./zen5-run zen5-tiny.gguf --throttle auto --ignore-eos -n 60 -c 512 -p Once --temp 0 --json >/tmp/json 2>/tmp/err
grep -q '"counters": "zen5mem MOCK"' /tmp/json
result $? 'the throttle reads the page'
./zen5-run zen5-tiny.gguf --throttle off --ignore-eos -n 60 -c 512 -p Once --temp 0 --json >/tmp/off 2>/tmp/err
sed -n '/"tokens"/,/]/p' /tmp/json >/tmp/a; sed -n '/"tokens"/,/]/p' /tmp/off >/tmp/b
[ -s /tmp/a ] && cmp -s /tmp/a /tmp/b
result $? 'and the answer is the same without it'
./zen5-run zen5-tiny.gguf --throttle 2,1 --ignore-eos -n 20 -p Once --temp 0 --explain >/dev/null 2>/tmp/err
grep -q '^throttle:   fixed: 2+1 of 4+4 threads$' /tmp/err
result $? 'threads by domain'

# events
./zen5-top --events >/tmp/events & listener=$!
i=0
while ! grep -q created /tmp/events && [ $i -lt 100 ]; do
	./zen5-mem create ev 4K >/dev/null; ./zen5-mem destroy ev >/dev/null
	i=$((i + 1)); sleep 0.1
done
kill $listener
grep -q ' region [0-9]* created as ev, 2.00 MiB, uid 0$' /tmp/events && grep -q ' gone, 2.00 MiB$' /tmp/events
result $? 'events arrive'
./zen5-top --module-interval 0.002 && ./zen5-top --module-interval 0.01
result $? 'the interval is set'

# who may not
chmod 666 /dev/zen5mem
su -s /bin/sh nobody -c 'cd /t; ./zen5-top --events' >/tmp/out 2>&1
grep -q 'not permitted' /tmp/out
result $? 'events are for root'
su -s /bin/sh nobody -c 'cd /t; ./zen5-top -b -n 1 -d 0.2' >/tmp/out 2>&1
grep -q 'counters: zen5mem MOCK' /tmp/out
result $? 'the page is for whoever has the device'
echo Y >/sys/module/zen5mem/parameters/counters_perfmon
su -s /bin/sh nobody -c 'cd /t; ./zen5-top -b -n 1 -d 0.2' >/tmp/out 2>&1
grep -q 'counters: software' /tmp/out && grep -q CAP_PERFMON /tmp/out && grep -q perf_event_paranoid /tmp/out
result $? 'unless CAP_PERFMON is demanded: then neither that nor perf'
echo N >/sys/module/zen5mem/parameters/counters_perfmon

# without the module
i=0
while ! rmmod zen5mem 2>/dev/null && [ $i -lt 100 ]; do i=$((i + 1)); sleep 0.1; done
./zen5-top --csv -n 2 -d 0.5 >/tmp/csv
grep -q 'source,"perf MOCK"' /tmp/csv
result $? 'without the module by perf'
script /tmp/csv
i=0
while ! rmmod zen5mem_mock 2>/dev/null && [ $i -lt 100 ]; do i=$((i + 1)); sleep 0.1; done
[ ! -e /sys/module/zen5mem_mock ]
result $? 'the mock unloads'
echo "1..$n"
