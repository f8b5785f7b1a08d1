#!/bin/sh
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2086	# paths that are built here have no blanks
# Short runs under valgrind: no bad access, no uninitialised value, no leak. Environment: B, the build directory.
b=${B:-build}
n=0
command -v valgrind >/dev/null || { echo "1..0 # SKIP valgrind is not installed"; exit 0; }

check() {
	name=$1; shift
	n=$((n + 1))
	if out=$(valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite,indirect,possible \
			"$@" 2>&1 </dev/null); then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		echo "$out" | tail -n 30 | sed 's/^/# /'
	fi
}

model=tests/models/zen5-tiny.gguf
[ -e $model ] || model=tests/golden/data/small-llama-Q8_0.gguf
check "text, two threads" $b/zen5-run $model -p "Once upon a time" -n 6 -t 2 --seed 1
check "JSON with explanation" $b/zen5-run $model -p "Once" -n 3 -t 1 --json --explain
check "a quantized KV cache" $b/zen5-run $model --tokens 1,5,9,12 -n 2 -t 2 --kv-type q8_0
for m in tests/golden/data/small-*.gguf; do
	check "$(basename $m .gguf)" $b/zen5-run $m --tokens 1,5,9,12 -n 2 --temp 0 -t 2 --ubatch 2
done
for form in -b --json --csv; do
	check "zen5-top $form" $b/zen5-top $form -n 2 -d 0.05
done
# a tool that fails leaves its memory to the kernel: no leak check here
check "a refused file" sh -c "valgrind -q --error-exitcode=99 $b/zen5-run tests/run -p x; [ \$? = 1 ]"
echo "1..$n"
