# SPDX-License-Identifier: MIT
#
# make            builds the library and the tools into build/
# make help       the other targets
#
# Variables: CC, CFLAGS (optimisation), SAN=address,undefined (sanitizers), B (build directory),
# EMULATE=1 (kernels/avx512 by SIMDe, for tests),
# PREFIX, DESTDIR, V=1 (show commands), KDIR (headers or build directory of the kernel that the module is for).

VERSION := 0.1.0
SOVER   := 0

CC      ?= cc
B       ?= build
PREFIX  ?= /usr/local
CFLAGS  ?= -O2 -g
PKG_CONFIG ?= pkg-config
KDIR    ?= /lib/modules/$(shell uname -r)/build

# What apt-get is asked for when it is missing.
BUILD_PKGS := gcc make pkg-config libc6-dev libpcre2-dev libutf8proc-dev libjansson-dev libedit-dev libncurses-dev libnl-3-dev libnl-genl-3-dev
KMOD_PKGS  := gcc make dwarves kmod $(if $(wildcard /lib/modules/*/build/Makefile),,linux-headers-amd64)
VM_PKGS    := qemu-system-x86 busybox-static cpio debootstrap
CHECK_PKGS := $(BUILD_PKGS) $(KMOD_PKGS) $(VM_PKGS) libsimde-dev perl clang libclang-rt-dev valgrind xz-utils dkms
STYLE_PKGS := $(BUILD_PKGS) $(KMOD_PKGS) cppcheck clang git perl python3-minimal shellcheck groff sparse
# The debug kernel is built from source.
DEBUG_PKGS := bc bison flex libelf-dev libssl-dev
MODEL      := tests/models/zen5-tiny.gguf

LIBS  := $(shell $(PKG_CONFIG) --libs libpcre2-8 libutf8proc jansson libnl-genl-3.0 2>/dev/null || echo -lpcre2-8 -lutf8proc -ljansson -lnl-genl-3 -lnl-3) -lm -lpthread
NL_CFLAGS := $(shell $(PKG_CONFIG) --cflags libnl-genl-3.0 2>/dev/null || echo -I/usr/include/libnl3)
TLIBS := -ledit $(shell $(PKG_CONFIG) --libs ncursesw 2>/dev/null || echo -lncursesw -ltinfo)

# One answer on every machine: fma only where it is written (design: numerics).
Z5_CFLAGS := -std=gnu11 -D_GNU_SOURCE -DZ5_VERSION='"$(VERSION)"' -Iinclude -Ilib -I. $(NL_CFLAGS) \
	-Wall -Wextra -Werror -Wstrict-prototypes -Wmissing-prototypes -Wshadow=local -Wvla \
	-ffp-contract=off -fno-math-errno -fvisibility=hidden -fPIC -pthread
ifneq ($(SAN),)
Z5_CFLAGS += -fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer
LDFLAGS   += -fsanitize=$(SAN)
endif
ifneq ($(FUZZER),)
Z5_CFLAGS += -DFUZZER -fsanitize=fuzzer-no-link
endif
# gcc 12 knows -Wshadow=local, clang does not
ifneq ($(findstring clang,$(CC)),)
Z5_CFLAGS := $(subst -Wshadow=local,-Wshadow,$(Z5_CFLAGS))
endif

LIB_SRC  := $(sort $(wildcard lib/*.c lib/*/*.c))
KERN_SRC := $(sort $(wildcard kernels/*.c kernels/*/*.c))
TOOLS    := $(patsubst tools/%.c,%,$(wildcard tools/zen5-*.c))
UNIT     := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(wildcard tests/unit/*.c))
FUZZ     := $(patsubst tests/fuzz/%.c,$(B)/tests/fuzz/%,$(wildcard tests/fuzz/*.c))
BENCH    := $(patsubst tests/bench/%.c,$(B)/tests/bench/%,$(wildcard tests/bench/*.c))

LIB_OBJ  := $(patsubst %.c,$(B)/%.o,$(LIB_SRC) $(KERN_SRC))
TOOL_OBJ := $(patsubst %.c,$(B)/%.o,$(filter-out tools/zen5-%,$(wildcard tools/*.c)))

JOBS := -j$(shell nproc 2>/dev/null || echo 2)

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' $(1) $(2))

all: $(B)/libzen5rt.a $(B)/libzen5rt.so $(TOOLS:%=$(B)/%)

help:
	@sed -n 's/^#: //p' Makefile

#: make                  library and tools into build/
#: make demo             installs what is missing, builds, runs the model that ships with the project
#: make check            installs what is missing, builds, runs every test
#: make check-vm-all     the device on every kernel and on one full of checks (hours; the first time it builds that one)
#: make fuzz             longer: FUZZ_SECONDS=600 of fuzzing for each target of tests/fuzz
#: make install          PREFIX=/usr/local DESTDIR=; not the module
#: make modules          kmod/zen5mem.ko for the running kernel, or for the one that KDIR=... has headers of
#: make modules_install  it and its boot files into INSTALL_MOD_PATH=DESTDIR=
#: make dkms-install     the module's source into /usr/src; DKMS builds it for this kernel and those to come
#: make kselftest        the device's tests into build/kselftest
#: make bench-guard      what share of this machine's limits is reached, against tests/bench/guard.json (minutes, quiet machine)
#: make bench            each kernel's GB/s and GOPS on this machine
#: make style            cppcheck, the analysers of clang and gcc, and the rules that text has (minutes)
#: make style-kmod       of it, the kernel's own: checkpatch, sparse, gcc's warnings
#: make clean
#:
#: CC=clang  CFLAGS=-O2  SAN=address,undefined  B=build  V=1  KDIR=/lib/modules/.../build

# Kernels of a level see exactly the instructions that the level stands for.
AVX2   := -mavx2 -mfma -mf16c
AVX512 := $(AVX2) -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mprefer-vector-width=512
# Where there is no such machine: the same source, each instruction played by a function.
ifneq ($(EMULATE),)
AVX512 := $(AVX2) -isystem tests/emulate -Wno-psabi
$(B)/kernels/dispatch.o: Z5_EXTRA := -DZ5_EMULATE_AVX512
# each is so much code that -O3 takes minutes
$(B)/kernels/avx512/%.o: CFLAGS := -O1
endif
$(B)/kernels/avx2/%.o:   Z5_EXTRA := $(AVX2)
$(B)/kernels/avx512/%.o: Z5_EXTRA := $(AVX512)
# It has ways that are no kernels.
$(B)/tests/bench/ternary.o: Z5_EXTRA := $(AVX2)
# libc looks for argp_program_version in the program.
$(B)/tools/%.o: Z5_EXTRA := -fvisibility=default
# The definition is plain C; -O3 may vectorise it but never reorder a sum.
$(B)/kernels/%.o: CFLAGS := $(subst -O2,-O3,$(CFLAGS))
$(B)/lib/quant/%.o: CFLAGS := $(subst -O2,-O3,$(CFLAGS))

# Rewritten when the flags differ from those of the last build in this directory; an install takes what was built.
FLAGS := $(CC) $(CFLAGS) $(Z5_CFLAGS) $(LDFLAGS)
NO_BUILD := install clean help modules modules_install dkms-install kselftest style-kmod
ifeq ($(filter $(NO_BUILD),$(MAKECMDGOALS)),)
ifneq ($(FLAGS),$(file <$(B)/flags))
$(shell mkdir -p $(B))$(file >$(B)/flags,$(FLAGS))
endif
endif
$(B)/flags:
	@mkdir -p $(B) && touch $@

$(B)/%.o: %.c Makefile $(B)/flags
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(Z5_CFLAGS) $(Z5_EXTRA) -MMD -MP -c -o $@ $<

$(B)/libzen5rt.a: $(LIB_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(B)/libzen5rt.so.$(VERSION): $(LIB_OBJ) lib/zen5rt.map
	$(call say,LD,$@)
	$(Q)$(CC) -shared -Wl,-soname,libzen5rt.so.$(SOVER) -Wl,--version-script,lib/zen5rt.map $(if $(SAN),,-Wl,-z,defs) \
		$(LDFLAGS) -o $@ $(LIB_OBJ) $(LIBS)

$(B)/libzen5rt.so: $(B)/libzen5rt.so.$(VERSION)
	$(Q)ln -sf libzen5rt.so.$(VERSION) $(B)/libzen5rt.so.$(SOVER) && ln -sf libzen5rt.so.$(SOVER) $@

# Tools carry the library in them: build/zen5-run works from wherever it is copied.
$(TOOLS:%=$(B)/%): $(B)/%: $(B)/tools/%.o $(B)/tools.a $(B)/libzen5rt.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS) -Wl,--as-needed $(TLIBS)

# What the tools share: each takes the parts, and the libraries, that it uses.
$(B)/tools.a: $(TOOL_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(UNIT): $(B)/tests/unit/%: $(B)/tests/unit/%.o $(B)/tools.a $(B)/libzen5rt.a
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS) -Wl,--as-needed $(TLIBS)

$(BENCH): $(B)/tests/bench/%: $(B)/tests/bench/%.o $(B)/libzen5rt.a
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(B)/tests/checkasm/checkasm: $(patsubst %.c,$(B)/%.o,$(wildcard tests/checkasm/*.c)) $(B)/libzen5rt.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

# Fuzz targets are ordinary programs over the files that they are given; with FUZZER=1 and clang they get libFuzzer.
$(FUZZ): $(B)/tests/fuzz/%: $(B)/tests/fuzz/%.o $(B)/libzen5rt.a
	$(Q)$(CC) $(LDFLAGS) $(if $(FUZZER),-fsanitize=fuzzer) -o $@ $^ $(LIBS)

fuzz-bins: $(FUZZ)

test-bins: $(UNIT) $(BENCH) $(if $(wildcard tests/checkasm/*.c),$(B)/tests/checkasm/checkasm) $(FUZZ)

# ---- packages ----

# $(call packages,LIST): installs those that are missing if it may, else says how.
define packages
	$(Q)command -v dpkg-query >/dev/null || exit 0; missing=; \
	for p in $(1); do \
		dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; \
	done; \
	test -n "$$missing" || exit 0; \
	apt="apt-get install -y --no-install-recommends$$missing"; export DEBIAN_FRONTEND=noninteractive; \
	if [ $$(id -u) = 0 ]; then sudo=; \
	elif sudo -n true 2>/dev/null; then sudo="sudo -n"; \
	else echo "missing packages; run: sudo $$apt" >&2; exit 1; fi; \
	echo "installing:$$missing"; \
	$$sudo $$apt >/dev/null 2>&1 || { $$sudo apt-get update >/dev/null && $$sudo $$apt >/dev/null; }
endef

build-packages:
	$(call packages,$(BUILD_PKGS))

check-packages:
	$(call packages,$(CHECK_PKGS))

# ---- demo ----

# A second make, since the first one looked for the libraries before they were there.
demo: build-packages
	$(Q)$(MAKE) $(JOBS) --no-print-directory all
	@echo
	$(B)/zen5-run $(MODEL) --temp 0 -p "Once upon a time, there was a kind little girl named Mia."
	@echo
	$(B)/zen5-run $(MODEL) --temp 0 -p "Question: What does a bee make? Answer:"

# ---- tests ----

check: check-packages
	$(Q)$(MAKE) $(JOBS) --no-print-directory all test-bins
	$(Q)$(MAKE) $(JOBS) --no-print-directory all test-bins B=build-asan SAN=address,undefined CFLAGS="-O1 -g"
	$(Q)$(MAKE) $(JOBS) --no-print-directory all test-bins B=build-clang CC=clang
	$(Q)$(MAKE) $(JOBS) --no-print-directory $(FUZZ_BUILD)
	$(Q)$(MAKE) $(JOBS) --no-print-directory build-emulate/tests/checkasm/checkasm B=build-emulate EMULATE=1
	$(Q)$(MAKE) $(JOBS) --no-print-directory kselftest
	$(Q)perl tests/run

check-vm-all: check-packages
	$(call packages,$(DEBUG_PKGS))
	$(Q)$(MAKE) $(JOBS) --no-print-directory all test-bins kselftest
	$(Q)tests/vm/debug-kernel || test $$? = 4
	$(Q)VM_KERNELS="6.1 6.12 7.2 debug" perl tests/run tests/vm.t tests/dkms.t

# libFuzzer is clang's; the seeds are written by the same targets as ordinary programs.
FUZZ_BUILD := fuzz-bins B=build-fuzz CC=clang FUZZER=1 SAN=address,undefined CFLAGS="-O1 -g"
FUZZ_SECONDS ?= 600

fuzz: check-packages
	$(Q)$(MAKE) $(JOBS) --no-print-directory fuzz-bins
	$(Q)$(MAKE) $(JOBS) --no-print-directory $(FUZZ_BUILD)
	FUZZ_SECONDS=$(FUZZ_SECONDS) perl tests/fuzz.t

bench-guard: $(B)/zen5-bench $(B)/tests/bench/mkmodel
	$(Q)perl tests/bench/guard

bench: $(B)/tests/checkasm/checkasm
	$(B)/tests/checkasm/checkasm --bench

# ---- static analysis ----

# Kernels, library and tools by clang's analyser. By gcc's where memory and descriptors have owners: in a kernel there is
# nothing for it to follow and minutes to spend. It loses what is stored through a caller's pointer and calls that a leak
# (clang, valgrind and the sanitizers look for leaks), and in the files left out it takes a failure that another file
# reports for success. Tests have the sanitizers.
CLANG_C := $(addprefix clang-analyse/,$(LIB_SRC) $(KERN_SRC) $(wildcard tools/*.c))
GCC_C   := $(filter-out %/grammar/schema_number.c %/grammar/schema_object.c %/model/load.c %/mxfp4.c %/chat-tokens.c, \
	$(addprefix gcc-analyse/,$(LIB_SRC) $(wildcard tools/*.c)))
ANALYSE := $(filter-out -W% -fPIC,$(Z5_CFLAGS)) -DZ5_ANALYSER

clang-analyse/kernels/avx2/%:   Z5_EXTRA := $(AVX2)
clang-analyse/kernels/avx512/%: Z5_EXTRA := $(AVX512)
$(CLANG_C): clang-analyse/%:
	$(Q)clang --analyze --analyzer-output text -Xclang -analyzer-werror $(ANALYSE) $(Z5_EXTRA) $*

$(GCC_C): gcc-analyse/%:
	$(Q)gcc -fanalyzer -Wno-analyzer-malloc-leak -Wno-analyzer-file-leak -Werror -O1 $(ANALYSE) -c -o /dev/null $*

# Casts of bytes to floats are how formats are read; that they are aligned is proved by the sanitizer of `make check`.
style:
	$(call packages,$(STYLE_PKGS))
	$(Q)perl tests/style
	$(Q)cppcheck --quiet $(JOBS) --std=c11 --error-exitcode=1 --inline-suppr \
		--enable=warning,performance,portability --suppress=missingIncludeSystem --suppress=invalidPointerCast \
		-Iinclude -Ilib -I. lib kernels tools tests Documentation
	$(Q)tests/style-kmod
	$(Q)$(MAKE) $(JOBS) --no-print-directory -k $(CLANG_C) $(GCC_C)

style-kmod:
	$(call packages,$(STYLE_PKGS))
	$(Q)tests/style-kmod

# ---- kernel module ----

INSTALL := install

# Kbuild does the work. Only the headers are looked for here, since its own message names no remedy.
define need_kdir
test -f "$(KDIR)/Makefile" || { \
	other=$$(ls -d /lib/modules/*/build/Makefile 2>/dev/null | sed -n '$$s|/Makefile$$||p'); \
	echo "no kernel headers in $(KDIR): install linux-headers-$$(uname -r) (Debian, Ubuntu) or kernel-devel-$$(uname -r)" \
		"(Fedora)$${other:+; for another kernel, whose headers are here: KDIR=$$other}" >&2; exit 1; }
endef
# Signed where the key of the kernel's builder is; a distribution keeps its own.
KREL   = $(shell sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' "$(KDIR)/include/generated/utsrelease.h")
KBUILD = $(MAKE) $(JOBS) --no-print-directory -C "$(KDIR)" M="$(CURDIR)/kmod" \
	$(if $(wildcard $(KDIR)/certs/signing_key.pem),,CONFIG_MODULE_SIG_ALL=)

modules:
	$(Q)$(need_kdir)
	$(Q)$(KBUILD) modules

# $(call boot_files,ROOT): they come with the module, since the service that loads what is not there fails at each boot.
# Parameters that are there already are the administrator's.
define boot_files
	$(Q)$(INSTALL) -d "$(1)$(PREFIX)/lib/modules-load.d" "$(1)/etc/modprobe.d"
	$(Q)$(INSTALL) -m 644 udev/zen5mem.modules-load.conf "$(1)$(PREFIX)/lib/modules-load.d/zen5mem.conf"
	$(Q)test -e "$(1)/etc/modprobe.d/zen5mem.conf" || \
		$(INSTALL) -m 644 udev/zen5mem.modprobe.conf "$(1)/etc/modprobe.d/zen5mem.conf"
endef

# depmod where the kernel's own modules are; where a package is put together its script will call it.
INSTALL_MOD_PATH ?= $(DESTDIR)
modules_install: modules
	$(Q)$(KBUILD) INSTALL_MOD_PATH="$(INSTALL_MOD_PATH)" DEPMOD=true modules_install
	$(Q)test ! -e "$(INSTALL_MOD_PATH)/lib/modules/$(KREL)/modules.order" || \
		depmod $(if $(INSTALL_MOD_PATH),-b "$(INSTALL_MOD_PATH)") $(KREL)
	$(call boot_files,$(INSTALL_MOD_PATH))

# With DESTDIR only the source: the package's script will call dkms. A test has a root and flags for a tree of its own.
DKMS       ?= dkms
DKMS_ROOT  ?= $(DESTDIR)
DKMS_MOD   := -m zen5mem -v $(VERSION)
DKMS_SRC    = $(DKMS_ROOT)/usr/src/zen5mem-$(VERSION)
DKMS_FILES  = $(shell find kmod include/uapi -path kmod/mock -prune -o -name '*.mod.c' -o -path kmod/compat/config.h -o \
	\( -name '*.[ch]' -o -name '*.sh' -o -name Kbuild \) -print) dkms.conf LICENSES/GPL-2.0.txt LICENSES/Linux-syscall-note

dkms-install:
ifeq ($(DESTDIR),)
	$(Q)command -v $(DKMS) >/dev/null || { echo "no dkms: install the package dkms" >&2; exit 1; }
	$(Q)$(need_kdir)
	$(Q)test -z "$$($(DKMS) status $(DKMS_MOD) $(DKMS_FLAGS))" || $(DKMS) remove $(DKMS_MOD) --all $(DKMS_FLAGS)
endif
	$(Q)rm -rf "$(DKMS_SRC)"
	$(Q)for f in $(DKMS_FILES); do $(INSTALL) -D -m 644 $$f "$(DKMS_SRC)/$$f" || exit; done
ifeq ($(DESTDIR),)
	$(Q)$(DKMS) add $(DKMS_MOD) $(DKMS_FLAGS)
	$(Q)$(DKMS) install $(DKMS_MOD) -k $(KREL) --kernelsourcedir "$(KDIR)" $(DKMS_FLAGS)
endif
	$(call boot_files,$(DKMS_ROOT))

kselftest:
	$(Q)$(MAKE) $(JOBS) --no-print-directory -C tests/kselftest/zen5mem OUTPUT="$(abspath build/kselftest)"

# ---- installation ----

BINDIR  := $(DESTDIR)$(PREFIX)/bin
LIBDIR  := $(DESTDIR)$(PREFIX)/lib
MANDIR  := $(DESTDIR)$(PREFIX)/share/man

install: all
	$(Q)$(INSTALL) -d "$(BINDIR)" "$(LIBDIR)/pkgconfig" "$(DESTDIR)$(PREFIX)/include" "$(MANDIR)/man1"
	$(Q)$(INSTALL) -m 755 $(TOOLS:%=$(B)/%) "$(BINDIR)"
	$(Q)$(INSTALL) -m 644 include/zen5rt.h "$(DESTDIR)$(PREFIX)/include"
	$(Q)$(INSTALL) -m 644 $(B)/libzen5rt.a "$(LIBDIR)"
	$(Q)$(INSTALL) -m 755 $(B)/libzen5rt.so.$(VERSION) "$(LIBDIR)"
	$(Q)ln -sf libzen5rt.so.$(VERSION) "$(LIBDIR)/libzen5rt.so.$(SOVER)"
	$(Q)ln -sf libzen5rt.so.$(SOVER) "$(LIBDIR)/libzen5rt.so"
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|' lib/zen5rt.pc.in >"$(LIBDIR)/pkgconfig/zen5rt.pc"
	$(Q)$(INSTALL) -m 644 Documentation/man/*.1 "$(MANDIR)/man1"
	$(Q)$(INSTALL) -d "$(DESTDIR)$(PREFIX)/share/doc/zen5mem" "$(DESTDIR)$(PREFIX)/include/linux"
	$(Q)$(INSTALL) -m 644 Documentation/zen5mem.rst Documentation/zen5-top.rst Documentation/netlink/specs/zen5mem.yaml \
		"$(DESTDIR)$(PREFIX)/share/doc/zen5mem"
	$(Q)$(INSTALL) -m 644 include/uapi/linux/*.h "$(DESTDIR)$(PREFIX)/include/linux"
	$(Q)$(INSTALL) -D -m 644 udev/60-zen5mem.rules "$(LIBDIR)/udev/rules.d/60-zen5mem.rules"
	$(Q)$(INSTALL) -D -m 644 udev/zen5mem.sysusers.conf "$(LIBDIR)/sysusers.d/zen5mem.conf"
	$(Q)$(INSTALL) -d "$(DESTDIR)/etc/security/limits.d"
	$(Q)test -e "$(DESTDIR)/etc/security/limits.d/zen5mem.conf" || \
		$(INSTALL) -m 644 udev/zen5mem.limits.conf "$(DESTDIR)/etc/security/limits.d/zen5mem.conf"

clean:
	rm -rf build build-asan build-clang build-emulate build-fuzz
	find kmod \( -name '*.o' -o -name '*.ko' -o -name '*.mod' -o -name '*.mod.c' -o -name '.*.cmd' \
		-o -name Module.symvers -o -name modules.order -o -path kmod/compat/config.h \) -delete

-include $(shell find $(B) -name '*.d' 2>/dev/null)

.PHONY: all help demo check check-vm-all fuzz fuzz-bins bench bench-guard style style-kmod install test-bins clean \
	modules modules_install dkms-install kselftest build-packages check-packages $(CLANG_C) $(GCC_C)
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all
