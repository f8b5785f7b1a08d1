#!/bin/sh
# SPDX-License-Identifier: MIT
# make install, then the documentation's example built against the installed library, shared and static; what the
# shared library exports; every installed tool has its manual page, --help and --version. Environment: B.
b=${B:-build}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
n=0

ok() {	# ok NAME COMMAND...
	n=$((n + 1)); name=$1; shift
	if "$@" >"$dir/log" 2>&1; then echo "ok $n - $name"
	else echo "not ok $n - $name"; tail -n 15 "$dir/log" | sed 's/^/# /'; fi
}

model=tests/models/zen5-tiny.gguf
ok "make install" make --no-print-directory install B="$b" DESTDIR="$dir" PREFIX=/opt/z
ok "make install under a path with a space" sh -c "make --no-print-directory install B='$b' DESTDIR='$dir/a b' PREFIX=/usr &&
	test -x '$dir/a b/usr/bin/zen5-run' && test -z \"\$(git status --porcelain 2>/dev/null | grep '^?? b/')\""
export PKG_CONFIG_PATH="$dir/opt/z/lib/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$dir"
ok "the example builds against the shared library" sh -c \
	"${CC:-cc} -Wall -Wextra -Werror -o $dir/shared Documentation/example.c \$(pkg-config --cflags --libs zen5rt)"
ok "it answers" sh -c "LD_LIBRARY_PATH=$dir/opt/z/lib $dir/shared $model 'Once upon a time' | grep 'Once upon a time.* .* '"
ok "the example builds against the static library" sh -c "${CC:-cc} -Wall -Wextra -Werror -o $dir/static \
	\$(pkg-config --cflags zen5rt) Documentation/example.c $dir/opt/z/lib/libzen5rt.a -lpcre2-8 -lutf8proc \
	-lm -lpthread"
ok "it gives the same answer" sh -c "LD_LIBRARY_PATH=$dir/opt/z/lib $dir/shared $model Once >$dir/1 &&
	$dir/static $model Once >$dir/2 && cmp $dir/1 $dir/2 && test -s $dir/1"
ok "the header stands alone, in C and C++" sh -c "echo '#include <zen5rt.h>' >$dir/h.c && cp $dir/h.c $dir/h.cc &&
	${CC:-cc} -std=c99 -Wall -Wextra -Werror -pedantic -Iinclude -c -o $dir/h.o $dir/h.c &&
	{ ! command -v c++ || c++ -Wall -Werror -Iinclude -c -o $dir/h.o $dir/h.cc; }"
ok "the shared library exports zen5rt_* and nothing else" sh -c \
	"nm -D --defined-only $dir/opt/z/lib/libzen5rt.so | awk '\$2 != \"A\" { print \$3 }' | grep -q '^zen5rt_open@@' &&
	! nm -D --defined-only $dir/opt/z/lib/libzen5rt.so | awk '\$2 != \"A\" { print \$3 }' | grep -v '^zen5rt_'"
ok "every function of the header is there" sh -c \
	"grep -o '\\bzen5rt_[a-z0-9_]*(' include/zen5rt.h | tr -d '(' | sort -u >$dir/want &&
	nm -D --defined-only $dir/opt/z/lib/libzen5rt.so | sed -n 's/.* \\(zen5rt_[a-z0-9_]*\\)@@.*/\\1/p' | sort -u >$dir/got &&
	diff $dir/want $dir/got"
ok "the library neither prints nor exits" sh -c \
	"nm $b/libzen5rt.a | grep -q 'T zen5rt_open' && ! nm -u $b/libzen5rt.a | grep -wE \\
	'(__)?(v?f?d?printf|fwrite|fputs|fputc|puts|putchar|perror|exit|_exit|abort)(_chk)?|stdout|stderr'"
ok "the device's headers stand alone" sh -c "printf '#include <linux/%s.h>\\n' zen5mem zen5mem_counters zen5mem_netlink >$dir/u.c && cp $dir/u.c $dir/u.cc &&
	${CC:-cc} -std=c99 -Wall -Wextra -Werror -pedantic -I$dir/opt/z/include -c -o $dir/u.o $dir/u.c &&
	{ ! command -v c++ || c++ -Wall -Werror -I$dir/opt/z/include -c -o $dir/u.o $dir/u.cc; }"
ok "the example of zen5mem.rst builds" sh -c "sed -n '/^.. code-block:: c/,/^    }/s/^    //p' \
	$dir/opt/z/share/doc/zen5mem/zen5mem.rst >$dir/m.c && ${CC:-cc} -Wall -Wextra -Werror -o $dir/m $dir/m.c"
ok "its rule and its group are where udev and sysusers look, its limit where PAM does" sh -c \
	"grep -q 'GROUP=.zen5mem' $dir/opt/z/lib/udev/rules.d/60-zen5mem.rules &&
	grep -q '^g zen5mem' $dir/opt/z/lib/sysusers.d/zen5mem.conf &&
	grep -q '^@zen5mem - memlock' $dir/etc/security/limits.d/zen5mem.conf"
ok "a limit that is there already stays" sh -c "echo '# mine' >$dir/etc/security/limits.d/zen5mem.conf &&
	make --no-print-directory install B='$b' DESTDIR='$dir' PREFIX=/opt/z &&
	grep -q mine $dir/etc/security/limits.d/zen5mem.conf"
for t in "$dir"/opt/z/bin/*; do
	tool=$(basename "$t")
	ok "$tool --version" sh -c "$t --version | grep -q '^$tool [0-9]'"
	ok "$tool --help" sh -c "$t --help | grep -q Usage"
	ok "$tool has a manual page" test -s "$dir/opt/z/share/man/man1/$tool.1"
done
echo "1..$n"
