#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# probe.sh PROBES HEADER CC...: compiles each file of PROBES against the kernel's headers and writes HEADER, with
# Z5M_HAVE_NAME defined for each name.c that compiles.
probes=$1
header=$2
shift 2
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT

# Without this one every other would fail too, and the module be built for a kernel that has nothing.
if ! "$@" -Werror -fsyntax-only "$probes/nothing.c" >"$tmp/err" 2>&1; then
	cat "$tmp/err" >&2
	exit 1
fi
# How a compiler says that a kernel has something not, or in another form.
absent='undeclared|implicit declaration|No such file|incompatible|too (few|many) arguments|expected'
for file in "$probes"/*.c; do
	name=$(basename "$file" .c)
	(
		if "$@" -Werror -fsyntax-only "$file" >"$tmp/$name.err" 2>&1; then
			echo "#define Z5M_HAVE_$(echo "$name" | tr '[:lower:]' '[:upper:]') 1" >"$tmp/$name.h"
		elif grep -Eq "$absent" "$tmp/$name.err"; then
			: >"$tmp/$name.h"
		fi
	) &
done
wait
# A compiler that was killed, or a full disk, is no answer: the wrong one would be built without a word.
for file in "$probes"/*.c; do
	name=$(basename "$file" .c)
	test -f "$tmp/$name.h" && continue
	echo "probe $name: neither yes nor no:" >&2
	cat "$tmp/$name.err" >&2
	exit 1
done
{
	echo "/* SPDX-License-Identifier: GPL-2.0-only */"
	cat "$tmp"/*.h
} >"$header"
