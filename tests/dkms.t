#!/bin/sh
# SPDX-License-Identifier: MIT
# The module built and installed the ways that a machine does it, for a kernel of each series whose headers are here
# (installed, or fetched by tests/vm/kernels, as those of VM_KERNELS are): make modules, modules_install, DKMS's add,
# build, install, remove. All of it in trees of its own: the machine stays as it is. Environment: VM_KERNELS (6.1 6.12),
# KDIRS: these headers and nothing but what concerns them.
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
n=0

ok() {	# ok NAME COMMAND...
	n=$((n + 1)); name=$1; shift
	if "$@" >"$dir/log" 2>&1; then echo "ok $n - $name"
	else echo "not ok $n - $name"; tail -n 15 "$dir/log" | sed 's/^/# /'; fi
}

skip() {	# skip NAME WHY
	n=$((n + 1)); echo "ok $n - $1 # SKIP $2"
}

version=$(sed -n 's/^VERSION := //p' Makefile)
make="make --no-print-directory"
headers() {
	ls -d /lib/modules/*/build
	for k in ${VM_KERNELS:-6.1 6.12}; do perl tests/vm/kernels fetch "$k"; done
	for k in 6.1 6.12 7.2; do perl tests/vm/kernels show $k; done | awk '
		$1 == "version" { version = $2 }
		$1 == "headers" { print $2 }
		$1 == "chroot" { print $2 "/usr/src/linux-headers-" version }'
}

# One of each series.
for kdir in ${KDIRS:-$(headers 2>/dev/null)}; do
	krel=$(sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' "$kdir/include/generated/utsrelease.h" 2>/dev/null)
	test -n "$krel" || continue
	series=$(echo "$krel" | cut -d. -f1-2)
	grep -qsx "$series .*" "$dir/kernels" || echo "$series $kdir $krel" >>"$dir/kernels"
done

# What a module says about itself.
good_module() {	# good_module FILE KREL
	test -f "$1" && modinfo -F vermagic "$1" | grep -q "^$2 " || return
	test "$(modinfo -F license "$1")" = GPL || return
	modinfo -F description "$1" | grep -q . || return
	for p in reserve_gib max_gib allow_untested; do
		modinfo -F parm "$1" | grep -q "^$p:..* (" || { echo "parameter $p has no description"; return 1; }
	done
	# one that has a type and no description is not for users
	modinfo -F parmtype "$1" | sed 's/:.*//' | sort >"$dir/types"
	modinfo -F parm "$1" | sed -n 's/^\([a-z_]*\):..*/\1/p' | sort | diff "$dir/types" -
}

# The checkout's objects are the developer's, and others may be building: a copy.
mkdir "$dir/src"
tar -c --exclude='*.o' --exclude='*.ko' --exclude='*.mod' --exclude='*.mod.c' --exclude='.*.cmd' --exclude='Module.symvers' \
	--exclude='modules.order' --exclude='compat/config.h' \
	Makefile dkms.conf LICENSES include kmod tests/dkms.t udev | tar -x -C "$dir/src"
cd "$dir/src" || exit

built() {	# built KDIR KREL
	$make modules KDIR="$1" && good_module kmod/zen5mem.ko "$2" && test -z "$(grep -i 'warning:' "$dir/log" |
		grep -v 'compiler differs')"
}

staged() {	# staged KDIR KREL
	$make modules_install KDIR="$1" DESTDIR="$dir/stage" PREFIX=/usr &&
	good_module "$(find "$dir/stage/lib/modules/$2" -name 'zen5mem.ko*')" "$2" &&
	test ! -e "$dir/stage/lib/modules/$2/modules.dep" && test -f "$dir/stage/usr/lib/modules-load.d/zen5mem.conf"
}

# A root that has the kernel's modules has its lists of dependencies too.
rooted() {	# rooted KDIR KREL
	mkdir -p "$dir/root/lib/modules/$2" && : >"$dir/root/lib/modules/$2/modules.order" &&
	: >"$dir/root/lib/modules/$2/modules.builtin" &&
	$make modules_install KDIR="$1" INSTALL_MOD_PATH="$dir/root" &&
	grep -q 'zen5mem\.ko' "$dir/root/lib/modules/$2/modules.dep" &&
	echo '# mine' >"$dir/root/etc/modprobe.d/zen5mem.conf" &&
	$make modules_install KDIR="$1" INSTALL_MOD_PATH="$dir/root" &&
	grep -q mine "$dir/root/etc/modprobe.d/zen5mem.conf"
}

# Keys too, where the kernel's headers can sign: the machine's are not for a test.
root="$dir/dkms"
flags="--dkmstree $root/var --sourcetree $root/usr/src --installtree $root/lib/modules --no-depmod"
export mok_signing_key="$root/mok.key" mok_certificate="$root/mok.pub"

dkms_install() {	# dkms_install KDIR KREL
	mkdir -p "$root/var" "$root/lib/modules/$2" &&
	$make dkms-install KDIR="$1" DKMS_ROOT="$root" DKMS_FLAGS="$flags" &&
	good_module "$(find "$root/lib/modules/$2" -name 'zen5mem.ko*')" "$2" &&
	dkms_ status -m zen5mem -v "$version" | grep "$2.*: installed"
}

dkms_() {
	# shellcheck disable=SC2086 # words
	dkms "$@" $flags
}

dkms_remove() {
	dkms_ remove -m zen5mem -v "$version" --all &&
	test -z "$(find "$root/lib/modules" -name 'zen5mem.ko*')" && test -z "$(dkms_ status)"
}

# Headers that want another compiler than this machine's lie in a root with that compiler and its DKMS: the same test
# there, with this copy at /mnt, in a space of mounts of its own so that nothing stays mounted.
inside() {	# inside ROOT KDIR KREL
	if [ "$(id -u)" != 0 ] || ! [ -x "$1/usr/sbin/dkms" ]; then
		skip "$3" "no DKMS beside its compiler, or not root"
		return
	fi
	# shellcheck disable=SC2016 # the inner shell's
	unshare -m sh -c 'mount -t proc proc "$1/proc" && mount --bind "$2" "$1/mnt" &&
		exec chroot "$1" env -C /mnt TMPDIR=/tmp KDIRS="$3" tests/dkms.t' sh "$1" "$dir/src" "${2#"$1"}" >"$dir/inside" 2>&1 </dev/null
	grep -qx '1\.\.[1-9][0-9]*' "$dir/inside" || echo "not ok 0 - $3: no plan" >>"$dir/inside"
	while read -r line; do
		case $line in
		"ok "* | "not ok "*)
			n=$((n + 1))
			echo "$line" | sed "s/ok [0-9]* /ok $n /" ;;
		1..*) ;;
		*) echo "# ${line#\# }" ;;
		esac
	done <"$dir/inside"
}

# An untested kernel: refused before anything is built.
dkms_excluded() {	# dkms_excluded KDIR
	rm -rf "$root/var/zen5mem"
	dkms_ add -m zen5mem -v "$version" || return
	for k in 6.5.0-1-amd64 6.10.3 6.120.1 7.20.1; do
		dkms_ build -m zen5mem -v "$version" -k $k --kernelsourcedir "$1"
		test -z "$(find "$root/var" -name '*.ko*')" || return
	done
}

general() {
	ok "dkms.conf is of this version" grep -q "^PACKAGE_VERSION=\"$version\"\$" dkms.conf
	ok "make modules without headers says what to install" sh -c \
		"! $make modules KDIR=/nowhere >out 2>&1 && grep -q 'no kernel headers in /nowhere: install linux-headers' out"
	ok "make dkms-install DESTDIR= is a source package" sh -c "$make dkms-install DESTDIR='$dir/pkg' PREFIX=/usr &&
		cd '$dir/pkg/usr/src/zen5mem-$version' && test -f dkms.conf -a -f kmod/Kbuild -a -f include/uapi/linux/zen5mem.h &&
		test -f LICENSES/GPL-2.0.txt && test -z \"\$(find . -name '*.o' -o -name config.h)\""
}

test -n "$KDIRS" || general
if [ ! -s "$dir/kernels" ]; then
	skip "the module builds" "no kernel headers here"
else
	while read -r series kdir krel; do
		case $series in
		6.1 | 6.12 | 7.2) ;;
		*) skip "$krel" "not a kernel that the module is for"; continue ;;
		esac
		case $kdir in
		*/chroot/*) inside "${kdir%/usr/src/*}" "$kdir" "$krel"; continue ;;
		esac
		ok "$krel: make modules" built "$kdir" "$krel"
		ok "$krel: make modules_install DESTDIR=" staged "$kdir" "$krel"
		ok "$krel: make modules_install INSTALL_MOD_PATH=" rooted "$kdir" "$krel"
		if ! command -v dkms >/dev/null; then
			skip "$krel: DKMS" "no dkms here"
			continue
		fi
		ok "$krel: make dkms-install" dkms_install "$kdir" "$krel"
		test -n "$once$KDIRS" || ok "$krel: and again" dkms_install "$kdir" "$krel"
		ok "$krel: dkms remove" dkms_remove
		test -n "$once" || ok "DKMS does not build for untested kernels" dkms_excluded "$kdir"
		once=1
	done <"$dir/kernels"
fi
echo "1..$n"
